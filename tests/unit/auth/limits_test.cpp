// Where each rule about credentials and the documents that they come in begins and ends.

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "auth/cloud.hpp"
#include "auth/cloud_documents.hpp"
#include "auth/credential.hpp"
#include "auth/jwt.hpp"
#include "auth/method.hpp"
#include "auth/own_token.hpp"
#include "crypto/base64url.hpp"

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;

std::string jwt(const std::string& claims) {
  return "e30." + base64url(claims) + ".c2ln";
}

TEST_CASE("a JWT's size, parts, nesting and texts have their limits") {
  CHECK(read_jwt(jwt("{}")));
  for (const char* bad : {"", ".", "a.b", "a.e30.c.d", "e30.e30", "e30.*.x"})
    CHECK_FALSE(read_jwt(bad));
  CHECK(read_jwt(".e30."));
  CHECK_FALSE(read_jwt(jwt("[]")));
  const std::string head = "e30.e30.";
  CHECK(read_jwt(head + std::string(65536 - head.size(), 'x')));
  CHECK_FALSE(read_jwt(head + std::string(65537 - head.size(), 'x')));
  const auto nested = [](std::size_t depth) {
    return jwt("{\"x\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}");
  };
  CHECK(read_jwt(nested(32)));
  CHECK_FALSE(read_jwt(nested(33)));
  const auto claims = read_jwt(jwt("{\"iss\":\"" + std::string(201, 'i') +
                                   "\",\"sub\":5,\"aud\":\"" + std::string(200, 'a') + "\"}"));
  REQUIRE(claims);
  CHECK(claims->issuer == std::string(200, 'i'));
  CHECK(claims->subject.empty());
  CHECK(claims->audience == std::vector<std::string>{std::string(200, 'a')});
  const auto many = read_jwt(jwt(R"({"aud":["1","2",3,"4","5","6","7","8","9","10"]})"));
  REQUIRE(many);
  CHECK(many->audience == std::vector<std::string>{"1", "2", "4", "5", "6", "7", "8", "9"});
  CHECK(read_jwt(jwt(R"({"aud":{}})"))->audience.empty());
}

TEST_CASE("a JWT's times are within the years that a clock can show") {
  const auto expires = [](const std::string& text) {
    const auto claims = read_jwt(jwt("{\"exp\":" + text + "}"));
    REQUIRE(claims);
    return claims->expires;
  };
  CHECK(expires("0") == 0);
  CHECK(expires("1.9") == 1);
  CHECK(expires("253402300799") == 253402300799);
  CHECK_FALSE(expires("253402300800"));
  CHECK_FALSE(expires("-1"));
  CHECK_FALSE(expires("\"1\""));
  CHECK_FALSE(expires("null"));
}

