#include "http/deadline.hpp"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <optional>

using namespace keybearer;
using namespace std::chrono_literals;
using http::Deadlines;

namespace {

struct Closed {
  int times = 0;
  void close() { ++times; }
};

struct Fixture {
  Instant now{1000h};
  boost::asio::io_context context{1};
  std::optional<Deadlines> kept{context.get_executor()};
  Deadlines& deadlines = *kept;
  Closed closed;

  Fixture() { Clock::freeze(now); }
  ~Fixture() { Clock::thaw(); }
  // Each timer's wait that ended is one handler.
  std::size_t settle() {
    std::size_t handlers = 0;
    context.restart();
    while (const std::size_t n = context.poll()) handlers += n;
    return handlers;
  }
  std::size_t pass(Duration time) {
    Clock::freeze(now += time);
    return settle();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what is due is closed once, the rest at its own time") {
  Closed early, late, never;
  const Deadlines::Guard second(deadlines, now + 20s, late);
  const Deadlines::Guard first(deadlines, now + 10s, early);
  const Deadlines::Guard none(deadlines, Instant::max(), never);
  pass(9'999ms);
  CHECK(early.times == 0);
  pass(1ms);
  CHECK(early.times == 1);
  CHECK(first.passed());
  CHECK_FALSE(second.passed());
  pass(10s);
  CHECK(early.times == 1);
  CHECK(late.times == 1);
  pass(1h);
  CHECK(late.times == 1);
  CHECK(never.times == 0);
}

TEST_CASE_FIXTURE(Fixture, "what has gone out of scope is not closed") {
  {
    const Deadlines::Guard guard(deadlines, now + 1s, closed);
  }
  pass(1min);
  CHECK(closed.times == 0);
}

TEST_CASE_FIXTURE(Fixture, "later deadlines leave the timer as it is") {
  const Deadlines::Guard first(deadlines, now + 10s, closed);
  for (int i = 0; i < 1000; ++i) {
    const Deadlines::Guard later(deadlines, now + 90s, closed);
  }
  CHECK(settle() == 0);
  CHECK(pass(10s) == 1);
}

TEST_CASE_FIXTURE(Fixture, "who is closed may take others along, and set another deadline") {
  struct Chain {
    Deadlines& all;
    std::optional<Deadlines::Guard> self = {}, other = {};
    int times = 0;
    void close() {
      ++times;
      other.reset();
      if (times < 3) self.emplace(all, Clock::now() + 1s, *this);
    }
  } chain{deadlines};
  chain.self.emplace(deadlines, now + 1s, chain);
  chain.other.emplace(deadlines, now + 1s, closed);
  for (int i = 0; i < 5; ++i) pass(1s);
  CHECK(chain.times == 3);
  CHECK(closed.times == 0);
}

TEST_CASE_FIXTURE(Fixture, "a wait that ends after the deadlines have gone does nothing") {
  {
    const Deadlines::Guard guard(deadlines, now, closed);
  }
  kept.reset();
  settle();
  CHECK(closed.times == 0);
}

TEST_CASE_FIXTURE(Fixture, "a timer that was let go keeps no loop running, and can be set again") {
  {
    const Deadlines::Guard guard(deadlines, now + 90s, closed);
  }
  settle();
  CHECK_FALSE(context.stopped());
  deadlines.rest();
  settle();
  CHECK(context.stopped());
  const Deadlines::Guard guard(deadlines, now + 10s, closed);
  pass(10s);
  CHECK(closed.times == 1);
}
