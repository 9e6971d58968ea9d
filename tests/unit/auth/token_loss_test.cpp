// A token that is refused, revoked or gone: one look-up decides, and one login follows.

#include <doctest/doctest.h>

#include "auth/auth_loop.hpp"
#include "fixture.hpp"

// Rules: T5, T6, T8, T11 (src/RULES.md).
namespace keybearer::auth {
namespace {

using config::OnRenewFailure;
using Phase = TokenState::Phase;

TEST_CASE(
    "after a 403 one look-up decides, for all who ask at the same time, and not again for ten "
    "seconds") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 3600));
  fixture.http->answer(kLookup, 200, looked_up(3000));
  fixture.http->delay(kLookup, 1s);
  fixture.start();
  std::vector<bool> out;
  for (int i = 0; i < 50; ++i) fixture.io.start_task(Fixture::ask(fixture, out));
  fixture.io.advance(2s);
  CHECK(out == std::vector<bool>(50, true));
  CHECK(fixture.token_is_good());
  fixture.io.advance(7s);
  CHECK(fixture.token_is_good());
  CHECK(fixture.http->count(kLookup) == 1);
  fixture.io.advance(2s);
  fixture.io.start_task(Fixture::ask(fixture, out));
  fixture.io.advance(2s);
  CHECK(fixture.http->count(kLookup) == 2);
}

TEST_CASE("all who ask while the look-up is on its way hear that the token is gone") {
  Fixture fixture;
  fixture.config.on_renew_failure = OnRenewFailure::exit;
  fixture.http->answer(kLogin, 200, granted("T1", 3600));
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.http->delay(kLookup, 1s);
  fixture.start();
  std::vector<bool> out;
  for (int i = 0; i < 50; ++i) fixture.io.start_task(Fixture::ask(fixture, out));
  fixture.io.advance(2s);
  CHECK(out == std::vector<bool>(50, false));
  CHECK(fixture.http->count(kLookup) == 1);
}

TEST_CASE("what was found before a refused renewal does not count") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 60));
  fixture.http->answer(kLogin, 200, granted("T2", 60));
  fixture.http->answer(kRenew, 403, kDenied);
  fixture.http->answer(kLookup, 200, looked_up(20));
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.start();
  fixture.io.advance(44s);
  CHECK(fixture.token_is_good());
  fixture.io.advance(5s);
  CHECK(fixture.http->count(kLookup) == 2);
  CHECK(fixture.lines("not valid any more") == 1);
  CHECK(fixture.token() == "T2");
}

TEST_CASE(
    "no answer to the look-up condemns no token, nor does a 403 where the policies forbid the "
    "look-up") {
  Fixture fixture;
  SUBCASE("outage") {
    fixture.http->answer(kLogin, 200, granted("T1", 3600));
    fixture.http->fail(kLookup, ErrorKind::network);
  }
  SUBCASE("no default policy") {
    fixture.http->answer(
        kLogin, 200,
        R"({"auth":{"client_token":"T1","policies":["app"],"lease_duration":3600,"renewable":true}})");
    fixture.http->answer(kLookup, 403, kDenied);
  }
  fixture.start();
  CHECK(fixture.token_is_good());
  fixture.io.advance(1min);
  CHECK(fixture.token() == "T1");
}

TEST_CASE("a token that was revoked") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 3600));
  fixture.http->answer(kLogin, 200, granted("T2", 3600));
  fixture.http->answer(kLookup, 403, kDenied);
  SUBCASE("is replaced by one login, within a second") {
    fixture.start();
    fixture.io.advance(1min);
    CHECK_FALSE(fixture.token_is_good());
    fixture.io.run();
    CHECK(fixture.token() == "T2");
    CHECK(fixture.http->count(kLogin) == 2);
    CHECK(fixture.alarms.empty());
    CHECK(fixture.lines("not valid any more") == 1);
  }
  SUBCASE("ends us at once with exit, after one login in all") {
    fixture.config.on_renew_failure = OnRenewFailure::exit;
    fixture.start();
    fixture.io.advance(1min);
    CHECK_FALSE(fixture.token_is_good());
    fixture.io.run();
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::denied);
    CHECK(fixture.in(Phase::lost));
    CHECK(fixture.http->count(kLogin) == 1);
    CHECK(fixture.alarms == std::vector<std::string>{"token.lost"});
    CHECK(fixture.lines("ERROR") == 1);
  }
  SUBCASE("is mourned once with keep, and nothing else happens") {
    fixture.config.on_renew_failure = OnRenewFailure::keep;
    fixture.start();
    fixture.io.advance(1min);
    CHECK_FALSE(fixture.token_is_good());
    fixture.io.advance(10h, 1min);
    CHECK_FALSE(fixture.ended);
    CHECK(fixture.in(Phase::lost));
    CHECK(fixture.token() == "(none)");
    CHECK_FALSE(fixture.token_is_good());
    CHECK(fixture.http->asked.size() == 2);
    CHECK(fixture.alarms == std::vector<std::string>{"token.lost"});
  }
}

