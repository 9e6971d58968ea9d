#include "serve/token_guard.hpp"

#include <doctest/doctest.h>

#include <random>

#include "serve/forward.hpp"

using namespace keybearer;
using serve::choose_credential;
using serve::Credential;
using serve::LeakScanner;
using UseToken = config::ApiProxy::UseToken;

namespace {

constexpr std::string_view kToken = "hvs.CAESIJ0123456789abcdefghij";
constexpr std::string_view kAccessor = "0123456789abcdefghijABCD";
const serve::OwnLogin kOwn{kToken, kAccessor, "auth/approle"};

http::RequestHead head_with(http::Headers headers, std::string method = "POST") {
  http::RequestHead head;
  head.method = std::move(method);
  head.headers = std::move(headers);
  return head;
}

int judge(std::string_view path, std::string_view body = "", http::Headers headers = {},
          bool ours = true, bool creation = false) {
  const auto refused =
      serve::check_token_use(head_with(std::move(headers)), path, body, kOwn, ours, creation);
  return refused ? refused->status : 0;
}

}  // namespace

// Points 2 to 4: the table of section 2.
TEST_CASE("which token goes upstream") {
  const http::Headers none, token = {{"X-Vault-Token", "t"}}, empty = {{"X-Vault-Token", ""}},
                            bearer = {{"Authorization", "bearer t"}},
                            basic = {{"Authorization", "Basic eA=="}};
  const auto with = [](UseToken mode, const http::Headers& headers,
                       std::string_view path = "kv/x") {
    return choose_credential(mode, head_with(headers), path);
  };
  for (const auto& headers : {none, empty, basic}) {
    CHECK(with(UseToken::no, headers) == Credential::none);
    CHECK(with(UseToken::yes, headers) == Credential::ours);
    CHECK(with(UseToken::force, headers) == Credential::ours);
  }
  for (const auto& headers : {token, bearer}) {
    CHECK(with(UseToken::no, headers) == Credential::clients);
    CHECK(with(UseToken::yes, headers) == Credential::clients);
    CHECK(with(UseToken::force, headers) == Credential::ours);
  }
  for (const char* path :
       {"auth/approle/login", "auth/a/b/login/bob", "ns/auth/ldap/login/bob", "sys/health",
        "sys/seal-status", "sys/init", "sys/unseal", "sys/leader", "sys/wrapping/lookup"}) {
    for (const UseToken mode : {UseToken::no, UseToken::yes, UseToken::force}) {
      CHECK(with(mode, none, path) == Credential::none);
      CHECK(with(mode, token, path) == Credential::clients);
    }
  }
  for (const char* path : {"auth/token/lookup-self", "auth/logins", "authx/a/login", "auth/login",
                           "sys/healthy", "kv/sys/wrapping/unwrap"})
    CHECK(with(UseToken::yes, none, path) == Credential::ours);
}

// Points 5 and 6.
TEST_CASE("our token is neither revoked nor wrapped, and others are not made of it unasked") {
  const std::string named = R"({"token": ")" + std::string(kToken) + "\"}";
  CHECK(judge("auth/token/revoke-self") == 403);
  CHECK(judge("ns1/ns2/auth/token/revoke-self") == 403);
  CHECK(judge("auth/token/revoke-self", "", {}, false) == 0);
  CHECK(judge("auth/token/revoke-self", "", {{"X-Vault-Token", std::string(kToken)}}, false) ==
        403);
  for (const bool ours : {true, false}) {
    CHECK(judge("auth/token/revoke", named, {}, ours) == 403);
    CHECK(judge("auth/token/revoke-orphan", named, {}, ours) == 403);
    CHECK(judge("auth/token/revoke-accessor", R"({"accessor":")" + std::string(kAccessor) + "\"}",
                {}, ours) == 403);
    CHECK(judge("auth/token/revoke/" + std::string(kToken), "", {}, ours) == 403);
    CHECK(judge("auth/token/revoke", "token=" + std::string(kToken), {}, ours) == 403);
    CHECK(judge("auth/token/revoke", R"({"token": "other"})", {}, ours) == 0);
  }
  // What only the server can read: it takes the first value, of any depth, and whatever follows.
  const std::string deep = std::string(500, '[') + std::string(500, ']');
  for (const bool ours : {true, false}) {
    for (const std::string& body :
         {named + " x", named + "{}", named.substr(0, named.size() - 1),
          R"({"token": "other", "x": )" + deep + "}", std::string(" \n{")}) {
      CAPTURE(body);
      CHECK(judge("auth/token/revoke", body, {}, ours) == 400);
      CHECK(judge("ns/sys/leases/revoke", body, {}, ours) == 400);
      CHECK(judge("kv/data/x", body, {}, ours) == 0);
    }
  }
  CHECK(judge("sys/leases/revoke-prefix/auth/approle") == 403);
  CHECK(judge("sys/leases/revoke-prefix/auth/") == 403);
  CHECK(judge("sys/leases/revoke-prefix/") == 403);
  CHECK(judge("sys/leases/revoke-prefix/database/creds") == 0);
  CHECK(judge("sys/leases/revoke", R"({"lease_id":"auth/approle/login/h"})") == 403);
  CHECK(judge("sys/leases/revoke", R"({"lease_id":"database/creds/a/1"})") == 0);
  CHECK(judge("auth/token/lookup-self", "", {{"X-Vault-Wrap-TTL", "60s"}}) == 403);
  CHECK(judge("kv/x", "", {{"X-Vault-Wrap-TTL", "60s"}}) == 0);
  CHECK(judge("auth/token/lookup-self", "", {{"X-Vault-Wrap-TTL", "60s"}}, false) == 0);
  CHECK(judge("auth/token/create") == 403);
  CHECK(judge("auth/token/create/role") == 403);
  CHECK(judge("auth/token/create", "", {}, true, true) == 0);
  CHECK(judge("auth/token/create", "", {}, false) == 0);
}

