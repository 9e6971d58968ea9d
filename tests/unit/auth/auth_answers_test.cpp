// What answers mean (T12), and what another configuration does to a token in force.

#include <doctest/doctest.h>

#include "auth/auth_loop.hpp"
#include "house.hpp"

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
      {500, R"({"errors":["failed to renew entry: role "x" does not exist during renewal"]})",
       true},
      {500, R"({"errors":["internal error: storage"]})", false},
      {502, "<html>bad gateway</html>", false},
      {503, R"({"errors":["Vault is sealed"]})", false},
      {429, R"({"errors":["quota"]})", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.status);
    CAPTURE(row.body);
    House house;
    house.http->answer(kLogin, 200, granted("T1", 60));
    house.http->answer(kLogin, 200, granted("T2", 600));
    house.http->answer(kRenew, row.status, row.body);
    house.http->answer(kRenew, 200, granted("T1", 60));
    house.http->answer(kLookup, 200, looked_up(12));
    house.start();
    house.io.advance(51s);
    CHECK(house.token() == (row.refused ? "T2" : "T1"));
    CHECK(house.http->count(kLogin) == (row.refused ? 2 : 1));
    CHECK(house.http->count(kRenew) == (row.refused ? 1 : 2));
  }
}

TEST_CASE("answers to a login without a token: never logged in, and tried again slowly") {
  for (const int status : {200, 204}) {
    CAPTURE(status);
    House house;
    house.http->answer(kLogin, 200, granted("T1", 600, false));
    house.http->answer(kLogin, status, status == 200 ? R"({"data":{}})" : "");
    house.http->answer(kLogin, status, status == 200 ? R"({"data":{}})" : "");
    house.http->answer(kLogin, 200, granted("T2", 600));
    house.start();
    house.io.advance(490s);
    CHECK(house.token() == "T2");
    CHECK(house.http->count(kLogin) == 4);
    CHECK_FALSE(house.ended);
  }
}

TEST_CASE("the configuration changes while a token is in force") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 600));
  house.start();
  house.io.advance(10s);
  config::AutoAuth next = house.config;
  SUBCASE("nothing of it: no login") {
    REQUIRE(house.loop->configure(next));
    house.io.advance(30s);
    CHECK(house.http->asked.size() == 1);
  }
  SUBCASE("another secret_id: one login, and the old token is revoked at the exit") {
    next.method.set("secret_id", Secret("second"));
    house.http->reset(kLogin);
    house.http->answer(kLogin, 200, granted("T2", 600));
    house.http->answer(kRevoke, 204);
    REQUIRE(house.loop->configure(next));
    house.io.run();
    CHECK(house.token() == "T2");
    CHECK(house.http->count(kLogin) == 2);
    CHECK(house.http->asked.back().body == R"({"role_id":"role-1","secret_id":"second"})");
    house.stop();
    house.io.start_task(House::revoke(house));
    house.io.run();
    CHECK(house.http->count(kRevoke) == 2);
  }
  SUBCASE("one that is refused: the token in use stays, and is renewed") {
    next.method.set("secret_id", Secret("second"));
    house.http->reset(kLogin);
    house.http->answer(kLogin, 400, R"({"errors":["invalid secret id"]})");
    house.http->answer(kRenew, 200, granted("T1", 600));
    REQUIRE(house.loop->configure(next));
    house.io.advance(490s, 1s);
    CHECK(house.token() == "T1");
    CHECK(house.http->count(kLogin) == 2);
    CHECK(house.http->count(kRenew) == 1);
    CHECK(house.alarms == std::vector<std::string>{"login.refused"});
  }
  SUBCASE("no answer to it: tried again, the token in use stays meanwhile") {
    next.method.set("secret_id", Secret("second"));
    house.http->reset(kLogin);
    house.http->fail(kLogin, ErrorKind::network);
    house.http->answer(kLogin, 200, granted("T2", 600));
    REQUIRE(house.loop->configure(next));
    house.io.run();
    CHECK(house.token() == "T1");
    house.io.advance(3s);
    CHECK(house.token() == "T2");
  }
  SUBCASE("a method that there is not: an error, and nothing has changed") {
    next.method.type = "kerberos";
    const auto done = house.loop->configure(next);
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::config);
    house.io.advance(30s);
    CHECK(house.http->asked.size() == 1);
  }
}

}  // namespace
}  // namespace keybearer::auth
