// A denial of a token that was replaced while the request was on its way says nothing: neither of
// the metadata's right, nor of a lease's look-up, nor of what a restart resumes.

#include "fixture.hpp"
#include "json/json.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kData = "GET /v1/kv/data/app";
constexpr auto kMetadata = "GET /v1/kv/metadata/app";
constexpr auto kCreds = "GET /v1/db/creds/app";
constexpr auto kLookupLease = "PUT /v1/sys/leases/lookup";
const auto kApp = read("kv/data/app");
const auto kUser = read("db/creds/app");

struct Replaced : Fixture {
  // The token is replaced while this route is asked, which answers that it is denied.
  void denied_by_the_old_token(const char* route) {
    http->answer(route, [this](const auto&) -> result<test::FakeHttp::Reply> {
      set_token("hvs.2");
      return test::FakeHttp::Reply{.status = 403, .body = kDenied};
    });
  }
};

TEST_CASE_FIXTURE(Replaced, "the metadata may be read as before") {
  config.template_config.static_secret_render_interval.every = 10s;
  http->answer(kData, 200, kv2(1));
  denied_by_the_old_token(kMetadata);
  http->answer(kMetadata, 200, metadata(1));
  start({kApp});
  io.advance(1min);
  CHECK(http->count(kMetadata) >= 4);
  CHECK(http->count(kData) == 2);
}

TEST_CASE_FIXTURE(Replaced, "lease.check_interval is obeyed as before") {
  config.lease.check_interval = 5s;
  http->answer(kCreds, 200, lease("db/creds/app/1", 600, "u"));
  denied_by_the_old_token(kLookupLease);
  http->answer(kLookupLease, 200, R"({"data":{"ttl":1}})");
  start({kUser});
  io.advance(30s);
  CHECK(http->count(kLookupLease) >= 3);
  CHECK(lines("can't be obeyed") == 0);
}

TEST_CASE_FIXTURE(Replaced, "what a restart resumes is not confirmed by it") {
  lease::SavedSecret saved;
  {
    Fixture before;
    before.http->answer(kCreds, 200, lease("db/creds/app/1", 600, "old"));
    before.start({kUser});
    saved = before.secrets->save().at(0);
    before.stop();
  }
  Clock::freeze(test::Io::start);
  REQUIRE(log::open({.level = log::Level::debug, .file = directory + "/log", .name = {}}));
  denied_by_the_old_token(kLookupLease);
  http->answer(kCreds, 200, lease("db/creds/app/2", 600, "new"));
  start({});
  secrets->resume({saved});
  secrets->require(kUser);
  io.run();
  secrets->token_changed();
  io.advance(1s);
  const Value* answer = find(secrets->snapshot(), kUser);
  REQUIRE(answer != nullptr);
  CHECK(text_at(value_at(*answer, "data"), "username") == "new");
}

}  // namespace
}  // namespace keybearer::secrets
