// Method "aws" within the loop: what it sends, what it waits for, and what it never does.

#include <doctest/doctest.h>

#include "auth/aws/documents.hpp"
#include "auth/method.hpp"
#include "config/method.hpp"
#include "fixture.hpp"
#include "json/json.hpp"
#include "tmpl/funcs/base64.hpp"

// Rules: T2-T4, T12; AWS's refresh windows.
namespace keybearer::auth {
namespace {

constexpr auto kAwsLogin = "POST /v1/auth/aws/login";
constexpr auto kImdsToken = "PUT http://169.254.169.254:80/latest/api/token";
constexpr auto kRoles = "GET http://169.254.169.254:80/latest/meta-data/iam/security-credentials/";
constexpr auto kRole =
    "GET http://169.254.169.254:80/latest/meta-data/iam/security-credentials/app";

constexpr auto kStsAway =
    R"x({"errors":["error making upstream request: giving up after 1 attempt(s)"]})x";

struct Aws : Fixture {
  Aws() {
    config.method = {};
    config.method.type = "aws";
    config.method.set("role", std::string("app"));
  }
  void with_keys() {
    cloud.variables["AWS_ACCESS_KEY_ID"] = "AKIDEXAMPLE";
    cloud.variables["AWS_SECRET_ACCESS_KEY"] = "canary-secret-key";
    cloud.variables["AWS_SESSION_TOKEN"] = "canary-session-token";
  }
  // Sets that live for `life` from when they are asked for; named by their number.
  void on_instance(Duration life) {
    cloud.http.answer(kImdsToken, 200, "t");
    cloud.http.answer(kRoles, 200, "app");
    cloud.http.answer(kRole, [this, life](const auto&) -> result<test::FakeHttp::Reply> {
      const auto ends = cloud.wall + (Clock::now() - cloud.began) + life;
      return test::FakeHttp::Reply{
          .status = 200,
          .body = R"({"AccessKeyId":"ASIA)" + std::to_string(++sets) +
                  R"(","SecretAccessKey":"canary-s","Token":"canary-t","Expiration":")" +
                  aws::time_text(ends) + "\"}"};
    });
  }
  // The keys of the shared file; which of them AWS knows, so that others are refused.
  void write_keys(const std::string& id) {
    cloud.variables["AWS_SHARED_CREDENTIALS_FILE"] = directory.write(
        "credentials", "[default]\naws_access_key_id=" + id + "\naws_secret_access_key=canary-s\n");
  }
  void answer_logins(const char* refusal) {
    http->answer(kAwsLogin, [this, refusal](const auto&) -> result<test::FakeHttp::Reply> {
      if (known) return test::FakeHttp::Reply{.status = 200, .body = granted("T", 3600, false)};
      return test::FakeHttp::Reply{
          .status = 400, .body = R"({"errors":["<Code>)" + std::string(refusal) + "</Code>\"]}"};
    });
  }
  bool known = true;
  // The headers that the last login signed.
  [[nodiscard]] Value sent() const {
    const auto body = json::parse(http->asked.back().body);
    REQUIRE(body);
    const auto headers =
        json::parse(tmpl::base64_decoded(text_at(*body, "iam_request_headers")).value());
    REQUIRE(headers);
    return *headers;
  }
  int sets = 0;
};

TEST_CASE(
    "a login is signed now, for the configured region and server, and nothing of it is logged") {
  Aws fixture;
  fixture.with_keys();
  fixture.config.method.set("region", std::string("eu-west-1"));
  fixture.config.method.set("header_value", std::string("vault.example.com"));
  fixture.http->answer(kAwsLogin, 200, granted("T1", 600));
  fixture.start();
  REQUIRE(fixture.token() == "T1");
  const Value headers = fixture.sent();
  CHECK(text_at(headers, "Host") == "sts.eu-west-1.amazonaws.com");
  CHECK(text_at(headers, "X-Amz-Date") == "20261129T000000Z");
  CHECK(text_at(headers, "X-Amz-Security-Token") == "canary-session-token");
  CHECK(text_at(headers, "X-Vault-AWS-IAM-Server-ID") == "vault.example.com");
  const std::string signature(text_at(headers, "Authorization"));
  CHECK(signature.contains("Credential=AKIDEXAMPLE/20261129/eu-west-1/sts/aws4_request"));
  CHECK(fixture.http->asked[0].token.empty());
  CHECK_FALSE(fixture.log().contains("canary"));
  CHECK_FALSE(fixture.log().contains(signature.substr(signature.rfind('=') + 1)));
}

