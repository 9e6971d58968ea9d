#include "fixture.hpp"

// The start, as a dialogue with a server: what is waited for, what ends it, and with which code.
namespace keybearer {
namespace {

TEST_CASE("P1: one login, one read, then the child starts with its variable") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  CHECK(agent.last_spawn() == "spawn KEY=canary-1");
  CHECK(agent.server->count("PUT auth/approle/login") +
            agent.server->count("POST auth/approle/login") ==
        1);
  CHECK(agent.server->count("GET kv/data/app") == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a wait at the start ends with 75 at once when a stop comes") {
  AgentFixture agent;
  agent.server->away = ErrorKind::network;
  agent.start(Mode::run, kEnv);
  agent.io.advance(3s);
  CHECK(agent.spawns() == 0);
  agent.signal(SIGTERM);
  agent.io.advance(100ms);
  CHECK(agent.code == 75);
}

TEST_CASE("the server comes late: the child starts then, once") {
  AgentFixture agent;
  agent.server->away = ErrorKind::network;
  agent.start(Mode::run, kEnv);
  agent.io.advance(2min, 1s);
  CHECK(agent.spawns() == 0);
  agent.server->away.reset();
  agent.io.advance(5min, 1s);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a denied path ends the start after start_grace with 77") {
  AgentFixture agent;
  agent.server->denied.insert("GET kv/data/app");
  agent.start(Mode::run, kEnv);
  agent.io.advance(14s);
  CHECK(!agent.code);
  agent.io.advance(10s);
  CHECK(agent.code == 77);
  CHECK(agent.spawns() == 0);
}

TEST_CASE("a secret that is not there ends the start after start_grace with 75") {
  AgentFixture agent;
  agent.server->kv.clear();
  agent.start(Mode::run, kEnv);
  agent.io.advance(30s);
  CHECK(agent.code == 75);
}

TEST_CASE(
    "a key that is not there ends the start after start_grace with 75, and one that comes does "
    "not") {
  {
    AgentFixture agent;
    agent.server->kv["kv/app"].data = R"({"another":"x"})";
    agent.start(Mode::run, kEnv);
    agent.io.advance(30s);
    CHECK(agent.code == 75);
  }
  AgentFixture agent;
  agent.server->kv["kv/app"].data = R"({"another":"x"})";
  agent.start(Mode::run, kEnv);
  agent.io.advance(5s);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.io.advance(15s);
  CHECK(agent.last_spawn() == "spawn KEY=canary-2");
  CHECK(agent.finish() == 0);
}

TEST_CASE("a refused login ends the start with 77, after at most three tries") {
  AgentFixture agent;
  agent.server->login_allowed = false;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1min);
  CHECK(agent.code == 77);
  CHECK(agent.server->asked.size() <= 3);
}

TEST_CASE("outage.on_start = fail ends the start with 69") {
  AgentFixture agent;
  agent.server->away = ErrorKind::network;
  agent.start(Mode::run, std::string(kEnv) + "[outage]\non_start = \"fail\"\n");
  agent.io.advance(3s);
  CHECK(agent.code == 69);
}

TEST_CASE("outage.start_timeout ends the start with 69") {
  AgentFixture agent;
  agent.server->away = ErrorKind::timeout;
  agent.start(Mode::run, std::string(kEnv) + "[outage]\nstart_timeout = \"20s\"\n");
  agent.io.advance(19s);
  CHECK(!agent.code);
  agent.io.advance(2s);
  CHECK(agent.code == 69);
}

TEST_CASE("outage.on_start = default starts with defaults, and goes over to the secrets later") {
  AgentFixture agent;
  agent.server->away = ErrorKind::network;
  agent.start(Mode::run, R"(
[env.KEY]
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
default = "fallback"
[exec]
command = ["app"]
[outage]
on_start = "default"
)");
  agent.io.advance(3s);
  CHECK(agent.last_spawn() == "spawn KEY=fallback");
  agent.server->away.reset();
  agent.live(10min);
  CHECK(agent.last_spawn() == "spawn KEY=canary-1");
  CHECK(agent.spawns() == 2);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a template that is wrong by itself ends the start at once with 65") {
  AgentFixture agent;
  agent.start(Mode::run, R"(
[env]
KEY = '{{ with secret "kv/data/app" }}{{ index .Data.data.key 99 }}{{ end }}'
[exec]
command = ["app"]
)");
  agent.io.advance(1s);
  CHECK(agent.code == 65);
}

TEST_CASE("a value that no environment can hold ends the start, and the child was not touched") {
  AgentFixture agent;
  agent.server->kv["kv/app"].data = R"({"key":"a\u0000b"})";
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  CHECK(agent.code == 65);
  CHECK(agent.spawns() == 0);
}

TEST_CASE("a program that can't be found ends with 127") {
  AgentFixture agent;
  agent.spawner->refuse = Error{.kind = ErrorKind::spawn, .text = "app: not found", .status = 127};
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  CHECK(agent.code == 127);
}

TEST_CASE("render --once writes its files, leaves the token alive, and ends with 0") {
  AgentFixture agent;
  agent.start(Mode::render_once, R"(
[[template]]
destination = "%D/out"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
)");
  agent.io.advance(1s);
  CHECK(agent.code == 0);
  CHECK(agent.file("out") == "canary-1");
  CHECK(agent.server->count("POST auth/token/revoke-self") == 0);
  std::filesystem::remove(agent.path("out"));
}

TEST_CASE("every request of a start may fail once: the child starts all the same, once") {
  long requests = 0;
  {
    AgentFixture agent;
    agent.start(Mode::run, kDatabase);
    agent.io.advance(1s);
    requests = static_cast<long>(agent.server->asked.size());
    agent.finish();
  }
  REQUIRE(requests >= 3);
  for (long n = 0; n < requests; ++n) {
    CAPTURE(n);
    AgentFixture agent;
    agent.server->fail_at = n;
    agent.start(Mode::run, kDatabase);
    agent.io.advance(30s);
    INFO(agent.log_text());
    CHECK(agent.spawns() == 1);
    CHECK(agent.last_spawn().contains("KEY=canary-1"));
    CHECK(agent.finish() == 0);
    CHECK(agent.server->living_leases().empty());
  }
}

TEST_CASE("a stop at every turn of a start ends it within 100 ms, and nothing starts after it") {
  for (int turn = 0; turn < 30; ++turn) {
    CAPTURE(turn);
    AgentFixture agent;
    agent.server->away = turn % 3 == 0 ? std::optional(ErrorKind::network) : std::nullopt;
    agent.start(Mode::run, kDatabase);
    agent.io.advance(turn * 50ms, 50ms);
    const long before = agent.spawns();
    agent.signal(SIGTERM);
    if (before > 0) agent.child_obeys();
    agent.io.advance(6s);
    CHECK(agent.code.has_value());
    CHECK(agent.spawns() == before);
    CHECK(agent.server->living_leases().empty());
  }
}

}  // namespace
}  // namespace keybearer