TEST_CASE("a server that kills every new token is not hammered") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T", 3600));
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.start();
  for (int second = 0; second < 600; ++second) {
    (void)fixture.token_is_good();
    fixture.io.advance(1s, 250ms);
  }
  CHECK(fixture.http->count(kLogin) < 15);
}

TEST_CASE("a renewal that is refused") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 60));
  fixture.http->answer(kRenew, 403, kDenied);
  fixture.http->answer(kLookup, 200, looked_up(12));
  SUBCASE("leads to one login while the old token still works") {
    fixture.http->answer(kLogin, 200, granted("T2", 60));
    fixture.start();
    fixture.io.advance(48s);
    CHECK(fixture.token() == "T2");
    CHECK(fixture.http->count(kRenew) == 1);
    CHECK(fixture.http->count(kLogin) == 2);
  }
  SUBCASE("ends us with exit when the token ends, less the time of the child's stop") {
    fixture.config.on_renew_failure = OnRenewFailure::exit;
    fixture.start();
    fixture.io.advance(54s);
    CHECK_FALSE(fixture.ended);
    CHECK(fixture.in(Phase::ending));
    fixture.io.advance(1s);
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::denied);
    CHECK(fixture.token() == "T1");  // good enough to revoke with
    CHECK(fixture.http->count(kLogin) == 1);
    CHECK(fixture.lines("token can't be renewed any further") == 1);
  }
  SUBCASE("is lost with keep when the token ends") {
    fixture.config.on_renew_failure = OnRenewFailure::keep;
    fixture.start();
    fixture.io.advance(59s);
    CHECK(fixture.in(Phase::ending));
    fixture.io.advance(1h, 1s);
    CHECK(fixture.in(Phase::lost));
    CHECK_FALSE(fixture.ended);
    CHECK(fixture.http->count(kLogin) == 1);
    CHECK(fixture.alarms == std::vector<std::string>{"token.lost"});
  }
}

TEST_CASE("a renewal that is refused because the token is gone leads to one login") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 60));
  fixture.http->answer(kLogin, 200, granted("T2", 60));
  fixture.http->answer(kRenew, 403, kDenied);
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.start();
  fixture.io.advance(48s);
  CHECK(fixture.token() == "T2");
  CHECK(fixture.http->count(kLookup) == 1);
  CHECK(fixture.http->count(kLogin) == 2);
}

TEST_CASE("a spent secret_id is not sent again while the old token lives, and then it is over") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 600, false));
  fixture.http->answer(kLogin, 400, R"({"errors":["invalid secret id"]})");
  fixture.start();
  fixture.io.advance(590s);
  CHECK_FALSE(fixture.ended);
  CHECK(fixture.http->count(kLogin) == 2);
  CHECK(fixture.token() == "T1");
  fixture.io.advance(6s);
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.http->count(kLogin) == 2);
  CHECK(fixture.alarms == std::vector<std::string>{"login.refused", "token.lost"});
}

TEST_CASE("a spent secret_id and a token that is gone: it is over at once") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 600));
  fixture.http->answer(kLogin, 400, R"({"errors":["invalid secret id"]})");
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.start();
  fixture.io.advance(10s);
  CHECK_FALSE(fixture.token_is_good());
  fixture.io.advance(1s);
  REQUIRE(fixture.ended);
  CHECK(fixture.http->count(kLogin) == 2);
}

TEST_CASE("a new secret_id in the file is tried within a second") {
  Fixture fixture;
  fixture.config.method.erase("secret_id");
  fixture.config.method.set("secret_id_file_path",
                            std::string(fixture.directory.write("secret-id", "first\n")));
  fixture.http->answer(kLogin, 200, granted("T1", 600, false));
  fixture.http->answer(kLogin, 400, R"({"errors":["invalid secret id"]})");
  fixture.http->answer(kLogin, 200, granted("T2", 600));
  fixture.start();
  fixture.io.advance(500s);
  CHECK(fixture.http->count(kLogin) == 2);
  fixture.directory.write("secret-id", "  second\n");
  fixture.io.advance(1s);
  CHECK(fixture.http->count(kLogin) == 3);
  CHECK(fixture.http->asked.back().body == R"({"role_id":"role-1","secret_id":"second"})");
  CHECK(fixture.token() == "T2");
}

}  // namespace
}  // namespace keybearer::auth
