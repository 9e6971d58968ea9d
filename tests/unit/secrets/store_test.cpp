// What the store as a whole does: snapshots, letting go, one machine for two spellings, other rules.

#include <thread>

#include "base/redactor.hpp"
#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kData = "GET /v1/kv/data/app";
constexpr auto kMetadata = "GET /v1/kv/metadata/app";
constexpr auto kProbe = "GET /v1/sys/internal/ui/mounts/kv/app";
constexpr auto kCreds = "GET /v1/auth/creds/app";
const auto kApp = read("kv/data/app");
const auto kPlain = read("kv/app");
const auto kDynamic = read("auth/creds/app");

struct StoreFixture : Fixture {
  StoreFixture() {
    config.template_config.static_secret_render_interval.every = 10s;
    http->answer(kProbe, 200, mount("kv/", "kv", R"({"version":"2"})"));
    http->answer(kData, 200, kv2(1));
    http->answer(kMetadata, 200, metadata(1));
    http->answer(kRevokeLease, 204);
    http->answer(kRevokeSelf, 204);
  }
  std::uint64_t generation(const tmpl::Dependency& of) const {
    return secrets->snapshot().generation(of);
  }
};

TEST_CASE_FIXTURE(StoreFixture, "a snapshot stays as it was taken") {
  start({kApp});
  Snapshot before = secrets->snapshot();
  http->reset(kMetadata);
  http->reset(kData);
  http->answer(kMetadata, 200, metadata(2));
  http->answer(kData, 200, kv2(2, "canary-2"));
  io.advance(11s);
  CHECK(value(kApp) == "canary-2");
  CHECK(text_at(value_at(value_at(*before.find(kApp), "data"), "data"), "password") == "canary-1");
  CHECK(before.generation(kApp) < secrets->snapshot().generation(kApp));
  CHECK(before.find(read("kv/data/none")) == nullptr);
  secrets->retain({});
  CHECK(before.find(kApp) != nullptr);
  CHECK(secrets->snapshot().find(kApp) == nullptr);
}

TEST_CASE_FIXTURE(StoreFixture, "templates are evaluated in another thread while secrets change") {
  start({kApp});
  auto parsed = tmpl::Template::parse(
      "t",
      R"({{ with secret "kv/data/app" }}{{ range $k, $v := .Data.data }}{{ $v }}{{ end }}{{ end }})",
      {});
  REQUIRE(parsed);
  for (int version = 2; version < 30; ++version) {
    Snapshot snapshot = secrets->snapshot();
    std::string text;
    std::thread worker([&] {
      for (int i = 0; i < 20; ++i) {
        const tmpl::Execution done = parsed->execute(snapshot);
        text = done.complete() ? std::string(done.text.reveal()) : "";
      }
    });
    http->reset(kMetadata);
    http->reset(kData);
    http->answer(kMetadata, 200, metadata(version));
    http->answer(kData, 200, kv2(version, "canary-" + std::to_string(version)));
    io.advance(11s);
    std::string line = "a canary-" + std::to_string(version) + " b";
    line = redactor().redact(line);
    worker.join();
    CHECK(text == "canary-" + std::to_string(version - 1));
    CHECK(line == "a [masked] b");
  }
}

TEST_CASE_FIXTURE(StoreFixture, "kv/app and kv/data/app are one machine, whichever comes first") {
  SUBCASE("together") {
    start({kPlain, kApp, read("/kv/app/")});
  }
  SUBCASE("the plain one first") {
    start({kPlain});
    secrets->require(kApp);
    io.run();
  }
  SUBCASE("the plain one later") {
    start({kApp});
    secrets->require(kPlain);
    io.run();
  }
  SUBCASE("while the other's answer is on its way") {
    http->delay(kData, 2s);
    start({kApp});
    secrets->require(kPlain);
    io.advance(3s);
  }
  CHECK(value(kApp) == "canary-1");
  CHECK(value(kPlain) == "canary-1");
  CHECK(secrets->all().size() == 1);
  CHECK(secrets->all_answered());
  CHECK(generation(kApp) == generation(kPlain));
  const auto reads = http->count(kData);
  io.advance(1min, 1s);
  CHECK(http->count(kData) == reads);
  CHECK(http->count(kMetadata) <= 7);  // once per interval, not twice

  http->reset(kMetadata);
  http->reset(kData);
  http->answer(kMetadata, 200, metadata(2));
  http->answer(kData, 200, kv2(2, "canary-2"));
  io.advance(11s);
  CHECK(value(kApp) == "canary-2");
  CHECK(value(kPlain) == "canary-2");
  CHECK(http->count(kData) == reads + 1);
}

