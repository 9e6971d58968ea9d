#include "vault/reply.hpp"

#include <doctest/doctest.h>

#include "base/redactor.hpp"
#include "json/json.hpp"
#include "vault/reply_error.hpp"

namespace keybearer::vault {
namespace {

using namespace std::chrono_literals;

http::Response answer(int status, std::string_view body) {
  return {.status = status,
          .retry_after = {},
          .content_type = "application/json",
          .body = Secret(body)};
}

result<Reply> parse(int status, std::string_view body) {
  return parse_reply(answer(status, body), {.method = "GET", .path = "kv/data/app"});
}

TEST_CASE("each status is one kind of error") {
  struct {
    int status;
    ErrorKind kind;
  } rows[] = {
      {400, ErrorKind::refused}, {403, ErrorKind::denied},  {404, ErrorKind::not_found},
      {405, ErrorKind::refused}, {408, ErrorKind::timeout}, {429, ErrorKind::throttled},
      {472, ErrorKind::sealed},  {473, ErrorKind::sealed},  {500, ErrorKind::server},
      {502, ErrorKind::server},  {503, ErrorKind::sealed},  {301, ErrorKind::bad_reply},
      {0, ErrorKind::bad_reply},
  };
  for (const auto& [status, kind] : rows) {
    CAPTURE(status);
    CHECK(kind_of_status(status) == kind);
    CHECK(parse(status, R"({"errors":["why"]})").error().status == status);
  }
}

TEST_CASE(
    "the text of an error is one line with what was asked, the status and the server's reasons") {
  CHECK(parse(403, R"({"errors":["permission denied"]})").error().text ==
        "GET kv/data/app: 403 permission denied");
  CHECK(parse(403, R"({"errors":["1 error occurred:\n\t* permission denied\n\n"]})").error().text ==
        "GET kv/data/app: 403 1 error occurred: * permission denied");
  CHECK(parse(500, R"({"errors":["one","two"]})").error().text == "GET kv/data/app: 500 one; two");
  CHECK(parse(404, R"({"errors":[]})").error().text == "GET kv/data/app: 404 nothing there");
  CHECK(parse(503, "").error().text == "GET kv/data/app: 503 sealed or not available");
  CHECK(parse(504, "").error().text == "GET kv/data/app: 504 gateway timeout");
  CHECK(parse(410, "{\"errors\":[]}").error().text ==
        "GET kv/data/app: 410 refused without a reason");
  CHECK(parse(599, "").error().text == "GET kv/data/app: 599 server error");
  CHECK(parse(304, "").error().text == "GET kv/data/app: 304 no answer to such a request");
  CHECK(parse(400, R"({"errors":"in one text"})").error().text ==
        "GET kv/data/app: 400 in one text");
  CHECK(parse(400, "Client sent an HTTP request to an HTTPS server.")
            .error()
            .text.contains("not from Vault: check vault.address"));
  CHECK(parse(404, R"({"errors":["no handler for route \"kv/data/app\". route entry not found."]})")
            .error()
            .text.starts_with("GET kv/data/app: 404 no secrets engine at kv/data/app"));
  CHECK(parse(502, "<html>\x1b[31mbad</html>").error().text.find('\x1b') == std::string::npos);
  CHECK(parse(403, R"({"errors":["gr\u00fcn \u202e\u009b31m"]})")
            .error()
            .text.ends_with("gr\u00fcn \\u202e\\u009b31m"));
}

TEST_CASE("what a gateway answers for the server is an outage, whatever its status") {
  struct {
    int status;
    ErrorKind kind;
  } rows[] = {{400, ErrorKind::bad_reply}, {401, ErrorKind::bad_reply}, {403, ErrorKind::bad_reply},
              {404, ErrorKind::bad_reply}, {408, ErrorKind::timeout},   {429, ErrorKind::throttled},
              {502, ErrorKind::server},    {503, ErrorKind::server}};
  for (const auto& [status, kind] : rows) {
    CAPTURE(status);
    for (const std::string_view body :
         {"<html>maintenance</html>", R"({"message":"Forbidden"})", "[]", "null", "\"no\""}) {
      CAPTURE(body);
      const auto error = parse(status, body).error();
      CHECK(error.kind == kind);
      CHECK(is_outage(error.kind));
      CHECK(error.status == status);
      CHECK(error.text.contains("not from Vault"));
    }
    CHECK(parse(status, "").error().kind == kind_of_status(status));
    CHECK(parse(status, R"({"errors":[]})").error().kind == kind_of_status(status));
    CHECK(parse(status, R"({"data":null})").error().kind == kind_of_status(status));
  }
}

