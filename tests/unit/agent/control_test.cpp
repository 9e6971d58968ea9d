// The control socket of the whole agent: what it answers, and that nothing secret is in it.

#include <sys/stat.h>

#include "asker.hpp"

namespace keybearer {
namespace {

constexpr const char* kControlled = R"(
[control]
socket = "%D/c.sock"
[template_config]
static_secret_render_interval = "never"
[env]
USER_NAME = '{{ with secret "database/creds/app" }}{{ .Data.username }}{{ end }}'
[[template]]
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.key }}{{ end }}'
destination = "%D/app.env"
[exec]
command = ["app"]
debounce = "0s"
)";

Answer ask(AgentFixture& agent, const std::string& method, const std::string& target,
           const std::string& body = "", Duration patience = 1s) {
  return Asker(agent, agent.path("c.sock"),
               method + " " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n\r\n" + body)
      .answer(patience);
}

TEST_CASE("status: token, secrets, files, child and events, and no value of any (T, R, P)") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  struct stat info{};
  REQUIRE(stat(agent.path("c.sock").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  const Answer answer = ask(agent, "GET", "/status");
  CHECK(answer.status == 200);
  const Value status = answer.json();
  CHECK(bool_at(status, "ready"));
  CHECK(text_at(value_at(status, "token"), "phase") == "valid");
  CHECK(text_at(value_at(status, "token"), "ttl") == "3600");
  CHECK_FALSE(value_at(value_at(status, "token"), "next_in").is_nil());
  const List& secrets = value_at(status, "secrets").items();
  REQUIRE(secrets.size() == 2);
  CHECK(text_at(secrets[0], "path") == "database/creds/app");
  CHECK(text_at(secrets[0], "kind") == "dynamic");
  CHECK_FALSE(value_at(secrets[0], "lease_ends_in").is_nil());
  CHECK(int_at(secrets[1], "version") == 1);
  const Value& file = value_at(status, "files").items().at(0);
  CHECK(text_at(file, "path") == agent.path("app.env"));
  CHECK(text_at(file, "mode") == "0600");
  CHECK(text_at(file, "result") == "written");
  CHECK(text_at(value_at(status, "child"), "state") == "running");
  CHECK(value_at(value_at(status, "instance"), "config").items().at(0).as_text() ==
        config::absolute_path(agent.path("agent.toml")));
  CHECK(value_at(status, "events").size() >= 3);
  CHECK(int_at(value_at(status, "requests"), "succeeded") >= 3);
  CHECK(ask(agent, "GET", "/readyz").status == 200);
  CHECK(ask(agent, "GET", "/livez").status == 200);
}

TEST_CASE("while the server is away: the socket is there, and says why it is not ready") {
  AgentFixture agent;
  agent.use_control();
  agent.server->away = ErrorKind::network;
  agent.start(Mode::run, kControlled);
  agent.live(500ms, 50ms);
  const Answer answer = ask(agent, "GET", "/readyz?verbose");
  CHECK(answer.status == 503);
  CHECK(text_at(value_at(answer.json(), "reasons").items().at(0), "reason")
            .starts_with("logging in: "));
  CHECK(text_at(value_at(ask(agent, "GET", "/status").json(), "token"), "phase") == "logging_in");
}

TEST_CASE("a lost server shows in the status, and the child stays ready with what it has") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  agent.server->away = ErrorKind::network;
  const Answer answer = ask(agent, "POST", "/rotate", R"({"secret":"kv/app"})");
  CHECK(answer.status == 200);
  const Value rotated = answer.json();
  const Value& one = value_at(rotated, "secrets").items().at(0);
  CHECK_FALSE(bool_at(one, "done"));
  const Value status = ask(agent, "GET", "/status").json();
  CHECK(bool_at(status, "ready"));
  CHECK_FALSE(bool_at(value_at(status, "server"), "reachable"));
  CHECK(bool_at(value_at(status, "secrets").items().at(1), "stale"));
}

TEST_CASE("rotate: one secret by path or name, a template's, all; with overlap") {
  struct Case {
    const char* body;
    std::vector<std::string> paths;
  };
  const Case cases[] = {
      {R"({"secret":"database/creds/app"})", {"database/creds/app"}},
      {R"({"secret":"kv/app"})", {"kv/data/app"}},
      {R"({"secret":"kv/data/app"})", {"kv/data/app"}},
      {R"({"template":"app.env"})", {"kv/data/app"}},
      {"", {"database/creds/app", "kv/data/app"}},
      {"{}", {"database/creds/app", "kv/data/app"}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.body);
    AgentFixture agent;
    agent.use_control();
    agent.start(Mode::run, kControlled);
    agent.live(200ms, 10ms);
    const long kv = agent.server->count("GET kv/data/app");
    const long database = agent.server->count("GET database/creds/app");
    const Answer answer = ask(agent, "POST", "/rotate", one.body);
    CHECK(answer.status == 200);
    const Value parsed = answer.json();
    std::vector<std::string> paths;
    for (const Value& secret : value_at(parsed, "secrets").items()) {
      paths.emplace_back(text_at(secret, "path"));
      CHECK(bool_at(secret, "done"));
    }
    CHECK(paths == one.paths);
    const auto asked = [&](const char* path) {
      return std::ranges::find(one.paths, path) != one.paths.end() ? 1 : 0;
    };
    CHECK(agent.server->count("GET kv/data/app") - kv == asked("kv/data/app"));
    CHECK(agent.server->count("GET database/creds/app") - database == asked("database/creds/app"));
    // The old lease lives until the child has the new one and the drain is over.
    if (asked("database/creds/app") == 1) {
      CHECK(agent.server->leases.size() == 2);
      CHECK(std::ranges::all_of(agent.server->leases,
                                [](const auto& lease) { return lease.second.alive(); }));
      agent.live(40s);
      CHECK(std::ranges::count_if(agent.server->leases,
                                  [](const auto& lease) { return lease.second.alive(); }) == 1);
      CHECK(agent.spawns() == 2);
    }
  }
}

std::string slow_template() {
  std::string text = kControlled;
  constexpr std::string_view kBegin = "contents = '";
  return text.insert(text.find(kBegin) + kBegin.size(), "{{ range loop 300000 }}{{ end }}");
}

// As in a run: templates are evaluated in a thread of their own, which goes on.
void reload_beside_the_loop(AgentFixture& agent) {
  const Instant now = Clock::now();
  Clock::thaw();
  agent.signal(SIGHUP);
  Clock::freeze(now);
  agent.io.run();
}

TEST_CASE("a stop that the loop has not heard of yet is no error of a template (R8)") {
  AgentFixture agent;
  sigset_t term, before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, &before);
  raise(SIGTERM);  // pending from now on
  agent.start(Mode::run, std::string(kEnv));
  agent.io.advance(1s);
  CHECK(agent.spawns() == 1);
  CHECK(agent.lines("broken off") == 0);
  CHECK(sigwaitinfo(&term, nullptr) == SIGTERM);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  CHECK(agent.finish() == 0);
}

