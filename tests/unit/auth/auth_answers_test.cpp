// What answers mean (T12), and what another configuration does to a token in force.

#include <doctest/doctest.h>

#include "auth/auth_loop.hpp"
#include "fixture.hpp"

namespace keybearer::auth {
namespace {

// T12: what an answer to a renewal means. The refused ones lead to one login, at once and while the
// token still works; the others are tried again.
TEST_CASE("answers to a renewal: refused, or an outage") {
  struct {
    int status;
    const char* body;
    bool refused;
  } rows[] = {
      {204, "", true},
      {200, R"({"data":{}})", true},
      {400, R"({"errors":["lease is not renewable"]})", true},
      {403, kDenied, true},
      {404, R"({"errors":["not here"]})", true},
      {500, R"({"errors":["failed to renew entry: role x does not exist during renewal"]})", true},
      {500, R"({"errors":["internal error: storage"]})", false},
      {502, "<html>bad gateway</html>", false},
      {503, R"({"errors":["Vault is sealed"]})", false},
      {429, R"({"errors":["quota"]})", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.status);
    CAPTURE(row.body);
    Fixture fixture;
    fixture.http->answer(kLogin, 200, granted("T1", 60));
    fixture.http->answer(kLogin, 200, granted("T2", 600));
    fixture.http->answer(kRenew, row.status, row.body);
    fixture.http->answer(kRenew, 200, granted("T1", 60));
    fixture.http->answer(kLookup, 200, looked_up(12));
    fixture.start();
    fixture.io.advance(51s);
    CHECK(fixture.token() == (row.refused ? "T2" : "T1"));
    CHECK(fixture.http->count(kLogin) == (row.refused ? 2 : 1));
    CHECK(fixture.http->count(kRenew) == (row.refused ? 1 : 2));
  }
}

TEST_CASE("answers to a login without a token: never logged in, and tried again slowly") {
  for (const int status : {200, 204}) {
    CAPTURE(status);
    Fixture fixture;
    fixture.http->answer(kLogin, 200, granted("T1", 600, false));
    fixture.http->answer(kLogin, status, status == 200 ? R"({"data":{}})" : "");
    fixture.http->answer(kLogin, status, status == 200 ? R"({"data":{}})" : "");
    fixture.http->answer(kLogin, 200, granted("T2", 600));
    fixture.start();
    fixture.io.advance(490s);
    CHECK(fixture.token() == "T2");
    CHECK(fixture.http->count(kLogin) == 4);
    CHECK_FALSE(fixture.ended);
  }
}

TEST_CASE("the configuration changes while a token is in force") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 600));
  fixture.start();
  fixture.io.advance(10s);
  config::AutoAuth next = fixture.config;
  SUBCASE("nothing of it: no login") {
    REQUIRE(fixture.loop->configure(next));
    fixture.io.advance(30s);
    CHECK(fixture.http->asked.size() == 1);
  }
  SUBCASE("another secret_id: one login, and the old token is revoked at the exit") {
    next.method.set("secret_id", Secret("second"));
    fixture.http->reset(kLogin);
    fixture.http->answer(kLogin, 200, granted("T2", 600));
    fixture.http->answer(kRevoke, 204);
    REQUIRE(fixture.loop->configure(next));
    fixture.io.run();
    CHECK(fixture.token() == "T2");
    CHECK(fixture.http->count(kLogin) == 2);
    CHECK(fixture.http->asked.back().body == R"({"role_id":"role-1","secret_id":"second"})");
    fixture.stop();
    fixture.io.start_task(Fixture::revoke(fixture));
    fixture.io.run();
    CHECK(fixture.http->count(kRevoke) == 2);
  }
  SUBCASE("one that is refused: the token in use stays, and is renewed") {
    next.method.set("secret_id", Secret("second"));
    fixture.http->reset(kLogin);
    fixture.http->answer(kLogin, 400, R"({"errors":["invalid secret id"]})");
    fixture.http->answer(kRenew, 200, granted("T1", 600));
    REQUIRE(fixture.loop->configure(next));
    fixture.io.advance(490s, 1s);
    CHECK(fixture.token() == "T1");
    CHECK(fixture.http->count(kLogin) == 2);
    CHECK(fixture.http->count(kRenew) == 1);
    CHECK(fixture.alarms == std::vector<std::string>{"login.refused"});
  }
  SUBCASE("no answer to it: tried again, the token in use stays meanwhile") {
    next.method.set("secret_id", Secret("second"));
    fixture.http->reset(kLogin);
    fixture.http->fail(kLogin, ErrorKind::network);
    fixture.http->answer(kLogin, 200, granted("T2", 600));
    REQUIRE(fixture.loop->configure(next));
    fixture.io.run();
    CHECK(fixture.token() == "T1");
    fixture.io.advance(3s);
    CHECK(fixture.token() == "T2");
  }
  SUBCASE("a method that there is not: an error, and nothing has changed") {
    next.method.type = "kerberos";
    const auto done = fixture.loop->configure(next);
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::config);
    fixture.io.advance(30s);
    CHECK(fixture.http->asked.size() == 1);
  }
}

}  // namespace
}  // namespace keybearer::auth
