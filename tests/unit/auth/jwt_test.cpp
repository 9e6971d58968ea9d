#include "auth/jwt.hpp"

#include <doctest/doctest.h>

#include "crypto/base64url.hpp"

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kNow = 1'796'000'000;  // 2026-11-30T00:53:20Z

std::string jwt(std::string_view payload) {
  return base64url(R"({"alg":"RS256"})") + "." + base64url(payload) + ".c2lnbmF0dXJl";
}
std::string described(std::string_view payload) {
  return describe_jwt(jwt(payload), WallTime(std::chrono::seconds(kNow)));
}

TEST_CASE("claims are read as they are") {
  const auto claims = read_jwt(jwt(
      R"({"iss":"i","sub":"s","aud":["a","b"],"iat":1,"nbf":2.9,"exp":1796000000,"x":{"y":[1]}})"));
  REQUIRE(claims);
  CHECK(claims->issuer == "i");
  CHECK(claims->subject == "s");
  CHECK(claims->audience == std::vector<std::string>{"a", "b"});
  CHECK(claims->issued == 1);
  CHECK(claims->not_before == 2);
  CHECK(claims->expires == kNow);
}

TEST_CASE("a claim that is missing, of another type or absurd counts as missing") {
  for (const auto* payload :
       {"{}", R"({"iss":1,"sub":null,"aud":{},"exp":"x","nbf":-1,"iat":1e99})",
        R"({"iss":[],"sub":{},"aud":[1,null],"exp":null,"nbf":true,"iat":[]})"}) {
    CAPTURE(payload);
    const auto claims = read_jwt(jwt(payload));
    REQUIRE(claims);
    CHECK(claims->issuer.empty());
    CHECK(claims->subject.empty());
    CHECK(claims->audience.empty());
    CHECK_FALSE(claims->issued);
    CHECK_FALSE(claims->not_before);
    CHECK_FALSE(claims->expires);
  }
}

TEST_CASE("nothing of a JWT's claims can end a line or turn its direction") {
  const std::string claims =
      "{\"iss\":\"a\x7f\",\"sub\":\"b\\u202ec\\u0085\",\"aud\":[\"d\\n\xff\"]}";
  const std::string text = describe_jwt("e30." + base64url(claims) + ".c", WallTime());
  CHECK_MESSAGE(text.starts_with(R"(its aud = ["d\n)"), text);
  CHECK(text.contains(R"(iss = "a\u007f", sub = "b\u202ec\u0085")"));
  CHECK(text.find_first_of("\x7f\n\xff") == std::string::npos);
}

TEST_CASE("what is no JWT is none") {
  for (const auto& token :
       {std::string(), std::string("a.b"), std::string("a.b.c.d"), std::string("..."),
        std::string("hvs.CAESI"), std::string("a.") + base64url("[1]") + ".c",
        std::string("a.") + base64url("{") + ".c", std::string("a.e30=.c"),
        std::string(70'000, 'a') + ".e30.c"}) {
    CHECK_FALSE(read_jwt(token));
    CHECK(describe_jwt(token, WallTime()) == "what is there is no JWT");
  }
}

TEST_CASE("what is said of a JWT: its claims and times, never the token itself") {
  CHECK(described(
            R"({"iss":"https://issuer","sub":"system:serviceaccount:ns1:app","aud":"vault"})") ==
        "its aud = [\"vault\"], iss = \"https://issuer\", sub = \"system:serviceaccount:ns1:app\"; "
        "our clock says 2026-11-30T00:53:20Z");
  CHECK(described(R"({"exp":1795999700})")
            .contains(", expired at 2026-11-30T00:48:20Z (5 min ago); our clock says"));
  CHECK(described(R"({"exp":1796000060})").contains("expires at 2026-11-30T00:54:20Z (in 60 s);"));
  CHECK(described(R"({"nbf":1796000130})")
            .contains("valid only from 2026-11-30T00:55:30Z (in 2 min)"));
  const auto hostile =
      described(R"({"iss":"a\nb\u001b[31m","sub":")" + std::string(5000, 'x') + "\"}");
  CHECK(hostile.find_first_of("\n\x1b") == std::string::npos);
  CHECK(hostile.size() < 600);
  CHECK_FALSE(hostile.contains("c2lnbmF0dXJl"));
}

TEST_CASE("times for people") {
  CHECK(utc_text(0) == "1970-01-01T00:00:00Z");
  CHECK(utc_text(951'782'400) == "2000-02-29T00:00:00Z");
  CHECK(utc_text(-1).empty());
  CHECK(utc_text(253'402'300'800).empty());
  CHECK(relative_time(5, 5) == "now");
  CHECK(relative_time(0, 119) == "119 s ago");
  CHECK(relative_time(7199, 0) == "in 119 min");
  CHECK(relative_time(0, 7200) == "2 h ago");
  CHECK(relative_time(172'800, 0) == "in 2 days");
}

}  // namespace
}  // namespace keybearer::auth
