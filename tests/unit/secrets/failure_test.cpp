// What fails at the start and later: whose failure it is, how long it is waited for, how often it
// is tried.

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kData = "GET /v1/kv/data/app";
constexpr auto kMetadata = "GET /v1/kv/metadata/app";
const auto kApp = read("kv/data/app");
constexpr auto kSealed = R"({"errors":["Vault is sealed"]})";

bool apart(const std::vector<Duration>& times, Duration least) {
  for (std::size_t i = 1; i < times.size(); ++i) {
    if (times[i] - times[i - 1] < least) return false;
  }
  return true;
}

TEST_CASE_FIXTURE(Fixture, "a secret that is missing at the start is given up after 15 s") {
  start({kApp});
  CHECK(status(kApp).state == State::absent);
  CHECK(secrets->snapshot().absence(kApp) == tmpl::DataSource::Absence::absent);
  CHECK(secrets->all_answered());
  io.advance(14900ms);
  CHECK_FALSE(start_failure());
  io.advance(200ms);
  REQUIRE(start_failure());
  CHECK(start_failure()->kind == ErrorKind::not_found);
  CHECK(start_failure()->text.find("kv/data/app") != std::string::npos);
  CHECK(http->asked.size() <= 10);
  CHECK(apart(times(kData), 100ms));
  CHECK(lines("not found; retrying") == 1);
}

TEST_CASE_FIXTURE(Fixture, "what to do about a version depends on whether it ever was") {
  const auto ninth = read("kv/data/app?version=9");
  constexpr auto kNinth = "GET /v1/kv/data/app?version=9";
  http->answer(kNinth, 404, R"({"errors":[]})");
  start({ninth});
  CHECK(status(ninth).advice == "write the secret, or ask for a version that is there");
  http->reset(kNinth);
  http->answer(kNinth, 404,
               R"({"data":{"data":null,"metadata":{"deletion_time":"2026-01-01T00:00:00Z",)"
               R"("destroyed":false,"version":9}}})");
  io.advance(10s, 100ms);
  CHECK(status(ninth).advice == "ask for another version, or undelete this one");
}

TEST_CASE_FIXTURE(Fixture, "a denied path likewise, as denied") {
  http->answer(kData, 403, kDenied);
  start({kApp});
  CHECK(secrets->snapshot().absence(kApp) == tmpl::DataSource::Absence::denied);
  io.advance(15100ms);
  REQUIRE(start_failure());
  CHECK(start_failure()->kind == ErrorKind::denied);
}

TEST_CASE_FIXTURE(Fixture, "a secret that comes within the grace is as good as any") {
  http->answer(kData, 404, R"({"errors":[]})");
  http->answer(kData, 404, R"({"errors":[]})");
  http->answer(kData, 200, kv2(1));
  start({kApp});
  io.advance(5s);
  CHECK(value(kApp) == "canary-1");
  CHECK(status(kApp).state == State::fresh);
  CHECK_FALSE(status(kApp).error);
}

TEST_CASE_FIXTURE(Fixture, "exit_on_retry_failure = false waits forever") {
  config.template_config.exit_on_retry_failure = false;
  start({kApp});
  io.advance(1h, 1s);
  CHECK_FALSE(start_failure());
  CHECK(http->asked.size() < 120);  // at most one a minute in the long run
}

TEST_CASE_FIXTURE(Fixture,
                  "a server away at the start is waited for, and only then the grace begins") {
  http->answer(kData, 503, kSealed);
  start({kApp});
  CHECK(status(kApp).state == State::failing);
  CHECK(secrets->snapshot().absence(kApp) == tmpl::DataSource::Absence::pending);
  io.advance(10min, 1s);
  CHECK_FALSE(start_failure());
  CHECK(http->asked.size() < 30);
  http->reset(kData);  // it is there, the secret is not
  io.advance(61s, 1s);
  REQUIRE(status(kApp).state == State::absent);
  io.advance(20s);
  CHECK(start_failure());
}

TEST_CASE_FIXTURE(Fixture, "an outage between two refusals begins the grace again") {
  start({kApp});
  io.advance(10s);
  REQUIRE(status(kApp).state == State::absent);
  http->answer(kData, 503, kSealed);
  io.advance(10s, 100ms);
  REQUIRE(status(kApp).state == State::failing);
  http->reset(kData);
  while (status(kApp).state == State::failing) io.advance(100ms);
  io.advance(14s);
  CHECK_FALSE(start_failure());
  io.advance(2s);
  CHECK(start_failure());
}