TEST_CASE("a page in the place of an answer asks whether the address is right") {
  http::Response page = answer(200, "<html>welcome</html>");
  page.content_type = "text/html";
  const auto error = parse_reply(std::move(page), {.method = "GET", .path = "kv/a"}).error();
  CHECK(error.kind == ErrorKind::bad_reply);
  CHECK(error.text.starts_with("GET kv/a: 200: unexpected response (text/html), not from Vault"));
  CHECK(error.text.contains("any proxy in between"));
  CHECK(parse(200, "{").error().text.contains("byte"));
}

TEST_CASE("what an error means is told by its reason, not by its text") {
  struct {
    int status;
    std::string_view path, body;
    ErrorKind kind;
    Reason reason;
  } rows[] = {
      {404, "kv/a", R"({"errors":["no handler for route \"kv/a\". route entry not found."]})",
       ErrorKind::not_found, Reason::no_mount},
      {404, "kv/a", R"({"errors":[]})", ErrorKind::not_found, Reason::none},
      {404, "kv/a", R"({"errors":["namespace not found"]})", ErrorKind::not_found,
       Reason::no_namespace},
      {404, "kv/a",
       R"({"data":null,"warnings":["Invalid path for a versioned K/V secrets engine. See ..."]})",
       ErrorKind::not_found, Reason::wrong_kv_version},
      {404, "kv/data/a", R"({"data":{"data":null,"metadata":{"version":3,"destroyed":true}}})",
       ErrorKind::not_found, Reason::missing_version},
      {400, "auth/approle/login", R"({"errors":["invalid role ID"]})", ErrorKind::refused,
       Reason::invalid_role_id},
      {400, "auth/approle/login", R"({"errors":["invalid role_id"]})", ErrorKind::refused,
       Reason::invalid_role_id},
      {400, "auth/approle/login", R"({"errors":["invalid secret id"]})", ErrorKind::refused,
       Reason::invalid_secret_id},
      {500, "auth/token/renew-self",
       R"({"errors":["1 error occurred:\n\t* failed to renew entry: role x could not be found"]})",
       ErrorKind::refused, Reason::renewal_refused},
      {500, "auth/token/renew-self", R"({"errors":["role does not exist during renewal"]})",
       ErrorKind::refused, Reason::renewal_refused},
      {500, "auth/token/renew-self", R"({"errors":["policies have changed, not renewing"]})",
       ErrorKind::refused, Reason::renewal_refused},
      {500, "sys/leases/renew", R"({"errors":["entity is no longer bound to the role"]})",
       ErrorKind::refused, Reason::renewal_refused},
      {500, "auth/token/renew-self", R"({"errors":["internal error"]})", ErrorKind::server,
       Reason::none},
      {500, "kv/data/a", R"({"errors":["failed to renew entry"]})", ErrorKind::server,
       Reason::none},
      {502, "kv/data/a", "<html>", ErrorKind::server, Reason::foreign_response},
      {200, "kv/data/a", "<html>", ErrorKind::bad_reply, Reason::none},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    CAPTURE(row.path);
    const auto error =
        parse_reply(answer(row.status, row.body), {.method = "GET", .path = row.path}).error();
    CHECK(error.kind == row.kind);
    CHECK(error.reason == row.reason);
  }
}