TEST_CASE("times as people read them") {
  const struct {
    std::int64_t at, now;
    const char* text;
  } rows[] = {{5, 5, "now"},
              {4, 5, "1 s ago"},
              {6, 5, "in 1 s"},
              {119, 0, "in 119 s"},
              {120, 0, "in 2 min"},
              {7199, 0, "in 119 min"},
              {7200, 0, "in 2 h"},
              {172'799, 0, "in 47 h"},
              {172'800, 0, "in 2 days"},
              {0, 172'800, "2 days ago"}};
  for (const auto& row : rows) CHECK(relative_time(row.at, row.now) == row.text);
  CHECK(utc_text(0) == "1970-01-01T00:00:00Z");
  CHECK(utc_text(1'796'040'001) == "2026-11-30T12:00:01Z");
  CHECK(utc_text(253'402'300'799) == "9999-12-31T23:59:59Z");
  CHECK(utc_text(253'402'300'800).empty());
  CHECK(utc_text(-1).empty());
}

TEST_CASE("what is said of a JWT") {
  const WallTime now(1000s);
  CHECK(describe_jwt("x", now) == "what is there is no JWT");
  CHECK(describe_jwt(jwt(R"({"aud":["a","b"],"iss":"i","sub":"s","exp":1000})"), now) ==
        R"(its aud = ["a", "b"], iss = "i", sub = "s", expired at 1970-01-01T00:16:40Z (now); )"
        "our clock says 1970-01-01T00:16:40Z");
  CHECK(describe_jwt(jwt(R"({"exp":1001,"nbf":1001})"), now)
            .contains(", expires at 1970-01-01T00:16:41Z (in 1 s), valid only from "
                      "1970-01-01T00:16:41Z (in 1 s); our clock"));
  CHECK_FALSE(describe_jwt(jwt(R"({"nbf":1000})"), now).contains("valid only"));
  CHECK(describe_jwt(jwt("{}"), now).starts_with(R"(its aud = [], iss = "", sub = ""; our)"));
}

TEST_CASE("which answers of a cloud pass by themselves") {
  const struct {
    int status;
    ErrorKind kind;
  } rows[] = {{400, ErrorKind::denied},    {403, ErrorKind::denied}, {407, ErrorKind::denied},
              {408, ErrorKind::server},    {409, ErrorKind::denied}, {428, ErrorKind::denied},
              {429, ErrorKind::throttled}, {430, ErrorKind::denied}, {499, ErrorKind::denied},
              {500, ErrorKind::server},    {503, ErrorKind::server}};
  for (const auto& row : rows) {
    CAPTURE(row.status);
    const Error error = cloud_refusal(row.status, "GET x", "why");
    CHECK(error.kind == row.kind);
    CHECK(error.text == "GET x: " + std::to_string(row.status) + " why");
    CHECK((error.reason == Reason::credentials_away) == (row.kind != ErrorKind::denied));
  }
  CHECK(cloud_refusal(400, "a", "").text == "a: 400");
}

TEST_CASE("a reason is one line, and not a long one") {
  const auto line = [](const std::string& text) {
    const Value value(text);
    return reason_line(&value);
  };
  CHECK(line(std::string(300, 'x')) == std::string(300, 'x'));
  CHECK(line(std::string(301, 'x')).ends_with("..."));
  CHECK(line("a\nb") == "a");
  CHECK(line("a\rb") == "a");
  CHECK(line("a\x1f\x20\x7f~") == "a   ~");
  CHECK(reason_line(nullptr).empty());
  const Value number = Value::number("5");
  CHECK(reason_line(&number).empty());
}

TEST_CASE("each byte in a bearer that a header is to carry") {
  for (int c = 0x20; c < 0x80; ++c) {
    const char byte = static_cast<char>(c);
    if (byte == '"' || byte == '\\') continue;
    CAPTURE(c);
    const bool good = c > 0x20 && c < 0x7f;
    CHECK(bool(header_secret(R"({"t":"a)" + std::string(1, byte) + "\"}", "t")) == good);
  }
  for (const char* bad : {"", "{}", R"({"t":""})", R"({"t":5})", R"({"t":"\n"})", "[]"})
    CHECK_FALSE(header_secret(bad, "t"));
  CHECK(jwt_of_body(" \n" + jwt("{}") + "\n")->reveal() == jwt("{}"));
  CHECK_FALSE(jwt_of_body("x y"));
  CHECK_FALSE(jwt_of_body(jwt("{}") + " " + jwt("{}")));
  CHECK_FALSE(jwt_of_body(""));
}

TEST_CASE("each byte in a form") {
  for (int c = 0; c < 256; ++c) {
    CAPTURE(c);
    const std::string byte(1, static_cast<char>(c));
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    const std::string hex = "0123456789ABCDEF";
    const std::string escaped = {'%', hex[static_cast<std::size_t>(c / 16)],
                                 hex[static_cast<std::size_t>(c % 16)]};
    CHECK(form_escaped(byte) == (plain ? byte : escaped));
  }
}

TEST_CASE("a credential's file is of 64 KiB at most, and has more than blanks in it") {
  std::string directory = "/tmp/keybearer-limits-XXXXXX";
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  const std::string path = directory + "/f";
  const auto look = [&](const std::string& text) {
    std::ofstream(path) << text;
    CredentialFile file(path, false);
    const auto looked = file.look();
    return looked ? std::string(file.content().reveal()) : "error: " + looked.error().text;
  };
  CHECK(look(std::string(65536, 'x')).size() == 65536);
  CHECK(look(std::string(65537, 'x')).ends_with("larger than 64 KiB: not a credential"));
  CHECK(look(" \t\r\n\v\fa b\f\v\n\r\t ") == "a b");
  CHECK(look("\x01") == "\x01");
  CHECK(look("").ends_with("the file is empty"));
  CHECK(look(" \n").ends_with("the file is empty"));
  CredentialFile other(directory, false);
  CHECK(other.look().error().text.ends_with("not a regular file"));
  CHECK_FALSE(*other.remove());  // it was never read
  CHECK_FALSE(*CredentialFile(directory + "/none", false).remove());
  CHECK_FALSE(CredentialFile(directory + "/f/x", false).remove());
  std::filesystem::remove_all(directory);
}

TEST_CASE("sixty-four contents are remembered") {
  Attempts attempts;
  for (ContentId content = 1; content <= 64; ++content)
    attempts.record(content, Attempts::Outcome::refused);
  CHECK(attempts.refused(1));
  attempts.record(64, Attempts::Outcome::refused);  // known already
  CHECK(attempts.refused(1));
  attempts.record(65, Attempts::Outcome::refused);
  CHECK(attempts.untried(1));
  CHECK(attempts.refused(2));
  attempts.forget();
  CHECK(attempts.untried(2));
}

TEST_CASE("a token of ours can be revoked while it lives, unless it is a batch token") {
  Clock::freeze(Instant(1000s));
  const auto token = std::make_shared<const Secret>("t");
  const auto revocable = [](vault::Token t, std::optional<Instant> end, bool batch) {
    OwnToken own;
    own.token = std::move(t);
    own.end = end;
    own.batch = batch;
    return own.revocable();
  };
  CHECK(revocable(token, {}, false));
  CHECK(revocable(token, Instant(1000s) + 1ms, false));
  CHECK_FALSE(revocable(token, Instant(1000s), false));
  CHECK_FALSE(revocable(token, {}, true));
  CHECK_FALSE(revocable(nullptr, {}, false));
  Clock::thaw();
}

TEST_CASE("after which errors a login may have been carried out") {
  const struct {
    ErrorKind kind;
    int status;
    Reason reason;
    bool may;
  } rows[] = {{ErrorKind::network, 0, Reason::none, false},
              {ErrorKind::network, 0, Reason::lost_answer, true},
              {ErrorKind::bad_reply, 200, Reason::none, true},
              {ErrorKind::server, 499, Reason::none, false},
              {ErrorKind::server, 500, Reason::none, true},
              {ErrorKind::sealed, 503, Reason::none, false},
              {ErrorKind::denied, 403, Reason::none, false}};
  for (const auto& row : rows) {
    Error error{row.kind, "x"};
    error.status = row.status;
    error.reason = row.reason;
    CHECK(may_have_been_done(error) == row.may);
  }
}

TEST_CASE("where a method is mounted") {
  const auto mounted = [](const std::string& path) {
    config::Method method;
    method.type = "approle";
    method.mount_path = path;
    return mount_path(method);
  };
  for (const char* path : {"", "approle", "auth/approle", "/approle/", "//auth/approle//"})
    CHECK_MESSAGE(mounted(path) == "auth/approle", path);
  CHECK(mounted("team/x") == "auth/team/x");
}

}  // namespace
}  // namespace keybearer::auth
