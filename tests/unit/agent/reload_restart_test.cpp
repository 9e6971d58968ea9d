#include "reload_row.hpp"

// What a reload can't apply it names, and keeps.
namespace keybearer {
namespace {

struct RestartRow {
  std::string line, section;
  std::string keys = section;
};
const RestartRow kRows[] = {
    {"name = \"another\"\n", "name"},
    {"hardening = false\n", "hardening"},
    {"log_format = \"json\"\n", "log_format"},
    {"log_file = \"%D/another\"\n", "log_file"},
    {"pid_file = \"%D/pid\"\n", "pid_file"},
    {"[control]\nsocket = \"%D/c.sock\"\n", "control", "control.socket"},
    {"[control]\nenabled = false\n", "control", "control.enabled"},
    {"[state]\npath = \"%D/s/state\"\nkey_file = \"%D/key\"\n", "state",
     "state.path, state.key_file"},
    {"[state]\npath = \"%D/s/state\"\nkey_from = \"systemd\"\n", "state", "state.key_from"},
    {"[vault]\nnamespace = \"team\"\n", "vault.namespace"},
};
const bool noted = [] {
  for (const RestartRow& row : kRows) note_keys(row.keys);
  return note_keys("exit_after_auth");
}();

TEST_CASE("what a reload can't apply is named each time, and keeps its running value") {
  for (const auto& [line, key, keys] : kRows) {
    CAPTURE(keys);
    Agent agent;
    std::ofstream(agent.path("key")) << std::string(32, 'k');
    chmod(agent.path("key").c_str(), 0600);
    agent.start(Mode::run, kDatabase);
    agent.live(1s);
    for (int times = 1; times <= 2; ++times) {
      agent.configure(line + kDatabase);
      agent.signal(SIGHUP);
      agent.live(2s, 100ms);
      CHECK(agent.lines("a restart of keybearer is needed") == times);
      CHECK(agent.lines("keys=" + key) + agent.lines(R"("keys":")" + key) == times);
    }
    agent.configure(kDatabase);
    agent.signal(SIGHUP);
    agent.live(2s, 100ms);
    CHECK(agent.lines("a restart of keybearer is needed") == 2);
    agent.configure(line + kDatabase);
    agent.signal(SIGHUP);
    agent.live(2s, 100ms);
    CHECK(agent.finish() == 0);
    CHECK(agent.server->living_leases().empty());  // also where only the next run has a [state]
    for (const auto& each : agent.server->asked) CHECK(each.vault_namespace.empty());
  }
}

TEST_CASE("exit_after_auth decides how a run ends: a restart is named for it") {
  Agent agent;
  const std::string text = "[[template]]\ndestination = \"%D/f\"\ncontents = 'x'\n";
  agent.start(Mode::render, text);
  agent.live(2s);
  agent.configure("exit_after_auth = true\n" + text);
  agent.signal(SIGHUP);
  agent.live(1min);
  CHECK(agent.lines("a restart of keybearer is needed") == 1);
  CHECK(!agent.code);
}

TEST_CASE("a key that means nothing here is known to a reload, and changes nothing") {
  Agent agent;
  agent.start(Mode::run, kEnv);
  agent.live(2s);
  agent.configure(section("auto_auth", "enable_reauth_on_new_credentials = true") + kEnv);
  agent.signal(SIGHUP);
  agent.live(2s);
  CHECK(agent.lines("has no effect and can go") == 1);
  CHECK(agent.lines("a restart of keybearer is needed") == 0);
}
const bool without_effect = note_keys("auto_auth.enable_reauth_on_new_credentials");

TEST_CASE("what a single rendering does not do, it does not do after a reload either") {
  for (const Mode mode : {Mode::preview, Mode::render_once}) {
    CAPTURE(static_cast<int>(mode));
    Agent agent;
    agent.server->kv.clear();
    const std::string text =
        "[[template]]\ndestination = \"%D/f\"\n"
        "contents = '{{ with secret \"kv/data/app\" }}{{ .Data.data.key }}{{ end }}'\n";
    agent.start(mode, text);
    agent.io.advance(1s);
    agent.configure(text +
                    "[[auto_auth.sink]]\npath = \"%D/token\"\n[[listener]]\ntype = \"unix\"\n"
                    "address = \"%D/l.sock\"\n");
    agent.signal(SIGHUP);
    agent.io.advance(1s);
    CHECK(agent.has_file("token") == (mode == Mode::render_once));
    CHECK_FALSE(agent.has_file("l.sock"));
  }
}

TEST_CASE("the warnings of a configuration that is read again are logged, those that are new") {
  Agent agent;
  agent.start(Mode::run, kEnv);
  agent.io.advance(1s);
  for (int times = 0; times < 2; ++times) {
    agent.configure(section("vault", "tls_skip_verify = true") + kEnv);
    agent.signal(SIGHUP);
    agent.io.advance(2s);
    CHECK(agent.lines("tls_skip_verify") == 1);
  }
}

}  // namespace
}  // namespace keybearer
