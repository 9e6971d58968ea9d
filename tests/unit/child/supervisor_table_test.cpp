// The supervisor's table of states and events: every cell, and a random walk through it.

#include <doctest/doctest.h>

#include "unit/child/fsm_fixture.hpp"

namespace keybearer::child {
namespace {

// Every state meets every event; the cells that do nothing are there on purpose.
Machine in(State state) {
  Machine machine({.debounce = 0s,
                   .restart_on_exit = config::RestartOnExit::always,
                   .forking = state == State::background});
  const auto run = [&](auto... actions) { (static_cast<void>(actions), ...); };
  if (state == State::idle) return machine;
  if (state == State::starting || state == State::starting_to_exit) {
    run(machine.desired(set(1), t0));
    if (state == State::starting_to_exit) run(machine.stop(t0));
    return machine;
  }
  machine.running();
  switch (state) {
    case State::background:
    case State::lingering:
      run(machine.exited(kExited0, t0));
      break;
    case State::stopping_to_restart:
      run(machine.desired(set(2), t0));
      break;
    case State::killing_to_restart:
      run(machine.desired(set(2), t0), machine.due(t0 + 30s));
      break;
    case State::waiting_to_restart:
      run(machine.desired(set(2), t0));
      run(machine.exited(kTerminated, t0));
      break;
    case State::stopping_to_exit:
      run(machine.stop(t0));
      break;
    case State::killing_to_exit:
      run(machine.stop(t0));
      run(machine.due(t0 + 30s));
      break;
    case State::waiting_to_exit:
      run(machine.stop(t0));
      run(machine.exited(kTerminated, t0));
      break;
    case State::backing_off:
      run(machine.exited(kExited3, t0));
      run(machine.tree_exited(t0));
      break;
    case State::done:
      run(machine.stop(t0));
      run(machine.exited(kExited0, t0));
      run(machine.tree_exited(t0));
      break;
    default:
      break;
  }
  return machine;
}

TEST_CASE("states x events: every cell") {
  const std::string bug = "BUG", again = "[starting the program again in 999 ms]";
  const std::string restart =
      "[restart: DB_PASSWORD changed (database/creds/app: lease ended)] stop 15";
  const std::string killed =
      "[the program did not stop in time: killed, with all that it started] kill";
  const std::string rest_killed =
      "[what the program had started did not stop in time: killed] kill";
  const std::string failed = "[can't start x: not found] finish 127";
  const std::string exited3 = "[the program exited with code 3]";
  const struct {
    State state;
    std::string desired, started, start_failed, exited, tree_exited, timer, signal, stop, hold;
  } rows[] = {
      {State::idle, "start", bug, bug, bug, "", "", "", "finish 75", "[not started: old]"},
      {State::starting, "", "", failed, bug, "", "", "", "", "[not started: old]"},
      {State::starting_to_exit, "", "stop 15", failed, bug, "", "", "", "", ""},
      {State::running, restart, bug, bug, exited3 + " left " + again + " stop 15 rest 15", "", "",
       "signal 10", "stop 15", "[stopped: old] stop 15"},
      {State::background, restart, bug, bug,
       "[the program in the background exited with code 3] left " + again + " stop 15",
       "[the program in the background exited with code 3] " + again, "", "signal 10", "stop 15",
       "[stopped: old] stop 15"},
      {State::lingering, "", bug, bug, bug, again, "daemon " + again + " stop 15 rest 15", "",
       "stop 15 rest 15", "[not started: old]"},
      {State::stopping_to_restart, "", bug, bug, exited3 + " rest 15", "", killed, "", "",
       "[not started: old]"},
      {State::killing_to_restart, "", bug, bug, exited3, "", "kill", "", "", "[not started: old]"},
      {State::waiting_to_restart, "", bug, bug, bug, "start", rest_killed, "", "",
       "[not started: old]"},
      {State::stopping_to_exit, "", bug, bug, exited3 + " rest 15", "", killed, "signal 10", "",
       ""},
      {State::killing_to_exit, "", bug, bug, exited3, "",
       "[processes of the program outlive SIGKILL and are left behind] finish 137", "", "", ""},
      {State::waiting_to_exit, "", bug, bug, bug, "finish 3", rest_killed, "", "", ""},
      {State::backing_off, "", bug, bug, bug, "", "start", "", "finish 3", "[not started: old]"},
      {State::done, "", bug, "", "", "", "", "", "", ""},
  };
  CHECK(std::size(rows) == SupervisorFsm::kStates);
  const auto cell = [bug](const Actions& actions) {
    const std::string out = text(actions);
    return out.find("please report") != std::string::npos ? bug : out;
  };
  for (const auto& row : rows) {
    CAPTURE(name_of(row.state));
    CHECK(in(row.state).state() == row.state);
    CHECK(cell(in(row.state).desired(set(9), t0)) == row.desired);
    CHECK(cell(in(row.state).started(t0)) == row.started);
    CHECK(cell(in(row.state).start_failed(kNotFound, t0)) == row.start_failed);
    CHECK(cell(in(row.state).exited(kExited3, t0)) == row.exited);
    CHECK(cell(in(row.state).tree_exited(t0, kExited3)) == row.tree_exited);
    CHECK(cell(in(row.state).due(t0 + 1h)) == row.timer);
    CHECK(cell(in(row.state).forward(10, t0)) == row.signal);
    CHECK(cell(in(row.state).stop(t0)) == row.stop);
    CHECK(cell(in(row.state).on(SupervisorFsm::HoldRequested{"old"}, t0)) == row.hold);
    CHECK(cell(in(row.state).on(SupervisorFsm::Released{}, t0)) == "");
  }
}

TEST_CASE("held: stopped in order, started only when it is released, with the newest set") {
  Machine machine = in(State::running);
  CHECK(text(machine.on(SupervisorFsm::HoldRequested{"old"}, t0)) == "[stopped: old] stop 15");
  CHECK(text(machine.on(SupervisorFsm::HoldRequested{"old"}, t0)) == "");
  (void)machine.exited(kExited0, t0);
  CHECK(text(machine.tree_exited(t0)) == "");
  CHECK(machine.state() == State::idle);
  CHECK(text(machine.set_desired({9, set(9)}, t0)) == "");
  CHECK(text(machine.on(SupervisorFsm::Released{}, t0)) ==
        "[the values are good again: starting] start");
  (void)machine.started(t0);
  CHECK(machine.applied() == 9);
}

// A world of one program and its tree, which obeys or not, as chance has it.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), machine_(rules(), 0.5) {}

