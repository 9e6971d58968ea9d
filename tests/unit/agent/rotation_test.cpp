#include "fixture.hpp"

// Life after the start: changes, rotations, refusals, outages and the loss of the token, as
// dialogues with a server over virtual hours.
namespace keybearer {
namespace {

TEST_CASE("P3: a changed KV secret restarts the child once, with the reason in the log") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.live(6min);
  CHECK(agent.spawns() == 2);
  CHECK(agent.last_spawn() == "spawn KEY=canary-2");
  CHECK(agent.lines("kv/data/app: version 1 -> 2") >= 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a secret that changes and changes back within the debounce touches nobody") {
  AgentFixture agent;
  agent.start(Mode::run, std::string(kEnv) +
                             "debounce = \"30s\"\ndebounce_max = \"60s\"\n"
                             "[template_config]\nstatic_secret_render_interval = \"5s\"\n");
  agent.io.advance(1s);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.live(10s);
  agent.server->put("kv/app", R"({"key":"canary-1"})");
  agent.live(2min);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a database credential lives through its renewals without a restart") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(20h, 10s);
  CHECK(agent.spawns() == 1);
  CHECK(agent.server->leases.size() == 1);
  CHECK(agent.server->count("PUT sys/leases/renew") > 20);
  CHECK(agent.finish() == 0);
  CHECK(agent.server->living_leases().empty());
}

TEST_CASE(
    "T5: at the maximum life new credentials come before the old ones end, which are revoked after "
    "the drain") {
  AgentFixture agent;
  agent.server->roles["database/creds/app"].max_ttl = 3h;
  agent.start(Mode::run, kDatabase);
  for (int minute = 0; minute < 12 * 60; ++minute) {
    agent.live(1min, 1s);
    const std::string spawn = agent.last_spawn();
    const auto user = spawn.substr(spawn.find("USER_NAME=") + 10);
    const auto* lease = agent.server->lease_of(user.substr(0, user.find(' ')));
    REQUIRE(lease != nullptr);
    REQUIRE(lease->alive());  // what the child has always works
    REQUIRE(agent.server->living_leases().size() <= 2);
  }
  CHECK(agent.server->leases.size() >= 4);
  CHECK(agent.server->leases.size() <= 7);
  CHECK(agent.finish() == 0);
  CHECK(agent.server->living_leases().empty());
}

TEST_CASE(
    "a lease in use is not revoked while a bad value of another secret keeps the new set from the "
    "child") {
  AgentFixture agent;
  agent.server->roles["database/creds/app"].max_ttl = 2h;
  agent.start(Mode::run, kDatabase);
  agent.io.advance(1s);
  agent.server->put("kv/app", R"({"key":"a\u0000b"})");  // no environment can hold it
  agent.live(116min, 1s);
  const auto* first = agent.server->lease_of("user-1");
  REQUIRE(first != nullptr);
  CHECK(agent.spawns() == 1);
  CHECK(agent.server->leases.size() >= 2);  // the new one was fetched
  CHECK(!first->revoked);                   // but the child still has the old one
  agent.server->put("kv/app", R"({"key":"canary-3"})");
  agent.live(10min, 1s);
  CHECK(agent.last_spawn().contains("canary-3"));
  CHECK(!agent.last_spawn().contains("user-1 "));
  CHECK(agent.finish() == 0);
}

TEST_CASE("a lease in use is not revoked while a file can't be written, whatever signal passes") {
  AgentFixture agent;
  agent.server->roles["database/creds/app"].max_ttl = 2h;
  std::filesystem::create_directory(agent.path("d"));
  agent.start(Mode::run, std::string(kDatabase) + R"(
[[template]]
destination = "%D/d/db"
contents = '{{ with secret "database/creds/app" }}{{ .Data.username }}{{ end }}'
)");
  agent.io.advance(1s);
  CHECK(agent.file("d/db") == "user-1");
  std::filesystem::remove_all(agent.path("d"));
  std::ofstream(agent.path("d")) << "a file where the directory was";
  for (int minute = 0; minute < 116; ++minute) {
    agent.live(1min, 1s);
    agent.signal(SIGUSR1);
  }
  const auto* first = agent.server->lease_of("user-1");
  REQUIRE(first != nullptr);
  CHECK(agent.server->leases.size() >= 2);
  CHECK(agent.spawns() == 1);
  CHECK(!first->revoked);
  std::filesystem::remove(agent.path("d"));
  agent.live(5min, 1s);
  CHECK(agent.spawns() == 2);
  CHECK(agent.file("d/db") != "user-1");
  CHECK(agent.finish() == 0);
}

TEST_CASE("an outage of eight hours stops nobody, and ends with everything fresh") {
  AgentFixture agent;
  agent.server->token_ttl = 24h;
  agent.server->roles["database/creds/app"].ttl = 24h;
  agent.server->roles["database/creds/app"].max_ttl = 240h;
  agent.start(Mode::run, kDatabase);
  agent.live(1h, 10s);
  agent.server->away = ErrorKind::network;
  agent.live(8h, 10s);
  CHECK(agent.spawns() == 1);
  const auto before = agent.server->asked.size();
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.server->away.reset();
  agent.live(3min, 1s);
  CHECK(agent.last_spawn().contains("canary-2"));
  CHECK(agent.server->asked.size() > before);
  CHECK(agent.server->most_in_a_minute() < 60);
  CHECK(agent.finish() == 0);
}

TEST_CASE(
    "a token that is lost is replaced by one login; what it had made is replaced by overlap") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(10min, 1s);
  agent.server->lose_tokens();
  agent.live(2h, 1s);
  CHECK(agent.server->logins == 2);
  CHECK(!agent.last_spawn().contains("user-1 "));
  CHECK(agent.server->living_leases().size() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("on_renew_failure = exit: the child is stopped in order when the token ends, 77") {
  AgentFixture agent;
  agent.server->token_max_ttl = 2h;
  agent.start(Mode::run, std::string(kEnv) + "[auto_auth]\non_renew_failure = \"exit\"\n");
  agent.live(3h, 1s);
  CHECK(agent.code == 77);
  CHECK(agent.server->logins == 1);
  CHECK(agent.spawns() == 1);
}

TEST_CASE("on_renew_failure = keep: the child goes on, and nobody logs in again") {
  AgentFixture agent;
  agent.server->token_max_ttl = 2h;
  agent.start(Mode::run, std::string(kEnv) + "[auto_auth]\non_renew_failure = \"keep\"\n");
  agent.live(6h, 10s);
  CHECK(!agent.code);
  CHECK(agent.server->logins == 1);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("one denied path later keeps its last good value and disturbs no other") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.io.advance(1s);
  agent.server->denied = {"GET kv/data/app", "GET kv/metadata/app"};
  agent.live(2h, 1s);
  CHECK(agent.spawns() == 1);
  CHECK(agent.server->logins == 1);
  CHECK(agent.server->leases.size() == 1);
  CHECK(agent.server->most_in_a_minute() < 60);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a secret that is deleted keeps its last good value, with a line in the log") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.server->kv.clear();
  agent.live(1h, 1s);
  CHECK(agent.spawns() == 1);
  CHECK(agent.lines("kv/data/app") >= 2);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a key that vanishes keeps the version before, until it is there again") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.server->put("kv/app", R"({"another":"x"})");
  agent.live(20min, 1s);
  CHECK(agent.spawns() == 1);
  agent.server->put("kv/app", R"({"key":"canary-4"})");
  agent.live(20min, 1s);
  CHECK(agent.last_spawn() == "spawn KEY=canary-4");
  CHECK(agent.finish() == 0);
}

TEST_CASE("a gateway's page instead of answers costs neither the token nor the child") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(10min, 1s);
  agent.server->status_for_all = {403, "<html>maintenance</html>"};
  agent.live(20min, 1s);
  CHECK(agent.spawns() == 1);
  agent.server->status_for_all.reset();
  agent.live(10min, 1s);
  CHECK(agent.server->logins == 1);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("the child's own end is keybearer's: its code, leases and token revoked") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(1min, 1s);
  agent.spawner->exit({.signaled = false, .code = 7});
  agent.io.advance(6s);
  CHECK(agent.code == 7);
  CHECK(agent.server->living_leases().empty());
}

TEST_CASE(
    "run --once: no restart on changes, the lease is kept alive, and the job's code is the end") {
  AgentFixture agent;
  agent.start(Mode::run_once, kDatabase);
  agent.live(3h, 10s);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.live(30min, 1s);
  CHECK(agent.spawns() == 1);
  CHECK(agent.server->leases.size() == 1);
  CHECK(agent.server->lease_of("user-1")->alive());
  agent.spawner->exit({.signaled = false, .code = 3});
  agent.io.advance(6s);
  CHECK(agent.code == 3);
}

TEST_CASE("a second and a third stop signal shorten the child's grace, then kill") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.signal(SIGTERM);
  agent.io.advance(2s);
  CHECK(!agent.code);
  CHECK(agent.spawner->asked.back() == "stop 15");
  agent.signal(SIGTERM);
  agent.io.advance(1500ms);
  CHECK(agent.spawner->asked.back() == "kill");
  agent.spawner->exit({.signaled = true, .code = SIGKILL});
  agent.io.advance(6s);
  CHECK(agent.code == 137);
}

TEST_CASE("other signals reach the child") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(2s);
  agent.signal(SIGUSR1);
  agent.io.advance(1s);
  CHECK(agent.spawner->asked.back() == "signal 10");
  CHECK(agent.finish() == 0);
}

