#include "fixture.hpp"

// max_stale, on_stale and on_error, through the whole agent: what the child gets of them.
namespace keybearer {
namespace {

constexpr const char* kStale = R"(
[template_config]
static_secret_render_interval = "10s"
max_stale = "1m"
)";

std::string config(const std::string& more, const std::string& rest) {
  return std::string(kStale) + more + rest;
}

TEST_CASE(
    "on_stale = stop: the child is stopped, keybearer stays, and starts it when all is fresh") {
  AgentFixture agent;
  agent.start(Mode::run, config("on_stale = \"stop\"\n", kEnv));
  agent.io.advance(30s);
  agent.server->away = ErrorKind::network;
  agent.live(50s);
  CHECK(agent.lines(": too old (max_stale)") == 0);
  agent.live(30min);
  CHECK(!agent.code);
  CHECK(agent.lines(": too old (max_stale)") == 1);
  CHECK(agent.lines("the value is older than max_stale") == 1);
  CHECK(agent.spawns() == 1);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.server->away.reset();
  agent.live(2min);
  CHECK(agent.spawns() == 2);  // once, with the newest
  CHECK(agent.last_spawn() == "spawn KEY=canary-2");
  CHECK(agent.lines("the values are good again") == 1);
  // And again.
  agent.server->away = ErrorKind::network;
  agent.live(5min);
  CHECK(agent.lines(": too old (max_stale)") == 2);
  agent.server->away.reset();
  agent.live(2min);
  CHECK(agent.spawns() == 3);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a stop while the child is held ends with 0") {
  AgentFixture agent;
  agent.start(Mode::run, config("on_stale = \"stop\"\n", kEnv));
  agent.io.advance(1s);
  agent.server->away = ErrorKind::network;
  agent.live(5min);
  REQUIRE(agent.lines(": too old (max_stale)") == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("on_stale = keep: an alarm, and the child goes on") {
  AgentFixture agent;
  agent.start(Mode::run, config("", kEnv));
  agent.io.advance(1s);
  agent.server->away = ErrorKind::network;
  agent.live(30min);
  CHECK(agent.lines("the value is older than max_stale") == 1);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("on_stale = default: the default of [env], and the value when it is good again") {
  AgentFixture agent;
  agent.start(Mode::run, config("on_stale = \"default\"\n", R"(
[env.KEY]
secret = "kv/data/app"
key = "key"
default = "safe"
[exec]
command = ["app"]
)"));
  agent.io.advance(1s);
  CHECK(agent.last_spawn() == "spawn KEY=canary-1");
  agent.server->away = ErrorKind::network;
  agent.live(5min);
  CHECK(agent.last_spawn() == "spawn KEY=safe");
  agent.server->away.reset();
  agent.live(2min);
  CHECK(agent.last_spawn() == "spawn KEY=canary-1");
  CHECK(agent.spawns() == 3);
  CHECK(agent.finish() == 0);
}

constexpr const char* kOnError = R"(
[[secret]]
path = "kv/data/app"
static_secret_render_interval = "10s"
)";

TEST_CASE("on_error = exit: an orderly end with the code of its kind, the child stopped first") {
  AgentFixture agent;
  agent.start(Mode::run, std::string(kOnError) + "on_error = \"exit\"\n" + kEnv);
  agent.io.advance(1s);
  SUBCASE("not there any more") {
    agent.server->kv.clear();
    agent.live(1min);
    CHECK(agent.code == 75);
  }
  SUBCASE("denied") {
    agent.server->denied = {"GET kv/data/app", "GET kv/metadata/app"};
    agent.live(1min);
    CHECK(agent.code == 77);
  }
  SUBCASE("an outage is no such answer") {
    agent.server->away = ErrorKind::network;
    agent.live(1min);
    CHECK(!agent.code);
    agent.server->away.reset();
    agent.live(1min);
    CHECK(agent.finish() == 0);
  }
}

TEST_CASE("on_error = default: what was there is replaced by the default, and comes back") {
  AgentFixture agent;
  agent.start(Mode::run, std::string(kOnError) + R"(on_error = "default"
[env.KEY]
secret = "kv/data/app"
key = "key"
default = "safe"
[exec]
command = ["app"]
)");
  agent.io.advance(1s);
  const auto kept = agent.server->kv;
  agent.server->kv.clear();
  agent.live(1min);
  CHECK(agent.last_spawn() == "spawn KEY=safe");
  agent.server->kv = kept;
  agent.live(3min);
  CHECK(agent.last_spawn() == "spawn KEY=canary-1");
  CHECK(agent.finish() == 0);
}

// Section 5: eight hours of suspend. Token and lease have ended; one login, new credentials, one
// restart, and the log says it.
TEST_CASE("a suspend of eight hours") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(10min);
  CHECK(agent.server->logins == 1);
  Clock::freeze(Clock::now() + 8h);
  agent.live(2min);
  CHECK(agent.server->logins == 2);
  CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
  CHECK(agent.spawns() == 2);
  CHECK(agent.lines("the lease has ended; what uses it") == 1);
  CHECK(agent.finish() == 0);
}

}  // namespace
}  // namespace keybearer