TEST_CASE("a write that a gateway answered, or of which half an answer came, may have been done") {
  for (const auto& [status, body] : {std::pair{502, "<html>"},
                                     {504, "<html>"},
                                     {408, "<html>"},
                                     {502, ""},
                                     {504, ""},
                                     {408, ""},
                                     {200, R"({"data")"}}) {
    CAPTURE(status);
    const Asked write{.method = "PUT", .path = "pki/issue/web", .repeatable = false};
    const auto error = parse_reply(answer(status, body), write).error();
    CHECK(error.reason == Reason::lost_answer);
    CHECK(error.text.ends_with("it may have been carried out all the same"));
    CHECK(is_outage(error.kind));
  }
  const Asked write{.method = "PUT", .path = "pki/issue/web", .repeatable = false};
  CHECK(parse_reply(answer(400, R"({"errors":["no"]})"), write).error().reason == Reason::none);
  CHECK(parse_reply(answer(500, R"({"errors":["no"]})"), write).error().reason == Reason::none);
}

TEST_CASE("a token that no header can carry is the server's nonsense") {
  for (const char* token : {"a b", "a\\r\\nX: y", "a\\u0000b", "\\t"}) {
    const auto reply = parse(200, std::string(R"({"auth":{"client_token":")") + token + R"("}})");
    REQUIRE_FALSE(reply);
    CHECK(reply.error().kind == ErrorKind::bad_reply);
  }
}

TEST_CASE("a long reason is cut, and between characters") {
  std::string reason;
  for (int i = 0; i < 1000; ++i) reason += "\xC3\xBC";
  const auto error = parse(500, "{\"errors\":[" + json::quote("x" + reason) + "]}").error();
  const auto prefix = std::string_view("GET kv/data/app: 500 x").size();
  CHECK(error.text.size() <= prefix + 300 + 3);
  CHECK((error.text.size() - prefix - 3) % 2 == 0);
  CHECK(error.text.ends_with("..."));
}

TEST_CASE("a server that repeats our secrets in its reasons does not get them into our errors") {
  const Asked asked{
      .method = "PUT",
      .path = "auth/approle/login",
      .token = std::make_shared<const Secret>("hvs.the-token"),
      .body = Secret(R"({"role_id":"r-1234","nested":{"list":["pass\nword","ab"]},"n":1})")};
  const auto reply = parse_reply(
      answer(400, R"({"errors":["bad r-1234 and hvs.the-token with pass\nword, r-1234; cab"]})"),
      asked);
  CHECK(reply.error().text ==
        "PUT auth/approle/login: 400 bad [masked] and [masked] with [masked], [masked]; cab");
}

TEST_CASE("a mask is taken from the longer of two values where one begins the other") {
  const Asked asked{
      .method = "PUT", .path = "p", .token = {}, .body = Secret(R"({"a":"abcd","b":"abcdefgh"})")};
  CHECK(parse_reply(answer(400, R"({"errors":["x abcdefgh y"]})"), asked).error().text ==
        "PUT p: 400 x [masked] y");
}

TEST_CASE("values in force are not repeated, what the configuration itself asked for is") {
  const std::string value = "pa\"ss\\wo\nrd 1";
  const std::string_view values[] = {value, "role-of-a-secret"};
  redactor().set("a secret", values);
  redactor().set_own_words([](std::string_view word) { return word == "web.example.org"; });
  const Asked asked{
      .method = "PUT",
      .path = "pki/issue/web",
      .token = {},
      .body = Secret(R"({"common_name":"web.example.org","alt":"made-of-a-secret"})")};
  const auto echo = "web.example.org, made-of-a-secret, role-of-a-secret, " + value + ", " +
                    json::quote(value) + ", " + json::quote(json::quote(value));
  const auto error = parse_reply(answer(400, "{\"errors\":[" + json::quote(echo) + "]}"), asked);
  redactor().set("a secret", {});
  redactor().set_own_words({});
  CHECK(error.error().text ==
        "PUT pki/issue/web: 400 web.example.org, [masked], [masked], [masked], \"[masked]\", "
        "\"\\\"[masked]\\\"\"");
}

TEST_CASE("a read answers with data, lease and warnings, and what is not known is passed over") {
  const auto reply = parse(200, R"({"request_id":"r","lease_id":"db/creds/a/1","renewable":true,
      "lease_duration":3600,"data":{"password":"p"},"wrap_info":null,"warnings":["w"],"auth":null,"new":[1]})");
  REQUIRE(reply);
  CHECK(reply->lease.id == "db/creds/a/1");
  CHECK(reply->lease.ttl == 1h);
  CHECK(reply->lease.renewable);
  CHECK(text_at(reply->data(), "password") == "p");
  CHECK(reply->warnings == std::vector<std::string>{"w"});
  CHECK_FALSE(reply->auth);
  CHECK_FALSE(reply->wrap);
}

