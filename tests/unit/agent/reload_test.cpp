#include "fixture.hpp"

// SIGHUP: the configuration is read again and the difference applied, section by section.
namespace keybearer {
namespace {

constexpr const char* kTwo = R"(
[env]
KEY = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
OTHER = '{{ with secret "kv/data/app" }}{{ .Data.data.other }}{{ end }}'
[exec]
command = ["app"]
)";

TEST_CASE("a reload that changes nothing asks for nothing but a look, and touches nobody") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(10min, 1s);
  const auto leases = agent.server->leases.size();
  const auto bodies = agent.server->count("GET kv/data/app");
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.lines("config.reloaded") + agent.lines("read again") >= 1);
  CHECK(agent.spawns() == 1);
  CHECK(agent.server->logins == 1);
  CHECK(agent.server->leases.size() == leases);
  CHECK(agent.server->count("GET kv/data/app") == bodies);
  CHECK(agent.server->count("GET kv/metadata/app") >= 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("SIGHUP looks at static secrets now") {
  AgentFixture agent;
  agent.start(Mode::run,
              std::string(kEnv) + "[template_config]\nstatic_secret_render_interval = \"never\"\n");
  agent.live(1h, 10s);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.live(1h, 10s);
  CHECK(agent.spawns() == 1);
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.last_spawn() == "spawn KEY=canary-2");
  CHECK(agent.finish() == 0);
}

TEST_CASE("a broken file is reported with all its errors, and the running one stays") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.configure("[exec]\ncommand = [\"app\"]\ndebounse = \"1s\"\nsplay = \"soon\"\n");
  agent.signal(SIGHUP);
  agent.live(1min, 1s);
  CHECK(agent.lines("debounse") >= 1);
  CHECK(agent.lines("soon") >= 1);
  CHECK(agent.spawns() == 1);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.live(10min, 1s);
  CHECK(agent.last_spawn() == "spawn KEY=canary-2");
  CHECK(agent.finish() == 0);
}

TEST_CASE(
    "[env]: another variable restarts the child, with one request at most; one less does, too") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.configure(kTwo);
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.last_spawn() == "spawn KEY=canary-1 OTHER=canary-o");
  CHECK(agent.server->count("GET kv/data/app") == 1);
  agent.configure(kEnv);
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.last_spawn() == "spawn KEY=canary-1");
  CHECK(agent.spawns() == 3);
  CHECK(agent.finish() == 0);
}

TEST_CASE(
    "a secret that is not asked for any more is let go: its lease is revoked after the drain") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(1min, 1s);
  CHECK(agent.server->living_leases().size() == 1);
  agent.configure(kEnv);
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.spawns() == 2);
  agent.live(2min, 1s);
  CHECK(agent.server->living_leases().empty());
  const auto renewals = agent.server->count("PUT sys/leases/renew");
  agent.live(3h, 10s);
  CHECK(agent.server->count("PUT sys/leases/renew") == renewals);
  CHECK(agent.finish() == 0);
}

TEST_CASE("[[template]]: a new file is written, and the child restarted for it") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.configure(std::string(kEnv) + R"(
[[template]]
destination = "%D/out"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.other }}{{ end }}'
)");
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.file("out") == "canary-o");
  CHECK(agent.spawns() == 2);
  CHECK(agent.finish() == 0);
  std::filesystem::remove(agent.path("out"));
}

TEST_CASE("[template_config]: another interval holds from now on") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.live(1min, 1s);
  agent.configure(std::string(kEnv) +
                  "[template_config]\nstatic_secret_render_interval = \"10s\"\n");
  agent.signal(SIGHUP);
  agent.live(2min, 1s);
  CHECK(agent.server->count("GET kv/metadata/app") >= 10);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("[exec]: another debounce holds for the next change, another command at the next start") {
  AgentFixture agent;
  agent.start(Mode::run, std::string(kEnv) + "debounce = \"20s\"\n");
  agent.io.advance(1s);
  agent.configure(std::string(kEnv) + "debounce = \"0s\"\n");
  agent.signal(SIGHUP);
  agent.live(5s, 100ms);
  CHECK(agent.spawns() == 1);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.signal(SIGHUP);
  agent.child_obeys();  // it was told at once
  agent.live(3s, 100ms);
  CHECK(agent.spawns() == 2);
  CHECK(agent.finish() == 0);
}

TEST_CASE("[vault]: another client is made, the token and the secrets stay") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(1min, 1s);
  agent.configure(std::string("[vault]\ntimeout = \"7s\"\n") + kDatabase);
  agent.signal(SIGHUP);
  agent.live(1min, 1s);
  CHECK(agent.clients_made == 2);
  CHECK(agent.server->logins == 1);
  CHECK(agent.server->leases.size() == 1);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("[lease], [[secret]], [notify], [outage], [auto_auth]: taken over without a request") {
  const char* sections[] = {
      "[lease]\nrenew_at = 0.5\n",        "[[secret]]\npath = \"kv/app\"\noptional = true\n",
      "[notify]\ncommand = [\"true\"]\n", "[outage]\nstart_timeout = \"1m\"\n",
      "[auto_auth]\nrenew_at = 0.5\n",
  };
  for (const char* section : sections) {
    CAPTURE(section);
    AgentFixture agent;
    agent.start(Mode::run, kDatabase);
    agent.live(1min, 1s);
    agent.configure(std::string(kDatabase) + section);
    agent.signal(SIGHUP);
    agent.live(1min, 1s);
    CHECK(agent.lines("config.reloaded") + agent.lines("read again") >= 1);
    CHECK(agent.spawns() == 1);
    CHECK(agent.server->logins == 1);
    CHECK(agent.server->leases.size() == 1);
    CHECK(agent.finish() == 0);
  }
}

