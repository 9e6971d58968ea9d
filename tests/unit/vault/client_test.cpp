#include "vault/client.hpp"

#include <doctest/doctest.h>

#include "base/task_group.hpp"
#include "json/json.hpp"
#include "support/fake_http.hpp"
#include "support/io.hpp"

namespace keybearer::vault {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

struct Fixture {
  test::Io io;
  test::FakeHttp* http = nullptr;
  Client client;

  explicit Fixture(std::string vault_namespace = {})
      : client(
            [this] {
              auto fake = std::make_unique<test::FakeHttp>();
              http = fake.get();
              return fake;
            }(),
            std::move(vault_namespace)) {
    client.set_token(std::make_shared<const Secret>("hvs.T"));
  }

  template <class T>
  static asio::awaitable<void> keep(asio::awaitable<T> call, std::optional<T>& out) {
    out.emplace(co_await std::move(call));
  }
  template <class T>
  T get(asio::awaitable<T> call) {
    std::optional<T> out;
    io.start_task(keep(std::move(call), out));
    io.run();
    REQUIRE(out);
    return *std::move(out);
  }
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : http->asked.back().headers) {
      if (key == name) return value;
    }
    return "(none)";
  }
};

constexpr auto kMountRoute = "GET /v1/sys/internal/ui/mounts/secret/a";
constexpr auto kMount = R"({"data":{"path":"secret/","type":"kv","options":{"version":"2"}}})";

TEST_CASE("an answer that says what was said before is known by its bytes") {
  Fixture fixture;
  const auto said = [](const char* id, const char* rest) {
    return R"({"request_id":")" + std::string(id) + R"(",)" + rest + "}";
  };
  std::uint64_t seen = 0;
  const auto ask = [&](int status, const std::string& body) {
    fixture.http->reset("GET /v1/kv/metadata/app");
    fixture.http->answer("GET /v1/kv/metadata/app", status, body);
    const auto reply =
        fixture.get(fixture.client.read("kv/metadata/app", {}, Instant::max(), &seen));
    if (!reply) return std::string("error");
    return reply->unchanged ? "unchanged" : "data " + json::write(reply->data());
  };
  const char* const first = R"("data":{"current_version":1})";
  CHECK(ask(200, said("a", first)) == R"(data {"current_version":1})");
  CHECK(ask(200, said("bcd", first)) == "unchanged");
  CHECK(ask(200, said("bcd", first)) == "unchanged");
  CHECK(ask(200, said("e", R"("data":{"current_version":2})")) == R"(data {"current_version":2})");
  CHECK(ask(200, said("f", first)) == R"(data {"current_version":1})");
  CHECK(ask(503, R"({"errors":["sealed"]})") == "error");
  CHECK(ask(200, said("g", first)) ==
        R"(data {"current_version":1})");  // after an error: parsed again
  // Broken, of a wrong type, empty: what was no good once is not good the second time.
  for (const char* bad : {R"({"request_id":"a)", R"({"request_id":"h","lease_id":7})", "", "[]"}) {
    CHECK(ask(200, bad) == "error");
    CHECK(ask(200, bad) == "error");
    CHECK(seen == 0);
  }
  // Only a request_id that begins the answer may differ.
  CHECK(ask(200, R"({"data":{"a":1},"request_id":"x"})") == R"(data {"a":1})");
  CHECK(ask(200, R"({"data":{"a":1},"request_id":"y"})") == R"(data {"a":1})");
  CHECK(ask(200, R"({"data":{"a":1},"request_id":"y"})") == "unchanged");
}

TEST_CASE("every request says that it is one, who asks and in which namespace") {
  Fixture fixture("team-a");
  (void)fixture.get(fixture.client.read("secret/data/app"));
  CHECK(fixture.header("X-Vault-Request") == "true");
  CHECK(fixture.header("X-Vault-Namespace") == "team-a");
  CHECK(fixture.http->asked.back().token == "hvs.T");
  CHECK(fixture.http->asked.back().route == "GET /v1/secret/data/app");

  Fixture plain;
  (void)plain.get(plain.client.read("secret/data/app", "version=2"));
  CHECK(plain.header("X-Vault-Namespace") == "(none)");
  CHECK(plain.http->asked.back().route == "GET /v1/secret/data/app?version=2");
}