TEST_CASE("reload, status and stop, while templates are evaluated (R8)") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, slow_template());
  agent.live(200ms, 10ms);
  reload_beside_the_loop(agent);
  CHECK(ask(agent, "GET", "/status").status == 200);
  CHECK(agent.finish() == 0);
}

TEST_CASE("rotate: what nobody uses is unknown; nothing is asked for") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  const std::size_t asked = agent.server->asked.size();
  for (const char* body : {R"({"secret":"kv/other"})", R"({"template":"other.env"})"}) {
    const Answer answer = ask(agent, "POST", "/rotate", body);
    CHECK(answer.status == 404);
    CHECK(value_at(answer.json(), "errors").size() == 1);
  }
  CHECK(ask(agent, "POST", "/rotate", "[").status == 400);
  CHECK(ask(agent, "POST", "/rotate", "[]").status == 400);
  CHECK(agent.server->asked.size() == asked);
}

TEST_CASE("reload: what changed, or all errors while the running one stays") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  Answer answer = ask(agent, "POST", "/reload");
  CHECK(answer.status == 200);
  CHECK(value_at(answer.json(), "changed").size() == 0);
  agent.live(2s);
  agent.configure(std::string(kControlled) + "[notify]\ntimeout = \"3s\"\n");
  answer = ask(agent, "POST", "/reload");
  CHECK(answer.status == 200);
  CHECK(value_at(answer.json(), "changed").items().at(0).as_text() == "notify");
  agent.live(2s);
  agent.configure(std::string(kControlled) + "[notify]\ntimeout = \"soon\"\nunknown = 1\n");
  answer = ask(agent, "POST", "/reload");
  CHECK(answer.status == 400);
  CHECK(value_at(answer.json(), "errors").size() == 2);
  CHECK(int_at(answer.json(), "code") == 78);
  CHECK(text_at(value_at(ask(agent, "GET", "/status").json(), "instance"), "config_reload") ==
        "failed");
}

