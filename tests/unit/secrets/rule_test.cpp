// What a [[secret]] says of one path: its namespace, how old it may get, what an error does, how
// long a start waits for it.

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kData = "GET /v1/kv/data/app";
constexpr auto kMetadata = "GET /v1/kv/metadata/app";
const auto kApp = read("kv/data/app");

config::SecretRule rule(const std::string& path) {
  config::SecretRule made;
  made.path = path;
  return made;
}

struct RuleFixture : Fixture {
  RuleFixture() : Fixture({.vault_namespace = "top"}) {}
  std::string header(std::size_t request, const std::string& name) const {
    for (const auto& [key, value] : http->asked[request].headers)
      if (key == name) return value;
    return "";
  }
};

tmpl::Dependency in(const std::string& path, const std::string& vault_namespace) {
  tmpl::Dependency dependency = read(path);
  dependency.vault_namespace = vault_namespace;
  dependency.id += " in " + vault_namespace;
  return dependency;
}

TEST_CASE_FIXTURE(RuleFixture, "each secret is asked for in its own namespace, by what it does") {
  auto one = rule("kv/data/app"), two = rule("kv/data/app");
  two.vault_namespace = "team/two";
  auto creds = rule("db/creds/app");
  creds.vault_namespace = "team/db";
  config.secrets = {one, two, creds};
  const auto there = in("kv/data/app", "team/two");
  http->answer(kData, 200, kv2(1, "canary-1"));
  http->answer(kData, 200, kv2(1, "canary-2"));
  http->answer("GET /v1/db/creds/app", 200, lease("db/creds/app/1", 60, "u"));
  http->answer(kRenewLease, 200, renewed("db/creds/app/1", 60));
  http->answer(kRevokeLease, 204);
  start({kApp, there});
  REQUIRE(http->asked.size() == 2);
  CHECK(header(0, "X-Vault-Namespace") == "top");
  CHECK(header(1, "X-Vault-Namespace") == "team/two");
  CHECK(value(kApp) == "canary-1");
  CHECK(value(there) == "canary-2");

  secrets->require(read("db/creds/app"));  // the only one of its path: no name is needed
  io.run();
  io.advance(1min);
  revoke_all();
  io.run();
  int leased = 0;
  for (std::size_t i = 2; i < http->asked.size(); ++i) {
    const std::string& route = http->asked[i].route;
    if (!route.contains("db/creds") && !route.contains("sys/leases")) continue;
    ++leased;
    CHECK(header(i, "X-Vault-Namespace") == "team/db");
  }
  CHECK(leased >= 3);  // read, renewed, revoked
}

TEST_CASE_FIXTURE(RuleFixture, "mounts are those of the namespace") {
  auto two = rule("kv/app");
  two.vault_namespace = "team/two";
  config.secrets = {two};
  http->answer("GET /v1/sys/internal/ui/mounts/kv/app", 200,
               mount("kv/", "kv", R"({"version":"2"})"));
  http->answer(kData, 200, kv2(1));
  start({read("kv/app")});
  for (std::size_t i = 0; i < http->asked.size(); ++i)
    CHECK(header(i, "X-Vault-Namespace") == "team/two");
  CHECK(value(read("kv/app")) == "canary-1");
}

TEST_CASE_FIXTURE(Fixture, "start_grace and exit_on_retry_failure of one secret") {
  auto patient = rule("kv/data/patient"), hasty = rule("kv/data/hasty");
  patient.exit_on_retry_failure = false;
  hasty.start_grace = 2s;
  config.secrets = {patient, hasty};
  const auto slow = read("kv/data/patient"), quick = read("kv/data/hasty");
  start({slow, quick});
  io.advance(1900ms);
  CHECK_FALSE(secrets->start_failed(quick.id));
  io.advance(300ms);
  CHECK(secrets->start_failed(quick.id));
  io.advance(1h, 1s);
  CHECK_FALSE(secrets->start_failed(slow.id));
}

// --- max_stale ---

struct StaleFixture : Fixture {
  StaleFixture() {
    config.template_config.static_secret_render_interval.every = 10s;
    config.template_config.stale.max_stale = 1min;
    http->answer(kData, 200, kv2(1));
    http->answer(kMetadata, 200, metadata(1));
  }
  void away() {
    http->reset(kMetadata);
    http->reset(kData);
    http->fail(kMetadata, ErrorKind::network);
    http->fail(kData, ErrorKind::network);
  }
  void back() {
    http->reset(kMetadata);
    http->reset(kData);
    http->answer(kData, 200, kv2(1));
    http->answer(kMetadata, 200, metadata(1));
  }
};

