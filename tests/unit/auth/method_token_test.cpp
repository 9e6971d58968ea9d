// Methods "token" and "token_file": a token in ~/.vault-token, and one that comes wrapped.

#include <doctest/doctest.h>
#include <stdlib.h>

#include "auth/method.hpp"
#include "fixture.hpp"

namespace keybearer::auth {
namespace {

constexpr auto kUnwrap = "POST /v1/sys/wrapping/unwrap";

struct TokenFixture : Fixture {
  explicit TokenFixture(const std::string& content) {
    config.method = {};
    config.method.type = "token_file";
    config.method.set("token_file_path", directory.write("token", content));
    config.method.set_flag("unwrap", true);
    http->answer(kLookup, 200, looked_up(600));
  }
};

TEST_CASE("T9: a wrapped token, alone or in JSON, of a login or of a sink, is unwrapped once") {
  for (const char* content : {"w-1", R"({"token":"w-1","ttl":60})"}) {
    for (const std::string& answer :
         {granted("T1", 600), std::string(R"({"data":{"token":"T1"}})")}) {
      CAPTURE(content);
      CAPTURE(answer);
      TokenFixture fixture(content);
      fixture.http->answer(kUnwrap, 200, answer);
      fixture.http->answer(kRenew, 200, granted("T1", 600));
      fixture.start();
      fixture.io.advance(20min, 10s);
      CHECK(fixture.token() == "T1");
      CHECK(fixture.http->count(kUnwrap) == 1);
      CHECK(fixture.http->asked.front().token == "w-1");
      // Another wrapping token in the file: its token is taken.
      fixture.http->reset(kUnwrap);
      fixture.http->answer(kUnwrap, 200, granted("T2", 600));
      fixture.directory.write("token", "w-2");
      fixture.io.advance(15s, 1s);
      CHECK(fixture.token() == "T2");
      CHECK(fixture.http->count(kUnwrap) == 2);
    }
  }
}

TEST_CASE(
    "T9: a wrapping token that was used is an alarm and no second try; an outage is neither") {
  {
    TokenFixture fixture("w-1");
    fixture.http->answer(kUnwrap, 400, R"({"errors":["wrapping token is not valid"]})");
    fixture.start();
    fixture.io.advance(60s, 1s);
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::denied);
    CHECK(fixture.ended->text.contains("somebody else has used it"));
    CHECK(fixture.alarms == std::vector<std::string>{"security.wrapping"});
    CHECK(fixture.http->count(kUnwrap) == 1);
  }
  {
    TokenFixture fixture("w-1");
    fixture.http->fail(kUnwrap, ErrorKind::network);
    fixture.http->answer(kUnwrap, 200, granted("T1", 600));
    fixture.start();
    fixture.io.advance(10s, 1s);
    CHECK(fixture.token() == "T1");
    CHECK(fixture.alarms.empty());
  }
}

TEST_CASE("a wrapped token whose look-up got no answer is not unwrapped again") {
  TokenFixture fixture("w-1");
  fixture.http->reset(kLookup);
  fixture.http->fail(kLookup, ErrorKind::timeout);
  fixture.http->answer(kLookup, 200, looked_up(600));
  fixture.http->answer(kUnwrap, 200, granted("T1", 600));
  fixture.start();
  fixture.io.advance(10s, 1s);
  CHECK(fixture.token() == "T1");
  CHECK(fixture.http->count(kUnwrap) == 1);
}

TEST_CASE("a token file with several lines is named") {
  Fixture fixture;
  fixture.config.method = {};
  fixture.config.method.type = "token_file";
  fixture.config.method.set("token_file_path", fixture.directory.write("token", "hvs.1\nhvs.2\n"));
  fixture.start();
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::config);
  CHECK(fixture.ended->text.contains("token: has several lines: a token is one"));
  CHECK(fixture.http->asked.empty());
}

TEST_CASE("token_helper: the token of ~/.vault-token, where none is given") {
  Fixture fixture;
  const std::string home = getenv("HOME") == nullptr ? "" : getenv("HOME");
  setenv("HOME", (fixture.directory / "").c_str(), 1);
  fixture.config.method = {};
  fixture.config.method.type = "token";
  fixture.config.method.set_flag("token_helper", true);
  fixture.http->answer(kLookup, 200, looked_up(600));
  SUBCASE("not there") {
    fixture.start();
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::config);
    CHECK(fixture.ended->text.contains(".vault-token"));
  }
  SUBCASE("there, and replaced later") {
    fixture.directory.write(".vault-token", "T1\n");
    fixture.start();
    CHECK(fixture.token() == "T1");
    fixture.directory.write(".vault-token", "T2");
    fixture.io.advance(15s, 1s);
    CHECK(fixture.token() == "T2");
  }
  SUBCASE("a token that is given goes before it") {
    fixture.directory.write(".vault-token", "T1");
    fixture.config.method.set("token", Secret("given"));
    fixture.start();
    CHECK(fixture.token() == "given");
  }
  if (home.empty())
    unsetenv("HOME");
  else
    setenv("HOME", home.c_str(), 1);
}

}  // namespace
}  // namespace keybearer::auth