TEST_CASE("a login goes without a token, to the method's own namespace, and a 400 is a denial") {
  Fixture fixture("team-a");
  fixture.http->answer("POST /v1/auth/approle/login", 400, R"({"errors":["invalid secret id"]})");
  const auto auth =
      fixture.get(fixture.client.login("auth/approle/login", Secret(R"({"role_id":"r"})"), ""));
  CHECK(auth.error().kind == ErrorKind::denied);
  CHECK(auth.error().text == "POST auth/approle/login: 400 invalid secret id");
  CHECK(fixture.http->asked.back().token.empty());
  CHECK(fixture.header("X-Vault-Namespace") == "(none)");
}

TEST_CASE("a renewal that is answered and not granted is refused, not an outage") {
  struct {
    int status;
    const char* body;
    ErrorKind kind;
  } rows[] = {{204, "", ErrorKind::refused},
              {200, R"({"data":null})", ErrorKind::refused},
              {400, R"({"errors":["lease is not renewable"]})", ErrorKind::refused},
              {500, R"({"errors":["failed to renew entry: role is gone"]})", ErrorKind::refused},
              {403, R"({"errors":["permission denied"]})", ErrorKind::denied},
              {500, R"({"errors":["internal error"]})", ErrorKind::server},
              {503, R"({"errors":["Vault is sealed"]})", ErrorKind::sealed},
              {502, "<html>", ErrorKind::server}};
  for (const auto& row : rows) {
    CAPTURE(row.status);
    CAPTURE(row.body);
    Fixture fixture;
    fixture.http->answer("POST /v1/auth/token/renew-self", row.status, row.body);
    const auto renewed = fixture.get(fixture.client.renew_self(60s));
    REQUIRE_FALSE(renewed);
    CHECK(renewed.error().kind == row.kind);
    CHECK((renewed.error().reason == Reason::renewal_refused) == (row.kind == ErrorKind::refused));
    if (row.status == 200) continue;  // a lease's renewal has no auth
    fixture.http->answer("PUT /v1/sys/leases/renew", row.status, row.body);
    const auto lease = fixture.get(fixture.client.renew_lease("l", 60s));
    REQUIRE_FALSE(lease);
    CHECK(lease.error().kind == row.kind);
  }
}

TEST_CASE("what is said of a renewed token may leave the token out") {
  Fixture fixture;
  fixture.http->answer("POST /v1/auth/token/renew-self", 200, R"({"auth":{"lease_duration":60}})");
  fixture.client.set_token(std::make_shared<const Secret>("own"));
  const auto renewed = fixture.get(fixture.client.renew_self({}));
  REQUIRE(renewed);
  CHECK(renewed->ttl == 60s);
  CHECK(renewed->token->reveal() == "own");
}

TEST_CASE("a login that is answered without a token is no login, and no refusal") {
  for (const auto& [status, body] :
       {std::pair{204, ""}, {200, R"({"data":null})"}, {200, R"({"auth":null})"}}) {
    Fixture fixture;
    fixture.http->answer("POST /v1/auth/approle/login", status, body);
    const auto auth = fixture.get(fixture.client.login("auth/approle/login", Secret("{}"), ""));
    REQUIRE_FALSE(auth);
    CHECK(auth.error().kind == ErrorKind::bad_reply);
    CHECK(auth.error().reason == Reason::no_token_in_reply);
  }
}

TEST_CASE("the mount of an auth method is named without auth/ by a real server") {
  Fixture fixture;
  fixture.http->answer("GET /v1/sys/internal/ui/mounts/auth/token/lookup-self", 200,
                       R"({"data":{"path":"token/","type":"token","options":null}})");
  const auto mount = fixture.get(fixture.client.mount_of("auth/token/lookup-self"));
  REQUIRE(mount);
  CHECK(mount->path == "auth/token/");
  (void)fixture.get(fixture.client.mount_of("auth/token/roles/x"));
  CHECK(fixture.http->asked.size() == 1);
}

TEST_CASE("a login that asks for a second factor says so instead of giving no token") {
  Fixture fixture;
  fixture.http->answer("POST /v1/auth/approle/login", 200,
                       R"({"auth":{"client_token":"","mfa_requirement":{"mfa_request_id":"x"}}})");
  const auto auth = fixture.get(fixture.client.login("auth/approle/login", Secret("{}"), {}));
  CHECK(auth.error().kind == ErrorKind::denied);
  CHECK(auth.error().text.contains("MFA"));
}

