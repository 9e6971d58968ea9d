#pragma once
// The supervisor on a spawner that starts nothing, under a frozen clock.

#include <doctest/doctest.h>

#include "child/supervisor.hpp"
#include "support/fake_spawner.hpp"
#include "support/io.hpp"

namespace keybearer::child {

using namespace std::chrono_literals;
using test::FakeSpawner;
using test::Io;

struct Fixture {
  Io io;
  FakeSpawner spawner;
  config::Exec exec;
  Random random{1};
  std::optional<int> code;
  std::vector<std::string> alarms;
  std::uint64_t id = 0;
  Supervisor supervisor;

  explicit Fixture(config::RestartOnExit policy = config::RestartOnExit::never)
      : exec(rules(policy)),
        supervisor(io.context.get_executor(), spawner, exec, "test", random,
                   [this](std::string_view event, auto) { alarms.emplace_back(event); }) {
    io.start_task(run(supervisor, code));
  }
  static config::Exec rules(config::RestartOnExit policy) {
    config::Exec exec;
    exec.restart_on_exit = policy;
    exec.command.argv = {"app", "--password=x"};
    return exec;
  }
  static boost::asio::awaitable<void> run(Supervisor& supervisor, std::optional<int>& code) {
    code = co_await supervisor.run();
  }
  void want(std::string_view value) {
    Desired desired{.id = ++id};
    desired.environment.set("A", value);
    desired.items = {{.name = "A", .fingerprint = std::hash<std::string_view>{}(value)}};
    REQUIRE(supervisor.set_desired(std::move(desired)).has_value());
    io.run();
  }
};

inline std::vector<TreeMember> daemon_with_worker() {
  return {
      {.pid = 1500, .parent = 77, .group = 1500, .name = "d", .start_time = 1, .adopter = 77},
      {.pid = 1501, .parent = 1500, .group = 1500, .name = "w", .start_time = 2, .adopter = 77}};
}

}  // namespace keybearer::child
