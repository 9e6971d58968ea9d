#include "reload_row.hpp"

// What a reload says is applied rules from then on, whoever keeps a copy of it: leases and values.
namespace keybearer {
namespace {

const auto renewed_early = [](Agent& agent) {
  agent.live(32min, 10s);
  CHECK(agent.server->count(kRenewLease) >= 1);
};
// Of all secrets, of one, and of one in a table of its own.
enum class Spelling { all, secret, table };
std::string lease(Spelling spelling, const std::string& lines) {
  if (spelling == Spelling::all) return section("lease", lines);
  return "[[secret]]\npath = \"database/creds/app\"\n" +
         (spelling == Spelling::table ? "[secret.lease]\n" : std::string()) + lines + "\n";
}
ReloadRows lease_rows(Spelling spelling, const std::string& name) {
  return {
      {.key = name + "renew_at",
       .before = "",
       .after = lease(spelling, "renew_at = 0.3"),
       .then = renewed_early},
      {.key = name + "min_remaining",
       .before = "",
       .after = lease(spelling, "min_remaining = \"40m\""),
       .then = renewed_early},
      {.key = name + "increment",
       .before = "",
       .after = lease(spelling, "increment = \"50m\""),
       .then =
           [](Agent& agent) {
             agent.live(45min, 10s);
             CHECK(body_has(agent, kRenewLease, "3000"));
           }},
      {.key = name + "strategy",
       .before = "",
       .after = lease(spelling, "strategy = \"refetch\""),
       .then =
           [](Agent& agent) {
             agent.live(50min, 10s);
             CHECK(agent.server->count(kRenewLease) == 0);
             CHECK(agent.server->leases.size() == 2);
           }},
      {.key = name + "refetch_at",
       .before = "",
       .after = lease(spelling, "refetch_at = 0.3"),
       .then =
           [](Agent& agent) {
             agent.live(20min, 10s);
             CHECK(agent.server->leases.size() == 2);
           },
       .prepare = leases_end},
      {.key = name + "check_interval",
       .before = "",
       .after = lease(spelling, "check_interval = \"1m\""),
       .then =
           [](Agent& agent) {
             agent.live(10min);
             CHECK(agent.server->count("PUT sys/leases/lookup") >= 8);
           }},
      {.key = name + "revoke_replaced",
       .before = lease(spelling, "refetch_at = 0.3"),
       .after = lease(spelling, "refetch_at = 0.3\nrevoke_replaced = false"),
       .then =
           [](Agent& agent) {
             agent.live(20min, 10s);
             CHECK(agent.server->leases.size() == 2);
             CHECK_FALSE(agent.server->lease_of("user-1")->revoked);
           },
       .prepare = leases_end},
      {.key = name + "drain",
       .before = lease(spelling, "refetch_at = 0.3\ndrain = \"30m\""),
       .after = lease(spelling, "refetch_at = 0.3\ndrain = \"1s\""),
       .then =
           [](Agent& agent) {
             agent.live(20min, 10s);
             CHECK(agent.server->leases.size() == 2);
             CHECK(agent.server->lease_of("user-1")->revoked);
           },
       .prepare = leases_end},
      {.key = name + "revoke_on_exit",
       .before = "",
       .after = lease(spelling, "revoke_on_exit = false") +
                section("auto_auth", "revoke_on_exit = false"),
       .then =
           [](Agent& agent) {
             (void)agent.finish();
             CHECK_FALSE(agent.server->lease_of("user-1")->revoked);
           }},
  };
}
const ReloadRows kLeaseRows[] = {lease_rows(Spelling::all, "lease."),
                                 lease_rows(Spelling::secret, "secret."),
                                 lease_rows(Spelling::table, "secret.lease.")};
TEST_CASE("what rules leases, in each of its places") {
  for (const ReloadRows& rows : kLeaseRows) rows.check();
}

const ReloadRows kValueRows = {
    {.key = "template_config.max_stale, template_config.on_stale",
     .before = "",
     .after = section("template_config", "max_stale = \"1m\"\non_stale = \"stop\""),
     .then =
         [](Agent& agent) {
           agent.server->away = ErrorKind::network;
           agent.live(5min);
           CHECK(agent.lines("older than max_stale") >= 1);
           CHECK(std::ranges::find(agent.spawner->asked, "stop 15") != agent.spawner->asked.end());
         },
     .base = kEnv},
    {.key = "secret.on_error",
     .before = "",
     .after = optional_secret("on_error = \"exit\""),
     .then =
         [](Agent& agent) {
           agent.server->kv.clear();
           agent.live(10min);
           CHECK(agent.code == 75);
         },
     .base = kEnv},
    {.key = "secret.version",
     .before = "",
     .after = optional_secret("version = 3"),
     .then =
         [](Agent& agent) {
           agent.live(1s);
           CHECK(agent.server->count("GET kv/data/app?version=3") == 1);
         },
     .base = kEnv},
    {.key = "secret.defaults",
     .before = optional_secret("optional = true\ndefaults = { key = \"d\" }"),
     .after = optional_secret("optional = true\ndefaults = { key = \"e\" }"),
     .then =
         [](Agent& agent) {
           agent.live(10s);
           CHECK(agent.last_spawn() == "spawn KEY=e");
         },
     .prepare = no_value,
     .base = kEnv},
    {.key = "secret.enabled",
     .before = optional_secret("enabled = false\noptional = true\ndefaults = { key = \"d\" }"),
     .after = optional_secret("optional = true\ndefaults = { key = \"d\" }"),
     .then =
         [](Agent& agent) {
           agent.live(10s);
           CHECK(agent.last_spawn() == "spawn KEY=canary-1");
         },
     .base = kEnv},
    {.key = "secret.enabled, no more",
     .before = optional_secret("optional = true\ndefaults = { key = \"d\" }"),
     .after = optional_secret("enabled = false\noptional = true\ndefaults = { key = \"d\" }"),
     .then =
         [](Agent& agent) {
           agent.live(10s);
           CHECK(agent.last_spawn() == "spawn KEY=d");
           CHECK(tries_in(agent, "GET kv/", 1h) == 0);
         },
     .base = kEnv},
    {.key = "secret.namespace",
     .before = "",
     .after = "[[secret]]\npath = \"database/creds/app\"\nnamespace = \"team\"\n",
     .then =
         [](Agent& agent) {
           agent.live(2min);
           CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
           REQUIRE(agent.server->lease_of("user-2") != nullptr);
           for (const auto& each : agent.server->asked) {
             CAPTURE(each.route);
             if (each.route == "GET database/creds/app")
               CHECK((each.vault_namespace == "team") ==
                     (each.at == agent.server->lease_of("user-2")->issued));
             if (each.route == "PUT sys/leases/revoke") CHECK(each.vault_namespace.empty());
           }
           CHECK(agent.server->lease_of("user-1")->revoked);
           CHECK(agent.server->lease_of("user-2")->alive());
         }},
    {.key = "secret.data",
     .before = "[[secret]]\npath = \"database/creds/app\"\ndata = { kind = \"one\" }\n",
     .after = "[[secret]]\npath = \"database/creds/app\"\ndata = { kind = \"two\" }\n",
     .then =
         [](Agent& agent) {
           agent.live(2min);
           CHECK(agent.last_spawn() == "spawn KEY=canary-1 USER_NAME=user-2");
           CHECK(body_has(agent, "PUT database/creds/app", "two"));
           REQUIRE(agent.server->leases.size() == 2);
           CHECK(agent.server->lease_of("user-1")->revoked);
         }},
};
TEST_CASE("what rules values") {
  kValueRows.check();
}

}  // namespace
}  // namespace keybearer
