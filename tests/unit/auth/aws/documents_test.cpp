#include "auth/aws/documents.hpp"

#include <doctest/doctest.h>

#include <random>

namespace keybearer::auth::aws {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNoon = std::chrono::sys_days(std::chrono::year(2026) / 11 / 29) + 12h;

TEST_CASE("times as AWS's services and tools write them") {
  for (const char* text :
       {"2026-11-29T12:00:00Z", "2026-11-29T12:00:00.000Z", "2026-11-29T12:00:00.123456789Z",
        "2026-11-29T14:00:00+02:00", "2026-11-29T14:00:00+0200", "2026-11-29T05:30:00-06:30",
        "2026-11-29 12:00:00", "2026-11-29t12:00:00z", "2026-11-29T12:00:00UTC"}) {
    CAPTURE(text);
    CHECK(parse_time(text) == kNoon);
  }
  for (const char* text : {"", "Z", "now", "2026", "2026-11-29", "2026-11-29T12:00Z",
                           "2026-13-29T12:00:00Z", "2026-11-32T12:00:00Z", "2026-11-29T24:00:00Z",
                           "2026-11-29T12:60:00Z", "1969-11-29T12:00:00Z", "2026-11-29T12:00:00+1",
                           "2026-11-29T12:00:00Zx", "-026-11-29T12:00:00Z", "2026-1--29T12:00:00Z",
                           "5965-11-29T12:00:00Z", "2200-01-01T00:00:00Z", "1796000000"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_time(text));
  }
  CHECK(time_text(kNoon) == "2026-11-29T12:00:00Z");
}

TEST_CASE("the shared files: sections, settings, comments, and what is passed over") {
  const SharedFile file(
      "\xEF\xBB\xBF# comment\n; comment\norphan = 1\n[default]\naws_access_key_id=AKID\r\n"
      "AWS_SECRET_ACCESS_KEY = a=b#c+/\n  region = eu-west-1   # here\n"
      "s3 =\n  max_concurrent_requests = 20\n  region = nested\noutput = json\n"
      "not a setting\n[broken\nx = 1\n[profile \"a b\"]\nregion\t=\tcn-north-1\n"
      "[default]\nregion = us-west-2\n[ spaced ]\nk = v");
  CHECK(file.find("default", "aws_access_key_id") == "AKID");
  CHECK(file.find("default", "aws_secret_access_key") == "a=b#c+/");
  CHECK(file.find("default", "region") == "us-west-2");
  CHECK(file.find("default", "output") == "json");
  CHECK(file.find("default", "max_concurrent_requests") == "");
  CHECK(file.find("profile a b", "region") == "cn-north-1");
  CHECK(file.find("spaced", "k") == "v");
  CHECK(file.find("default", "x") == "");
  CHECK(file.find("none", "x") == "");
  CHECK(file.has("profile a b"));
  CHECK_FALSE(file.has("broken"));
  CHECK_FALSE(SharedFile("").has(""));
}

constexpr auto kGood =
    R"({"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s/+=","Token":"t==","Expiration":"2026-11-29T12:00:00Z"})";

TEST_CASE("what metadata services answer") {
  const auto keys = parse_metadata_reply(kGood);
  REQUIRE(keys);
  CHECK(keys->access_key_id == "ASIA1");
  CHECK(keys->secret_access_key->reveal() == "s/+=");
  CHECK(keys->session_token->reveal() == "t==");
  CHECK(keys->expires == kNoon);
  // Without Code: ECS and EKS.
  CHECK(parse_metadata_reply(
      R"({"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"2026-11-29T12:00:00Z","AccountId":"1"})"));
  for (
      const char* text :
      {"", "null", "[]", "{}", "not JSON", R"({"Code":"Failed"})",
       R"({"AccessKeyId":"a","SecretAccessKey":"b","Token":"c"})",
       R"({"AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"soon"})",
       R"({"AccessKeyId":"","SecretAccessKey":"b","Token":"c","Expiration":"2026-11-29T12:00:00Z"})",
       R"({"AccessKeyId":"a","SecretAccessKey":"b","Token":"c\nX: y","Expiration":"2026-11-29T12:00:00Z"})"}) {
    CAPTURE(text);
    const auto bad = parse_metadata_reply(text);
    REQUIRE_FALSE(bad);
    CHECK(bad.error().kind == ErrorKind::bad_reply);
  }
}

