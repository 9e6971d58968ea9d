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

// What an answer to a login or to a renewal means: one row each of the table that auth methods are
// judged by.
enum class Means {
  in,         // logged in, renewed
  odd,        // an answer, and no token: never "in", tried again slowly
  refused,    // of a login: for good where nothing outside can change it; of a renewal: ending
  look,       // of a renewal: one look-up tells
  elsewhere,  // a mistake in the configuration
  later,      // an outage: what there is stays, tried again
};

struct Answer {
  int status;  // 0: none at all
  std::string body;
  Means login, renewal;
};

std::vector<Answer> answers() {
  const auto errors = [](const std::string& text) { return R"({"errors":[")" + text + R"("]})"; };
  std::vector<Answer> rows = {
      {200, granted("T2", 600), Means::in, Means::in},
      {200, R"({"auth":{"accessor":"a","lease_duration":600,"renewable":true}})", Means::odd,
       Means::in},
      {200, R"({"data":{}})", Means::odd, Means::refused},
      {204, "", Means::odd, Means::refused},
      {400, errors("some reason"), Means::refused, Means::refused},
      {403, errors("permission denied"), Means::refused, Means::look},
      {404, errors("namespace not found"), Means::elsewhere, Means::refused},
      {412, errors("required index state not present"), Means::later, Means::later},
      {429, errors("request path quota"), Means::later, Means::later},
      {472, "{}", Means::later, Means::later},
      {473, "{}", Means::later, Means::later},
      {500, errors("internal error"), Means::later, Means::later},
      {502, "<html>bad gateway</html>", Means::later, Means::later},
      {503, errors("Vault is sealed"), Means::later, Means::later},
      {504, "<html>timeout</html>", Means::later, Means::later},
      {0, "", Means::later, Means::later},
  };
  for (const char* text :
       {"failed to renew entry: no such user", "role x does not exist during renewal",
        "policies have changed, not renewing", "account is no longer bound"})
    rows.push_back({500, errors(text), Means::later, Means::refused});
  return rows;
}

void say(test::FakeHttp& http, const std::string& route, const Answer& answer) {
  if (answer.status == 0)
    http.fail(route, ErrorKind::network);
  else
    http.answer(route, answer.status, answer.body);
}

TEST_CASE("T12: every answer to the first login") {
  for (const Answer& answer : answers()) {
    CAPTURE(answer.status);
    CAPTURE(answer.body);
    Fixture fixture;
    say(*fixture.http, kLogin, answer);
    fixture.start();
    CHECK((fixture.token() == "T2") == (answer.login == Means::in));
    fixture.io.advance(60s, 250ms);
    const auto logins = fixture.http->count(kLogin);
    switch (answer.login) {
      case Means::in:
        CHECK(logins == 1);
        CHECK_FALSE(fixture.ended);
        break;
      case Means::odd:
      case Means::refused:  // three tries: servers lock a role after five
        CHECK(logins == 3);
        REQUIRE(fixture.ended);
        CHECK(fixture.ended->kind ==
              (answer.login == Means::odd ? ErrorKind::bad_reply : ErrorKind::denied));
        break;
      case Means::elsewhere:
        CHECK(logins == 1);
        REQUIRE(fixture.ended);
        CHECK(fixture.ended->kind == ErrorKind::config);
        CHECK(fixture.ended->text.contains("vault.namespace"));
        break;
      case Means::later:
      case Means::look:
        CHECK(logins >= 5);
        CHECK(logins <= 30);
        CHECK_FALSE(fixture.ended);
        break;
    }
    CHECK(fixture.state().logins == (answer.login == Means::in ? 1 : 0));
  }
}

TEST_CASE("T12: every answer to a login that is to replace a token which lives") {
  for (const Answer& answer : answers()) {
    CAPTURE(answer.status);
    CAPTURE(answer.body);
    Fixture fixture;
    fixture.http->answer(kLogin, 200, granted("T1", 600, false));
    say(*fixture.http, kLogin, answer);
    fixture.start();
    fixture.io.advance(590s, 1s);
    const auto logins = fixture.http->count(kLogin);
    const bool final = answer.login == Means::refused;
    CHECK(fixture.token() == (answer.login == Means::in ? "T2" : "T1"));
    CHECK((final || answer.login == Means::in ? logins == 2 : logins >= 4));
    CHECK(logins < 40);
    CHECK_FALSE(fixture.ended);
    fixture.io.advance(20s, 1s);  // the old token's end
    CHECK(fixture.ended.has_value() == final);
  }
}

TEST_CASE("T12: every answer to a renewal") {
  for (const Answer& answer : answers()) {
    CAPTURE(answer.status);
    CAPTURE(answer.body);
    Fixture fixture;
    fixture.http->answer(kLogin, 200, granted("T1", 60));
    fixture.http->answer(kLogin, 200, granted("T9", 6000));
    say(*fixture.http, kRenew, answer);
    fixture.http->answer(kLookup, 200, looked_up(12));
    fixture.start();
    fixture.io.advance(56s, 250ms);
    const auto renewals = fixture.http->count(kRenew);
    const auto token = fixture.token();
    switch (answer.renewal) {
      case Means::in:
        CHECK(token == "T1");
        CHECK(renewals == 1);
        CHECK(fixture.http->count(kLogin) == 1);
        CHECK(fixture.state().renewals == 1);
        break;
      case Means::refused:
      case Means::look:
        CHECK(token == "T9");
        CHECK(renewals == 1);
        CHECK(fixture.http->count(kLogin) == 2);
        CHECK(fixture.http->count(kLookup) == (answer.renewal == Means::look ? 1 : 0));
        break;
      default:
        CHECK(token == "T1");  // the tries go on until shortly before the end
        CHECK(renewals >= 3);
        CHECK(renewals < 12);
        CHECK(fixture.http->count(kLogin) == 1);
        break;
    }
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
    REQUIRE(fixture.configure(next));
    fixture.io.advance(30s);
    CHECK(fixture.http->asked.size() == 1);
  }
  SUBCASE("another secret_id: one login, and the old token is revoked at the exit") {
    next.method.set("secret_id", Secret("second"));
    fixture.http->reset(kLogin);
    fixture.http->answer(kLogin, 200, granted("T2", 600));
    fixture.http->answer(kRevoke, 204);
    REQUIRE(fixture.configure(next));
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
    REQUIRE(fixture.configure(next));
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
    REQUIRE(fixture.configure(next));
    fixture.io.run();
    CHECK(fixture.token() == "T1");
    fixture.io.advance(3s);
    CHECK(fixture.token() == "T2");
  }
  SUBCASE("a method that there is not: an error, and nothing has changed") {
    next.method.type = "kerberos";
    const auto done = fixture.configure(next);
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::config);
    fixture.io.advance(30s);
    CHECK(fixture.http->asked.size() == 1);
  }
}

}  // namespace
}  // namespace keybearer::auth