TEST_CASE("an answer without a token is no login") {
  Fixture fixture;
  fixture.http->answer("POST /v1/auth/approle/login", 200, R"({"auth":null})");
  CHECK(fixture.get(fixture.client.login("auth/approle/login", Secret("{}"), {})).error().kind ==
        ErrorKind::bad_reply);
}

TEST_CASE("leases are renewed and revoked by their id") {
  Fixture fixture;
  fixture.http->answer("PUT /v1/sys/leases/renew", 200,
                       R"({"lease_id":"l/1","renewable":true,"lease_duration":6})");
  fixture.http->answer("PUT /v1/sys/leases/revoke", 204);
  const auto lease = fixture.get(fixture.client.renew_lease("l/1", 10min));
  REQUIRE(lease);
  CHECK(lease->ttl == 6s);
  CHECK(fixture.http->asked.back().body == R"({"lease_id":"l/1","increment":600})");
  CHECK(fixture.get(fixture.client.revoke_lease("l/1", std::make_shared<const Secret>("hvs.old"))));
  CHECK(fixture.http->asked.back().token == "hvs.old");
  CHECK(fixture.get(fixture.client.revoke_lease("l/1", nullptr)));
  CHECK(fixture.http->asked.back().token == "hvs.T");
}

TEST_CASE("a revocation does not hold up the exit for longer than five seconds") {
  Fixture fixture;
  fixture.http->delay("POST /v1/auth/token/revoke-self", 1h);
  std::optional<result<>> out;
  fixture.io.start_task(Fixture::keep(fixture.client.revoke_self(fixture.client.token()), out));
  fixture.io.run();
  fixture.io.advance(4900ms);
  CHECK_FALSE(out);
  fixture.io.advance(200ms);
  REQUIRE(out);
  CHECK(out->error().kind == ErrorKind::timeout);
}

TEST_CASE("a wrapped answer is looked up without a token and unwrapped with its own") {
  Fixture fixture;
  fixture.http->answer(
      "POST /v1/sys/wrapping/lookup", 200,
      R"({"data":{"creation_path":"auth/approle/role/app/secret-id","creation_ttl":60}})");
  fixture.http->answer("POST /v1/sys/wrapping/unwrap", 200, R"({"data":{"secret_id":"s"}})");
  const auto token = std::make_shared<const Secret>("hvs.W");
  const auto wrap = fixture.get(fixture.client.wrapping_lookup(token));
  CHECK(wrap->creation_path == "auth/approle/role/app/secret-id");
  CHECK(wrap->ttl == 60s);
  CHECK(fixture.http->asked.back().token.empty());
  CHECK(fixture.http->asked.back().body == R"({"token":"hvs.W"})");
  CHECK(text_at(fixture.get(fixture.client.unwrap(token))->data(), "secret_id") == "s");
  CHECK(fixture.http->asked.back().token == "hvs.W");
}

TEST_CASE("a mount is asked about once, for all of its paths") {
  Fixture fixture;
  fixture.http->answer(kMountRoute, 200, kMount);
  CHECK(fixture.get(fixture.client.mount_of("secret/a"))->kv_version == 2);
  CHECK(fixture.get(fixture.client.mount_of("secret/b/c"))->path == "secret/");
  CHECK(fixture.http->asked.size() == 1);
}

TEST_CASE("many who ask about one mount at the same time make one request") {
  Fixture fixture;
  fixture.http->answer(kMountRoute, 200, kMount);
  fixture.http->delay(kMountRoute, 1s);
  std::vector<std::optional<result<Mount>>> answers(100);
  for (auto& answer : answers)
    fixture.io.start_task(Fixture::keep(fixture.client.mount_of("secret/a"), answer));
  fixture.io.run();
  fixture.io.advance(2s);
  for (const auto& answer : answers) {
    REQUIRE(answer);
    CHECK((*answer)->kv_version == 2);
  }
  CHECK(fixture.http->asked.size() == 1);
}

