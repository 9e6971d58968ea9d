#include "base/loop_guard.hpp"

#include <doctest/doctest.h>

#include <boost/asio/this_coro.hpp>
#include <stdexcept>

#include "base/event.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "support/io.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<void> nothing() {
  co_return;
}

// Waits in a way that does not wait: for an event that was set already.
asio::awaitable<void> storm(int& rounds) {
  Event event;
  event.set();
  LoopGuard guard(co_await asio::this_coro::executor, "storm");
  for (;;) {
    guard.round();
    ++rounds;
    (void)co_await event.wait(0);
    co_await nothing();
  }
}

asio::awaitable<void> busy(int& rounds, bool every_time) {
  LoopGuard guard(co_await asio::this_coro::executor, "busy");
  for (; rounds < 10'000; ++rounds) {
    guard.round();
    if (every_time || rounds % 500 == 0) co_await sleep_for(0ms);
  }
}

asio::awaitable<void> run_group(asio::awaitable<void> task, std::string& failure) {
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(std::move(task));
  try {
    co_await group.join();
  } catch (const std::logic_error& error) {
    failure = error.what();
  }
}

TEST_CASE("a loop that never waits is a bug that ends its group, after a thousand rounds") {
  test::Io io;
  int rounds = 0;
  std::string failure;
  io.start_task(run_group(storm(rounds), failure));
  io.run();
  CHECK(rounds == LoopGuard::kMostRounds - 1);
  CHECK(failure.contains("\"storm\" came round 1000 times without waiting"));
}

TEST_CASE("a loop that waits may come round forever, also at one and the same time of the clock") {
  for (const bool every_time : {true, false}) {
    test::Io io;
    int rounds = 0;
    std::string failure;
    io.start_task(run_group(busy(rounds, every_time), failure));
    io.run();
    CHECK(rounds == 10'000);
    CHECK(failure.empty());
  }
}

}  // namespace
}  // namespace keybearer