TEST_CASE("revoke_on_exit: what holds at the end is what was read last") {
  for (const bool at_first : {true, false}) {
    CAPTURE(at_first);
    const auto text = [](bool revoke) {
      const std::string value = revoke ? "true" : "false";
      return std::string(kDatabase) + "[lease]\nrevoke_on_exit = " + value +
             "\n[auto_auth]\nrevoke_on_exit = " + value + "\n";
    };
    AgentFixture agent;
    agent.start(Mode::run, text(at_first));
    agent.live(1min, 1s);
    agent.configure(text(!at_first));
    agent.signal(SIGHUP);
    agent.live(1min, 1s);
    CHECK(agent.finish() == 0);
    CHECK(agent.server->leases.begin()->second.revoked == !at_first);
    CHECK((agent.server->count("POST auth/token/revoke-self") == 1) == !at_first);
  }
}

TEST_CASE("what needs a restart of keybearer is named") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.configure(std::string("name = \"another\"\nhardening = false\n") + kEnv);
  agent.signal(SIGHUP);
  agent.io.advance(1s);
  CHECK(agent.lines("a restart of keybearer is needed") == 1);
  CHECK(agent.lines("hardening") >= 1);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("log_level follows") {
  AgentFixture agent;
  agent.start(Mode::run, std::string("log_level = \"error\"\n") + kEnv);
  agent.io.advance(1s);
  agent.configure(std::string("log_level = \"debug\"\n") + kEnv);
  agent.signal(SIGHUP);
  agent.live(10min, 1s);
  CHECK(agent.lines("DEBUG") >= 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("what a reload adds and removes is not told of as changed") {
  AgentFixture agent;
  const auto with = [&](const char* file, const char* variable) {
    return "[env]\n" + std::string(variable) +
           " = \"x\"\n[exec]\ncommand = [\"app\"]\n[[template]]\ndestination = \"" +
           agent.path(file) + "\"\ncontents = \"x\"\n";
  };
  agent.start(Mode::run, with("gone", "GONE"));
  agent.io.advance(1s);
  agent.configure(with("new", "NEW"));
  agent.signal(SIGHUP);
  agent.live(1min, 100ms);
  CHECK(agent.lines("read again changed=\"template (" + agent.path("gone") + " removed, " +
                    agent.path("new") + " added), env (GONE removed, NEW added)\"") == 1);
  CHECK(agent.lines("restart: " + agent.path("new") + ", NEW added; " + agent.path("gone") +
                    ", GONE removed") == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a template whose file has another text is named as changed, and nothing else is") {
  AgentFixture agent;
  const std::string path = agent.path("source");
  std::ofstream(path) << "one";
  agent.start(Mode::run, std::string(kEnv) + "[[template]]\ndestination = \"" + agent.path("o") +
                             "\"\nsource = \"" + path + "\"\n");
  agent.io.advance(1s);
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.lines("read again changed=nothing") == 1);
  std::ofstream(path) << "two";
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.lines("read again changed=" + path) == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a template that is wrong keeps the running ones") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  agent.configure("[env]\nKEY = '{{ nope }}'\n[exec]\ncommand = [\"app\"]\n");
  agent.signal(SIGHUP);
  agent.live(1min, 1s);
  CHECK(agent.lines("nope") >= 1);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a storm of SIGHUP is bounded by the budget") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.io.advance(1s);
  for (int i = 0; i < 500; ++i) {
    agent.signal(SIGHUP);
    agent.io.advance(100ms);
  }
  CHECK(agent.server->most_in_a_minute() <= 640);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("exec.hup = forward: the child gets it, and nothing is read") {
  AgentFixture agent;
  agent.start(Mode::run, std::string(kEnv) + "hup = \"forward\"\n");
  agent.io.advance(2s);
  agent.signal(SIGHUP);
  agent.io.advance(1s);
  CHECK(agent.spawner->asked.back() == "signal 1");
  CHECK(agent.lines("config.reloaded") == 0);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a reload at every turn of a start does no harm") {
  for (int turn = 0; turn < 20; ++turn) {
    CAPTURE(turn);
    AgentFixture agent;
    agent.start(Mode::run, kDatabase);
    agent.io.advance(turn * 20ms, 20ms);
    agent.signal(SIGHUP);
    agent.live(30s, 100ms);
    CHECK(agent.spawns() == 1);
    CHECK(agent.server->logins == 1);
    CHECK(agent.server->leases.size() == 1);
    CHECK(agent.finish() == 0);
    CHECK(agent.server->living_leases().empty());
  }
}

}  // namespace
}  // namespace keybearer
