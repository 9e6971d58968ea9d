#include "child/supervisor.hpp"

#include <doctest/doctest.h>

#include "child/environment.hpp"
#include "support/fake_spawner.hpp"
#include "support/io.hpp"

namespace keybearer::child {
namespace {

using namespace std::chrono_literals;
using test::FakeSpawner;
using test::Io;

struct Fixture {
  Io io;
  FakeSpawner spawner;
  config::Exec exec;
  Random random{1};
  std::optional<int> code;
  Supervisor supervisor{io.context.get_executor(), spawner, exec, random, [](auto, auto) {}};

  Fixture() { io.start_task(run(supervisor, code)); }
  static boost::asio::awaitable<void> run(Supervisor& supervisor, std::optional<int>& code) {
    code = co_await supervisor.run();
  }
  void want(std::string_view value) {
    Desired desired;
    desired.environment.set("A", value);
    desired.items = {{.name = "A", .fingerprint = std::hash<std::string_view>{}(value)}};
    REQUIRE(supervisor.want(std::move(desired)).has_value());
    io.run();
  }
};

TEST_CASE("a changed value restarts the program with it, after the quiet time") {
  Fixture f;
  f.want("1");
  CHECK(f.spawner.asked == std::vector<std::string>{"spawn A=1"});
  f.want("2");
  f.io.advance(1900ms);
  CHECK(f.spawner.asked.size() == 1);
  f.io.advance(200ms);
  CHECK(f.spawner.asked.back() == "signal 15");
  f.spawner.exit({true, 15});
  f.io.advance(100ms);
  CHECK(f.spawner.asked.back() == "spawn A=2");

  f.supervisor.stop();
  f.spawner.exit({false, 4});
  f.io.advance(100ms);
  CHECK(f.code == 4);
}

TEST_CASE("the next one waits for those that the old one left behind") {
  Fixture f;
  f.want("1");
  f.spawner.leaves_tree = true;
  f.want("2");
  f.io.advance(2s);
  f.spawner.exit({true, 15});
  f.io.advance(5s);
  CHECK(f.spawner.asked.back() == "signal 15");
  f.io.advance(26s);
  CHECK(f.spawner.asked.back() == "kill");
  f.spawner.end_tree();
  f.io.advance(100ms);
  CHECK(f.spawner.asked.back() == "spawn A=2");
  f.supervisor.stop();
  f.spawner.leaves_tree = false;
  f.spawner.exit({true, 15});
  f.io.advance(100ms);
  CHECK(f.code == 0);
}

TEST_CASE("a value that no environment can hold is refused, and what runs goes on") {
  Fixture f;
  f.want("1");
  Desired bad;
  bad.environment.set("A", std::string_view("a\0b", 3));
  const auto refused = f.supervisor.want(std::move(bad));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().text.find("variable A") != std::string::npos);
  Desired huge;
  huge.environment.set("A", std::string(200'000, 'x'));
  CHECK_FALSE(f.supervisor.want(std::move(huge)).has_value());
  CHECK(f.spawner.asked.size() == 1);
  f.supervisor.stop();
  f.spawner.exit({true, 15});
  f.io.advance(100ms);
  CHECK(f.code == 0);
}

TEST_CASE("the program's environment") {
  EnvBlock ours;
  for (const char* name : {"PATH", "HOME", "LC_ALL", "VAULT_ADDR", "VAULT_TOKEN", "VAULT_SECRET_ID", "BAO_ROLE_ID"}) ours.set(name, "x");
  EnvBlock rendered;
  rendered.set("DB", "secret");
  rendered.set("HOME", "/app");
  const auto names = [&](const config::Exec& exec) {
    std::string text;
    for (const auto& [name, value] : program_environment(exec, ours, rendered).values()) text += name + " ";
    return text;
  };
  config::Exec exec;
  CHECK(names(exec) == "DB HOME LC_ALL PATH VAULT_ADDR ");
  CHECK(program_environment(exec, ours, rendered).find("HOME")->reveal() == "/app");
  exec.inherit_env = config::Exec::Inherit::none;
  CHECK(names(exec) == "DB HOME ");
  exec.inherit_env = config::Exec::Inherit::listed;
  exec.inherit_names = {"LC_*", "VAULT_*"};
  CHECK(names(exec) == "DB HOME LC_ALL VAULT_ADDR ");
  exec.pass_credentials = true;
  CHECK(names(exec) == "DB HOME LC_ALL VAULT_ADDR VAULT_SECRET_ID VAULT_TOKEN ");
}

}  // namespace
}  // namespace keybearer::child