TEST_CASE_FIXTURE(StoreFixture, "a spelling that is let go does not take the other along") {
  start({kPlain, kApp});
  SUBCASE("the plain one goes") {
    secrets->retain({kApp.id});
    CHECK(value(kApp) == "canary-1");
  }
  SUBCASE("the full one goes") {
    secrets->retain({kPlain.id});
    CHECK(value(kPlain) == "canary-1");
  }
  const auto before = http->count(kMetadata);
  io.advance(30s, 1s);
  CHECK(http->count(kMetadata) > before);
  secrets->retain({});
  const auto after = http->asked.size();
  io.advance(1min, 1s);
  CHECK(http->asked.size() == after);
  CHECK(secrets->all().empty());
}

TEST_CASE_FIXTURE(StoreFixture,
                  "another version or another kind of the same path is another secret") {
  http->answer("GET /v1/kv/data/app?version=1", 200, kv2(1, "canary-old"));
  http->answer("GET /v1/sys/internal/ui/mounts/kv", 200, mount("kv/", "kv", R"({"version":"2"})"));
  start({kApp, read("kv/app?version=1"), kPlain});
  CHECK(secrets->all().size() == 2);
  CHECK(value(read("kv/app?version=1")) == "canary-old");
  CHECK(value(kPlain) == "canary-1");
}

TEST_CASE_FIXTURE(StoreFixture,
                  "what is below auth/ and the like is read without asking for its mount") {
  for (const char* path : {"auth/token/lookup-self", "sys/health", "identity/entity/id/1"}) {
    http->answer("GET /v1/" + std::string(path), 200, R"({"data":{"password":"canary-1"}})");
  }
  http->answer("GET /v1/auth/approle/role?list=true", 200, R"({"data":{"keys":["a"]}})");
  const tmpl::Dependency roles{
      .kind = tmpl::Dependency::Kind::list, .path = "auth/approle/role", .id = "roles"};
  start({read("auth/token/lookup-self"), read("sys/health"), read("identity/entity/id/1"), roles});
  CHECK(http->asked.size() == 4);
  CHECK(secrets->snapshot().find(roles)->size() == 1);
  CHECK(value(read("auth/token/lookup-self")) == "canary-1");
}

TEST_CASE_FIXTURE(StoreFixture,
                  "what is not asked for any more is let go, its lease after the drain") {
  http->answer(kCreds, 200, lease("creds/app/1", 3600, "u1"));
  start({kApp, kDynamic});
  apply_all();
  const InUse program{{kApp.id, generation(kApp)}, {kDynamic.id, generation(kDynamic)}};
  secrets->retain({kApp.id});
  CHECK(secrets->status(kDynamic.id) == nullptr);
  CHECK(secrets->snapshot().find(kDynamic) == nullptr);
  secrets->applied(program);  // it still has it
  io.advance(1min, 1s);
  CHECK(http->count(kRevokeLease) == 0);
  secrets->applied({{kApp.id, generation(kApp)}});
  io.advance(29s, 1s);
  CHECK(http->count(kRevokeLease) == 0);
  io.advance(2s, 1s);
  CHECK(http->count(kRevokeLease) == 1);
  const auto asked = http->count(kCreds);
  io.advance(2h, 10s);
  CHECK(http->count(kCreds) == asked);
  CHECK(http->count(kRenewLease) == 0);
}

