#include "reload_row.hpp"

// What a reload says is applied rules from then on, whoever keeps a copy of it: the start and the token.
namespace keybearer {
namespace {

const ReloadRows kStartRows = {
    {.key = "outage.start_timeout",
     .before = "",
     .after = section("outage", "start_timeout = \"30s\""),
     .then =
         [](Agent& agent) {
           agent.live(15s);
           CHECK(!agent.code);
           agent.live(10s);
           CHECK(agent.code == 69);
         },
     .prepare = away},
    {.key = "outage.start_timeout, longer",
     .before = section("outage", "start_timeout = \"20s\""),
     .after = section("outage", "start_timeout = \"10m\""),
     .then =
         [](Agent& agent) {
           agent.live(5min);
           CHECK(!agent.code);
         },
     .prepare = away},
    {.key = "outage.on_start",
     .before = "",
     .after = section("outage", "on_start = \"fail\""),
     .then =
         [](Agent& agent) {
           agent.live(1min);
           CHECK(agent.code == 69);
         },
     .prepare = away},
    {.key = "template_config.start_grace, of the login",
     .before = section("auto_auth", "min_backoff = \"10s\"") +
               section("template_config", "start_grace = \"15s\""),
     .after = section("auto_auth", "min_backoff = \"10s\"") +
              section("template_config", "start_grace = \"10m\""),
     .then =
         [](Agent& agent) {
           agent.live(5min);
           CHECK(agent.server->count(kLogin) == 3);
           CHECK(agent.code == 77);
         },
     .first = [](Agent& agent) { agent.live(1s); },
     .prepare = refuses_logins},
    {.key = "template_config.start_grace, of a secret",
     .before = "",
     .after = section("template_config", "start_grace = \"2m\""),
     .then =
         [](Agent& agent) {
           agent.live(1min);
           CHECK(!agent.code);
           agent.live(2min);
           CHECK(agent.code == 75);
         },
     .prepare = no_value},
    {.key = "template_config.exit_on_retry_failure",
     .before = "",
     .after = section("template_config", "exit_on_retry_failure = false"),
     .then =
         [](Agent& agent) {
           agent.live(5min);
           CHECK(!agent.code);
         },
     .prepare = no_value},
    {.key = "vault.retry.num_retries, of the login",
     .before = section("vault.retry", "num_retries = 1000"),
     .after = section("vault.retry", "num_retries = 1"),
     .then =
         [](Agent& agent) {
           agent.live(20s);
           CHECK(agent.code == 69);
         },
     .prepare = away,
     .mode = Mode::run_once},
    {.key = "vault.retry.num_retries, of a secret",
     .before = section("vault.retry", "num_retries = 1000"),
     .after = section("vault.retry", "num_retries = 1"),
     .then =
         [](Agent& agent) {
           agent.live(20s);
           CHECK(agent.code);
         },
     .prepare = [](Agent& agent) { agent.server->broken["GET kv/data/app"] = 500; },
     .mode = Mode::run_once},
    {.key = "vault.retry.max_backoff",
     .before = "",
     .after = section("vault.retry", "max_backoff = \"2s\""),
     .then =
         [](Agent& agent) {
           agent.live(1min, 100ms);
           CHECK(tries_in(agent, "GET kv/data/app", 1min) >= 25);
         },
     .first = [](Agent& agent) { agent.live(10min); },
     .prepare = [](Agent& agent) { agent.server->broken["GET kv/data/app"] = 500; }},
    {.key = "auto_auth.max_backoff",
     .before = "",
     .after = section("auto_auth", "max_backoff = \"2s\""),
     .then =
         [](Agent& agent) {
           agent.live(5min, 100ms);
           CHECK(tries_in(agent, kLogin, 1min) >= 25);
         },
     .first = [](Agent& agent) { agent.live(30min); },
     .prepare = away},
    {.key = "auto_auth.min_backoff",
     .before = "",
     .after = section("auto_auth", "min_backoff = \"4m\""),
     .then =
         [](Agent& agent) {
           agent.live(5s);
           CHECK(tries_in(agent, kLogin, 5min) <= 3);
         },
     .first = [](Agent& agent) { agent.live(1s); },
     .prepare = away},
    {.key = "auto_auth.exit_on_err",
     .before = section("auto_auth", "min_backoff = \"4s\""),
     .after = section("auto_auth", "min_backoff = \"4s\"\nexit_on_err = true"),
     .then =
         [](Agent& agent) {
           agent.live(10s);
           CHECK(agent.server->count(kLogin) == 2);
           CHECK(agent.code == 77);
         },
     .first = [](Agent& agent) { agent.live(1s); },
     .prepare = refuses_logins},
    {.key = "secret.optional, secret.defaults",
     .before = "",
     .after = optional_secret("optional = true\ndefaults = { key = \"d\" }"),
     .then =
         [](Agent& agent) {
           agent.live(10s);
           CHECK(agent.last_spawn() == "spawn KEY=d");
         },
     .first = [](Agent& agent) { agent.live(5s); },
     .prepare = no_value,
     .base = kEnv},
};
TEST_CASE("what rules a start that still waits") {
  kStartRows.check();
}

const auto renewed_early = [](Agent& agent) {
  agent.live(31min, 10s);
  CHECK(agent.server->count(kRenewToken) == 1);
};
const Seen another_identity = [](Agent& agent) {
  agent.live(1h, 10s);
  CHECK(agent.lines("another identity") >= 1);
};
std::string sink(const std::string& lines) {
  return "[[auto_auth.sink]]\npath = \"%D/token\"\n" + lines + "\n";
}
std::string other_id(unsigned id) {
  return std::to_string(geteuid() == 0 ? 12345 : id);
}

const ReloadRows kTokenRows = {
    {.key = "auto_auth.renew_at",
     .before = "",
     .after = section("auto_auth", "renew_at = 0.5"),
     .then = renewed_early},
    {.key = "auto_auth.min_remaining",
     .before = "",
     .after = section("auto_auth", "min_remaining = \"30m\""),
     .then = renewed_early},
    {.key = "auto_auth.renew_at, later",
     .before = section("auto_auth", "renew_at = 0.3"),
     .after = section("auto_auth", "renew_at = 0.9"),
     .then =
         [](Agent& agent) {
           agent.live(40min, 10s);
           CHECK(agent.server->count(kRenewToken) == 0);
         }},
    {.key = "auto_auth.increment",
     .before = "",
     .after = section("auto_auth", "increment = \"50m\""),
     .then =
         [](Agent& agent) {
           agent.live(50min, 10s);
           CHECK(body_has(agent, kRenewToken, "3000"));
         }},
    {.key = "auto_auth.on_renew_failure",
     .before = "",
     .after = section("auto_auth", "on_renew_failure = \"keep\""),
     .then =
         [](Agent& agent) {
           agent.live(2h, 10s);
           CHECK(agent.server->logins == 1);
           CHECK(!agent.code);
         },
     .prepare = tokens_end},
    {.key = "auto_auth.verify_identity.entity_id",
     .before = "",
     .after = section("auto_auth", "verify_identity = { entity_id = \"another\" }"),
     .then =
         [](Agent& agent) {
           agent.live(1h, 10s);
           CHECK(agent.server->logins == 2);
           CHECK(agent.lines("another identity") >= 1);
         },
     .prepare = tokens_end},
    {.key = "auto_auth.sink",
     .before = "",
     .after = "[[auto_auth.sink]]\npath = \"%D/token\"\n",
     .then =
         [](Agent& agent) {
           agent.live(1s);
           CHECK(agent.file("token") == "hvs.canary-token-1");
         }},
    {.key = "auto_auth.sink.path, auto_auth.sink.mode",
     .before = "",
     .after = sink("mode = \"0640\""),
     .then =
         [](Agent& agent) {
           agent.live(1s);
           CHECK(mode_of(agent.path("token")) == 0640);
         }},
    {.key = "auto_auth.sink.user, auto_auth.sink.group",
     .before = sink(""),
     .after =
         sink("user = \"" + other_id(geteuid()) + "\"\ngroup = \"" + other_id(getegid()) + "\""),
     .then =
         [](Agent& agent) {
           agent.live(1s);
           struct stat info{};
           REQUIRE(stat(agent.path("token").c_str(), &info) == 0);
           CHECK(std::to_string(info.st_uid) == other_id(geteuid()));
           CHECK(std::to_string(info.st_gid) == other_id(getegid()));
         }},
    {.key = "auto_auth.sink.wrap_ttl",
     .before = sink("format = \"token\""),
     .after = sink("format = \"token\"\nwrap_ttl = \"2m\""),
     .then = wrote("token", "hvs.canary-wrap-1")},
    {.key = "auto_auth.sink.format",
     .before = sink(""),
     .after = sink("format = \"json\""),
     .then =
         [](Agent& agent) {
           agent.live(1s);
           CHECK(agent.file("token").starts_with("{\"token\":"));
         }},
    {.key = "auto_auth.sink.remove_on_exit",
     .before = sink(""),
     .after = sink("remove_on_exit = false"),
     .then =
         [](Agent& agent) {
           agent.live(1s);
           (void)agent.finish();
           CHECK(agent.has_file("token"));
         }},
    {.key = "auto_auth.revoke_on_exit",
     .before = "",
     .after = section("auto_auth", "revoke_on_exit = false"),
     .then =
         [](Agent& agent) {
           (void)agent.finish();
           CHECK(agent.server->count("POST auth/token/revoke-self") == 0);
         }},
    {.key = "auto_auth.verify_identity.policies",
     .before = "",
     .after = section("auto_auth", "verify_identity = { policies = [\"another\"] }"),
     .then = another_identity,
     .prepare = tokens_end},
    {.key = "auto_auth.verify_identity.metadata",
     .before = "",
     .after = section("auto_auth", "verify_identity = { metadata = { a = \"b\" } }"),
     .then = another_identity,
     .prepare = tokens_end},
    {.key = "exec.stop_timeout, which a stop at the token's end leaves",
     .before = section("auto_auth", "on_renew_failure = \"exit\""),
     .after = "stop_timeout = \"20m\"\n" + section("auto_auth", "on_renew_failure = \"exit\""),
     .then =
         [](Agent& agent) {
           agent.io.advance(45min, 10s);
           CHECK(agent.spawner->asked.back() == "stop 15");
         },
     .prepare = tokens_end,
     .base = kEnv},
};
TEST_CASE("what rules the token") {
  kTokenRows.check();
}

}  // namespace
}  // namespace keybearer