TEST_CASE("an empty answer is a good one") {
  const auto reply = parse(204, "");
  REQUIRE(reply);
  CHECK(reply->body.is_nil());
  CHECK(reply->data().is_nil());
}

TEST_CASE("a login's answer") {
  const auto reply = parse(
      200,
      R"({"data":null,"auth":{"client_token":"hvs.T","accessor":"acc","policies":["app","default"],
      "lease_duration":20,"renewable":true,"entity_id":"e","token_type":"service","orphan":true,"mfa_requirement":null,"num_uses":2}})");
  REQUIRE(reply);
  REQUIRE(reply->auth);
  const Auth& auth = *reply->auth;
  CHECK(auth.token->reveal() == "hvs.T");
  CHECK(auth.accessor == "acc");
  CHECK(auth.policies == std::vector<std::string>{"app", "default"});
  CHECK(auth.ttl == 20s);
  CHECK(auth.renewable);
  CHECK(auth.type == "service");
  CHECK(auth.num_uses == 2);
}

TEST_CASE("a deleted or destroyed version is not found, and the text says which and when") {
  auto error =
      parse(
          404,
          R"({"data":{"data":null,"metadata":{"deletion_time":"2026-11-21T12:00:00Z","destroyed":false,"version":2}}})")
          .error();
  CHECK(error.kind == ErrorKind::not_found);
  CHECK(error.text == "GET kv/data/app: 404 version 2 was deleted at 2026-11-21T12:00:00Z");
  error =
      parse(
          404,
          R"({"data":{"data":null,"metadata":{"deletion_time":"","destroyed":true,"version":3}}})")
          .error();
  CHECK(error.text == "GET kv/data/app: 404 version 3 is destroyed");
  error =
      parse(404, R"({"data":null,"warnings":["Invalid path for a versioned K/V secrets engine."]})")
          .error();
  CHECK(error.text == "GET kv/data/app: 404 Invalid path for a versioned K/V secrets engine.");
}

