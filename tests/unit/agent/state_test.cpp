#include "state_world.hpp"

// [state]: what one run leaves to the next, as dialogues with a server that remembers both.
namespace keybearer {
namespace {

TEST_CASE("a restart neither logs in nor issues anything again") {
  World world;
  world.run(kDatabase, [](AgentFixture& agent) {
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-1");
  });
  CHECK(world.server->living_leases().size() == 1);  // a stop revokes nothing
  for (int restart = 0; restart < 3; ++restart) {
    world.server->asked.clear();
    world.run(kDatabase, [&](AgentFixture& agent) {
      CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-1");
      CHECK(agent.lines("the token of the last run is used again") == 1);
      CHECK(agent.lines("as it was before the restart") == 2);
      // The version, the lease and the token are looked at; no body is read.
      CHECK(agent.server->count("GET kv/metadata/app") == 1);
      CHECK(agent.server->count("PUT sys/leases/lookup") == 1);
      CHECK(agent.server->count("GET auth/token/lookup-self") == 1);
      CHECK(agent.server->count("GET kv/data/app") == 0);
    });
  }
  CHECK(world.server->logins == 1);
  CHECK(world.server->leases.size() == 1);
}

TEST_CASE("schedules go on: token and lease are renewed when they were due, and over their lives") {
  World world;
  for (int hour = 0; hour < 12; ++hour)
    world.run(kDatabase, [](AgentFixture& agent) { agent.live(1h, 10s); });
  CHECK(world.server->logins == 1);
  CHECK(world.server->leases.size() == 1);
  CHECK(world.server->leases.begin()->second.alive());
}

TEST_CASE("what was changed while it was down is there at the start, without another restart") {
  World world;
  world.run(kEnv);
  world.server->put("kv/app", R"({"key":"canary-2"})");
  world.run(kEnv, [](AgentFixture& agent) {
    CHECK(agent.spawns() == 1);
    CHECK(agent.last_spawn() == "spawn KEY=canary-2");
    CHECK(agent.lines("version 1 -> 2") >= 1);
  });
  CHECK(world.server->logins == 1);
}

TEST_CASE("a lease that was revoked, and one that has ended, are fetched again") {
  World world;
  world.run(kDatabase);
  world.server->leases.begin()->second.revoked = true;
  world.run(kDatabase, [](AgentFixture& agent) {
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
  });
  world.now += 2h;  // suspended, or away: token and lease are over
  world.run(kDatabase, [](AgentFixture& agent) {
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-3");
    CHECK(agent.lines("the saved token is not used") == 1);
    CHECK(agent.lines("it has ended, or is asked for otherwise now") == 1);
  });
  CHECK(world.server->logins == 2);
}

TEST_CASE("a token that was revoked meanwhile: one look-up, one login, new credentials") {
  World world;
  world.run(kDatabase);
  world.server->lose_tokens();
  world.server->asked.clear();
  world.run(kDatabase, [](AgentFixture& agent) {
    agent.io.advance(10s);
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
    CHECK(agent.spawns() == 1);
  });
  CHECK(world.server->logins == 2);
}

TEST_CASE("another login, another path: the token, the lease are not used again") {
  World world;
  world.run(kDatabase);
  world.more = "[auto_auth]\nrenew_at = 0.5\n";
  world.run(kDatabase);
  CHECK(world.server->logins == 1);  // a rule is no other login
  world.server->roles["database/creds/two"] = {};
  std::string other = kDatabase;
  other.replace(other.find("creds/app"), 9, "creds/two");
  world.run(other, [&](AgentFixture& agent) {
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
    agent.live(1min);
    // Nobody asks for the first one any more.
    CHECK(agent.server->leases.begin()->second.revoked);
  });
  CHECK(world.server->logins == 1);
}

TEST_CASE("revoke_on_exit holds with a state, too: what is revoked is not resumed") {
  World world;
  world.more = "[auto_auth]\nrevoke_on_exit = true\n";
  world.run(kDatabase);
  CHECK(world.server->living_leases().empty());
  world.run(kDatabase, [](AgentFixture& agent) {
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
  });
  CHECK(world.server->logins == 2);
  world.more = "[lease]\nrevoke_on_exit = true\n";
  world.run(kDatabase);  // goes on with nothing, leaves a token
  CHECK(world.server->living_leases().empty());
  const int logins = world.server->logins;
  world.run(kDatabase);
  CHECK(world.server->logins == logins);
}

TEST_CASE("a secret that was deleted meanwhile: the last good value stays, with an alarm") {
  World world;
  world.run(kEnv);
  world.server->kv.clear();
  world.run(kEnv, [](AgentFixture& agent) {
    agent.io.advance(30s);
    CHECK(!agent.code);
    CHECK(agent.last_spawn() == "spawn KEY=canary-1");
    CHECK(agent.lines("a refresh failed; the last good value stays") == 1);
  });
}

TEST_CASE("two spellings of one secret are one after a restart, too") {
  World world;
  const std::string config = R"(
[outage]
on_start = "state"
[env]
A = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
B = '{{ with secret "kv/app" }}{{ .Data.data.other }}{{ end }}'
[exec]
command = ["app"]
)";
  world.run(config);
  world.server->away = ErrorKind::network;
  world.run(config, [](AgentFixture& agent) {
    agent.io.advance(5s);
    CHECK(agent.last_spawn() == "spawn A=canary-1 B=canary-o");
  });
}

TEST_CASE("nothing of the state can be read, and only we may") {
  World world;
  world.run(kDatabase);
  for (const char* name : {"state", "state.counter"}) {
    const std::string path = world.directory + "/data/" + name;
    std::stringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    CHECK(text.str().find("canary") == std::string::npos);
    CHECK(text.str().find("user-1") == std::string::npos);
    CHECK(text.str().find("lease-1") == std::string::npos);
    struct stat info{};
    REQUIRE(stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0600);
  }
}

// Each is refused with its reason, kept aside, and a normal start follows.
TEST_CASE("a state that can't be trusted is refused, kept, and nothing is lost") {
  struct Case {
    const char* why;
    void (*spoil)(World&);
  };
  const Case cases[] = {
      {"tampered",
       [](World& w) {
         std::string bytes = w.bytes();
         bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
         w.write(bytes);
       }},
      {"truncated", [](World& w) { w.write(w.bytes().substr(0, w.bytes().size() - 7)); }},
      {"truncated", [](World& w) { w.write(""); }},
      {"not-a-state", [](World& w) { w.write("something else entirely, and long enough"); }},
      {"newer",
       [](World& w) {
         std::string bytes = w.bytes();
         bytes[9] = 9;
         w.write(bytes);
       }},
      {"older",
       [](World& w) {
         std::string bytes = w.bytes();
         bytes[9] = 0;
         w.write(bytes);
       }},
      {"other-key", [](World& w) { w.write_key(random_bytes(32)); }},
      {"foreign", [](World& w) { w.more = "name = \"somebody-else\"\n"; }},
      {"foreign", [](World& w) { w.more = "[vault]\naddress = \"http://127.0.0.1:8300\"\n"; }},
      {"readable", [](World& w) { chmod(w.file().c_str(), 0644); }},
      {"replayed",
       [](World& w) {
         const std::string before = w.bytes();
         w.run(kDatabase);
         w.write(before);
       }},
      {"replayed", [](World& w) { std::filesystem::remove(w.file() + ".counter"); }},
      {"replayed",
       [](World& w) { std::ofstream(w.file() + ".counter", std::ios::binary) << "KBCOUNT\n"; }},
  };
  for (const Case& each : cases) {
    CAPTURE(each.why);
    World world;
    world.run(kDatabase);
    each.spoil(world);
    const std::string bytes = world.bytes();
    const int logins = world.server->logins;
    world.run(kDatabase, [&](AgentFixture& agent) {
      CHECK(agent.lines("kept_as=") >= 1);
      CHECK(agent.lines(std::string(each.why)) >= 1);
      CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
    });
    CHECK(world.server->logins == logins + 1);
    std::stringstream kept;
    kept << std::ifstream(world.file() + ".refused", std::ios::binary).rdbuf();
    CHECK(kept.str() == bytes);
    // The next one resumes again.
    world.run(kDatabase, [](AgentFixture& agent) { CHECK(agent.lines("kept_as=") == 0); });
    CHECK(world.server->logins == logins + 1);
  }
}

// What a counter can't tell (Z5): then the server does.
TEST_CASE(
    "an older state and its counter, both put back: nothing older than the server's is used") {
  World world;
  world.run(kDatabase);
  const std::string state = world.bytes(), counter = world.bytes(".counter");
  world.server->put("kv/app", R"({"key":"canary-2"})");
  world.server->leases.begin()->second.revoked = true;
  world.run(kDatabase, [](AgentFixture& agent) {
    CHECK(agent.last_spawn() == "spawn KEY=canary-2 USER_NAME=user-2");
  });
  world.write(state);
  world.write(counter, ".counter");
  world.run(kDatabase, [](AgentFixture& agent) {
    CHECK(agent.lines("kept_as=") == 0);
    CHECK(agent.spawns() == 1);
    CHECK(agent.last_spawn() == "spawn KEY=canary-2 USER_NAME=user-3");
  });
  CHECK(world.server->logins == 1);
  // Without a server the values are those of then, where the configuration asks for that.
  world.write(state);
  world.write(counter, ".counter");
  world.server->away = ErrorKind::network;
  world.run(std::string("[outage]\non_start = \"state\"\n") + kDatabase, [&](AgentFixture& agent) {
    agent.io.advance(5s);
    CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-1");
    world.server->away.reset();
    agent.live(10min);
    CHECK(agent.last_spawn().starts_with("spawn KEY=canary-2 "));
  });
}

TEST_CASE("a reload that changes the address: the state is of that one, and the next run resumes") {
  World world;
  world.run(kDatabase, [&world](AgentFixture& agent) {
    world.more = "[vault]\naddress = \"http://127.0.0.1:8300\"\n";
    agent.configure(world.toml(kDatabase));
    agent.signal(SIGHUP);
    agent.live(2s);
  });
  world.run(kDatabase, [](AgentFixture& agent) {
    CHECK(agent.lines("kept_as=") == 0);
    CHECK(agent.lines("the token of the last run is used again") == 1);
  });
  CHECK(world.server->logins == 1);
}

TEST_CASE("a state that can't be written is an alarm, and stops nothing") {
  if (geteuid() != 0) return;
  World world;
  world.run(kDatabase, [&](AgentFixture& agent) {
    std::filesystem::remove_all(world.directory + "/data");
    std::ofstream(world.directory + "/data") << "in the way";
    agent.server->put("kv/app", R"({"key":"canary-2"})");
    agent.live(6min);
    CHECK(agent.last_spawn().starts_with("spawn KEY=canary-2"));
    CHECK(agent.lines("resumes from an older state") >= 1);
    CHECK(!agent.code);
    std::filesystem::remove(world.directory + "/data");
    agent.live(3min);
    CHECK(agent.lines("the state is written again") == 1);
  });
}

TEST_CASE("the key's file: what is wrong with it ends a start with 78") {
  World world;
  const std::string key = world.directory + "/keys/state.key";
  const auto refused = [&](const std::string& toml) {
    Clock::freeze(world.now);
    AgentFixture agent;
    agent.start(Mode::run, toml);
    agent.io.advance(1s);
    return agent.code == 78 && agent.server->asked.empty();
  };
  CHECK(!refused(world.toml(kEnv)));
  for (const std::size_t size : {0u, 31u, 33u, 64u}) {
    world.write_key(std::string(size, 'k'));
    CHECK(refused(world.toml(kEnv)));
  }
  world.write_key(random_bytes(32));
  for (const int mode : {0640, 0604, 0660}) {
    chmod(key.c_str(), static_cast<mode_t>(mode));
    CHECK(refused(world.toml(kEnv)));
  }
  std::filesystem::remove(key);
  CHECK(refused(world.toml(kEnv)));
  // Beside the data, however it is spelled.
  std::ofstream(world.directory + "/data/key", std::ios::binary) << random_bytes(32);
  chmod((world.directory + "/data/key").c_str(), 0600);
  for (const std::string beside : {"/data/key", "/data/../data/key", "/./data/key"})
    CHECK(refused("[state]\npath = \"" + world.file() + "\"\nkey_file = \"" + world.directory +
                  beside + "\"\n" + kEnv));
}

}  // namespace
}  // namespace keybearer
