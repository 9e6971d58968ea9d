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

BlockingCommand blocking(const char* script, Duration timeout = 30s) {
  return {.argv = {"/bin/sh", "-c", script},
          .environment = EnvBlock::from(environ),
          .timeout = timeout};
}

TEST_CASE("in a thread: output, code, time-out, limit, and a stop") {
  const auto good = run_command_blocking(blocking("echo said; echo warned >&2; exit 3"));
  REQUIRE(good.has_value());
  CHECK(good->output == "said\nwarned\n");
  CHECK(good->status.code == 3);

  auto quiet = blocking("echo said; echo warned >&2");
  quiet.with_stderr = false;
  CHECK(run_command_blocking(quiet)->output == "said\n");

  const auto late = run_command_blocking(blocking("echo said; sleep 60 & sleep 60", 200ms));
  REQUIRE(late.has_value());
  CHECK(late->timed_out);
  CHECK(late->output == "said\n");

  auto much = blocking("while :; do echo 0123456789; done");
  much.max_output = 1 << 20;
  const auto too_much = run_command_blocking(much);
  REQUIRE_FALSE(too_much.has_value());
  CHECK(too_much.error().text == "its output is larger than 1 MiB");

  auto stopped = blocking("sleep 60");
  int looks = 0;
  stopped.stopped = [&looks] { return ++looks > 2; };
  const auto end = run_command_blocking(stopped);
  REQUIRE_FALSE(end.has_value());
  CHECK(end.error().kind == ErrorKind::cancelled);

  const auto left = run_command_blocking(blocking("echo said; setsid sleep 3 &"));
  REQUIRE(left.has_value());
  CHECK(left->output == "said\n");

  auto none = blocking("");
  none.argv = {"/nonexistent"};
  CHECK(run_command_blocking(none).error().status == 127);
}

TEST_CASE("an environment that the system refuses is an error that names the variable") {
  auto command = blocking("true");
  command.environment.set("LARGE", std::string(200'000, 'x'));
  const auto refused = run_command_blocking(command);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::spawn);
  CHECK(refused.error().text.contains("variable LARGE"));
}

}  // namespace
}  // namespace keybearer