TEST_CASE_FIXTURE(Fixture, "a job gives up after num_retries") {
  once = true;
  config.vault.retry.num_retries = 3;
  http->answer(kData, 503, kSealed);
  SUBCASE("and no earlier") {
    start({kApp});
    io.advance(30s);
    REQUIRE(start_failure());
    CHECK(start_failure()->kind == ErrorKind::sealed);
    CHECK(times(kData)[3] < 3s);
  }
  SUBCASE("a fourth try that works is no failure") {
    http->answer(kData, 503, kSealed);
    http->answer(kData, 503, kSealed);
    http->answer(kData, 200, kv2(1));
    start({kApp});
    io.advance(30s);
    CHECK_FALSE(start_failure());
    CHECK(http->count(kData) == 4);
    CHECK(value(kApp) == "canary-1");
  }
  SUBCASE("none means none") {
    config.vault.retry.num_retries = 0;
    start({kApp});
    CHECK(start_failure());
    CHECK(http->asked.size() == 1);
  }
}

struct OptionalFixture : Fixture {
  OptionalFixture() {
    config::SecretRule rule;
    rule.path = "kv/app";
    rule.optional = true;
    rule.defaults = R"({"password":"default"})";
    rule.interval.every = 10s;
    config.secrets.push_back(rule);
  }
};

TEST_CASE_FIXTURE(OptionalFixture,
                  "an optional secret that is missing or denied is answered by its defaults") {
  SUBCASE("missing") {}
  SUBCASE("denied") {
    http->answer(kData, 403, kDenied);
  }
  start({kApp});
  CHECK(value(kApp) == "default");
  CHECK(secrets->snapshot().generation(kApp) > 0);
  io.advance(1min, 1s);
  CHECK_FALSE(start_failure());
  CHECK(alarms.empty());
  http->reset(kData);
  http->answer(kData, 200, kv2(1));
  const auto before = secrets->snapshot().generation(kApp);
  io.advance(61s, 1s);
  CHECK(value(kApp) == "canary-1");
  CHECK(secrets->snapshot().generation(kApp) > before);
}

TEST_CASE_FIXTURE(OptionalFixture,
                  "an optional secret that is deleted later falls back to its defaults, and back") {
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  start({kApp});
  CHECK(value(kApp) == "canary-1");
  http->reset(kData);
  http->reset(kMetadata);
  io.advance(11s);
  CHECK(value(kApp) == "default");
  CHECK(status(kApp).generation == 2);
  http->answer(kData, 200, kv2(1));
  io.advance(61s, 1s);
  CHECK(value(kApp) == "canary-1");
  CHECK(status(kApp).generation == 3);
}

TEST_CASE_FIXTURE(OptionalFixture, "an outage is no reason for defaults") {
  http->fail(kData, ErrorKind::network);
  start({kApp});
  io.advance(1min, 1s);
  CHECK(!has_value(kApp));
}

TEST_CASE_FIXTURE(OptionalFixture,
                  "a secret that is switched off is asked for never and absent at once") {
  config.secrets[0].enabled = false;
  start({});
  const auto before = secrets->changed().generation();
  secrets->require(kApp);
  CHECK(secrets->changed().generation() != before);
  CHECK(secrets->all_answered());
  CHECK(secrets->snapshot().absence(kApp) == tmpl::DataSource::Absence::absent);
  io.advance(1h, 1s);
  CHECK(http->asked.empty());
  CHECK_FALSE(start_failure());
}