TEST_CASE("a server that repeats what it was sent gets it masked") {
  Aws fixture;
  fixture.with_keys();
  fixture.rules.once = true;
  fixture.http->answer(kAwsLogin, [](const auto& asked) -> result<test::FakeHttp::Reply> {
    const auto body = json::parse(asked.body);
    const auto headers = tmpl::base64_decoded(text_at(*body, "iam_request_headers")).value();
    return test::FakeHttp::Reply{.status = 400,
                                 .body = R"({"errors":[)" + json::quote(headers) + "]}"};
  });
  fixture.start();
  REQUIRE(fixture.ended);
  CHECK_FALSE(fixture.ended->text.contains("canary"));
  CHECK_FALSE(fixture.log().contains("canary"));
}

TEST_CASE("STS away from the server is an outage: tried again for as long as a start may wait") {
  Aws fixture;
  fixture.with_keys();
  for (int i = 0; i < 8; ++i) fixture.http->answer(kAwsLogin, 400, kStsAway);
  fixture.http->answer(kAwsLogin, 200, granted("T1", 600));
  fixture.start();
  fixture.io.advance(10min, 1s);
  CHECK(fixture.token() == "T1");
  CHECK_FALSE(fixture.ended);
  CHECK(fixture.http->count(kAwsLogin) == 9);
}

TEST_CASE("a metadata service that is away at the start is waited for, and slow is away") {
  Aws fixture;
  SUBCASE("away") {
    fixture.cloud.http.fail(kImdsToken, ErrorKind::network, "connection refused");
    fixture.start();
  }
  SUBCASE("slow") {
    fixture.cloud.http.answer(kImdsToken, 200, "t");
    fixture.cloud.http.delay(kImdsToken, 1h);
    fixture.cloud.http.delay(kRoles, 1h);
    fixture.start();
  }
  fixture.io.advance(60s, 1s);
  CHECK_FALSE(fixture.ended);
  CHECK(fixture.http->asked.empty());
  fixture.cloud.http.reset(kImdsToken);
  fixture.cloud.http.delay(kImdsToken, 0s);
  fixture.cloud.http.delay(kRoles, 0s);
  fixture.on_instance(6h);
  fixture.http->answer(kAwsLogin, 200, granted("T1", 600));
  fixture.io.advance(5min, 1s);
  CHECK(fixture.token() == "T1");
}

TEST_CASE("no credentials anywhere, and an unfinished set: a configuration error that names them") {
  Aws none;
  none.cloud.variables["AWS_EC2_METADATA_DISABLED"] = "true";
  none.start();
  REQUIRE(none.ended);
  CHECK(none.ended->kind == ErrorKind::config);
  CHECK(none.ended->text.contains("AWS_WEB_IDENTITY_TOKEN_FILE"));
  Aws half;
  half.cloud.variables["AWS_ACCESS_KEY_ID"] = "AKID";
  half.start();
  REQUIRE(half.ended);
  CHECK(half.ended->kind == ErrorKind::config);
}

TEST_CASE("each login has credentials that live, fetched again where they would not") {
  Aws fixture;
  fixture.on_instance(1h);
  fixture.http->answer(kAwsLogin, 200, granted("T1", 1200, false));
  fixture.start();
  fixture.io.advance(6h, 10s);
  CHECK(fixture.http->count(kAwsLogin) > 15);
  for (const auto& each : fixture.http->asked) CHECK(each.route == kAwsLogin);
  // A set serves while more than 15 min of its hour are left: two or three logins.
  CHECK(fixture.sets >= 6);
  CHECK(fixture.sets <= fixture.http->count(kAwsLogin));
  CHECK_FALSE(fixture.ended);
}

TEST_CASE("a refused login is followed by one with fresh credentials") {
  Aws fixture;
  fixture.on_instance(6h);
  fixture.http->answer(kAwsLogin, 400, R"({"errors":["<Code>ExpiredToken</Code>"]})");
  fixture.http->answer(kAwsLogin, 200, granted("T1", 600));
  fixture.start();
  fixture.io.advance(10s, 1s);
  CHECK(fixture.token() == "T1");
  CHECK(fixture.sets == 2);
  CHECK(text_at(fixture.sent(), "Authorization").contains("Credential=ASIA2/"));
}

TEST_CASE("new keys in the shared file are used by the next login after a refusal") {
  Aws fixture;
  fixture.config.max_backoff = 10s;
  fixture.write_keys("AKID1");
  fixture.http->answer(kAwsLogin, 200, granted("T1", 3600, false));
  fixture.answer_logins("InvalidClientTokenId");
  fixture.start();
  CHECK(fixture.token() == "T1");
  fixture.known = false;
  fixture.io.advance(54min, 1s);
  CHECK(fixture.http->count(kAwsLogin) >= 2);
  CHECK(fixture.token() == "T1");
  fixture.write_keys("AKID2");
  fixture.known = true;
  fixture.io.advance(12s, 500ms);
  CHECK(fixture.token() == "T");
  CHECK(text_at(fixture.sent(), "Authorization").contains("Credential=AKID2/"));
  CHECK_FALSE(fixture.ended);
}