TEST_CASE("stop: in order, as SIGTERM; the socket is gone afterwards") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  CHECK(ask(agent, "POST", "/stop").status == 202);
  agent.live(5s, 50ms);
  REQUIRE(agent.code);
  CHECK(*agent.code == 0);
  CHECK_FALSE(agent.has_file("c.sock"));
  CHECK(agent.server->count("POST auth/token/revoke-self") +
            agent.server->count("PUT auth/token/revoke-self") ==
        1);
}

TEST_CASE("other paths and methods") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  CHECK(ask(agent, "GET", "/other").status == 404);
  CHECK(ask(agent, "GET", "/stop").status == 405);
  CHECK(ask(agent, "POST", "/status").status == 405);
  CHECK(ask(agent, "GET", "/rotate").status == 405);
  CHECK(ask(agent, "DELETE", "/reload").status == 405);
  CHECK_FALSE(agent.code);
}

TEST_CASE("health, metrics and page, of the whole agent; with metrics off the others stay") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  CHECK(ask(agent, "GET", "/startupz").status == 200);
  const Answer metrics = ask(agent, "GET", "/metrics");
  for (const char* line :
       {"keybearer_auth_attempts_total{method=\"approle\",result=\"success\"} 1",
        "keybearer_secret_fetch_total{secret=\"kv/data/app\",result=\"success\"} 1",
        "keybearer_child_up 1", "keybearer_secret_fetch_duration_seconds_count 2",
        "keybearer_config_reload_success 1", "keybearer_rollback_total 0"}) {
    CAPTURE(line);
    CHECK(metrics.body.find(std::string(line) + "\n") != std::string::npos);
  }
  const Answer page = ask(agent, "GET", "/");
  CHECK(page.body.starts_with("<!doctype html>"));
  CHECK(page.body.find("kv/data/app") != std::string::npos);
  CHECK(bool_at(ask(agent, "GET", "/?format=json").json(), "ready"));
  CHECK(ask(agent, "GET", "/agent/v1/metrics?format=prometheus").body.starts_with("# HELP"));
  CHECK(value_at(ask(agent, "GET", "/agent/v1/metrics").json(), "Gauges").size() > 5);
  CHECK(ask(agent, "POST", "/metrics").status == 405);
  agent.configure(std::string(kControlled) + "[metrics]\nenabled = false\n");
  CHECK(ask(agent, "POST", "/reload").status == 200);
  CHECK(ask(agent, "GET", "/metrics").status == 404);
  CHECK(ask(agent, "GET", "/readyz").status == 200);
}

