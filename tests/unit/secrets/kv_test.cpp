// KV secrets and others without a lease, over virtual hours; every request is counted.

#include "kv_fixture.hpp"

namespace keybearer::secrets {
namespace {

TEST_CASE_FIXTURE(KvFixture,
                  "a KV 2 secret is read with one request, and no question about its mount") {
  http->answer(kData, 200, kv2(3));
  start({kApp});
  CHECK(http->asked.size() == 1);
  CHECK(http->asked[0].token == "hvs.1");
  CHECK(value(kApp) == "canary-1");
  CHECK(status(kApp).state == State::fresh);
  CHECK(status(kApp).kind == Kind::kv2);
  CHECK(status(kApp).kv_version == 3);
  CHECK(status(kApp).why == "first read");
  CHECK(secrets->all_answered());
}

TEST_CASE_FIXTURE(KvFixture, "a thousand secrets are a thousand requests, all at once") {
  std::vector<tmpl::Dependency> all;
  for (int i = 0; i < 1000; ++i) {
    const std::string path = "kv/data/s" + std::to_string(i);
    http->answer("GET /v1/" + path, 200, kv2(1));
    all.push_back(read(path));
  }
  start(all);
  CHECK(http->asked.size() == 1000);
  CHECK(secrets->all_answered());
  CHECK(secrets->all().size() == 1000);
}

TEST_CASE_FIXTURE(KvFixture, "who asks for the same secret shares one watcher") {
  http->answer(kData, 200, kv2(1));
  start({kApp, kApp, read("/kv/data/app/")});
  io.advance(9s);
  CHECK(http->asked.size() == 1);
}

TEST_CASE_FIXTURE(KvFixture, "a version that lacks what is used is a failed refresh") {
  http->answer(kData, 200, kv2(1, "canary-old"));
  http->answer(kMetadata, 200, metadata(1));
  http->answer(kMetadata, 200, metadata(2));
  http->answer(kData, 200, kv2(2, "canary-torn"));
  start({kApp});
  secrets->commit();
  io.advance(10s, 1s);
  CHECK(status(kApp).generation == 1);
  io.advance(10s, 1s);
  CHECK(value(kApp) == "canary-torn");
  REQUIRE(secrets->reject({kApp.id}));
  CHECK(value(kApp) == "canary-old");
  CHECK(status(kApp).generation == 1);
  CHECK(status(kApp).state == State::absent);
  CHECK(alarms == std::vector<std::string>{"secret.lost"});
  CHECK_FALSE(secrets->reject({kApp.id}));  // there is nothing before it

  io.advance(30s, 1s);  // read again, and still so: nothing is told
  CHECK(http->count(kData) >= 4);
  CHECK(value(kApp) == "canary-old");
  CHECK(status(kApp).generation == 1);
  CHECK(alarms.size() == 1);

  http->answer(kMetadata, 200, metadata(3));
  http->answer(kData, 200, kv2(3, "canary-new"));
  io.advance(20s, 1s);
  CHECK(value(kApp) == "canary-new");
  CHECK(status(kApp).state == State::fresh);
}

TEST_CASE_FIXTURE(KvFixture, "what is leased is not read again to look for a key") {
  const auto creds = read("database/creds/app");
  http->answer("GET /v1/sys/internal/ui/mounts/database/creds/app", 200,
               mount("database/", "database"));
  http->answer("GET /v1/database/creds/app", 200, lease("database/creds/app/1", 3600, "u"));
  http->answer(kData, 200, kv2(1));
  start({creds, kApp});
  CHECK_FALSE(secrets->can_refetch_freely(creds.id));
  CHECK(secrets->can_refetch_freely(kApp.id));
}

TEST_CASE_FIXTURE(KvFixture, "what is written to KV 2 stands below data") {
  const auto written = tmpl::write_dependency("kv/app", {{"a", "1"}});
  constexpr auto kPlain = "PUT /v1/kv/app";
  constexpr auto kWrapped = "PUT /v1/kv/data/app";
  http->answer(kPlain, 404, R"({"errors":[],"warnings":["Invalid path for a versioned K/V"]})");
  http->answer("GET /v1/sys/internal/ui/mounts/kv/app", 200,
               mount("kv/", "kv", R"({"version":"2"})"));
  http->answer(kWrapped, 200, R"({"data":{"version":1}})");
  start({written});
  CHECK(status(written).state == State::fresh);
  REQUIRE(http->count(kWrapped) == 1);
  CHECK(http->asked.back().body == R"({"data":{"a":"1"}})");
  io.advance(1h, 1min);
  CHECK(http->count(kWrapped) == 1);
}

TEST_CASE_FIXTURE(KvFixture, "no use of a limited token is spent on looking for changes") {
  token_limited = true;
  http->answer(kData, 200, kv2(1));
  start({kApp});
  io.advance(5min, 1s);
  CHECK(http->asked.size() == 1);
  secrets->refresh(kApp.id);  // somebody wants it
  io.run();
  CHECK(http->asked.size() == 2);
}

TEST_CASE_FIXTURE(KvFixture, "paths without data/ cost one question per mount") {
  const auto probe = "GET /v1/sys/internal/ui/mounts/kv/app";
  for (const char* name : {"app", "db", "web"}) {
    http->answer(std::string("GET /v1/sys/internal/ui/mounts/kv/") + name, 200,
                 mount("kv/", "kv", R"({"version":"2"})"));
    http->answer(std::string("GET /v1/kv/data/") + name, 200, kv2(1));
  }
  start({read("kv/app"), read("kv/db"), read("kv/web")});
  CHECK(http->asked.size() == 4);
  CHECK(http->count(probe) == 1);
  CHECK(value(read("kv/web")) == "canary-1");
}

TEST_CASE_FIXTURE(KvFixture, "a mount that could not be asked for is not taken for KV 1") {
  http->fail("GET /v1/sys/internal/ui/mounts/kv/app", ErrorKind::network);
  http->answer("GET /v1/sys/internal/ui/mounts/kv/app", 200,
               mount("kv/", "kv", R"({"version":"2"})"));
  http->answer(kData, 200, kv2(1));
  start({read("kv/app")});
  CHECK(http->asked.size() == 1);
  io.advance(1s);
  CHECK(value(read("kv/app")) == "canary-1");
  CHECK(http->count("GET /v1/kv/app") == 0);
}

TEST_CASE_FIXTURE(KvFixture,
                  "an unchanged secret is compared by its metadata and its body never read again") {
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  start({kApp});
  const auto changes = secrets->changed().generation();
  io.advance(60s);
  CHECK(http->count(kData) == 1);
  CHECK(http->count(kMetadata) >= 6);
  CHECK(http->count(kMetadata) <= 7);
  CHECK(status(kApp).generation == 1);
  CHECK(secrets->changed().generation() == changes);
}

TEST_CASE_FIXTURE(KvFixture, "a new version is read once") {
  http->answer(kData, 200, kv2(1));
  http->answer(kData, 200, kv2(2, "canary-new"));
  http->answer(kMetadata, 200, metadata(2));
  start({kApp});
  const auto changes = secrets->changed().generation();
  io.advance(60s);
  CHECK(value(kApp) == "canary-new");
  CHECK(status(kApp).generation == 2);
  CHECK(status(kApp).why == "version 1 -> 2");
  CHECK(http->count(kData) == 2);
  CHECK(secrets->changed().generation() == changes + 1);
}

TEST_CASE_FIXTURE(KvFixture, "an older version, after a restore of the server, is taken as well") {
  http->answer(kData, 200, kv2(7));
  http->answer(kData, 200, kv2(5, "canary-old"));
  http->answer(kMetadata, 200, metadata(5));
  start({kApp});
  io.advance(11s);
  CHECK(value(kApp) == "canary-old");
  CHECK(status(kApp).kv_version == 5);
}

TEST_CASE_FIXTURE(
    KvFixture,
    "without a right to the metadata the data are compared, and the right is asked for once") {
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 403, kDenied);
  start({kApp});
  io.advance(60s);
  CHECK(http->count(kMetadata) == 1);
  CHECK(http->count(kData) >= 7);
  CHECK(http->count(kData) <= 8);
  CHECK(status(kApp).state == State::fresh);
  CHECK(status(kApp).generation == 1);
}

TEST_CASE_FIXTURE(KvFixture, "a token's end is not remembered as a missing right to the metadata") {
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 403, kDenied);
  start({kApp});
  token_good = false;
  http->reset(kData);
  http->answer(kData, 403, kDenied);
  io.advance(12s);
  CHECK(status(kApp).state == State::fresh);  // it is the token's trouble, not this secret's
  CHECK(value(kApp) == "canary-1");