TEST_CASE_FIXTURE(StoreFixture,
                  "an answer that comes when nobody waits any more leaves nothing alive") {
  http->answer(kCreds, 200, lease("creds/app/1", 3600, "u1"));
  http->delay(kCreds, 2s);
  start({kDynamic});
  secrets->retain({});
  CHECK(secrets->all_answered());
  io.advance(3s);
  apply_all();
  io.advance(1s);
  CHECK(http->count(kRevokeLease) == 1);
}

TEST_CASE_FIXTURE(StoreFixture, "who waits in line when it is let go is forgotten by the line") {
  config.vault.max_connections = 1;  // two at a time
  for (const char* path : {"auth/a", "auth/b", "auth/c", "auth/d"}) {
    http->answer("GET /v1/" + std::string(path), 200, R"({"data":{"password":"canary-1"}})");
    http->delay("GET /v1/" + std::string(path), 1s);
  }
  start({read("auth/a"), read("auth/b"), read("auth/c"), read("auth/d")});
  CHECK(http->asked.size() == 2);
  secrets->retain({read("auth/a").id, read("auth/b").id, read("auth/d").id});
  io.advance(3s);
  CHECK(http->count("GET /v1/auth/c") == 0);
  CHECK(value(read("auth/d")) == "canary-1");
  secrets->require(read("auth/c"));
  io.advance(2s);
  CHECK(value(read("auth/c")) == "canary-1");
}

TEST_CASE_FIXTURE(StoreFixture, "a called watcher that goes back to sleep passes its slot on") {
  config.vault.max_connections = 1;
  for (const char* path : {"auth/a", "auth/b", "auth/c", "auth/d"}) {
    http->answer("GET /v1/" + std::string(path), 200, R"({"data":{"password":"canary-1"}})");
  }
  start({read("auth/a"), read("auth/b"), read("auth/c"), read("auth/d")});
  io.advance(8s);
  http->delay("GET /v1/auth/a", 5s);
  http->delay("GET /v1/auth/b", 5s);
  secrets->refresh(read("auth/a").id);
  secrets->refresh(read("auth/b").id);
  io.advance(3s);  // a and b have the slots, c and d wait for one
  const auto asked = http->asked.size();
  token_limited = true;  // c, when it is called, has nothing to do any more
  secrets->refresh(read("auth/d").id);
  io.advance(6s);
  CHECK(http->count("GET /v1/auth/d") == 2);
  CHECK(http->asked.size() == asked + 1);
}

TEST_CASE_FIXTURE(StoreFixture, "a lease is renewed while reads take all the slots") {
  config.vault.max_connections = 1;
  http->answer(kCreds, 200, lease("creds/app/1", 20, "u1"));
  http->answer(kRenewLease, 200, renewed("creds/app/1", 20));
  start({kDynamic});
  for (const char* path : {"auth/a", "auth/b", "auth/c", "auth/d"}) {
    http->delay("GET /v1/" + std::string(path), 1min);
    secrets->require(read(path));
  }
  io.advance(15s);
  CHECK(http->count(kRenewLease) >= 1);
}

TEST_CASE_FIXTURE(StoreFixture,
                  "a missing key is looked for with growing pauses, where that issues nothing") {
  config.template_config.static_secret_render_interval.every = 5min;
  http->answer(kCreds, 200, lease("creds/app/1", 36000, "u1"));
  start({kApp, kDynamic});
  CHECK_FALSE(secrets->missing_key({kDynamic.id}));
  CHECK_FALSE(secrets->missing_key({"unknown"}));
  REQUIRE(secrets->missing_key({kApp.id, kDynamic.id}));
  for (int i = 0; i < 40; ++i) {  // evaluations that find the same
    io.advance(1s);
    CHECK(secrets->missing_key({kApp.id}));
  }
  const auto first = http->count(kData);
  CHECK(first >= 4);
  CHECK(first <= 8);
  io.advance(10min, 1s);
  CHECK(http->count(kData) - first <= 25);
  CHECK(http->count(kCreds) == 1);

  http->reset(kData);
  http->answer(kData, 200, kv2(2, "canary-2"));
  io.advance(61s, 1s);
  CHECK(value(kApp) == "canary-2");
  const auto found = http->count(kData);
  io.advance(4min, 1s);
  CHECK(http->count(kData) == found);  // the interval counts again
}