// Point 1.
TEST_CASE("a leak is found however the answer is cut, and nothing of it has passed") {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    const bool leak = round % 2 == 0;
    std::string text(random() % 300, 'x');
    for (char& c : text) c = "hvs.CAESI\"0123"[random() % 14];
    const auto secret = round % 4 == 0 ? kToken : kAccessor;
    if (leak) text.insert(random() % (text.size() + 1), secret);
    LeakScanner scanner(kOwn);
    std::string passed;
    bool found = false;
    for (std::size_t at = 0; at < text.size() && !found;) {
      const std::size_t n = 1 + random() % 40;
      const auto out = scanner.feed(std::string_view(text).substr(at, n));
      found = !out;
      if (out) passed += out->reveal();
      at += n;
    }
    if (!found) passed += scanner.rest().reveal();
    CHECK(found == leak);
    CHECK(scanner.leaks(text) == leak);
    if (leak) {
      for (std::size_t n = 6; n < secret.size(); ++n)
        CHECK_FALSE(passed.ends_with(text.substr(text.find(secret), n)));
    } else {
      CHECK(passed == text);
    }
  }
}

TEST_CASE("a development server's token is looked for where tokens stand only") {
  const LeakScanner scanner({"root", "", ""});
  CHECK_FALSE(scanner.leaks(R"({"data":{"policies":["root"],"display_name":"root"}})"));
  CHECK(scanner.leaks(R"({"data":{"id":"root"}})"));
  CHECK(scanner.leaks(R"({"auth":{"client_token": "root"}})"));
  CHECK_FALSE(LeakScanner({}).leaks("anything"));
}

TEST_CASE("lookup-self and renew-self lose what tells the token, and nothing else") {
  const auto stripped = serve::without_token(
      R"({"data":{"id":"t","accessor":"a","ttl":1.50},"auth":{"client_token":"t","accessor":"a","x":[1]}})");
  REQUIRE(stripped);
  CHECK(stripped->reveal() ==
        "{\"auth\":{\"accessor\":\"\",\"client_token\":\"\",\"x\":[1]},\"data\":{\"ttl\":1.50}}\n");
  CHECK_FALSE(serve::without_token("not JSON"));
  CHECK(serve::is_self_path("ns/auth/token/lookup-self"));
  CHECK_FALSE(serve::is_self_path("auth/token/lookup-selfish"));
}

// Points 12 and 13.
TEST_CASE("headers of one connection stay, those of the request pass") {
  const auto up = serve::headers_up(
      head_with({{"Connection", "X-A, X-Vault-Namespace"},
                 {"X-A", "1"},
                 {"X-Vault-Namespace", "ns"},
                 {"X-B", "2"},
                 {"Cookie", "c"},
                 {"Host", "h"},
                 {"User-Agent", "u"},
                 {"Authorization", "Bearer t"},
                 {"Accept-Encoding", "gzip"},
                 {"Proxy-X", "p"}}),
      {.credential = Credential::ours, .plain_content = true, .vault_namespace = "own"});
  const auto value = [](const http::Headers& headers, std::string_view name) {
    const auto* found = http::find_header(headers, name);
    return found != nullptr ? *found : std::string("-");
  };
  for (const char* name :
       {"Connection", "X-A", "Cookie", "Host", "Authorization", "Accept-Encoding", "Proxy-X"})
    CHECK(value(up, name) == "-");
  CHECK(value(up, "X-Vault-Namespace") == "ns");  // rules have seen it: it can't be taken away
  CHECK(value(up, "X-B") == "2");
  CHECK(value(up, "User-Agent").ends_with("; u"));
  const http::Headers down = serve::headers_down({{"Connection", "X-A"},
                                                  {"X-A", "1"},
                                                  {"Set-Cookie", "c"},
                                                  {"X-Vault-Token", "t"},
                                                  {"X-B", "2"},
                                                  {"Strict-Transport-Security", "s"},
                                                  {"Access-Control-Allow-Origin", "*"}},
                                                 false, false);
  CHECK(down == http::Headers{{"X-B", "2"}});
}
