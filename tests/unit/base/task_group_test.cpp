#include "base/task_group.hpp"
#include "base/timer.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include "support/io.hpp"

namespace keybearer {
namespace {

using namespace std::chrono_literals;
using test::Io;

boost::asio::awaitable<void> sleeper(Duration time, std::string* log, std::string name) {
  struct Goodbye {
    std::string* log;
    std::string name;
    ~Goodbye() { *log += name + " gone;"; }
  };
  const Goodbye goodbye{log, name};
  co_await sleep_for(time);
  *log += name + " done;";
}

boost::asio::awaitable<void> failing(Duration time) {
  co_await sleep_for(time);
  throw std::runtime_error("broken");
}

boost::asio::awaitable<void> joined(TaskGroup& group, std::string* log) {
  try {
    co_await group.join();
    *log += "joined;";
  } catch (const std::exception& e) {
    *log += std::string("failed: ") + e.what() + ";";
  }
}

TEST_CASE("join waits for every task") {
  Io io;
  std::string log;
  TaskGroup group(io.context.get_executor());
  group.spawn(sleeper(1s, &log, "a"));
  group.spawn(sleeper(2s, &log, "b"));
  io.start_task(joined(group, &log));
  io.advance(3s);
  CHECK(log == "a done;a gone;b done;b gone;joined;");
}

TEST_CASE("the first failure cancels the siblings, lets them clean up, and is rethrown") {
  Io io;
  std::string log;
  TaskGroup group(io.context.get_executor());
  group.spawn(sleeper(1h, &log, "a"));
  group.spawn(failing(1s));
  io.start_task(joined(group, &log));
  io.advance(2s);
  CHECK(log == "a gone;failed: broken;");
}

TEST_CASE("cancelling is not a failure, and nothing starts after it") {
  Io io;
  std::string log;
  TaskGroup group(io.context.get_executor());
  group.spawn(sleeper(1h, &log, "a"));
  io.start_task(joined(group, &log));
  io.run();
  group.cancel();
  group.spawn(sleeper(1h, &log, "late"));
  io.run();
  CHECK(log == "a gone;joined;");
}

boost::asio::awaitable<void> cancelling(TaskGroup& group) {
  group.cancel();
  co_return;
}

TEST_CASE("a task may cancel its own group without having waited for anything") {
  Io io;
  std::string log;
  TaskGroup group(io.context.get_executor());
  group.spawn(sleeper(1h, &log, "a"));
  group.spawn(cancelling(group));
  io.start_task(joined(group, &log));
  io.run();
  CHECK(log == "a gone;joined;");
  CHECK(group.live() == 0);
}

boost::asio::awaitable<void> wait_for(Event& event, std::uint64_t seen, Instant deadline,
                                      std::string* log) {
  const bool set = co_await event.wait(seen, deadline);
  *log += set ? "set;" : "deadline;";
}

TEST_CASE("an event set before the wait is not lost") {
  Io io;
  std::string log;
  Event event;
  const auto seen = event.generation();
  event.set();
  io.start_task(wait_for(event, seen, Instant::max(), &log));
  io.run();
  CHECK(log == "set;");
}

TEST_CASE("an event wakes every waiter, or the deadline comes first") {
  Io io;
  std::string log;
  Event event;
  io.start_task(wait_for(event, event.generation(), Io::start + 1s, &log));
  io.start_task(wait_for(event, event.generation(), Io::start + 1h, &log));
  io.start_task(wait_for(event, event.generation(), Instant::max(), &log));
  io.advance(2s);
  CHECK(log == "deadline;");
  event.set();
  io.run();
  CHECK(log == "deadline;set;set;");
}

}  // namespace
}  // namespace keybearer
