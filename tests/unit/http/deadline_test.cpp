#include "http/deadline.hpp"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <optional>

using namespace keybearer;
using namespace std::chrono_literals;
using http::Deadlines;

namespace {

struct Frozen {
  Instant now{1000h};
  Frozen() { Clock::freeze(now); }
  ~Frozen() { Clock::thaw(); }
  void pass(Duration time) { Clock::freeze(now += time); }
};

struct Closed {
  int times = 0;
  void close() { ++times; }
};

// Each timer's wait that ended is one handler.
std::size_t settle(boost::asio::io_context& context) {
  std::size_t handlers = 0;
  context.restart();
  while (const std::size_t n = context.poll()) handlers += n;
  return handlers;
}

}  // namespace

TEST_CASE("what is due is closed once, the rest at its own time") {
  Frozen frozen;
  boost::asio::io_context context(1);
  Deadlines deadlines(context.get_executor());
  Closed early, late, never;
  const Deadlines::Guard second(deadlines, frozen.now + 20s, late);
  const Deadlines::Guard first(deadlines, frozen.now + 10s, early);
  const Deadlines::Guard none(deadlines, Instant::max(), never);
  frozen.pass(9'999ms);
  settle(context);
  CHECK(early.times == 0);
  frozen.pass(1ms);
  settle(context);
  CHECK(early.times == 1);
  CHECK(first.passed());
  CHECK_FALSE(second.passed());
  frozen.pass(10s);
  settle(context);
  CHECK(early.times == 1);
  CHECK(late.times == 1);
  frozen.pass(1h);
  settle(context);
  CHECK(late.times == 1);
  CHECK(never.times == 0);
}

TEST_CASE("what has gone out of scope is not closed") {
  Frozen frozen;
  boost::asio::io_context context(1);
  Deadlines deadlines(context.get_executor());
  Closed closed;
  {
    const Deadlines::Guard guard(deadlines, frozen.now + 1s, closed);
  }
  frozen.pass(1min);
  settle(context);
  CHECK(closed.times == 0);
}

TEST_CASE("later deadlines leave the timer as it is") {
  Frozen frozen;
  boost::asio::io_context context(1);
  Deadlines deadlines(context.get_executor());
  Closed closed;
  const Deadlines::Guard first(deadlines, frozen.now + 10s, closed);
  for (int i = 0; i < 1000; ++i) {
    const Deadlines::Guard later(deadlines, frozen.now + 90s, closed);
  }
  CHECK(settle(context) == 0);
  frozen.pass(10s);
  CHECK(settle(context) == 1);
}

TEST_CASE("who is closed may take others along, and set another deadline") {
  Frozen frozen;
  boost::asio::io_context context(1);
  Deadlines deadlines(context.get_executor());
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
  Closed closed;
  chain.self.emplace(deadlines, frozen.now + 1s, chain);
  chain.other.emplace(deadlines, frozen.now + 1s, closed);
  for (int i = 0; i < 5; ++i) {
    frozen.pass(1s);
    settle(context);
  }
  CHECK(chain.times == 3);
  CHECK(closed.times == 0);
}

TEST_CASE("a wait that ends after the deadlines have gone does nothing") {
  Frozen frozen;
  boost::asio::io_context context(1);
  Closed closed;
  {
    Deadlines deadlines(context.get_executor());
    const Deadlines::Guard guard(deadlines, frozen.now, closed);
  }
  settle(context);
  CHECK(closed.times == 0);
}

TEST_CASE("a timer that was let go keeps no loop running, and can be set again") {
  Frozen frozen;
  boost::asio::io_context context(1);
  Deadlines deadlines(context.get_executor());
  Closed one;
  {
    const Deadlines::Guard guard(deadlines, frozen.now + 90s, one);
  }
  settle(context);
  CHECK_FALSE(context.stopped());
  deadlines.rest();
  settle(context);
  CHECK(context.stopped());
  const Deadlines::Guard guard(deadlines, frozen.now + 10s, one);
  frozen.pass(10s);
  settle(context);
  CHECK(one.times == 1);
}