TEST_CASE("on_change = signal: the file is written, the child told, and not restarted") {
  AgentFixture agent;
  agent.start(Mode::run, R"(
[[template]]
destination = "%D/out"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
on_change = "signal:HUP"
[exec]
command = ["app"]
)");
  agent.io.advance(1s);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.live(10min, 1s);
  CHECK(agent.file("out") == "canary-2");
  CHECK(agent.spawns() == 1);
  CHECK(std::ranges::count(agent.spawner->asked, "signal 1") == 1);
  CHECK(agent.finish() == 0);
  std::filesystem::remove(agent.path("out"));
}

TEST_CASE("each request of a day may fail once: the child always has credentials that work") {
  const auto day = [](std::optional<long> fail_at) {
    AgentFixture agent;
    agent.server->roles["database/creds/app"].max_ttl = 3h;
    agent.server->fail_at = fail_at;
    agent.start(Mode::run, std::string(kDatabase) +
                               "[template_config]\nstatic_secret_render_interval = \"1h\"\n");
    for (int i = 0; i < 6 * 12; ++i) {
      agent.live(5min, 5s);
      const std::string spawn = agent.last_spawn();
      const auto at = spawn.find("USER_NAME=");
      REQUIRE(at != spawn.npos);
      const auto* lease = agent.server->lease_of(spawn.substr(at + 10));
      REQUIRE(lease != nullptr);
      CHECK(lease->alive());
    }
    CHECK(agent.finish() == 0);
    CHECK(agent.server->living_leases().empty());
    return static_cast<long>(agent.server->asked.size());
  };
  const long requests = day({});
  for (long n = 0; n < requests; ++n) {
    CAPTURE(n);
    day(n);
  }
}

TEST_CASE("a day with 1,000 secrets: few requests, none too many in a minute, and no restart") {
  AgentFixture agent;
  std::string toml = "[exec]\ncommand = [\"app\"]\n[env]\n";
  for (int i = 0; i < 1000; ++i) {
    const std::string n = std::to_string(i);
    agent.server->kv["kv/s" + n] = {1, R"({"key":"canary-)" + n + R"("})"};
    toml +=
        "V" + n + " = '{{ with secret \"kv/data/s" + n + "\" }}{{ .Data.data.key }}{{ end }}'\n";
  }
  toml += "[template_config]\nstatic_secret_render_interval = \"1h\"\n";
  agent.start(Mode::run, toml);
  agent.live(24h, 30s);
  CHECK(agent.spawns() == 1);
  CHECK(agent.server->count("GET kv/data/") == 1000);
  CHECK(agent.server->count("GET kv/metadata/") <= 1000 * 28);
  CHECK(agent.server->most_in_a_minute() <= 1000 + 4600);
  CHECK(agent.finish() == 0);
}

}  // namespace
}  // namespace keybearer
