#include "serve/rules.hpp"

#include <doctest/doctest.h>

#include "serve/rate_limit.hpp"
#include "serve/router.hpp"

using namespace keybearer;
using config::Listener;
using serve::matches_path;
using serve::Router;
using serve::Rules;

namespace {

http::RequestHead head_of(std::string method, std::string target, http::Headers headers = {}) {
  http::RequestHead head;
  head.method = std::move(method);
  head.target = std::move(target);
  head.headers = std::move(headers);
  return head;
}

const http::Headers kGood = {{"Host", "127.0.0.1:8200"}, {"X-Vault-Request", "true"}};
http::Headers with(std::string name, std::string value) {
  http::Headers headers = kGood;
  headers.emplace_back(std::move(name), std::move(value));
  return headers;
}

struct Fixture {
  Router router;
  Listener listener;
  http::Peer peer{.address = "127.0.0.1", .reached = "127.0.0.1"};

  Fixture() {
    router.add({.path = "/livez", .open = true, .handler = {}});
    router.add({.path = "/", .open = true, .handler = {}});
    router.add({.path = "/agent/v1/quit", .methods = {"POST"}, .handler = {}});
    router.add({.path = "/v1/*", .methods = {}, .handler = {}});
  }
  // The status that the request is refused with, or 0 and its route.
  int judge(const http::RequestHead& head, std::string* route = nullptr) {
    const Rules rules(listener);
    const auto found = router.find(head, peer, rules);
    if (!found) return found.error().status;
    if (route != nullptr) *route = found->route->path;
    return 0;
  }
  void as_unix(unsigned uid, unsigned gid = 100, std::vector<gid_t> groups = {}) {
    listener.type = Listener::Type::unix_socket;
    listener.address = "/run/x.sock";
    peer = {
        .address = "", .reached = "", .credentials = http::Peer::Credentials{uid, gid, 1, groups}};
  }
};

}  // namespace

TEST_CASE("patterns are Vault's: + is one segment, * the rest") {
  CHECK(matches_path("secret/data/app", "secret/data/app"));
  CHECK_FALSE(matches_path("secret/data/app", "secret/data/app2"));
  CHECK_FALSE(matches_path("secret/data/app", "secret/data/app/"));
  CHECK(matches_path("secret/data/app/*", "secret/data/app/x/y"));
  CHECK_FALSE(matches_path("secret/data/app/*", "secret/data/app"));
  CHECK(matches_path("secret/data/app*", "secret/data/app2/x"));
  CHECK(matches_path("+/data/app", "kv/data/app"));
  CHECK_FALSE(matches_path("+/data/app", "a/b/data/app"));
  CHECK(matches_path("kv/+/*", "kv/data/x"));
  CHECK_FALSE(matches_path("kv/+/x", "kv//x"));
  CHECK(matches_path("*", "anything/at all"));
}

// Point 45.
TEST_CASE("a foreign Host, another origin and signs of a proxy in front are refused with 403") {
  Fixture fixture;
  CHECK(fixture.judge(head_of("GET", "/v1/x", kGood)) == 0);
  for (const char* host : {"localhost", "LOCALHOST:9", "127.0.0.1"})
    CHECK(fixture.judge(head_of("GET", "/v1/x", {{"Host", host}, {"X-Vault-Request", "true"}})) ==
          0);
  for (const char* host : {"evil.example", "evil.example:8200", "127.0.0.1.evil.example", "",
                           "10.0.0.1", "[::1]:8200", "localhost.evil"})
    CHECK(fixture.judge(head_of("GET", "/livez", {{"Host", host}})) == 403);
  CHECK(fixture.judge(head_of("GET", "http://evil.example/v1/x", kGood)) == 403);
  CHECK(fixture.judge(head_of("GET", "http://localhost/v1/x", kGood)) == 0);
  CHECK(fixture.judge(head_of("GET", "/livez")) == 400);  // point 19
  for (const auto& [name, value] : http::Headers{{"Origin", "http://evil.example"},
                                                 {"origin", "null"},
                                                 {"Sec-Fetch-Site", "cross-site"},
                                                 {"Sec-Fetch-Site", "same-site"},
                                                 {"X-Forwarded-For", "1.2.3.4"},
                                                 {"x-forwarded-host", "x"},
                                                 {"Forwarded", "for=x"},
                                                 {"X-Real-IP", "1.2.3.4"}}) {
    CAPTURE(name);
    CHECK(fixture.judge(head_of("GET", "/v1/x", with(name, value))) == 403);
    CHECK(fixture.judge(head_of("GET", "/livez", with(name, value))) == 403);
  }
  CHECK(fixture.judge(head_of("GET", "/v1/x", with("Sec-Fetch-Site", "same-origin"))) == 0);
  fixture.listener.allow_hosts = {"vault.local"};
  fixture.listener.allow_origins = {"https://ui.local"};
  CHECK(fixture.judge(head_of("GET", "/livez", {{"Host", "vault.local:8200"}})) == 0);
  CHECK(fixture.judge(head_of("GET", "/v1/x", with("Origin", "https://ui.local"))) == 0);
}

