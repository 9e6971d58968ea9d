#include "auth/aws/sigv4.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "auth/aws/login_request.hpp"
#include "crypto/digest.hpp"
#include "json/json.hpp"
#include "tmpl/funcs/base64.hpp"

namespace keybearer::auth::aws {
namespace {

constexpr auto kId = "AKIDEXAMPLE";
constexpr auto kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

std::string hex(const Secret& bytes) {
  std::string out;
  for (const char c : bytes.reveal()) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
    out += two;
  }
  return out;
}

// AWS's own test suite, a case a line.
TEST_CASE("the published test suite of Signature Version 4") {
  std::ifstream in(KEYBEARER_SOURCE_DIR "/tests/unit/auth/aws/sigv4_suite.jsonl");
  int count = 0;
  for (std::string line; std::getline(in, line); ++count) {
    const auto row = json::parse(line);
    REQUIRE(row);
    CAPTURE(text_at(*row, "name"));
    SignedRequest request{.method = text_at(*row, "method"),
                          .path = text_at(*row, "path"),
                          .query = text_at(*row, "query"),
                          .headers = {},
                          .body = text_at(*row, "body")};
    for (const Value& header : value_at(*row, "headers").items())
      request.headers.emplace_back(std::string(header.items()[0].as_text()),
                                   header.items()[1].as_text());
    const Scope scope{.time = "20150830T123600Z", .region = "us-east-1", .service = "service"};
    CHECK(canonical_request(request).reveal() == text_at(*row, "canonical"));
    CHECK(string_to_sign(scope, canonical_request(request).reveal()) == text_at(*row, "to_sign"));
    CHECK(authorization(request, scope, kId, kSecret).reveal() == text_at(*row, "authorization"));
  }
  CHECK(count == 34);
}

TEST_CASE("the documented signing keys and the documented example") {
  CHECK(hex(signing_key(kSecret, {"20150830T000000Z", "us-east-1", "iam"})) ==
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
  CHECK(hex(signing_key(kSecret, {"20150830T123600Z", "us-east-1", "sts"})) ==
        "a9d028e9e96178f3ed6acfa66eff308447119de7ba1dd1dc7b666bbcb5686dfd");
  const SignedRequest list_users{
      .method = "GET",
      .path = "/",
      .query = "Action=ListUsers&Version=2010-05-08",
      .headers = {{"Host", "iam.amazonaws.com"},
                  {"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
                  {"X-Amz-Date", "20150830T123600Z"}}};
  CHECK(authorization(list_users, {"20150830T123600Z", "us-east-1", "iam"}, kId, kSecret)
            .reveal()
            .ends_with("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"));
}

// --- the login's own request ---

WallTime at(const char* text) {
  tm parts{};
  REQUIRE(strptime(text, "%Y%m%dT%H%M%SZ", &parts) != nullptr);
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

Keys keys_of(const char* token = nullptr) {
  return {.access_key_id = kId,
          .secret_access_key = std::make_shared<Secret>(kSecret),
          .session_token = token != nullptr ? std::make_shared<Secret>(token) : nullptr};
}

constexpr auto kToken =
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPf"
    "IeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGd";

TEST_CASE("the signature of a login: worked examples, two of them made by AWS's SDK for Go") {
  struct {
    const char* time;
    const char* region;
    const char* header_value;
    const char* token;
    const char* signature;
  } const rows[] = {
      {"20150830T123600Z", "", "vault.example.com", nullptr,
       "ce09df5789ee77754fa3b56c2c79d6e2a99fa8b01df29dc910c3abf6fb73eb98"},
      {"20150830T123600Z", "", "vault.example.com", kToken,
       "658e6ed82f91adc4f902dfc6f504e2017d83b59159ed9840dd2371b7371c835a"},
      {"20150830T123600Z", "eu-central-1", "vault.example.com", nullptr,
       "b1f715dbbc50cdb0e691361ba071e4183b54c1a2896588cc81d07e43b4a02afc"},
      {"20261129T025418Z", "", "vault.example.com", nullptr,
       "11903b6cf79722f224cce3d9cf301485465370e3f8bf013db88d239e336dc0bb"},
      {"20261129T025418Z", "eu-west-1", "", nullptr,
       "82df3af9e25c846b8765b91cc11f2f591d7f421656e17c0ffdc923e196fe648d"},
  };
  for (const auto& [time, region, header_value, token, signature] : rows) {
    CAPTURE(time);
    CAPTURE(region);
    const LoginRequest request{
        .role = "r", .header_value = header_value, .sts = sts_endpoint(region), .now = at(time)};
    CHECK(login_authorization(request, keys_of(token))
              .reveal()
              .ends_with(std::string("Signature=") + signature));
  }
}

TEST_CASE("the body of a login") {
  const LoginRequest request{.role = "app \"r\"",
                             .header_value = "vault.example.com",
                             .sts = sts_endpoint(""),
                             .now = at("20150830T123600Z")};
  const Secret body = login_body(request, keys_of(kToken));
  const auto parsed = json::parse(body.reveal());
  REQUIRE(parsed);
  CHECK(parsed->entries().size() == 5);
  CHECK(text_at(*parsed, "role") == "app \"r\"");
  CHECK(text_at(*parsed, "iam_http_request_method") == "POST");
  CHECK(text_at(*parsed, "iam_request_url") == "aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8=");
  CHECK(text_at(*parsed, "iam_request_body") ==
        "QWN0aW9uPUdldENhbGxlcklkZW50aXR5JlZlcnNpb249MjAxMS0wNi0xNQ==");
  const auto headers =
      json::parse(tmpl::base64_decoded(text_at(*parsed, "iam_request_headers")).value());
  REQUIRE(headers);
  CHECK(headers->entries().size() == 7);
  CHECK(text_at(*headers, "Content-Length") == "43");
  CHECK(text_at(*headers, "Content-Type") == "application/x-www-form-urlencoded; charset=utf-8");
  CHECK(text_at(*headers, "Host") == "sts.amazonaws.com");
  CHECK(text_at(*headers, "X-Amz-Date") == "20150830T123600Z");
  CHECK(text_at(*headers, "X-Amz-Security-Token") == kToken);
  CHECK(text_at(*headers, "X-Vault-AWS-IAM-Server-ID") == "vault.example.com");
  CHECK(text_at(*headers, "Authorization") ==
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/sts/aws4_request, "
        "SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-security-token;"
        "x-vault-aws-iam-server-id, "
        "Signature=658e6ed82f91adc4f902dfc6f504e2017d83b59159ed9840dd2371b7371c835a");
  // No role: the server takes the name in the identity.
  const auto plain = json::parse(
      login_body({.role = "", .header_value = "", .sts = sts_endpoint(""), .now = {}}, keys_of())
          .reveal());
  REQUIRE(plain);
  CHECK(plain->find("role") == nullptr);
}

TEST_CASE("the endpoint of a region is of its partition, and signed for that region alone") {
  struct {
    const char* region;
    bool fips;
    const char* host;
    const char* scope;
  } const rows[] = {
      {"", false, "sts.amazonaws.com", "us-east-1"},
      {"aws-global", false, "sts.amazonaws.com", "us-east-1"},
      {"us-east-1", false, "sts.us-east-1.amazonaws.com", "us-east-1"},
      {"eu-west-1", false, "sts.eu-west-1.amazonaws.com", "eu-west-1"},
      {"eu-south-1", false, "sts.eu-south-1.amazonaws.com", "eu-south-1"},
      {"ap-east-1", false, "sts.ap-east-1.amazonaws.com", "ap-east-1"},
      {"mx-central-1", false, "sts.mx-central-1.amazonaws.com", "mx-central-1"},
      {"cn-north-1", false, "sts.cn-north-1.amazonaws.com.cn", "cn-north-1"},
      {"cn-northwest-1", true, "sts.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"},
      {"us-gov-west-1", false, "sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
      {"us-gov-east-1", true, "sts.us-gov-east-1.amazonaws.com", "us-gov-east-1"},
      {"us-iso-east-1", false, "sts.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"},
      {"us-isob-east-1", false, "sts.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"},
      {"us-isof-south-1", false, "sts.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"},
      {"eu-isoe-west-1", false, "sts.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"},
      {"eusc-de-east-1", false, "sts.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"},
      {"", true, "sts-fips.us-east-1.amazonaws.com", "us-east-1"},
      {"us-west-2", true, "sts-fips.us-west-2.amazonaws.com", "us-west-2"},
      {"eu-west-1", true, "sts.eu-west-1.amazonaws.com", "eu-west-1"},
  };
  for (const auto& [region, fips, host, scope] : rows)
    CHECK(sts_endpoint(region, fips) == StsEndpoint{host, scope});
}

TEST_CASE("what may be a region") {
  for (const char* good : {"us-east-1", "cn-north-1", "eusc-de-east-1", "aws-global"})
    CHECK(is_region(good));
  for (const char* bad : {"", "eu-west-1 ", "EU-WEST-1", "a.example.com", "x/", "evil#", "auto\n",
                          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
    CHECK_FALSE(is_region(bad));
}

}  // namespace
}  // namespace keybearer::auth::aws