TEST_CASE("what single sign-on answers, and its session") {
  const auto keys = parse_sso_reply(
      R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"S","sessionToken":"T","expiration":1796040000000}})");
  REQUIRE(keys);
  CHECK(keys->access_key_id == "A");
  CHECK(keys->expires == std::chrono::system_clock::from_time_t(1796040000));
  for (
      const char* text :
      {"{}", R"({"roleCredentials":{}})", R"({"roleCredentials":[]})",
       R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"S","sessionToken":"T","expiration":-1}})",
       R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"S","sessionToken":"T","expiration":9e99}})",
       R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"S","sessionToken":"T","expiration":99999999999999}})"})
    CHECK_FALSE(parse_sso_reply(text));
  const auto session =
      parse_sso_token(R"({"accessToken":"tok","expiresAt":"2026-11-29T12:00:00UTC"})");
  REQUIRE(session);
  CHECK(session->token->reveal() == "tok");
  CHECK(session->expires == kNoon);
  CHECK_FALSE(parse_sso_token("{}"));
  CHECK_FALSE(parse_sso_token(R"({"accessToken":"a b"})"));
}

std::string sts_reply(const std::string& credentials) {
  return "<AssumeRoleWithWebIdentityResponse "
         "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>"
         "<Credentials>" +
         credentials +
         "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWith"
         "WebIdentityResponse>";
}

TEST_CASE("what STS answers") {
  const std::string all =
      "<AccessKeyId>ASIA2</AccessKeyId>\n<SecretAccessKey>s&amp;x</SecretAccessKey>"
      "<SessionToken>t/+=</SessionToken><Expiration>2026-11-29T12:00:00Z</Expiration>";
  const auto keys = parse_sts_reply(sts_reply(all));
  REQUIRE(keys);
  CHECK(keys->access_key_id == "ASIA2");
  CHECK(keys->secret_access_key->reveal() == "s&x");
  CHECK(keys->session_token->reveal() == "t/+=");
  CHECK(keys->expires == kNoon);
  for (const std::string& text :
       {std::string(), std::string("{}"), sts_reply(""), all,
        sts_reply("<AccessKeyId>A</AccessKeyId>"), sts_reply(all).substr(0, 250),
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>" + sts_reply(all),
        sts_reply("<AccessKeyId>A\r\nX: y</AccessKeyId>" + all)}) {
    CAPTURE(text);
    CHECK_FALSE(parse_sts_reply(text));
  }
}

TEST_CASE("what went wrong, as services say it, in one short line") {
  CHECK(service_error("<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
                      "<Message>Not\nauthorized &lt;x&gt;</Message></Error></ErrorResponse>") ==
        "AccessDenied: Not authorized <x>");
  CHECK(service_error(R"({"code":"AccessDeniedException","message":"no"})") ==
        "AccessDeniedException: no");
  CHECK(service_error(R"({"__type":"UnauthorizedException"})") == "UnauthorizedException");
  for (const char* text : {"", "{}", "[]", "<html>", "gone"}) CHECK(service_error(text) == "");
  CHECK(service_error("{\"message\":\"" + std::string(5000, 'x') + "\"}").size() < 250);
}

// Whatever the bytes, and wherever a good text is cut or changed.
TEST_CASE("hostile documents are errors, never more") {
  std::mt19937 random(7);
  const std::string seeds[] = {kGood, sts_reply("<AccessKeyId>A</AccessKeyId>"),
                               "[default]\naws_access_key_id = x\n[a\n=\n[]\n= =\n"};
  for (const std::string& seed : seeds) {
    for (int turn = 0; turn < 2000; ++turn) {
      std::string text = seed.substr(0, random() % (seed.size() + 1));
      for (unsigned i = random() % 4; i > 0 && !text.empty(); --i)
        text[random() % text.size()] = static_cast<char>(random());
      (void)parse_metadata_reply(text);
      (void)parse_sts_reply(text);
      (void)parse_sso_reply(text);
      (void)parse_sso_token(text);
      (void)parse_time(text);
      (void)service_error(text);
      CHECK(SharedFile(text).find("default", "none") == "");
    }
  }
}

}  // namespace
}  // namespace keybearer::auth::aws