// Point 44.
TEST_CASE("a Host is one name and at most one port") {
  Fixture fixture;
  const auto judge = [&](const char* host) {
    http::Headers headers = kGood;
    for (auto& [name, value] : headers)
      if (name == "Host") value = host;
    return fixture.judge(head_of("GET", "/v1/x", headers));
  };
  for (const char* good :
       {"localhost", "localhost:", "localhost:8200", "LOCALHOST:65535", "127.0.0.1:8200"})
    CHECK(judge(good) == 0);
  for (const char* bad :
       {"localhost:1:2", "localhost:x", "localhost, evil", "a@localhost", "localhost/x", "[::1",
        "[::1]x", "[::1]:1:2", "localhost:0", "localhost:65536", "localhost:-1", "localhost:+1",
        "local\thost", "localhost:99999999999999999999"})
    CHECK(judge(bad) == 400);
  CHECK(judge("[::2]:1") == 403);
}

TEST_CASE("the header guard stands before all but health, metrics and page") {
  Fixture fixture;
  const http::Headers bare = {{"Host", "localhost"}};
  CHECK(fixture.judge(head_of("GET", "/v1/x", bare)) == 412);
  CHECK(fixture.judge(head_of("POST", "/agent/v1/quit", bare)) == 412);
  CHECK(fixture.judge(head_of("GET", "/livez", bare)) == 0);
  CHECK(fixture.judge(head_of("HEAD", "/", bare)) == 0);
  CHECK(fixture.judge(
            head_of("GET", "/v1/x", {{"Host", "localhost"}, {"x-vault-request", "TRUE"}})) == 0);
  CHECK(fixture.judge(head_of("GET", "/v1/x", {{"Host", "localhost"}, {"X-Vault-Request", "1"}})) ==
        412);
  CHECK(fixture.judge(head_of("GET", "/v1/x", with("X-Vault-Request", "true"))) == 412);
  fixture.as_unix(1000);
  CHECK(fixture.judge(head_of("GET", "/v1/x")) == 0);
  CHECK(fixture.judge(head_of("GET", "/v1/x", {{"Host", ""}})) == 0);
  fixture.listener.require_request_header = true;
  CHECK(fixture.judge(head_of("GET", "/v1/x")) == 412);
}

// Points 11 and 46.
TEST_CASE("Vault's methods pass, others are 405, and a preflight gets no CORS header") {
  Fixture fixture;
  for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "LIST", "SCAN"})
    CHECK(fixture.judge(head_of(method, "/v1/x", kGood)) == 0);
  for (const char* method : {"OPTIONS", "TRACE", "CONNECT", "get", "BREW", "PROPFIND"})
    CHECK(fixture.judge(head_of(method, "/v1/x", kGood)) == 405);
  CHECK(fixture.judge(head_of("POST", "/livez", kGood)) == 405);
  CHECK(fixture.judge(head_of("GET", "/nope", kGood)) == 404);
  const auto refused = fixture.router.find(head_of("OPTIONS", "/v1/x", kGood), fixture.peer,
                                           Rules(fixture.listener));
  REQUIRE_FALSE(refused);
  for (const auto& [name, value] : refused.error().headers)
    CHECK_FALSE(name.starts_with("Access-Control"));
}

TEST_CASE("metrics_only serves what is open and nothing else") {
  Fixture fixture;
  fixture.listener.role = Listener::Role::metrics_only;
  CHECK(fixture.judge(head_of("GET", "/livez", kGood)) == 0);
  CHECK(fixture.judge(head_of("GET", "/v1/x", kGood)) == 404);
  CHECK(fixture.judge(head_of("POST", "/agent/v1/quit", kGood)) == 404);
}

