#include "fixture.hpp"

// When a reload comes: while the run ends, while a lease is renewed, before a new version. And what
// it leaves alone.
namespace keybearer {
namespace {

TEST_CASE("nothing new is begun by a reload while the program is being stopped") {
  AgentFixture agent;
  agent.start(Mode::run, kDatabase);
  agent.live(10s, 100ms);
  agent.signal(SIGTERM);
  agent.configure(std::string(kEnv) + R"(
[[template]]
destination = "%D/out"
contents = '{{ with secret "database/creds/other" }}{{ .Data.username }}{{ end }}'
[[listener]]
type = "unix"
address = "%D/sock"
)");
  const auto requests = agent.server->asked.size();
  agent.signal(SIGHUP);
  agent.io.advance(3s, 100ms);
  CHECK(agent.server->asked.size() == requests);
  CHECK_FALSE(agent.has_file("sock"));
  CHECK_FALSE(agent.has_file("out"));
  CHECK(agent.lines("configuration and templates read again") == 0);
  CHECK(agent.lines("keybearer is stopping: nothing is read again") == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a secret with a key that was never there is replaced all the same") {
  AgentFixture agent;
  const std::string file = R"(
[[template]]
destination = "%D/out"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
[template_config]
static_secret_render_interval = "10s"
)";
  agent.start(Mode::run, std::string(kEnv) + file);
  agent.live(10s, 100ms);
  agent.configure(
      "[env]\nWRONG = '{{ with secret \"kv/data/app\" }}{{ .Data.data.kee }}{{ end }}'\n[exec]\n"
      "command = [\"app\"]\n" +
      file);
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.lines("kee") >= 1);
  agent.server->put("kv/app", R"({"key":"canary-2"})");
  agent.live(1min, 100ms);
  CHECK(agent.file("out") == "canary-2");
  CHECK(agent.lines("lacks a key") == 0);
  CHECK(agent.spawns() == 1);                            // its set is not complete
  agent.server->put("kv/app", R"({"kee":"canary-3"})");  // now one has vanished
  agent.live(1min, 100ms);
  CHECK(agent.file("out") == "canary-2");
  CHECK(agent.lines("lacks a key") == 1);
  CHECK(agent.finish() == 0);
  std::filesystem::remove(agent.path("out"));
}

TEST_CASE("another rule for a file is no change of the file") {
  const auto with = [](const std::string& rule, const std::string& key) {
    return std::string(kEnv) +
           "[[template]]\ndestination = \"%D/out\"\ncontents = '{{ with secret \"kv/data/app\" "
           "}}{{ .Data.data." +
           key + " }}{{ end }}'\n" + rule;
  };
  AgentFixture agent;
  agent.start(Mode::run, with("", "other"));
  agent.live(10s, 100ms);
  for (const auto* rule : {"on_change = \"none\"\n", "on_change = \"signal\"\n",
                           "on_change = \"none\"\n", "on_change = \"restart\"\n"}) {
    agent.configure(with(rule, "other"));
    agent.signal(SIGHUP);
    agent.live(10s, 100ms);
  }
  CHECK(agent.spawns() == 1);
  agent.configure(with("on_change = \"none\"\n", "key"));  // another text, which it is not told
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.file("out") == "canary-1");
  CHECK(agent.spawns() == 1);
  agent.configure(with("", "key"));  // and has, once it is there
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.spawns() == 1);
  agent.configure(with("", "other"));
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.spawns() == 2);
  CHECK(agent.finish() == 0);
  std::filesystem::remove(agent.path("out"));
}

TEST_CASE("a restart for a file that is not asked for any more says so") {
  AgentFixture agent;
  agent.start(Mode::run, std::string(kEnv) +
                             "[[template]]\ndestination = \"%D/out\"\ncontents = '{{ with secret "
                             "\"kv/data/app\" }}{{ .Data.data.other }}{{ end }}'\n");
  agent.live(10s, 100ms);
  agent.configure(kEnv);
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.spawns() == 2);
  CHECK(agent.lines("out removed") == 2);  // said by the reload, and by the restart
  CHECK(agent.lines("restart: ") == 1);
  CHECK(agent.finish() == 0);
  std::filesystem::remove(agent.path("out"));
}

TEST_CASE("the token's file that somebody removed is there again after a reload") {
  AgentFixture agent;
  const std::string sink = "[[auto_auth.sink]]\npath = \"%D/token\"\n";
  agent.start(Mode::run, std::string(kEnv) + sink);
  agent.live(10s, 100ms);
  const std::string token = agent.file("token");
  REQUIRE(!token.empty());
  std::filesystem::remove(agent.path("token"));
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.file("token") == token);
  CHECK(agent.lines("sink.written") + agent.lines("token written") >= 2);
  CHECK(agent.server->logins == 1);
  CHECK(agent.finish() == 0);
}

TEST_CASE("a listener's socket that somebody removed is there again after a reload") {
  AgentFixture agent;
  const std::string listener = "[[listener]]\ntype = \"unix\"\naddress = \"%D/sock\"\n";
  agent.start(Mode::run, std::string(kEnv) + listener);
  agent.live(10s, 100ms);
  std::filesystem::remove(agent.path("sock"));
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(std::filesystem::is_socket(agent.path("sock")));
  std::filesystem::remove(agent.path("sock"));
  std::ofstream(agent.path("sock")) << "somebody else's";  // neither written, opened nor removed
  std::filesystem::permissions(agent.path("sock"), std::filesystem::perms::owner_read);
  agent.configure(std::string(kEnv) + listener + "socket_mode = \"0666\"\n");
  agent.signal(SIGHUP);
  agent.live(10s, 100ms);
  CHECK(agent.lines("something that is not a socket") == 1);
  CHECK(std::filesystem::status(agent.path("sock")).permissions() ==
        std::filesystem::perms::owner_read);
  CHECK(agent.finish() == 0);
  CHECK(agent.file("sock") == "somebody else's");
}

}  // namespace
}  // namespace keybearer
