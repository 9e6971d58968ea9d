// Where each rule of AWS's documents begins and ends: the last that is good and the first that is not.

#include <doctest/doctest.h>

#include "auth/aws/documents.hpp"

namespace keybearer::auth::aws {
namespace {

using namespace std::chrono_literals;

std::optional<std::int64_t> seconds_of(const std::string& text) {
  const auto time = parse_time(text);
  if (!time) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(time->time_since_epoch()).count();
}

TEST_CASE("each field of a time has its range") {
  const struct {
    const char* text;
    std::optional<std::int64_t> seconds;
  } rows[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"1969-12-31T23:59:59Z", {}},
      {"2199-12-31T23:59:59Z", 7'258'118'399},
      {"2200-01-01T00:00:00Z", {}},
      {"1970-00-01T00:00:00Z", {}},
      {"1970-12-01T00:00:00Z", 28'857'600},
      {"1970-13-01T00:00:00Z", {}},
      {"1970-01-00T00:00:00Z", {}},
      {"1970-01-31T00:00:00Z", 2'592'000},
      {"1970-01-32T00:00:00Z", {}},
      {"1970-01-01T23:00:00Z", 82'800},
      {"1970-01-01T24:00:00Z", {}},
      {"1970-01-01T00:59:00Z", 3'540},
      {"1970-01-01T00:60:00Z", {}},
      {"1970-01-01T00:00:60Z", 60},
      {"1970-01-01T00:00:61Z", {}},
      {"1970-01-02T00:00:00+24:00", 0},
      {"1970-01-02T01:00:00+25:00", {}},
      {"1970-01-02T00:00:00+00:59", 82'860},
      {"1970-01-02T00:00:00+00:60", {}},
      {"1970-01-01T00:00:00-01:30", 5'400},
      {"1970-01-01T01:30:00+0130", 0},
      {"1970-01-01T00:00:01.5+00:00", 1},
      {"1970-01-01T00:00:01.Z", 1},
      {"1970-01-01T00:00:01.999", 1},
      {"1970-01-01T00:00:01", 1},
      {"1970-01-01T00:00:01+1:00", {}},
      {"1970-01-01T00:00:01+01:0", {}},
      {"1970-01-01T00:00:01+01:000", {}},
      {"1970-01-01T00:00:01*01:00", {}},
      {"1970-01-01T00:00:01ZZ", {}},
      {"1970x01-01T00:00:00Z", {}},
      {"1970-01x01T00:00:00Z", {}},
      {"1970-01-01x00:00:00Z", {}},
      {"1970-01-01T00x00:00Z", {}},
      {"1970-01-01T00:00x00Z", {}},
      {"x970-01-01T00:00:00Z", {}},
      {"1970-x1-01T00:00:00Z", {}},
      {"1970-01-x1T00:00:00Z", {}},
      {"1970-01-01Tx0:00:00Z", {}},
      {"1970-01-01T00:x0:00Z", {}},
      {"1970-01-01T00:00:x0Z", {}},
      {"1970-01-01T00:00:-1Z", {}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(seconds_of(row.text) == row.seconds);
  }
}

TEST_CASE("credentials are plain bytes, and not too many") {
  CHECK(is_plain(""));
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    CAPTURE(c);
    CHECK(is_plain({&byte, 1}) == (c > 0x20 && c < 0x7f));
  }
  CHECK(is_plain(std::string(16 * 1024, 'x')));
  CHECK_FALSE(is_plain(std::string(16 * 1024 + 1, 'x')));
}

std::string sso(const std::string& milliseconds) {
  return R"({"roleCredentials":{"accessKeyId":"A","secretAccessKey":"S","sessionToken":"T","expiration":)" +
         milliseconds + "}}";
}

TEST_CASE("a time of single sign-on is after 1970 and before 2200") {
  CHECK_FALSE(parse_sso_reply(sso("0")));
  CHECK(parse_sso_reply(sso("1")));
  CHECK(parse_sso_reply(sso("7258118399999")));
  CHECK_FALSE(parse_sso_reply(sso("7258118400000")));
}

TEST_CASE("each part of the credentials must be there and be plain") {
  const auto reply = [](const std::string& id, const std::string& secret,
                        const std::string& token) {
    return R"({"AccessKeyId":")" + id + R"(","SecretAccessKey":")" + secret + R"(","Token":")" +
           token + R"(","Expiration":"2026-11-29T12:00:00Z"})";
  };
  CHECK(parse_metadata_reply(reply("a", "b", "c")));
  for (const char* bad : {"", "x y", "x\\u007f"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_metadata_reply(reply(bad, "b", "c")));
    CHECK_FALSE(parse_metadata_reply(reply("a", bad, "c")));
    CHECK_FALSE(parse_metadata_reply(reply("a", "b", bad)));
  }
  CHECK_FALSE(parse_metadata_reply(R"({"Code":"Failed",)" + reply("a", "b", "c").substr(1)));
  CHECK(parse_metadata_reply(R"({"Code":"",)" + reply("a", "b", "c").substr(1)));
}

TEST_CASE("documents nest so far and no further") {
  const auto nested = [](int depth) {
    return R"({"Code":"Success","AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"2026-11-29T12:00:00Z","x":)" +
           std::string(static_cast<std::size_t>(depth - 1), '[') +
           std::string(static_cast<std::size_t>(depth - 1), ']') + "}";
  };
  CHECK(parse_metadata_reply(nested(16)));
  CHECK_FALSE(parse_metadata_reply(nested(17)));
}

TEST_CASE("a service's error is cut where it is long, and one line") {
  const auto said = [](std::size_t size) {
    return service_error("{\"message\":\"" + std::string(size, 'x') + "\"}");
  };
  CHECK(said(200) == std::string(200, 'x'));
  CHECK(said(201).ends_with(" ..."));
  CHECK(service_error(R"({"message":"a\u001fb\u0020c\u007fd"})") == "a b c d");
  CHECK(service_error(R"({"code":"a","Code":"b","message":"c","Message":"d"})") == "a: c");
  CHECK(service_error(R"({"error":"a"})") == "a");
  CHECK(service_error(R"({"Message":"d"})") == "d");
  CHECK(service_error("  <Code>a</Code>") == "a");
  CHECK(service_error("<Message>b</Message>") == "b");
  CHECK(service_error("<Code>a<Message>b</Message>") == "b");
  CHECK(service_error("<Code>&amp;&quot;&apos;&gt;&unknown;</Code>") == "&\"'>&unknown;");
}

TEST_CASE("settings are known in any case of their letters, and no other signs are letters") {
  const SharedFile file("[s]\nAZ@[ = 1\n\tindented = 2\nempty =\n\tunder = 3\nlast\t=4\t;c\n");
  CHECK(file.find("s", "az@[") == "1");
  CHECK(file.find("s", "AZ@[") == "");
  CHECK(file.find("s", "indented") == "2");
  CHECK(file.find("s", "empty") == "");
  CHECK(file.find("s", "under") == "");
  CHECK(file.find("s", "last") == "4");
}

TEST_CASE("a session's token is plain") {
  CHECK_FALSE(parse_sso_token(R"({"accessToken":""})"));
  CHECK(parse_sso_token(R"({"accessToken":"a"})"));
  CHECK_FALSE(parse_sso_token(R"({"accessToken":"a)" + std::string(20000, 'x') + "\"}"));
  CHECK_FALSE(parse_sso_token("[]"));
}

}  // namespace
}  // namespace keybearer::auth::aws