TEST_CASE("new keys in the shared file do not wait for a back-off that has grown") {
  Aws fixture;
  fixture.write_keys("AKID1");
  fixture.answer_logins("InvalidClientTokenId");
  fixture.start();
  fixture.known = false;
  fixture.io.advance(58min, 1s);
  const auto before = fixture.http->count(kAwsLogin);
  CHECK(before > 4);
  fixture.write_keys("AKID2");
  fixture.known = true;
  fixture.io.advance(2s, 500ms);
  CHECK(fixture.http->count(kAwsLogin) == before + 1);
  CHECK(text_at(fixture.sent(), "Authorization").contains("Credential=AKID2/"));
}

TEST_CASE("new keys of the instance's role are looked for after a refusal") {
  Aws fixture;
  fixture.cloud.http.answer(kImdsToken, 200, "t");
  fixture.cloud.http.answer(kRoles, 200, "app");
  std::string id = "ASIA1";
  const std::string ends = aws::time_text(fixture.cloud.wall + 6h);
  fixture.cloud.http.answer(kRole, [&id, &ends](const auto&) -> result<test::FakeHttp::Reply> {
    return test::FakeHttp::Reply{
        .status = 200,
        .body = R"({"AccessKeyId":")" + id +
                R"(","SecretAccessKey":"canary-s","Token":"canary-t","Expiration":")" + ends +
                "\"}"};
  });
  fixture.http->answer(kAwsLogin, [&id](const auto&) -> result<test::FakeHttp::Reply> {
    if (id == "ASIA2" || Clock::now() - test::Io::start < 1min)
      return test::FakeHttp::Reply{.status = 200, .body = granted("T", 3600, false)};
    return test::FakeHttp::Reply{.status = 400,
                                 .body = R"({"errors":["<Code>ExpiredToken</Code>"]})"};
  });
  fixture.start();
  fixture.io.advance(58min, 1s);
  const auto before = fixture.http->count(kAwsLogin);
  CHECK(before > 4);
  id = "ASIA2";
  fixture.io.advance(13s, 500ms);
  CHECK(fixture.http->count(kAwsLogin) == before + 1);
  CHECK(text_at(fixture.sent(), "Authorization").contains("Credential=ASIA2/"));
}

TEST_CASE("credentials that end while nothing comes in their place are an alarm before their end") {
  Aws fixture;
  fixture.cloud.http.answer(kImdsToken, 200, "t");
  fixture.cloud.http.answer(kRoles, 200, "app");
  const auto ends = fixture.cloud.wall + 1h;
  fixture.cloud.http.answer(kRole, 200,
                            R"({"AccessKeyId":"ASIA1","SecretAccessKey":"canary-s","Token":"t",)"
                            R"("Expiration":")" +
                                aws::time_text(ends) + "\"}");
  fixture.http->answer(kAwsLogin, 200, granted("T1", 24 * 3600));
  fixture.config.method.set("credential_poll_interval", std::string("30s"));
  fixture.start();
  fixture.io.advance(55min, 1s);
  CHECK(fixture.alarms.empty());
  fixture.io.advance(2min, 1s);
  CHECK(fixture.alarms == std::vector<std::string>{"credential.expiring"});
  CHECK(fixture.log().contains("end at 2026-11-29T01:00:00Z"));
  fixture.io.advance(30min, 1s);
  CHECK(fixture.alarms.size() == 1);
  CHECK(fixture.http->count(kAwsLogin) == 1);
  CHECK_FALSE(fixture.log().contains("canary"));
}

TEST_CASE("the keys of the method, and what it withholds from the program") {
  const auto* spec = config::MethodSpec::find("aws");
  REQUIRE(spec != nullptr);
  CHECK(spec->key("region")->wrong("eu-west-1").empty());
  CHECK(spec->key("region")->wrong("auto").empty());
  for (const char* bad : {"", "EU", "a.b", "a b", "a/"})
    CHECK_FALSE(spec->key("region")->wrong(bad).empty());
  CHECK(spec->key("header_value")->wrong("vault.example.com:8200").empty());
  CHECK_FALSE(spec->key("header_value")->wrong("a\r\nb").empty());
  CHECK(std::ranges::count(spec->credentials(), std::string_view("AWS_SESSION_TOKEN")) == 1);
}

}  // namespace
}  // namespace keybearer::auth
