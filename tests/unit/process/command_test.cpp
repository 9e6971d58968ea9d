#include "process/command.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/time.hpp"

namespace keybearer {
namespace {

using namespace std::chrono_literals;

struct Ran {
  CommandResult result;
  Duration took{};
};

Ran ran(const char* script, Duration timeout) {
  boost::asio::io_context context;
  Ran ran;
  const Instant begun = Clock::now();
  boost::asio::co_spawn(context,
                        run_command({"/bin/sh", "-c", script}, EnvBlock::from(environ), timeout),
                        [&](const std::exception_ptr& failure, result<CommandResult> result) {
                          REQUIRE_FALSE(failure);
                          REQUIRE(result);
                          ran.result = *std::move(result);
                        });
  context.run();
  ran.took = Clock::now() - begun;
  return ran;
}

TEST_CASE("a hook's output and code") {
  const auto hook = ran("echo said; echo warned >&2; exit 3", 5s);
  CHECK(hook.result.output == "said\nwarned\n");
  CHECK(hook.result.status.shell_code() == 3);
  CHECK_FALSE(hook.result.timed_out);
}

TEST_CASE("a hook that is late is killed with its group") {
  const auto hook = ran("echo said; sleep 60 & sleep 60", 200ms);
  CHECK(hook.result.timed_out);
  CHECK(hook.result.output == "said\n");
  CHECK(hook.took < 5s);
}

TEST_CASE("what a hook leaves behind may keep its output: nobody waits for that") {
  const auto hook = ran("echo said; setsid sleep 3 &", 30s);
  CHECK(hook.result.status.shell_code() == 0);
  CHECK(hook.result.output == "said\n");
  CHECK(hook.took < 2s);
}

}  // namespace
}  // namespace keybearer
