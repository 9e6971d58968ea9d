// verify_identity: what is looked at, what is said, and that a token of another identity is revoked
// and used for nothing.

#include "auth/identity.hpp"

#include <doctest/doctest.h>

#include "fixture.hpp"

namespace keybearer::auth {
namespace {

vault::Auth answer() {
  vault::Auth auth;
  auth.entity_id = "e-1";
  auth.policies = {"default", "app"};
  auth.metadata = {{"role_name", "app"}, {"team", "pay"}};
  return auth;
}

TEST_CASE("what a login must say") {
  struct {
    config::Identity wanted;
    const char* says;  // "": all is well
  } rows[] = {
      {{}, ""},
      {{.entity_id = "e-1", .policies = {}, .metadata = {}}, ""},
      {{.entity_id = "e-1", .policies = {"app", "default"}, .metadata = {{"team", "pay"}}}, ""},
      {{.entity_id = "e-2", .policies = {}, .metadata = {}},
       "entity_id is \"e-1\", expected \"e-2\""},
      {{.entity_id = "", .policies = {"app", "db", "x"}, .metadata = {}},
       "policies lack db, x (there are: default, app)"},
      {{.entity_id = "", .policies = {}, .metadata = {{"team", "web"}}},
       "metadata team is \"pay\", expected \"web\""},
      {{.entity_id = "", .policies = {}, .metadata = {{"zone", ""}}},
       "metadata has no zone, expected empty"},
      {{.entity_id = "e-2", .policies = {"db"}, .metadata = {{"team", "web"}}},
       "expected \"e-2\"; policies lack db (there are: default, app); metadata team"},
  };
  for (const auto& row : rows) {
    const auto good = verify_identity(row.wanted, answer());
    CHECK(good.has_value() == std::string_view(row.says).empty());
    if (good) continue;
    CHECK(good.error().kind == ErrorKind::denied);
    CHECK(good.error().reason == Reason::wrong_identity);
    CHECK_MESSAGE(good.error().text.contains(row.says), good.error().text);
  }
}

constexpr auto kMetadata = R"(,"metadata":{"role_name":"app"})";

TEST_CASE("another identity at the first login: one try, the token is revoked, 77") {
  Fixture fixture;
  fixture.config.verify_identity = {.entity_id = "other", .policies = {}, .metadata = {}};
  fixture.http->answer(kLogin, 200, granted("T1-canary", 600, true, kMetadata));
  fixture.http->answer(kRevoke, 204);
  fixture.start();
  fixture.io.advance(60s);
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.ended->text.contains("entity_id is \"e\", expected \"other\""));
  CHECK(fixture.http->count(kLogin) == 1);
  CHECK(fixture.http->count(kRevoke) == 1);
  CHECK(fixture.http->asked.back().token == "T1-canary");
  CHECK(fixture.token() == "(none)");
  CHECK(fixture.state().token_number == 0);
  CHECK_FALSE(fixture.log().contains("canary"));
}

TEST_CASE("the identity that is wanted is let in") {
  Fixture fixture;
  fixture.config.verify_identity = {
      .entity_id = "e", .policies = {"app"}, .metadata = {{"role_name", "app"}}};
  fixture.http->answer(kLogin, 200, granted("T1", 600, true, kMetadata));
  fixture.start();
  CHECK(fixture.token() == "T1");
}

TEST_CASE("a batch token of another identity is not revoked: it can't be") {
  Fixture fixture;
  fixture.config.verify_identity = {.entity_id = "other", .policies = {}, .metadata = {}};
  fixture.http->answer(kLogin, 200,
                       R"({"auth":{"client_token":"B","policies":[],"token_type":"batch",)"
                       R"("lease_duration":600,"renewable":false}})");
  fixture.start();
  fixture.io.advance(10s);
  CHECK(fixture.ended);
  CHECK(fixture.http->count(kRevoke) == 0);
}

TEST_CASE("another identity at a later login: the old token stays to its end, then 77") {
  Fixture fixture;
  fixture.config.verify_identity = {.entity_id = "e", .policies = {}, .metadata = {}};
  fixture.http->answer(kLogin, 200, granted("T1", 60, false));
  std::string other = granted("T2", 60);
  other.replace(other.find("\"entity_id\":\"e\""), 15, "\"entity_id\":\"f\"");
  fixture.http->answer(kLogin, 200, other);
  fixture.http->answer(kRevoke, 204);
  fixture.start();
  fixture.io.advance(50s, 1s);
  CHECK(fixture.token() == "T1");
  CHECK(fixture.http->count(kLogin) == 2);
  CHECK(fixture.http->count(kRevoke) == 1);
  CHECK(fixture.alarms == std::vector<std::string>{"login.refused"});
  fixture.io.advance(10s, 1s);
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.http->count(kLogin) == 2);
}

TEST_CASE("a token that belongs to somebody else is refused and not revoked") {
  Fixture fixture;
  fixture.config.method = {};
  fixture.config.method.type = "token";
  fixture.config.method.set("token", Secret("given"));
  fixture.config.verify_identity = {.entity_id = "", .policies = {}, .metadata = {{"owner", "us"}}};
  fixture.http->answer(
      kLookup, 200,
      R"({"data":{"policies":["app"],"type":"service","ttl":60,"meta":{"owner":"them"}}})");
  fixture.start();
  fixture.io.advance(60s);
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.ended->text.contains("metadata owner is \"them\", expected \"us\""));
  CHECK(fixture.http->count(kLookup) == 1);
  CHECK(fixture.http->count(kRevoke) == 0);
}

}  // namespace
}  // namespace keybearer::auth