TEST_CASE_FIXTURE(
    Fixture,
    "an outage: the value stays, few requests, two lines, and fresh again within one step") {
  config.template_config.static_secret_render_interval.every = 2s;
  config.vault.retry.max_backoff = 5s;
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  start({kApp});
  io.advance(4s);
  http->reset(kMetadata);
  http->fail(kMetadata, ErrorKind::network, "connection refused");
  const auto before = http->asked.size();
  io.advance(10min);
  CHECK(value(kApp) == "canary-1");
  CHECK(status(kApp).state == State::failing);
  REQUIRE(status(kApp).error);
  CHECK(status(kApp).error->text.find("connection refused") != std::string::npos);
  CHECK(http->asked.size() - before < 10 * 60 / 2);
  CHECK(alarms.empty());
  CHECK(apart(times(kMetadata), 100ms));

  http->reset(kMetadata);
  http->answer(kMetadata, 200, metadata(1));
  io.advance(5s);
  CHECK(status(kApp).state == State::fresh);
  CHECK(status(kApp).generation == 1);
  CHECK(lines("a refresh failed") == 1);
  CHECK(lines("can be read again") == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "a path that is denied later concerns that secret alone, and is asked for less "
                  "and less often") {
  config.template_config.static_secret_render_interval.every = 10s;
  const auto other = read("kv/data/other");
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(2));
  http->answer("GET /v1/kv/data/other", 200, kv2(1));
  http->answer("GET /v1/kv/metadata/other", 200, metadata(1));
  start({kApp, other});
  http->reset(kData);
  http->answer(kData, 403, kDenied);
  io.advance(10min, 1s);
  CHECK(status(kApp).state == State::denied);
  CHECK(value(kApp) == "canary-1");
  CHECK(status(other).state == State::fresh);
  CHECK(alarms == std::vector<std::string>{"secret.lost"});
  const auto asked = times(kData);
  CHECK(asked.size() < 25);
  CHECK(apart(asked, 5s));
  CHECK(http->count("GET /v1/kv/metadata/other") > 55);
}

TEST_CASE_FIXTURE(Fixture, "one secret that hangs does not keep the others waiting") {
  http->delay(kData, 60s);
  http->answer("GET /v1/kv/data/other", 200, kv2(1));
  start({kApp, read("kv/data/other")});
  CHECK(value(read("kv/data/other")) == "canary-1");
  io.advance(31s);
  CHECK(status(kApp).state == State::failing);
}

TEST_CASE_FIXTURE(Fixture, "Retry-After holds for every request") {
  config.template_config.static_secret_render_interval.every = 2s;
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 429, R"({"errors":["rate limit quota exceeded"]})", 20s);
  http->answer(kMetadata, 200, metadata(1));
  http->answer("GET /v1/kv/data/other", 200, kv2(1));
  start({kApp});
  io.advance(3s);
  REQUIRE(http->count(kMetadata) == 1);
  const auto at = times(kMetadata)[0];
  secrets->require(read("kv/data/other"));
  io.advance(30s);
  CHECK(times(kMetadata)[1] - at >= 20s);
  CHECK(times("GET /v1/kv/data/other")[0] - at >= 20s);
}

struct TightBudget : Fixture {
  TightBudget() : Fixture({.budget = {.requests_per_minute = 60, .burst = 3}}) {}
};

TEST_CASE_FIXTURE(TightBudget, "the budget holds requests back, and says so once") {
  std::vector<tmpl::Dependency> all;
  for (int i = 0; i < 10; ++i) {
    http->answer("GET /v1/kv/data/s" + std::to_string(i), 200, kv2(1));
    all.push_back(read("kv/data/s" + std::to_string(i)));
  }
  start(all);
  CHECK(http->asked.size() == 3);
  io.advance(3s);
  CHECK(http->asked.size() == 6);
  io.advance(10s);
  CHECK(http->asked.size() == 10);
  CHECK(secrets->all_answered());
  CHECK(lines("request budget exhausted") == 1);
  for (int i = 0; i < 30; ++i) {  // somebody asks for too much, for half a minute
    for (const auto& each : all) secrets->refresh(each.id);
    io.advance(1s);
  }
  CHECK(http->asked.size() <= 10 + 3 + 30);
  CHECK(lines("request budget exhausted") == 1);
}

TEST_CASE_FIXTURE(Fixture, "an answer that is not Vault's is an outage, never a value") {
  http->answer(kData, 200, "<html>welcome</html>");
  http->answer(kData, 200, R"({"data":{"data":)");
  http->answer(kData, 200, kv2(1));
  start({kApp});
  CHECK(status(kApp).state == State::failing);
  io.advance(3s);
  CHECK(value(kApp) == "canary-1");
}

}  // namespace
}  // namespace keybearer::secrets
