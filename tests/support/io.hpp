#pragma once
// Runs coroutines in tests under a frozen clock: nothing sleeps, and nothing may be left running.

#include <doctest/doctest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <utility>

#include "base/time.hpp"

namespace keybearer::test {

class Io {
 public:
  Io() { Clock::freeze(start); }
  ~Io() { Clock::thaw(); }

  static constexpr Instant start{std::chrono::hours(1000)};

  boost::asio::io_context context{1};

  // Starts a coroutine; its exception fails the test.
  void start_task(boost::asio::awaitable<void> task) {
    boost::asio::co_spawn(context, std::move(task), [](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
    });
  }
  // Everything that is due now.
  void run() {
    context.restart();
    while (context.poll() != 0) {
    }
  }
  // Time passes, in steps, so that timers set on the way are met at their own time.
  void advance(Duration time, Duration step = std::chrono::milliseconds(100)) {
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
      Clock::freeze(std::min(end, Clock::now() + step));
      run();
    }
  }
};

}  // namespace keybearer::test