TEST_CASE_FIXTURE(StoreFixture, "other rules: schedules follow, nothing is asked for that") {
  http->answer(kCreds, 200, lease("creds/app/1", 1000, "u1"));
  http->answer(kRenewLease, 200, renewed("creds/app/1", 1000));
  start({kApp, kDynamic});
  const auto asked = http->asked.size();
  config.template_config.static_secret_render_interval.every = 2s;
  config.lease.renew_at = 0.1;
  secrets->configure(settings_of(config, false));
  io.run();
  CHECK(http->asked.size() == asked);
  io.advance(10s);
  CHECK(http->count(kMetadata) >= 4);
  io.advance(100s, 1s);
  CHECK(http->count(kRenewLease) == 1);
  config.template_config.static_secret_render_interval.never = true;
  secrets->configure(settings_of(config, false));
  io.run();
  const auto looks = http->count(kMetadata);
  io.advance(1h, 10s);
  CHECK(http->count(kMetadata) == looks);
}

TEST_CASE_FIXTURE(StoreFixture,
                  "all are looked at now, and nothing is issued for it unless asked") {
  config.template_config.static_secret_render_interval.every = 1h;
  http->answer(kCreds, 200, lease("creds/app/1", 36000, "u1"));
  http->answer(kCreds, 200, lease("creds/app/2", 36000, "u2"));
  http->answer("PUT /v1/transit/encrypt/k", 200, R"({"data":{"password":"canary-3"}})");
  const auto once_only = tmpl::write_dependency("transit/encrypt/k", {{"a", "b"}});
  start({kApp, kDynamic, once_only});
  http->reset(kData);
  http->answer(kData, 200, kv2(2, "canary-2"));
  http->reset(kMetadata);
  http->answer(kMetadata, 200, metadata(2));
  io.advance(1s);  // what was looked at just now is not looked at again
  secrets->refresh_all();
  io.run();
  CHECK(value(kApp) == "canary-2");
  CHECK(value(kDynamic, "username") == "u1");
  io.advance(1s);
  secrets->refresh_all(true);
  io.run();
  CHECK(value(kDynamic, "username") == "u2");
  CHECK(http->count("PUT /v1/transit/encrypt/k") == 1);
}

TEST_CASE_FIXTURE(StoreFixture, "a lease that ended in use is an error and an alarm, once") {
  http->answer(kCreds, 200, lease("creds/app/1", 60, "u1"));
  http->fail(kRenewLease, ErrorKind::network);
  start({kDynamic});
  http->reset(kCreds);
  http->fail(kCreds, ErrorKind::network, "connection refused");
  io.advance(59s, 1s);
  CHECK(alarms.empty());
  io.advance(2s, 100ms);
  CHECK(alarms == std::vector<std::string>{"lease.expired"});
  CHECK(lines("the lease has ended") == 1);
  io.advance(10min, 1s);
  CHECK(alarms.size() == 1);
  http->reset(kCreds);
  http->answer(kCreds, 200, lease("creds/app/2", 60, "u2"));
  io.advance(61s, 1s);
  CHECK(value(kDynamic, "username") == "u2");
  CHECK(status(kDynamic).why == "lease ended");
}

TEST_CASE_FIXTURE(StoreFixture, "its end does not wait for a server that keeps a request") {
  http->answer(kCreds, 200, lease("creds/app/1", 60, "u1"));
  start({kDynamic});
  for (const char* route : {kRenewLease, kCreds}) {
    http->fail(route, ErrorKind::timeout);
    http->delay(route, 10min);
  }
  io.advance(59s, 1s);
  CHECK(alarms.empty());
  io.advance(2s, 100ms);
  CHECK(alarms == std::vector<std::string>{"lease.expired"});
  io.advance(20min, 1s);
  CHECK(alarms.size() == 1);
}