  // One event; false when the machine is done.
  bool step() {
    now_ += std::chrono::milliseconds(below(300));
    switch (below(12)) {
      case 0:
      case 1:
        want();
        break;
      case 2:
        feed(machine_.forward(10, now_));
        break;
      case 3:
        if (below(20) == 0) stop();
        break;
      case 4:
      case 5:
        if (starting_) begin();
        break;
      case 6:
      case 7:
        if (alive_) end_program();
        break;
      case 8:
      case 9:
        if (tree_ && machine_.state() == State::background && below(4) == 0)
          return feed(machine_.exited(some_status(), now_)), check(), !finished_;
        if (tree_ && below(2) == 0) tree_ = false;
        if (!tree_ && !alive_ && machine_.awaiting_tree_exit()) {
          feed(machine_.tree_exited(now_, some_status()));
        }
        break;
      default:
        if (const auto at = machine_.deadline(); at && *at > now_ && below(2) == 0) now_ = *at;
        feed(machine_.due(now_));
        break;
    }
    check();
    return !finished_;
  }

 private:
  Rules rules() {
    return {.stop = {{15, 2s}, {2, 1s}},
            .debounce = std::chrono::milliseconds(500 * below(3)),
            .restart_on_exit = static_cast<config::RestartOnExit>(below(3)),
            .max_restarts = static_cast<int>(below(6)),
            .backoff = {100ms, 2s},
            .forking = below(3) == 0};
  }
  std::uint64_t below(std::uint64_t bound) {  // Knuth's MMIX generator
    random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random_ >> 33) % bound;
  }
  ExitStatus some_status() {
    const ExitStatus all[] = {kExited0, kExited0, kExited3, kTerminated, kSegfault, kKilled};
    return all[below(6)];
  }
  void want() {
    ++newest_;
    const auto action = static_cast<Act>(below(3));
    feed(machine_.set_desired({newest_, set(below(4), below(4), action)}, now_));
  }
  void stop() {
    stopped_ = true;
    feed(machine_.stop(now_));
  }
  void begin() {
    starting_ = false;
    if (below(10) == 0)
      return feed(machine_.start_failed(below(2) ? kNoProcesses : kNotFound, now_));
    alive_ = true;
    tree_ = below(2) == 0;
    had_ = started_with_;
    feed(machine_.started(now_));
  }
  void end_program() {
    alive_ = false;
    feed(machine_.exited(some_status(), now_));
    // Whoever feeds it looks at the tree at once.
    if (!tree_ && machine_.state() == State::background)
      feed(machine_.tree_exited(now_, some_status()));
  }
  void feed(const Actions& actions) {
    for (const Action& action : actions) {
      CHECK_FALSE(finished_);  // nothing comes after the end
      if (std::holds_alternative<Start>(action)) {
        CHECK_FALSE(alive_);  // never two programs
        CHECK_FALSE(tree_);   // nor one beside what is left of another
        CHECK_FALSE(starting_);
        CHECK_FALSE(stopped_);  // nothing starts after a stop
        starting_ = true;
        started_with_ = newest_;
      }
      if (std::holds_alternative<Signal>(action)) CHECK((alive_ || tree_));
      if (std::holds_alternative<KillTree>(action) && below(2) == 0) tree_ = false;
      if (std::holds_alternative<Finish>(action)) finished_ = true;
      if (const auto* log = std::get_if<Log>(&action))
        CHECK(log->event != "child.unexpected_event");
    }
  }
  void check() {
    CHECK(machine_.applied() <= newest_);
    CHECK(machine_.applied() >= applied_);  // it only grows
    applied_ = machine_.applied();
    if (alive_) CHECK(applied_ >= had_);  // at least what it was started with
    const bool to_come = machine_.deadline() || machine_.stale();
    if (alive_ && machine_.state() == State::running && !to_come)
      CHECK(applied_ == newest_);  // the newest set wins
    CHECK((machine_.state() == State::done) == finished_);
    // Whatever is left of a program, it is waited for with a deadline, or it runs.
    if (machine_.state() != State::background && machine_.awaiting_tree_exit())
      CHECK(machine_.deadline().has_value());
  }

  std::uint64_t random_;
  SupervisorFsm machine_;
  Instant now_ = t0;
  std::uint64_t newest_ = 0, started_with_ = 0, had_ = 0, applied_ = 0;
  bool starting_ = false, alive_ = false, tree_ = false, stopped_ = false, finished_ = false;
};

TEST_CASE("a random walk of a million events") {
  std::uint64_t seed = 1;
  World world(seed);
  for (int i = 0; i < 1'000'000; ++i) {
    if (!world.step()) world = World(++seed);
  }
  CHECK(seed > 1000);
}

}  // namespace
}  // namespace keybearer::child