TEST_CASE_FIXTURE(StaleFixture, "max_stale, keep: one line and one alarm, the value stays") {
  start({kApp});
  io.advance(30s);
  away();
  io.advance(55s);
  CHECK(lines("the value is older than max_stale") == 0);
  io.advance(10min, 1s);
  CHECK(lines("the value is older than max_stale") == 1);
  CHECK(value(kApp) == "canary-1");
  CHECK(secrets->must_stop().empty());
  CHECK(std::ranges::count(alarms, "secret.stale") == 1);
  back();
  io.advance(1min, 1s);
  CHECK(lines("the secret can be read again") == 1);
  away();
  io.advance(5min, 1s);
  CHECK(lines("the value is older than max_stale") == 2);
}

TEST_CASE_FIXTURE(StaleFixture, "max_stale, stop: the child has to go, until it is fresh again") {
  config.template_config.stale.on_stale = config::OnStale::stop;
  start({kApp});
  away();
  io.advance(59s);
  CHECK(secrets->must_stop().empty());
  io.advance(3s);
  CHECK(secrets->must_stop() == "kv/data/app");
  CHECK(value(kApp) == "canary-1");
  back();
  io.advance(1min, 1s);
  CHECK(secrets->must_stop().empty());
}

TEST_CASE_FIXTURE(StaleFixture, "max_stale, default: withheld, and the very same comes back") {
  config.template_config.stale.on_stale = config::OnStale::use_default;
  start({kApp});
  away();
  io.advance(62s);
  CHECK_FALSE(has_value(kApp));
  CHECK(secrets->snapshot().absence(kApp) == tmpl::DataSource::Absence::withheld);
  back();
  io.advance(1min, 1s);
  CHECK(value(kApp) == "canary-1");
  CHECK(http->count(kData) >= 1);
}

TEST_CASE_FIXTURE(StaleFixture, "... with defaults of its own, those") {
  auto own = rule("kv/data/app");
  own.interval.every = 10s;
  own.stale = {.max_stale = 1min, .on_stale = config::OnStale::use_default};
  own.defaults = R"({"password":"canary-default"})";
  config.secrets = {own};
  start({kApp});
  away();
  io.advance(62s);
  CHECK(value(kApp) == "canary-default");
  back();
  io.advance(1min, 1s);
  CHECK(value(kApp) == "canary-1");
}

TEST_CASE_FIXTURE(StaleFixture, "a value is asked about at least every max_stale") {
  config.template_config.static_secret_render_interval.every = 1h;
  start({kApp});
  io.advance(10min, 1s);
  CHECK(http->count(kMetadata) >= 9);
}

TEST_CASE_FIXTURE(StaleFixture, "a lease that lives is not too old, whatever max_stale says") {
  config.template_config.stale.max_stale = 5s;
  const auto creds = read("db/creds/app");
  http->answer("GET /v1/db/creds/app", 200, lease("db/creds/app/1", 600, "u"));
  http->fail(kRenewLease, ErrorKind::network);
  start({creds});
  http->reset("GET /v1/db/creds/app");
  http->fail("GET /v1/db/creds/app", ErrorKind::network);
  io.advance(590s, 1s);
  CHECK(lines("the value is older than max_stale") == 0);
  io.advance(15s);
  CHECK(lines("the value is older than max_stale") == 1);
}

// --- on_error ---

struct ErrorFixture : Fixture {
  config::SecretRule own = rule("kv/data/app");
  ErrorFixture() {
    own.interval.every = 10s;
    http->answer(kData, 200, kv2(1));
    http->answer(kMetadata, 200, metadata(1));
  }
  void vanish() {
    http->reset(kMetadata);
    http->reset(kData);
  }
};

TEST_CASE_FIXTURE(ErrorFixture, "on_error keep: the last good value stays, with an alarm") {
  config.secrets = {own};
  start({kApp});
  vanish();
  io.advance(1min);
  CHECK(value(kApp) == "canary-1");
  CHECK(std::ranges::count(alarms, "secret.lost") == 1);
}

TEST_CASE_FIXTURE(ErrorFixture, "on_error default: defaults stand in, and the value comes back") {
  own.on_error = config::OnError::use_default;
  config.secrets = {own};
  start({kApp});
  vanish();
  io.advance(1min);
  CHECK_FALSE(has_value(kApp));
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  io.advance(2min);
  CHECK(value(kApp) == "canary-1");
}

TEST_CASE_FIXTURE(ErrorFixture, "on_error exit: once it was there; an outage is none") {
  own.on_error = config::OnError::exit;
  config.secrets = {own};
  start({kApp});
  vanish();
  http->fail(kMetadata, ErrorKind::network);
  io.advance(5min, 1s);
  CHECK(fatal.empty());
  vanish();
  io.advance(2min, 1s);
  REQUIRE(!fatal.empty());
  CHECK(fatal.front().kind == ErrorKind::not_found);
}

}  // namespace
}  // namespace keybearer::secrets