  http->reset(kData);
  http->reset(kMetadata);
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  token_good = true;
  set_token("hvs.2");
  secrets->token_changed();
  io.advance(60s);
  CHECK(http->count(kMetadata) >= 5);
  CHECK(http->asked.back().token == "hvs.2");
}

TEST_CASE_FIXTURE(KvFixture,
                  "after a new token the version is compared at once, and no value read that did "
                  "not change") {
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  start({kApp});
  token_good = false;
  for (const auto* route : {kData, kMetadata}) {
    http->reset(route);
    http->answer(route, 403, kDenied);
  }
  while (http->count(kMetadata) == 0) io.advance(100ms);
  const auto read = http->count(kData);
  const auto compared = http->count(kMetadata);

  http->reset(kData);
  http->reset(kMetadata);
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  token_good = true;
  set_token("hvs.2");
  secrets->token_changed();
  io.run();
  CHECK(http->count(kMetadata) == compared + 1);
  io.advance(60s);
  CHECK(http->count(kData) == read);
  CHECK(status(kApp).generation == 1);
}

TEST_CASE_FIXTURE(
    KvFixture, "nothing is asked at the time that was planned when the token has gone meanwhile") {
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  start({kApp});
  client.set_token(nullptr);
  io.advance(1h);
  CHECK(http->count(kMetadata) == 0);
  CHECK(http->count(kData) == 1);
  set_token("hvs.2");
  secrets->token_changed();
  io.run();
  CHECK(http->count(kMetadata) == 1);
}