// Point 49.
TEST_CASE("the peer's uid and groups decide, and a certificate's names") {
  Fixture fixture;
  fixture.as_unix(1000, 100, {200, 300});
  fixture.listener.allow_uids = {0, 1000};
  CHECK(fixture.judge(head_of("GET", "/livez")) == 0);
  fixture.as_unix(1001);
  CHECK(fixture.judge(head_of("GET", "/livez")) == 403);
  fixture.listener.allow_uids = {};
  fixture.listener.allow = {
      {"uid:1000", {"GET kv/a"}}, {"gid:300", {"GET kv/b"}}, {"", {"GET kv/c"}}};
  fixture.as_unix(1000, 100, {200, 300});
  CHECK(fixture.judge(head_of("GET", "/v1/kv/a")) == 0);
  CHECK(fixture.judge(head_of("GET", "/v1/kv/b")) == 0);
  CHECK(fixture.judge(head_of("GET", "/v1/kv/c")) == 0);
  fixture.as_unix(7, 7);
  CHECK(fixture.judge(head_of("GET", "/v1/kv/a")) == 403);
  CHECK(fixture.judge(head_of("GET", "/v1/kv/b")) == 403);
  CHECK(fixture.judge(head_of("GET", "/v1/kv/c")) == 0);
  fixture = Fixture();
  fixture.listener.allow = {{"CN=pos-1", {"GET kv/a"}}, {"spiffe://d/ns/app", {"GET kv/b"}}};
  fixture.peer.certificate = {.common_name = "pos-1", .names = {"spiffe://d/ns/app"}};
  CHECK(fixture.judge(head_of("GET", "/v1/kv/a", kGood)) == 0);
  CHECK(fixture.judge(head_of("GET", "/v1/kv/b", kGood)) == 0);
  fixture.peer.certificate = {.common_name = "pos-2", .names = {"pos-1"}};
  CHECK(fixture.judge(head_of("GET", "/v1/kv/a", kGood)) == 403);
  // A fleet of them.
  fixture.listener.allow = {{"CN=pos-*", {"GET kv/a"}}, {"spiffe://d/*", {"GET kv/b"}}};
  CHECK(fixture.judge(head_of("GET", "/v1/kv/a", kGood)) == 0);
  fixture.peer.certificate = {.common_name = "POS-2", .names = {"spiffe://d2/x"}};
  CHECK(fixture.judge(head_of("GET", "/v1/kv/a", kGood)) == 403);
  CHECK(fixture.judge(head_of("GET", "/v1/kv/b", kGood)) == 403);
  fixture.peer.certificate.reset();
  CHECK(fixture.judge(head_of("GET", "/v1/kv/a", kGood)) == 403);
}

// Point 51.
TEST_CASE("no spelling of a path or namespace slips past the allow rules") {
  Fixture fixture;
  fixture.listener.allow = {
      {"", {"GET kv/data/app/*", "LIST kv/metadata/app", "POST transit/encrypt/k"}}};
  const auto asks = [&](const char* method, const char* target, http::Headers headers = kGood) {
    return fixture.judge(head_of(method, target, std::move(headers)));
  };
  CHECK(asks("GET", "/v1/kv/data/app/x") == 0);
  CHECK(asks("HEAD", "/v1/kv/data/app/x") == 0);
  CHECK(asks("GET", "/v1/kv/data/%61pp/x") == 0);
  CHECK(asks("GET", "/v1/kv/data/other") == 403);
  CHECK(asks("GET", "/v1/kv/data/app/../other") == 400);
  CHECK(asks("GET", "/v1/kv/data/app/%2e%2e/other") == 400);
  CHECK(asks("GET", "/v1/kv/data/app%2f..%2fother") == 400);
  CHECK(asks("GET", "/v1/kv/data/app//x") == 400);
  CHECK(asks("GET", "/v1/kv/DATA/app/x") == 403);
  CHECK(asks("DELETE", "/v1/kv/data/app/x") == 403);
  CHECK(asks("LIST", "/v1/kv/metadata/app") == 0);
  CHECK(asks("GET", "/v1/kv/metadata/app?list=true") == 0);
  CHECK(asks("GET", "/v1/kv/metadata/app?list=false") == 403);
  CHECK(asks("GET", "/v1/kv/data/app/x?list=true") == 403);
  CHECK(asks("PUT", "/v1/transit/encrypt/k") == 0);
  CHECK(asks("GET", "/v1/kv/data/app/x", with("X-Vault-Namespace", "other")) == 403);
  CHECK(asks("GET", "/v1/kv/data/app/x", with("X-Vault-Namespace", "/")) == 0);
  for (const char* ns : {"..", "kv/..", "a//b", "a%2fb", "kv/data/app/../..", "./", "a\\b"})
    CHECK(asks("GET", "/v1/kv/data/app/x", with("X-Vault-Namespace", ns)) == 400);
  fixture.listener.allow_mode = Listener::AllowMode::log;
  CHECK(asks("GET", "/v1/kv/data/other") == 0);
}

TEST_CASE("a pattern that is none is said so") {
  for (const char* text :
       {"", "GET", "GET ", "get kv/x", "BREW kv/x", "GET kv/*/x", "OPTIONS kv/x"})
    CHECK_FALSE(serve::parse_pattern(text));
  const auto two = serve::parse_pattern("GET,LIST /v1/kv/x");
  REQUIRE(two);
  CHECK(two->size() == 2);
  CHECK((*two)[1].path == "kv/x");
}

TEST_CASE("the rate is per peer, and the table of peers is bounded") {
  serve::RateLimit rate(5);
  Instant now{};
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += rate.take("a", now) ? 1 : 0;
  CHECK(taken == 10);
  CHECK(rate.take("b", now));
  now += std::chrono::seconds(1);
  for (int i = 0; i < 100; ++i) taken += rate.take("a", now) ? 1 : 0;
  CHECK(taken == 15);
  for (int i = 0; i < 100'000; ++i) (void)rate.take(std::to_string(i), now);
  CHECK(rate.peers() <= serve::RateLimit::kMostPeers);
  serve::RateLimit none;
  for (int i = 0; i < 100; ++i) CHECK(none.take("a", now));
}