TEST_CASE_FIXTURE(StoreFixture, "of a token that is lost it is not told again") {
  http->answer(kCreds, 200, lease("creds/app/1", 60, "u1"));
  start({kDynamic});
  client.set_token({});
  io.advance(61s, 1s);
  CHECK(alarms.empty());
}

TEST_CASE_FIXTURE(StoreFixture, "so is one whose successor does not come into use in time") {
  http->answer(kCreds, 200, lease("creds/app/1", 60, "u1", false));
  http->answer(kCreds, 200, lease("creds/app/2", 6000, "u2", false));
  start({kDynamic});
  const InUse program{{kDynamic.id, generation(kDynamic)}};
  io.advance(50s, 1s);
  CHECK(value(kDynamic, "username") == "u2");
  secrets->applied(program);
  io.advance(11s, 1s);
  CHECK(alarms == std::vector<std::string>{"lease.expired auth/creds/app"});
  CHECK(http->count(kRevokeLease) == 0);
}

TEST_CASE_FIXTURE(StoreFixture, "why there are new credentials is told truly") {
  http->answer(kCreds, 200, lease("creds/app/1", 600, "u1"));
  http->answer(kCreds, 200, lease("creds/app/2", 600, "u2"));
  std::string why;
  SUBCASE("the maximum life") {
    http->answer(kRenewLease, 200, renewed("creds/app/1", 60));
    why = "maximum life reached: new credentials";
  }
  SUBCASE("no answer to renewals") {
    http->fail(kRenewLease, ErrorKind::network);
    why = "no renewal in time: new credentials";
  }
  SUBCASE("a refusal") {
    http->answer(kRenewLease, 403, kDenied);
    why = "renewal refused: new credentials";
  }
  SUBCASE("another token") {
    why = "token replaced: new credentials";
  }
  start({kDynamic});
  if (why.starts_with("token")) {
    set_token("hvs.2");
    secrets->token_changed();
    io.run();
  } else {
    io.advance(599s, 1s);
  }
  CHECK(value(kDynamic, "username") == "u2");
  CHECK(status(kDynamic).why == why);
}

constexpr auto kWrongVersion =
    R"({"errors":[],"warnings":["Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use."]})";

TEST_CASE("a mount that may not be asked for is found by the answers, and not taken for KV 1") {
  for (const char* mount_path : {"kv/", "team/kv/"}) {
    CAPTURE(mount_path);
    Fixture f;
    const std::string mount_name(mount_path), path = mount_name + "app";
    f.config.template_config.static_secret_render_interval.every = 10s;
    f.http->answer("GET /v1/sys/internal/ui/mounts/" + path, 403, kDenied);
    f.http->answer("GET /v1/" + path, 404, kWrongVersion);
    f.http->answer("GET /v1/team/data/kv/app", 404, kWrongVersion);
    f.http->answer("GET /v1/" + mount_name + "data/app", 200, kv2(1));
    f.http->answer("GET /v1/" + mount_name + "metadata/app", 200, metadata(1));
    f.start({read(path)});
    CHECK(f.value(read(path)) == "canary-1");
    const auto asked = f.http->asked.size();
    f.io.advance(1min, 1s);
    CHECK(f.http->asked.size() - asked <= 7);  // and that is remembered
    CHECK(f.http->count("GET /v1/" + mount_name + "metadata/app") >= 5);
  }
}

TEST_CASE_FIXTURE(StoreFixture, "a probe that was denied is made again with the next read") {
  http->reset(kProbe);
  http->answer(kProbe, 403, kDenied);
  http->answer(kProbe, 200, mount("kv/", "kv", R"({"version":"2"})"));
  http->answer("GET /v1/kv/app", 403, kDenied);
  start({kPlain});
  CHECK(status(kPlain).state == State::denied);
  io.advance(2s);
  CHECK(http->count(kProbe) == 2);
  CHECK(value(kPlain) == "canary-1");
}

}  // namespace
}  // namespace keybearer::secrets
