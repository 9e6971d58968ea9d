#include <sys/stat.h>

#include "agent/token_sinks.hpp"
#include "fixture.hpp"

// [[auto_auth.sink]]: when a file gets the token, what it gets, and when it goes.
namespace keybearer {
namespace {

const std::string kSink = "\n[[auto_auth.sink]]\npath = \"%D/token\"\n";

unsigned mode_of(const std::string& path) {
  struct stat info{};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

// What the log must not hold: the fixture looks for "canary" in it.
constexpr auto kFirst = "hvs.canary-token-1";
constexpr auto kSecond = "hvs.canary-token-2";

TEST_CASE("a sink has the token, and nothing else, before the child starts; it goes at the end") {
  AgentFixture agent;
  agent.start(Mode::run, kEnv + kSink);
  agent.io.advance(1s);
  CHECK(agent.spawns() == 1);
  CHECK(agent.file("token") == kFirst);
  CHECK(mode_of(agent.path("token")) == 0600);
  CHECK(agent.lines("token written") == 1);
  CHECK(agent.finish() == 0);
  CHECK_FALSE(agent.has_file("token"));
  CHECK(agent.server->count("POST auth/token/revoke-self") == 1);
}

TEST_CASE("a renewal writes nothing; a new token is written, to all sinks") {
  AgentFixture agent;
  agent.server->token_ttl = 10min;
  agent.server->token_max_ttl = 30min;
  agent.start(Mode::run,
              kEnv + kSink + "[[auto_auth.sink]]\npath = \"%D/b/c/token\"\nmode = \"0640\"\n");
  agent.live(15min);
  CHECK(agent.server->count("POST auth/token/renew-self") >= 1);
  CHECK(agent.lines("token written") == 2);
  CHECK(agent.file("token") == kFirst);
  CHECK(mode_of(agent.path("b/c/token")) == 0640);
  CHECK(mode_of(agent.path("b/c")) == 0700);
  agent.live(20min);
  CHECK(agent.server->logins == 2);
  CHECK(agent.file("token") == kSecond);
  CHECK(agent.file("b/c/token") == kSecond);
  CHECK(agent.lines("token written") == 4);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
  CHECK_FALSE(agent.has_file("b/c/token"));
}

TEST_CASE("a sink that can't be written: 73, before a login is spent") {
  for (const char* path : {"%D/agent.toml/token", "%D"}) {
    CAPTURE(path);
    AgentFixture agent;
    agent.start(Mode::run, std::string(kEnv) + "\n[[auto_auth.sink]]\npath = \"" + path + "\"\n");
    agent.io.advance(1s);
    CHECK(agent.code == 73);
    CHECK(agent.server->logins == 0);
    CHECK(agent.spawns() == 0);
    CHECK(agent.lines("auto_auth.sink") >= 1);
  }
}

TEST_CASE("a sink that can't be written later: an alarm, other tries, and it has the token again") {
  AgentFixture agent;
  agent.server->token_ttl = agent.server->token_max_ttl = 10min;
  agent.start(Mode::run, std::string(kEnv) + "\n[[auto_auth.sink]]\npath = \"%D/sub/token\"\n");
  agent.io.advance(1s);
  CHECK(agent.file("sub/token") == kFirst);
  std::filesystem::remove_all(agent.path("sub"));
  std::ofstream(agent.path("sub")) << "a file";
  agent.live(12min);
  CHECK(agent.server->logins == 2);
  CHECK(agent.lines("the file keeps what it has until then") == 1);
  CHECK(agent.spawns() == 1);
  std::filesystem::remove(agent.path("sub"));
  agent.live(2min);
  CHECK(agent.file("sub/token") == kSecond);
  CHECK(agent.finish() == 0);
}

TEST_CASE("exit_after_auth: the token and the files are left, alive; unless told otherwise") {
  struct {
    const char* keys;
    bool token_stays, file_stays;
  } rows[] = {
      {"", true, true},
      {"remove_on_exit = true\n", true, false},
      {"remove_on_exit = false\n[auto_auth]\nrevoke_on_exit = true\n", false, true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.keys);
    AgentFixture agent;
    agent.start(
        Mode::render_once,
        "exit_after_auth = true\n[[template]]\ndestination = \"%D/out\"\ncontents = '{{ with "
        "secret \"kv/data/app\" }}{{ .Data.data.key }}{{ end }}'\n" +
            kSink + row.keys);
    agent.io.advance(1s);
    CHECK(agent.code == 0);
    CHECK(agent.file("out") == "canary-1");
    CHECK(agent.has_file("token") == row.file_stays);
    CHECK((agent.server->count("POST auth/token/revoke-self") == 0) == row.token_stays);
  }
}

TEST_CASE("exit_after_auth with a sink alone") {
  AgentFixture agent;
  agent.start(Mode::render_once, "exit_after_auth = true\n" + kSink);
  agent.io.advance(1s);
  CHECK(agent.code == 0);
  CHECK(agent.file("token") == kFirst);
}

TEST_CASE("exit_after_auth waits for the server") {
  AgentFixture agent;
  agent.server->away = ErrorKind::network;
  agent.start(Mode::render_once, "exit_after_auth = true\n" + kSink);
  agent.io.advance(10s, 1s);
  CHECK_FALSE(agent.code);
  agent.server->away.reset();
  agent.io.advance(30s, 1s);
  CHECK(agent.code == 0);
  CHECK(agent.file("token") == kFirst);
}

TEST_CASE("defaults stand in while the server is away: the child does not wait for a sink then") {
  AgentFixture agent;
  agent.server->away = ErrorKind::network;
  agent.start(Mode::run,
              "[outage]\non_start = \"default\"\n[env.KEY]\nsecret = \"kv/data/app\"\nkey = "
              "\"key\"\ndefault = \"d\"\n[exec]\ncommand = [\"app\"]\n" +
                  kSink);
  agent.live(30s);
  CHECK(agent.last_spawn() == "spawn KEY=d");
  CHECK_FALSE(agent.has_file("token"));
  agent.server->away.reset();
  agent.live(10min);
  CHECK(agent.file("token") == kFirst);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a reload: sinks come, change and go") {
  AgentFixture agent;
  const std::string second = "[[auto_auth.sink]]\npath = \"%D/second\"\n";
  agent.start(Mode::run, kEnv + kSink + second);
  agent.io.advance(1s);
  const auto reload = [&](const std::string& sinks) {
    agent.configure(kEnv + sinks);
    agent.signal(SIGHUP);
    agent.live(3s, 100ms);
  };
  SUBCASE("one is gone: its file, too") {
    reload(kSink);
    CHECK(agent.has_file("token"));
    CHECK_FALSE(agent.has_file("second"));
  }
  SUBCASE("one is gone that says to stay") {
    reload(kSink + second + "remove_on_exit = false\n");
    reload(kSink);
    CHECK(agent.has_file("second"));
    agent.finish();
    CHECK(agent.has_file("second"));
    return;
  }
  SUBCASE("a new one is written at once") {
    reload(kSink + second + "[[auto_auth.sink]]\npath = \"%D/third\"\n");
    CHECK(agent.file("third") == kFirst);
  }
  SUBCASE("another mode and another form") {
    reload(kSink + "mode = \"0640\"\n" + second + "format = \"json\"\n");
    CHECK(mode_of(agent.path("token")) == 0640);
    CHECK(agent.file("token") == kFirst);
    const auto json = json::parse(agent.file("second"));
    REQUIRE(json);
    CHECK(text_at(*json, "token") == kFirst);
  }
  SUBCASE("nothing new: nothing is written") {
    const int before = agent.lines("token written");
    reload(kSink + second);
    CHECK(agent.lines("token written") == before);
  }
  SUBCASE("one that can't be written: an alarm, and the others stay") {
    reload(kSink + second + "[[auto_auth.sink]]\npath = \"%D/token/x\"\n");
    CHECK_FALSE(agent.code);
    CHECK(agent.lines("the file keeps what it has until then") == 1);
    CHECK(agent.file("token") == kFirst);
  }
  CHECK(agent.server->logins == 1);
  CHECK(agent.spawns() == 1);
  CHECK(agent.finish() == 0);
  CHECK_FALSE(agent.has_file("token"));
}

TEST_CASE("what a sink's file holds") {
  Clock::freeze(Instant{1000h});
  const auto token = std::make_shared<const Secret>("hvs.x");
  auth::TokenState state;
  state.accessor = "acc";
  state.entity_id = "e\"1";
  state.policies = {"app", "default"};
  state.renewable = true;
  state.expires = Clock::now() + 1h;
  using Format = config::Sink::Format;
  CHECK(sink_text(token, state, Format::token, wall_now()).reveal() == "hvs.x");
  const WallTime at{1764412800s};
  CHECK(sink_text(token, state, Format::json, at).reveal() ==
        R"({"token":"hvs.x","accessor":"acc","entity_id":"e\"1","policies":["app","default"],)"
        R"("renewable":true,"ttl":3600,"creation_time":"2025-11-29T10:40:00Z"})");
  state.expires.reset();
  state.policies.clear();
  CHECK(sink_text(token, state, Format::json, at).reveal().contains(R"("policies":[],)"));
  CHECK(sink_text(token, state, Format::json, at).reveal().contains(R"("ttl":0,)"));
  const vault::WrapInfo wrap{.token = std::make_shared<const Secret>("hvs.w"),
                             .creation_path = "sys/wrapping/wrap",
                             .ttl = 5min,
                             .accessor = "wa",
                             .wrapped_accessor = "",
                             .creation_time = "2026-11-29T10:00:00.123456789Z"};
  CHECK(wrapped_sink_text(wrap, Format::token).reveal() == "hvs.w");
  CHECK(wrapped_sink_text(wrap, Format::json).reveal() ==
        R"({"token":"hvs.w","accessor":"wa","ttl":300,)"
        R"("creation_time":"2026-11-29T10:00:00.123456789Z",)"
        R"("creation_path":"sys/wrapping/wrap","wrapped_accessor":""})");
  Clock::thaw();
}

// The model server wraps as a real one does.
TEST_CASE("wrap_ttl: the file gets a wrapping token, once per token") {
  AgentFixture agent;
  agent.server->token_ttl = agent.server->token_max_ttl = 10min;
  agent.start(Mode::run, kEnv + kSink + "wrap_ttl = \"2m\"\n");
  agent.live(5min);
  auto wrapped = json::parse(agent.file("token"));
  REQUIRE(wrapped);
  CHECK(text_at(*wrapped, "token") == "hvs.canary-wrap-1");
  CHECK(agent.server->count("PUT sys/wrapping/wrap") == 1);
  CHECK(agent.server->wrapped.at("hvs.canary-wrap-1") == R"({"token":"hvs.canary-token-1"})");
  CHECK(agent.server->wrap_ttls == std::vector<std::string>{"120s"});
  agent.live(10min);
  wrapped = json::parse(agent.file("token"));
  REQUIRE(wrapped);
  CHECK(text_at(*wrapped, "token") == "hvs.canary-wrap-2");
  CHECK(agent.finish() == 0);
}

TEST_CASE("wrapping that is denied: 77 at the start, naming path and policy; later an alarm") {
  {
    AgentFixture agent;
    agent.server->denied.insert("PUT sys/wrapping/wrap");
    agent.start(Mode::run, kEnv + kSink + "wrap_ttl = \"2m\"\n");
    agent.io.advance(5s);
    CHECK(agent.code == 77);
    CHECK(agent.spawns() == 0);
    CHECK(agent.lines("wrap_ttl needs update on sys/wrapping/wrap") >= 1);
  }
  AgentFixture agent;
  agent.server->token_ttl = agent.server->token_max_ttl = 10min;
  agent.start(Mode::run, kEnv + kSink + "wrap_ttl = \"2m\"\n");
  agent.live(1min);
  agent.server->denied.insert("PUT sys/wrapping/wrap");
  agent.live(12min);
  CHECK_FALSE(agent.code);
  CHECK(agent.lines("the file keeps what it has until then") == 1);
  agent.server->denied.clear();
  agent.live(2min);
  CHECK(json::parse(agent.file("token")).has_value());
  CHECK(agent.server->count("PUT sys/wrapping/wrap") >= 3);
  CHECK(agent.finish() == 0);
}

TEST_CASE("an outage while wrapping at the start is waited for") {
  AgentFixture agent;
  agent.server->fail_at = 1;  // the login is 0
  agent.start(Mode::run, kEnv + kSink + "wrap_ttl = \"2m\"\n");
  agent.io.advance(10s, 100ms);
  CHECK_FALSE(agent.code);
  CHECK(agent.spawns() == 1);
  CHECK(agent.lines("wrap_ttl needs update") == 0);
  CHECK(agent.has_file("token"));
  CHECK(agent.finish() == 0);
}

}  // namespace
}  // namespace keybearer