TEST_CASE("a hostile answer is an error, never a crash") {
  for (const std::string_view body :
       {"[]", "1", "null", "\"x\"", "{", "not json", R"({"lease_duration":"1h"})",
        R"({"lease_duration":1.5})", R"({"lease_id":7})", R"({"renewable":"yes"})",
        R"({"warnings":"w"})", R"({"warnings":[1]})", R"({"auth":[]})",
        R"({"auth":{"policies":"root"}})", R"({"auth":{"client_token":1}})",
        R"({"wrap_info":true})", R"({"wrap_info":{"ttl":"x"}})"}) {
    CAPTURE(body);
    const auto reply = parse(200, body);
    REQUIRE_FALSE(reply);
    CHECK(reply.error().kind == ErrorKind::bad_reply);
  }
  CHECK_FALSE(parse(200, std::string(100'000, '[')));
}

TEST_CASE(
    "a duration beyond all sense stays a duration, and a negative one does not mean: forever") {
  CHECK(parse(200, R"({"lease_duration":99999999999999999999999})")->lease.ttl <= 24h * 366 * 100);
  CHECK(parse(200, R"({"lease_duration":9223372036854775807})")->lease.ttl > 24h * 365 * 99);
  CHECK(parse(200, R"({"lease_duration":-5})")->lease.ttl == 1s);
  CHECK(parse(200, R"({"lease_duration":0})")->lease.ttl == 0s);
}

TEST_CASE("what a look-up tells of a token") {
  const auto reply = parse(
      200,
      R"({"data":{"accessor":"a","ttl":18,"renewable":true,"policies":["app"],"identity_policies":["more"],
      "type":"service","num_uses":0,"explicit_max_ttl":3600,"entity_id":"e","orphan":true,"id":"hvs.T","expire_time":null}})");
  const auto auth = parse_lookup(*reply, std::make_shared<const Secret>("hvs.T"));
  REQUIRE(auth);
  CHECK(auth->ttl == 18s);
  CHECK(auth->policies == std::vector<std::string>{"app", "more"});
  CHECK(auth->explicit_max_ttl == 1h);
  CHECK(auth->token->reveal() == "hvs.T");
}

TEST_CASE("half of a look-up's answer is none: a token without a time would be taken for endless") {
  const auto told = [](std::string_view body) -> std::string {
    const auto reply = parse(200, body);
    if (!reply) return "no reply: " + reply.error().text;
    const auto auth = parse_lookup(*reply, std::make_shared<const Secret>("hvs.T"));
    if (auth)
      return std::to_string(duration_cast<std::chrono::seconds>(auth->ttl).count()) +
             (auth->renewable ? " renewable" : "");
    CHECK(auth.error().kind == ErrorKind::bad_reply);
    return auth.error().text;
  };
  constexpr const char* kNoTtl = "an answer without the token's ttl";
  constexpr const char* kWrong = "an answer in which ttl has a wrong type";
  for (const std::string_view body :
       {R"({"data":{"renewable":true,"policies":["app"]}})", R"({"data":{"ttl":null}})",
        R"({"data":{}})", R"({"data":null})", R"({})", R"({"data":[]})", R"({"data":"x"})",
        R"({"ttl":3600})", R"({"auth":{"ttl":3600}})", R"({"data":{"data":{"ttl":3600}}})"}) {
    CAPTURE(body);
    CHECK(told(body) == kNoTtl);
  }
  for (const std::string_view ttl :
       {R"("768h")", R"("3600")", R"("")", "1.5", "1e3", "true", "[]", "{}", "[3600]"}) {
    CAPTURE(ttl);
    CHECK(told(R"({"data":{"renewable":true,"ttl":)" + std::string(ttl) + "}}") == kWrong);
  }
  const std::pair<const char*, const char*> times[] = {
      {"0", "0 renewable"},  // root: it has no end
      {"-1", "1 renewable"},
      {"-99999999999999999999", "1 renewable"},
      {"9223372036854775807", "3162240000 renewable"},
      {"99999999999999999999999", "3162240000 renewable"},
  };
  for (const auto& [ttl, says] : times)
    CHECK(told(R"({"data":{"renewable":true,"ttl":)" + std::string(ttl) + "}}") == says);
  CHECK(told(R"({"data":{"ttl":60}})") == "60");  // never said to be renewable
  CHECK(told(R"({"data":{"ttl":60,"renewable":null}})") == "60");
  CHECK(told(R"({"data":{"ttl":60,"renewable":"true"}})") ==
        "an answer in which renewable has a wrong type");
}

TEST_CASE("what a mount is") {
  const auto mount = [](std::string_view body) { return parse_mount(*parse(200, body)); };
  CHECK(mount(R"({"data":{"path":"secret/","type":"kv","options":{"version":"2"}}})")->kv_version ==
        2);
  CHECK(mount(R"({"data":{"path":"kv1/","type":"kv","options":{}}})")->kv_version == 1);
  CHECK(mount(R"({"data":{"path":"kv1/","type":"kv","options":null}})")->kv_version == 1);
  CHECK(mount(R"({"data":{}})").error().kind == ErrorKind::bad_reply);
  CHECK(mount(R"({"data":{"path":"kv1/","options":[]}})").error().kind == ErrorKind::bad_reply);
}

TEST_CASE("a sealed server's health is an answer, a proxy's page is not") {
  const auto health = parse_health(
      answer(503, R"({"initialized":true,"sealed":true,"standby":true,"version":"1.14.2"})"));
  REQUIRE(health);
  CHECK(health->sealed);
  CHECK(health->version == "1.14.2");
  CHECK(parse_health(answer(503, "<html>")).error().kind == ErrorKind::bad_reply);
}

}  // namespace
}  // namespace keybearer::vault