TEST_CASE("restarts and ends of the child are counted, by reason") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  agent.server->kv["kv/app"] = {2, R"({"key":"canary-2","other":"canary-o"})"};
  CHECK(ask(agent, "POST", "/rotate", R"({"secret":"kv/app"})").status == 200);
  agent.live(2s, 50ms);
  const Answer metrics = ask(agent, "GET", "/metrics");
  CHECK(metrics.body.find("keybearer_child_restarts_total{reason=\"secret\"} 1\n") !=
        std::string::npos);
  CHECK(metrics.body.find("keybearer_child_exit_total{kind=\"signal\",code=\"15\"} 1\n") !=
        std::string::npos);
  CHECK(metrics.body.find("keybearer_secret_generation{secret=\"kv/data/app\"} 2\n") !=
        std::string::npos);
}

// A socket at that place, as of another process.
UniqueFd bound_socket(const std::string& path, bool listens) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  if (listens) REQUIRE(listen(fd.get(), 5) == 0);
  return fd;
}

TEST_CASE("a live instance's socket is not taken: ours has our pid in it") {
  AgentFixture agent;
  agent.use_control();
  const std::string ours = "c-" + std::to_string(getpid()) + ".sock";
  {
    const UniqueFd other = bound_socket(agent.path("c.sock"), true);
    agent.start(Mode::run, kControlled);
    agent.live(200ms, 10ms);
    CHECK(agent.lines("another instance of this name") == 1);
    CHECK(agent.has_file("c.sock"));
    CHECK(agent.has_file(ours));
    agent.finish();
  }
  CHECK(agent.has_file("c.sock"));
  CHECK_FALSE(agent.has_file(ours));
}

TEST_CASE("sockets of instances that were killed are replaced, and removed") {
  AgentFixture agent;
  agent.use_control();
  {
    const UniqueFd killed = bound_socket(agent.path("c.sock"), false);
  }
  {
    const UniqueFd killed = bound_socket(agent.path("c-4711.sock"), false);
  }
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  CHECK(ask(agent, "GET", "/livez").status == 200);
  CHECK_FALSE(agent.has_file("c-4711.sock"));
  CHECK_FALSE(agent.has_file("c-" + std::to_string(getpid()) + ".sock"));
}

TEST_CASE("a socket that was removed is opened again by a reload") {
  AgentFixture agent;
  agent.use_control();
  agent.start(Mode::run, kControlled);
  agent.live(200ms, 10ms);
  CHECK(ask(agent, "GET", "/livez").status == 200);
  for (int i = 0; i < 2; ++i) {
    std::filesystem::remove(agent.path("c.sock"));
    agent.signal(SIGHUP);
    agent.live(2s, 10ms);
    CHECK(ask(agent, "GET", "/livez").status == 200);
  }
  agent.signal(SIGHUP);  // it is there: nothing is to be done
  agent.live(2s, 10ms);
  CHECK(ask(agent, "GET", "/livez").status == 200);
  CHECK(agent.lines("another instance") == 0);
  agent.finish();
  CHECK_FALSE(agent.has_file("c.sock"));
}

TEST_CASE("a socket that can't be made is a warning, and the job goes on; enabled = false: none") {
  AgentFixture agent;
  agent.use_control();
  std::string toml = kControlled;
  toml.replace(toml.find("%D/c.sock"), 9, "/proc/none/c.sock");
  agent.start(Mode::run, toml);
  agent.live(200ms, 10ms);
  CHECK(agent.lines("no control socket") == 1);
  CHECK(agent.spawns() == 1);

  AgentFixture without;
  without.use_control();
  toml = kControlled;
  toml.replace(toml.find("[control]\n"), 10, "[control]\nenabled = false\n");
  without.start(Mode::run, toml);
  without.live(200ms, 10ms);
  CHECK_FALSE(without.has_file("c.sock"));
}

}  // namespace
}  // namespace keybearer
