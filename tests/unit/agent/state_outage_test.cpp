#include "state_world.hpp"

// [state] and outage.on_start: a start while the server is away.
namespace keybearer {
namespace {

TEST_CASE(
    "outage.on_start = state: starts from the last good values, and refreshes when the server is "
    "back") {
  World world;
  const std::string config = std::string("[outage]\non_start = \"state\"\n") + kDatabase;
  world.run(config);
  world.server->away = ErrorKind::network;
  world.run(config, [&](AgentFixture& agent) {
    agent.io.advance(5s);
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-1");
    world.server->put("kv/app", R"({"key":"canary-2"})");
    agent.live(10min);
    CHECK(agent.spawns() == 1);
    world.server->away.reset();
    agent.live(2min);
    CHECK(agent.last_spawn() == "spawn KEY=canary-2 USER_NAME=user-1");
  });
  CHECK(world.server->logins == 1);
  CHECK(world.server->leases.size() == 1);
}

TEST_CASE("... and credentials that somebody revoked meanwhile are noticed then") {
  World world;
  const std::string config = std::string("[outage]\non_start = \"state\"\n") + kDatabase;
  world.run(config);
  world.server->away = ErrorKind::network;
  world.run(config, [&](AgentFixture& agent) {
    agent.live(10min);
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-1");
    SUBCASE("they were revoked") {
      world.server->leases.begin()->second.revoked = true;
      world.server->away.reset();
      agent.live(2min);
      CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
    }
    SUBCASE("they are as they were: asked about once") {
      world.server->away.reset();
      world.server->asked.clear();
      agent.live(2min);
      CHECK(agent.spawns() == 1);
      CHECK(world.server->count("PUT sys/leases/lookup") == 1);
    }
  });
}

TEST_CASE("... also when the token has ended: leases of the old one are replaced by overlap") {
  World world;
  world.server->roles["database/creds/app"].ttl = 12h;
  const std::string config =
      std::string("[outage]\non_start = \"state\"\nstart_timeout = \"30s\"\n") + kDatabase;
  world.run(config);
  world.now += 2h;  // longer than the token
  world.server->away = ErrorKind::network;
  world.run(config, [&](AgentFixture& agent) {
    agent.io.advance(5s);
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-1");
    agent.live(5min);
    CHECK(!agent.code);  // start_timeout is a matter of the start
    world.server->away.reset();
    agent.live(6min);
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
  });
}

TEST_CASE("outage.on_start = wait waits for the server, whatever the state holds") {
  World world;
  world.run(kEnv);
  world.server->away = ErrorKind::network;
  world.run(kEnv, [&](AgentFixture& agent) {
    agent.io.advance(1min);
    CHECK(agent.spawns() == 0);
    world.server->away.reset();
    agent.io.advance(1min);
    CHECK(agent.last_spawn() == "spawn KEY=canary-1");
  });
  CHECK(world.server->logins == 1);
}

}  // namespace
}  // namespace keybearer