TEST_CASE_FIXTURE(
    KvFixture, "a denial of a token that has been replaced meanwhile says nothing of the secret") {
  http->answer(kData, 200, kv2(1));
  start({kApp});
  for (const auto* route : {kData, kMetadata}) {
    http->reset(route);
    http->answer(route, [this, route](const auto&) -> result<test::FakeHttp::Reply> {
      set_token("hvs.2");  // the new login was faster than this answer
      http->reset(route);
      http->answer(route, 200, route == kData ? kv2(1) : metadata(1));
      return test::FakeHttp::Reply{.status = 403, .body = kDenied};
    });
  }
  while (http->count(kMetadata) == 0) io.advance(100ms);
  CHECK(status(kApp).state == Status::State::fresh);
  secrets->token_changed();
  io.run();
  io.advance(1min);
  CHECK(status(kApp).state == Status::State::fresh);
  CHECK(status(kApp).generation == 1);
}

TEST_CASE_FIXTURE(KvFixture, "while there is no token nothing is asked") {
  http->answer(kData, 200, kv2(1));
  client.set_token(nullptr);
  start({kApp});
  io.advance(60s);
  CHECK(http->asked.empty());
  CHECK_FALSE(secrets->all_answered());
  set_token("hvs.1");
  secrets->token_changed();
  io.run();
  CHECK(http->asked.size() == 1);
  CHECK(secrets->all_answered());
}

TEST_CASE_FIXTURE(KvFixture, "`never` means once") {
  config.template_config.static_secret_render_interval.never = true;
  http->answer(kData, 200, kv2(1));
  start({kApp});
  io.advance(3h, 10s);
  CHECK(http->asked.size() == 1);
  SUBCASE("until somebody asks for a refresh") {
    secrets->refresh(kApp.id);
    io.run();
    CHECK(http->asked.size() == 2);
    io.advance(3h, 10s);
    CHECK(http->asked.size() == 2);
  }
}

TEST_CASE_FIXTURE(KvFixture, "each secret has its own interval") {
  for (const char* path : {"kv/fast", "kv/slow"}) {
    config::SecretRule rule;
    rule.path = path;
    rule.interval.every = std::string(path) == "kv/fast" ? 2s : 8s;
    config.secrets.push_back(rule);
  }
  http->answer("GET /v1/kv/data/fast", 200, kv2(1));
  http->answer("GET /v1/kv/data/slow", 200, kv2(1));
  http->answer("GET /v1/kv/metadata/fast", 200, metadata(1));
  http->answer("GET /v1/kv/metadata/slow", 200, metadata(1));
  start({read("kv/data/fast"), read("kv/data/slow")});
  io.advance(16s);
  CHECK(http->count("GET /v1/kv/metadata/fast") >= 7);
  CHECK(http->count("GET /v1/kv/metadata/fast") <= 9);
  CHECK(http->count("GET /v1/kv/metadata/slow") >= 1);
  CHECK(http->count("GET /v1/kv/metadata/slow") <= 3);
}

TEST_CASE_FIXTURE(KvFixture, "KV 1 is read at the interval and compared by content") {
  const auto route = "GET /v1/kv1/app";
  http->answer("GET /v1/sys/internal/ui/mounts/kv1/app", 200, mount("kv1/", "kv"));
  const std::string first = R"({"lease_duration":2764800,"data":{"password":"canary-1"}})";
  for (int i = 0; i < 3; ++i) http->answer(route, 200, first);
  http->answer(route, 200, R"({"lease_duration":2764800,"data":{"password":"canary-new"}})");
  const auto app = read("kv1/app");
  start({app});
  CHECK(status(app).kind == Kind::unleased);
  io.advance(19s);
  CHECK(status(app).generation == 1);
  io.advance(41s);
  CHECK(value(app) == "canary-new");
  CHECK(status(app).generation == 2);
  CHECK(status(app).why == "changed");
}

