#include "reload_row.hpp"

// What a reload says is applied rules from then on, whoever keeps a copy of it: the child, the
// requests, the cache.
namespace keybearer {
namespace {

const ReloadRows kChildRows = {
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
TEST_CASE("what rules the child") {
  kChildRows.check();
}

using Options = http::ClientOptions;
struct VaultRow {
  std::string line;
  bool (*has)(const Options& options);
};
const VaultRow kVaultRows[] = {
    {"address = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]",
     [](const Options& o) { return o.addresses.size() == 2; }},
    {"ca_cert = \"%D/pem\"", [](const Options& o) { return o.ca_cert.ends_with("/pem"); }},
    {"ca_path = \"%D\"", [](const Options& o) { return !o.ca_path.empty(); }},
    {"client_cert = \"%D/pem\"\nclient_key = \"%D/key\"",
     [](const Options& o) {
       return o.client_cert.ends_with("/pem") && o.client_key.ends_with("/key");
     }},
    {"tls_pin_sha256 = [\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"]",
     [](const Options& o) { return o.tls_pin_sha256.size() == 1; }},
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
const bool vault_noted = [] {
  for (const VaultRow& row : kVaultRows)
    note_keys("vault." + row.line.substr(0, row.line.find(' ')));
  return note_keys("vault.client_key");
}();

TEST_CASE("what rules requests: the next client has all of [vault]") {
  for (const VaultRow& row : kVaultRows) {
    CAPTURE(row.line);
    Agent agent;
    for (const char* name : {"pem", "key"}) std::ofstream(agent.path(name)) << "x";
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