TEST_CASE("an outage while a mount is asked about is told to all who wait, and never remembered") {
  Fixture fixture;
  fixture.http->fail(kMountRoute, ErrorKind::network);
  fixture.http->answer(kMountRoute, 200, kMount);
  fixture.http->delay(kMountRoute, 1s);
  std::vector<std::optional<result<Mount>>> answers(10);
  for (auto& answer : answers)
    fixture.io.start_task(Fixture::keep(fixture.client.mount_of("secret/a"), answer));
  fixture.io.run();
  fixture.io.advance(2s);
  for (const auto& answer : answers) {
    REQUIRE(answer);
    CHECK(answer->error().kind == ErrorKind::network);
  }
  CHECK(fixture.http->asked.size() == 1);
  std::optional<result<Mount>> later;
  fixture.io.start_task(Fixture::keep(fixture.client.mount_of("secret/a"), later));
  fixture.io.advance(2s);
  CHECK((*later)->kv_version == 2);
}

TEST_CASE("who waits for another's mount probe goes on when that one is cancelled") {
  Fixture fixture;
  fixture.http->answer(kMountRoute, 200, kMount);
  fixture.http->delay(kMountRoute, 1s);
  std::optional<result<Mount>> first, second;
  TaskGroup group(fixture.io.context.get_executor());
  group.spawn(Fixture::keep(fixture.client.mount_of("secret/a"), first));
  fixture.io.run();
  fixture.io.start_task(Fixture::keep(fixture.client.mount_of("secret/a"), second));
  fixture.io.run();
  group.cancel();
  fixture.io.run();
  fixture.io.advance(2s);
  CHECK_FALSE(first);
  CHECK((*second)->kv_version == 2);
  CHECK(group.live() == 0);
}

TEST_CASE("a mount that is not there, or not ours to see, is named") {
  Fixture fixture;
  fixture.http->answer("GET /v1/sys/internal/ui/mounts/nomount/x", 403,
                       R"({"errors":["preflight capability check returned 403"]})");
  const auto mount = fixture.get(fixture.client.mount_of("nomount/x"));
  CHECK(mount.error().kind == ErrorKind::denied);
  CHECK(mount.error().text.contains("no secrets engine at nomount/x"));
}

TEST_CASE("an answer about another mount than the one that was asked for is not believed") {
  Fixture fixture;
  fixture.http->answer(kMountRoute, 200, R"({"data":{"path":"sec/","type":"kv"}})");
  CHECK(fixture.get(fixture.client.mount_of("secret/a")).error().kind == ErrorKind::bad_reply);
}

TEST_CASE("capabilities come in the order of the paths, and none for a path that was passed over") {
  Fixture fixture;
  fixture.http->answer("POST /v1/sys/capabilities-self", 200,
                       R"({"b":["deny"],"data":{"b":["deny"],"a":["read","list"]}})");
  const auto rights = fixture.get(fixture.client.capabilities_self({"a", "b", "c"}));
  REQUIRE(rights);
  CHECK(*rights == std::vector<std::vector<std::string>>{{"read", "list"}, {"deny"}, {}});
  CHECK(fixture.http->asked.back().body == R"({"paths":["a","b","c"]})");
}

TEST_CASE("health is asked of the root namespace and without a token") {
  Fixture fixture("team-a");
  fixture.http->answer("GET /v1/sys/health", 473,
                       R"({"initialized":true,"standby":true,"version":"2.6.2"})");
  const auto health = fixture.get(fixture.client.health());
  REQUIRE(health);
  CHECK(health->standby);
  CHECK(fixture.header("X-Vault-Namespace") == "(none)");
  CHECK(fixture.http->asked.back().token.empty());
}

TEST_CASE("a network error says what was asked") {
  Fixture fixture;
  fixture.http->fail("GET /v1/kv/a", ErrorKind::network, "127.0.0.1:8200: connection refused");
  CHECK(fixture.get(fixture.client.read("kv/a")).error().text ==
        "GET kv/a: 127.0.0.1:8200: connection refused");
}

TEST_CASE("a path that climbs out is never sent") {
  Fixture fixture;
  CHECK(fixture.get(fixture.client.read("secret/../sys/seal")).error().kind == ErrorKind::refused);
  CHECK(fixture.http->asked.empty());
}

}  // namespace
}  // namespace keybearer::vault