TEST_CASE_FIXTURE(
    KvFixture,
    "a secret that is deleted later keeps its last good value, with one alarm and one line") {
  http->answer(kData, 200, kv2(1));
  http->answer(kMetadata, 200, metadata(1));
  start({kApp});
  http->reset(kData);
  http->reset(kMetadata);
  http->answer(kMetadata, 200, metadata(1, "2026-11-21T12:00:00Z"));
  io.advance(30min, 1s);
  CHECK(value(kApp) == "canary-1");
  CHECK(status(kApp).state == State::absent);
  CHECK(alarms == std::vector<std::string>{"secret.lost"});
  CHECK(lines("a refresh failed") == 1);
  CHECK(http->count(kData) < 50);  // ever more rarely
  CHECK_FALSE(start_failure());

  http->answer(kData, 200, kv2(2, "canary-new"));
  io.advance(61s, 1s);
  CHECK(value(kApp) == "canary-new");
  CHECK(status(kApp).state == State::fresh);
  CHECK(lines("can be read again") == 1);
}

TEST_CASE_FIXTURE(KvFixture,
                  "a list is read again at the interval; an empty directory is no error") {
  const auto route = "GET /v1/kv/metadata/?list=true";
  http->answer("GET /v1/sys/internal/ui/mounts/kv", 200, mount("kv/", "kv", R"({"version":"2"})"));
  http->answer(route, 404, R"({"errors":[]})");
  http->answer(route, 200, R"({"data":{"keys":["a","b"]}})");
  const tmpl::Dependency keys{
      .kind = tmpl::Dependency::Kind::list, .path = "kv", .id = "vault.list(kv)"};
  start({keys});
  REQUIRE(secrets->snapshot().find(keys) != nullptr);
  CHECK(secrets->snapshot().find(keys)->size() == 0);
  io.advance(30s);
  CHECK(secrets->snapshot().find(keys)->size() == 2);
  CHECK(status(keys).generation == 2);
}

TEST_CASE_FIXTURE(KvFixture, "the table of a version is for that version alone") {
  config.secrets.resize(2);
  config.secrets[0].path = "kv/data/app";
  config.secrets[0].version = "2";
  config.secrets[0].optional = true;
  config.secrets[0].defaults = R"({"password":"none"})";
  config.secrets[1].path = "kv/data/app";
  const auto pinned = read("kv/data/app?version=2");
  http->answer("GET /v1/kv/data/app?version=2", 404, R"({"errors":[]})");
  http->answer(kData, 200, kv2(3));
  start({kApp, pinned});
  CHECK(value(kApp) == "canary-1");
  CHECK(value(pinned) == "none");
}

TEST_CASE_FIXTURE(KvFixture, "a pinned version is asked for as such") {
  http->answer("GET /v1/kv/data/app?version=2", 200, kv2(2));
  const auto pinned = read("kv/data/app?version=2");
  start({pinned});
  CHECK(value(pinned) == "canary-1");
}

TEST_CASE_FIXTURE(Fixture,
                  "an answer tells the KV version where the mount may not be asked about") {
  const char* const wrong =
      R"({"data":null,"warnings":["Invalid path for a versioned K/V secrets engine. See ..."]})";
  http->answer("GET /v1/sys/internal/ui/mounts/kv/app", 403, kDenied);
  http->answer("GET /v1/kv/app", 404, wrong);
  http->answer("GET /v1/kv/data/app", 200, kv2(1));
  http->answer("GET /v1/kv/metadata/app", 200, metadata(1));
  http->answer("GET /v1/sys/internal/ui/mounts/deep/er/app", 403, kDenied);
  http->answer("GET /v1/deep/er/app", 404, wrong);
  http->answer("GET /v1/deep/data/er/app", 404, R"({"errors":["no handler for route"]})");
  http->answer("GET /v1/deep/er/data/app", 200, kv2(1, "canary-3"));
  config.template_config.static_secret_render_interval.every = 2s;
  start({read("kv/app"), read("deep/er/app")});
  io.run();
  CHECK(value(read("kv/app")) == "canary-1");
  CHECK(value(read("deep/er/app")) == "canary-3");
  io.advance(5s);
  CHECK(http->count("GET /v1/kv/app") == 1);  // known from then on
  CHECK(http->count("GET /v1/kv/metadata/app") >= 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "a mount that may not be asked about is asked about again, never taken for v1") {
  http->answer("GET /v1/sys/internal/ui/mounts/kv/app", 403, kDenied);
  http->answer("GET /v1/sys/internal/ui/mounts/kv/app", 200,
               mount("kv/", "kv", R"({"version":"2"})"));
  http->answer("GET /v1/kv/app", 403, kDenied);
  http->answer("GET /v1/kv/data/app", 200, kv2(1));
  start({read("kv/app")});
  io.advance(8s);
  CHECK(value(read("kv/app")) == "canary-1");
}

}  // namespace
}  // namespace keybearer::secrets
