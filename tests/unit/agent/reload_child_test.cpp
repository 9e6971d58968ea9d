#include "reload_row.hpp"

// What a reload says is applied rules from then on, whoever keeps a copy of it: the child, the
// requests, the cache.
namespace keybearer {
namespace {

TEST_CASE("what rules the child") {
  static const auto told = [](Agent& agent) {
    agent.server->put("kv/app", R"({"key":"canary-2"})");
    agent.signal(SIGHUP);
    agent.io.advance(10s);
  };
  const ReloadRow rows[] = {
      {.key = "exec.restart_on_secret_changes, exec.reload_signal",
       .before = "",
       .after = "restart_on_secret_changes = \"signal\"\nreload_signal = \"USR1\"\n",
       .then =
           [](Agent& agent) {
             told(agent);
             CHECK(agent.spawner->asked.back() == "signal 10");
           },
       .base = kEnv},
      {.key = "exec.restart_stop_signal",
       .before = "",
       .after = "restart_stop_signal = \"INT\"\n",
       .then =
           [](Agent& agent) {
             told(agent);
             CHECK(agent.spawner->asked.back() == "stop 2");
           },
       .base = kEnv},
      {.key = "exec.stop_escalation",
       .before = "",
       .after = "stop_escalation = [[\"QUIT\", \"5s\"], [\"INT\", \"5s\"]]\n",
       .then =
           [](Agent& agent) {
             told(agent);
             CHECK(std::ranges::find(agent.spawner->asked, "stop 3") != agent.spawner->asked.end());
           },
       .base = kEnv},
      {.key = "exec.debounce",
       .before = "",
       .after = "debounce = \"20s\"\ndebounce_max = \"1m\"\n",
       .then =
           [](Agent& agent) {
             told(agent);
             CHECK(agent.spawner->asked.back().starts_with("spawn"));
             agent.io.advance(15s);
             CHECK(agent.spawner->asked.back() == "stop 15");
           },
       .base = kEnv},
      {.key = "exec.inherit_env",
       .before = "inherit_env = \"none\"\n",
       .after = "inherit_env = [\"OURS\"]\n",
       .then =
           [](Agent& agent) {
             told(agent);
             agent.child_obeys();
             agent.io.advance(1s);
             CHECK(agent.last_spawn() == "spawn KEY=canary-2 OURS=x");
           },
       .prepare = [](Agent& agent) { agent.set_variable("OURS", "x"); },
       .base = kEnv},
      {.key = "exec.restart_on_exit",
       .before = "",
       .after = "restart_on_exit = \"always\"\n",
       .then =
           [](Agent& agent) {
             agent.spawner->exit({.signaled = false, .code = 1});
             agent.io.advance(5s);
             CHECK(agent.spawns() == 2);
           },
       .base = kEnv},
      {.key = "exec.forward_signals",
       .before = "",
       .after = "forward_signals = [\"USR2\"]\n",
       .then =
           [](Agent& agent) {
             agent.signal(SIGUSR1);
             CHECK(agent.spawner->asked.back().starts_with("spawn"));
             agent.signal(SIGUSR2);
             CHECK(agent.spawner->asked.back() == "signal 12");
           },
       .base = kEnv},
      {.key = "exec.hup",
       .before = "",
       .after = "hup = \"forward\"\n",
       .then =
           [](Agent& agent) {
             agent.io.advance(2s);
             agent.signal(SIGHUP);
             CHECK(agent.spawner->asked.back() == "signal 1");
           },
       .base = kEnv},
      {.key = "env.NAME.on_change",
       .before = "",
       .after = "[env.OTHER]\ncontents = 'x'\non_change = \"none\"\n",
       .then =
           [](Agent& agent) {
             agent.io.advance(10s);
             CHECK(agent.spawns() == 1);
           },
       .base = kEnv},
      {.key = "template.perms",
       .before = "[[template]]\ndestination = \"%D/f\"\ncontents = 'x'\n",
       .after = "[[template]]\ndestination = \"%D/f\"\ncontents = 'x'\nperms = \"0400\"\n",
       .then =
           [](Agent& agent) {
             agent.io.advance(1s);
             CHECK(mode_of(agent.path("f")) == 0400);
           },
       .base = kEnv},
      {.key = "template.remove_on_exit",
       .before = "[[template]]\ndestination = \"%D/f\"\ncontents = 'x'\n",
       .after = "[[template]]\ndestination = \"%D/f\"\ncontents = 'x'\nremove_on_exit = true\n",
       .then =
           [](Agent& agent) {
             agent.io.advance(1s);
             CHECK(agent.has_file("f"));
             (void)agent.finish();
             CHECK_FALSE(agent.has_file("f"));
           },
       .base = kEnv},
      {.key = "log_level, which is there no more",
       .before = "",
       .after = "",
       .then =
           [](Agent& agent) {
             agent.io.advance(2s);
             CHECK(agent.lines("INFO") >= 1);
           },
       .first =
           [](Agent& agent) {
             agent.io.advance(1s);
             agent.configure(std::string("log_level = \"error\"\n") + kEnv);
             agent.signal(SIGHUP);
             agent.io.advance(2s);
             std::ofstream(agent.path("log"), std::ios::trunc).flush();
           },
       .base = kEnv},
  };
  for (const ReloadRow& row : rows) check(row);
}

TEST_CASE("what rules requests: the next client has all of [vault]") {
  using Options = http::ClientOptions;
  struct VaultRow {
    std::string line;
    bool (*has)(const Options& options);
  };
  const VaultRow rows[] = {
      {"address = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]",
       [](const Options& o) { return o.addresses.size() == 2; }},
      {"tls_server_name = \"n\"", [](const Options& o) { return o.tls_server_name == "n"; }},
      {"tls_min_version = \"tls13\"", [](const Options& o) { return o.tls13_only; }},
      {"tls_skip_verify = true", [](const Options& o) { return o.tls_skip_verify; }},
      {"connect_timeout = 1", [](const Options& o) { return o.connect_timeout == 1s; }},
      {"timeout = 7", [](const Options& o) { return o.timeout == 7s; }},
      {"max_response_size = 4096", [](const Options& o) { return o.max_response_size == 4096; }},
      {"max_connections = 3", [](const Options& o) { return o.max_connections == 3; }},
      {"proxy_address = \"http://127.0.0.1:3\"",
       [](const Options& o) { return o.proxy.address == "http://127.0.0.1:3"; }},
      {"headers = { X-A = \"b\" }", [](const Options& o) { return o.headers.size() == 1; }},
  };
  for (const VaultRow& row : rows) {
    CAPTURE(row.line);
    Agent agent;
    agent.start(Mode::run, kEnv);
    agent.io.advance(1s);
    CHECK_FALSE(row.has(agent.client_options));
    agent.configure(section("vault", row.line) + kEnv);
    agent.signal(SIGHUP);
    CHECK(agent.clients_made == 2);
    CHECK(row.has(agent.client_options));
    CHECK(agent.finish() == 0);
  }
}

// A request over a unix socket, and what comes of it before and after the reload.
struct ServedRow {
  std::string key, after;
  std::string request = "GET /v1/kv/data/app HTTP/1.1";
  int status_before = 200, status_after = 403;
};

TEST_CASE("what rules those who ask us") {
  const std::string listener = "[[listener]]\ntype = \"unix\"\naddress = \"%D/l.sock\"\n";
  const ServedRow rows[] = {
      {.key = "listener.require_request_header",
       .after = listener + "require_request_header = true\n",
       .status_after = 412},
      {.key = "listener.allow", .after = listener + "allow = [\"GET kv/data/other\"]\n"},
      {.key = "listener.allow_uids", .after = listener + "allow_uids = [54321]\n"},
      {.key = "listener.role",
       .after = listener + "role = \"metrics_only\"\n",
       .status_after = 404},
      {.key = "listener.max_request_size",
       .after = listener + "max_request_size = 4\n",
       .request = "POST /v1/auth/approle/login HTTP/1.1\r\nContent-Length: 9",
       .status_after = 413},
      {.key = "listener.agent_api",
       .after = listener + "agent_api = { enable_quit = true }\n",
       .request = "GET /agent/v1/quit HTTP/1.1",
       .status_before = 404,
       .status_after = 405},
      {.key = "api_proxy.use_auto_auth_token",
       .after = listener + section("api_proxy", "use_auto_auth_token = false")},
      {.key = "metrics.enabled",
       .after = listener + section("metrics", "enabled = false"),
       .request = "GET /metrics HTTP/1.1",
       .status_after = 404},
  };
  for (const ServedRow& row : rows) {
    CAPTURE(row.key);
    Agent agent;
    agent.start(Mode::run, kEnv + listener);
    agent.live(1s);
    const auto asked = [&] {
      const std::string body = row.request.starts_with("POST") ? "{\"a\":\"b\"}" : "";
      Asker program(agent, agent.path("l.sock"),
                    row.request + "\r\nHost: x\r\nConnection: close\r\n\r\n" + body);
      return program.status_of_answer();
    };
    CHECK(asked() == row.status_before);
    agent.configure(kEnv + row.after);
    agent.signal(SIGHUP);
    agent.live(1s);
    CHECK(asked() == row.status_after);
    CHECK(agent.finish() == 0);
  }
}

TEST_CASE("leases that programs have got through the cache end as the last configuration says") {
  for (const bool revoked : {true, false}) {
    CAPTURE(revoked);
    const auto text = [](bool revokes) {
      return std::string(kEnv) +
             "[cache]\n[[listener]]\ntype = \"unix\"\naddress = \"%D/l.sock\"\n"
             "[lease]\nrevoke_on_exit = " +
             (revokes ? "true" : "false") + "\n";
    };
    Agent agent;
    agent.start(Mode::run, text(!revoked));
    agent.live(1s);
    Asker program(agent, agent.path("l.sock"),
                  "GET /v1/database/creds/app HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(program.status_of_answer() == 200);
    agent.configure(text(revoked));
    agent.signal(SIGHUP);
    agent.live(10s);
    CHECK(agent.finish() == 0);
    CHECK(agent.server->leases.size() == 1);
    CHECK(agent.server->leases.begin()->second.revoked == revoked);
  }
}

TEST_CASE("leases in the cache follow [lease], too") {
  Agent agent;
  const std::string text =
      std::string(kEnv) + "[cache]\n[[listener]]\ntype = \"unix\"\naddress = \"%D/l.sock\"\n";
  agent.start(Mode::run, text);
  agent.live(1s);
  Asker program(agent, agent.path("l.sock"),
                "GET /v1/database/creds/app HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(program.status_of_answer() == 200);
  agent.configure(text + section("lease", "renew_at = 0.3"));
  agent.signal(SIGHUP);
  agent.live(20min, 10s);
  CHECK(agent.server->count(kRenewLease) == 1);
}

}  // namespace
}  // namespace keybearer
