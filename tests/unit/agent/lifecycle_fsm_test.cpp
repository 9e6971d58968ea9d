#include "agent/lifecycle_fsm.hpp"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "base/exit_code.hpp"

namespace keybearer {
namespace {

using Fsm = LifecycleFsm;
using State = Fsm::State;
using Event = Fsm::Event;
using Action = Fsm::Action;

// A machine in each state, by the shortest way there.
Fsm in(State state) {
  Fsm fsm;
  switch (state) {
    case State::starting:
      break;
    case State::ready:
      (void)fsm.on(Event::ready);
      break;
    case State::supervising:
      (void)fsm.on(Event::child_offered);
      break;
    case State::stopping:
      (void)fsm.on(Event::child_offered);
      (void)fsm.on(Event::stop);
      break;
    case State::cleaning:
      (void)fsm.on(Event::ready);
      (void)fsm.on(Event::stop);
      break;
    case State::done:
      (void)fsm.on(Event::stop);
      (void)fsm.on(Event::cleaned);
      break;
  }
  REQUIRE(fsm.state() == state);
  return fsm;
}

TEST_CASE("every state meets every event") {
  struct Row {
    State from;
    Event event;
    State to;
    Action action;
    int code;  // with 7 as the event's
  };
  const Row rows[] = {
      {State::starting, Event::ready, State::ready, Action::none, 0},
      {State::starting, Event::child_offered, State::supervising, Action::none, 0},
      {State::starting, Event::stop, State::cleaning, Action::clean_up, kNotReady},
      {State::starting, Event::ended, State::cleaning, Action::clean_up, 7},
      {State::starting, Event::child_ended, State::cleaning, Action::clean_up, 7},
      {State::starting, Event::cleaned, State::starting, Action::none, 0},
      {State::ready, Event::ready, State::ready, Action::none, 0},
      {State::ready, Event::child_offered, State::supervising, Action::none, 0},
      {State::ready, Event::stop, State::cleaning, Action::clean_up, 0},
      {State::ready, Event::ended, State::cleaning, Action::clean_up, 7},
      {State::ready, Event::child_ended, State::cleaning, Action::clean_up, 7},
      {State::ready, Event::cleaned, State::ready, Action::none, 0},
      {State::supervising, Event::ready, State::supervising, Action::none, 0},
      {State::supervising, Event::child_offered, State::supervising, Action::none, 0},
      {State::supervising, Event::stop, State::stopping, Action::stop_child, 0},
      {State::supervising, Event::ended, State::stopping, Action::stop_child, 7},
      {State::supervising, Event::child_ended, State::cleaning, Action::clean_up, 7},
      {State::supervising, Event::cleaned, State::supervising, Action::none, 0},
      {State::stopping, Event::ready, State::stopping, Action::none, 0},
      {State::stopping, Event::child_offered, State::stopping, Action::none, 0},
      {State::stopping, Event::stop, State::stopping, Action::hurry_child, 0},
      {State::stopping, Event::ended, State::stopping, Action::none, 0},
      {State::stopping, Event::child_ended, State::cleaning, Action::clean_up, 7},
      {State::stopping, Event::cleaned, State::stopping, Action::none, 0},
      {State::cleaning, Event::ready, State::cleaning, Action::none, 0},
      {State::cleaning, Event::child_offered, State::cleaning, Action::none, 0},
      {State::cleaning, Event::stop, State::cleaning, Action::hurry_clean_up, 0},
      {State::cleaning, Event::ended, State::cleaning, Action::none, 0},
      {State::cleaning, Event::child_ended, State::cleaning, Action::none, 0},
      {State::cleaning, Event::cleaned, State::done, Action::exit, 0},
      {State::done, Event::ready, State::done, Action::none, kNotReady},
      {State::done, Event::child_offered, State::done, Action::none, kNotReady},
      {State::done, Event::stop, State::done, Action::none, kNotReady},
      {State::done, Event::ended, State::done, Action::none, kNotReady},
      {State::done, Event::child_ended, State::done, Action::none, kNotReady},
      {State::done, Event::cleaned, State::done, Action::none, kNotReady},
  };
  static_assert(std::size(rows) == Fsm::kStates * Fsm::kEvents);
  for (const Row& row : rows) {
    CAPTURE(static_cast<int>(row.from));
    CAPTURE(static_cast<int>(row.event));
    Fsm fsm = in(row.from);
    CHECK(fsm.on(row.event, 7) == row.action);
    CHECK(fsm.state() == row.to);
    CHECK(fsm.code() == row.code);
  }
}

TEST_CASE("a reason of our own says more than the code of a child that we stopped") {
  Fsm fsm = in(State::supervising);
  (void)fsm.on(Event::ended, kDenied);
  (void)fsm.on(Event::child_ended, 143);
  CHECK(fsm.code() == kDenied);
}

TEST_CASE("the first reason stays") {
  Fsm fsm = in(State::supervising);
  (void)fsm.on(Event::ended, kDenied);
  (void)fsm.on(Event::ended, kUnavailable);
  (void)fsm.on(Event::stop);
  CHECK(fsm.code() == kDenied);
}

TEST_CASE(
    "a random walk: one clean-up, one exit, and no child is stopped after the clean-up began") {
  std::minstd_rand random(1);
  for (int walk = 0; walk < 20000; ++walk) {
    Fsm fsm;
    int clean_ups = 0, exits = 0;
    for (int step = 0; step < 40; ++step) {
      const auto before = fsm.state();
      const auto action = fsm.on(static_cast<Event>(random() % Fsm::kEvents), 9);
      clean_ups += action == Action::clean_up ? 1 : 0;
      exits += action == Action::exit ? 1 : 0;
      if (action == Action::stop_child || action == Action::hurry_child) CHECK(clean_ups == 0);
      CHECK(fsm.state() >= before);
    }
    CHECK(clean_ups <= 1);
    CHECK(exits <= 1);
    CHECK(fsm.was_ready() == fsm.was_ready());
  }
}

TEST_CASE("it was ready once a set was complete, and not when it was stopped before") {
  CHECK(!in(State::starting).was_ready());
  CHECK(in(State::ready).was_ready());
  CHECK(in(State::supervising).was_ready());
  CHECK(!in(State::done).was_ready());
  Fsm late = in(State::done);
  (void)late.on(Event::ready);
  (void)late.on(Event::child_offered);
  CHECK(!late.was_ready());
}

}  // namespace
}  // namespace keybearer
