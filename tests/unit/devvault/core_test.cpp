// What needs the clock to move; how the answers look is in tests/contract.
#include "devvault/core.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include "devvault/seed.hpp"
#include "json/json.hpp"

using namespace keybearer;
using namespace keybearer::devvault;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  WallTime now = std::chrono::system_clock::from_time_t(1'800'000'000);
  Core core{"root", now};

  http::ServerResponse ask(const std::string& method, const std::string& path,
                           const std::string& body = {}, const std::string& token = "root") {
    http::ServerRequest request{
        .method = method, .target = "/v1/" + path, .headers = {{"X-Vault-Token", token}}};
    request.body = Secret(body);
    return core.handle(request, now);
  }
  Value data(const std::string& path, const std::string& token = "root") {
    return value_at(json::parse(ask("GET", path, {}, token).body.reveal()).value(), "data");
  }
  Value write(const std::string& path, const std::string& body, const std::string& token = "root") {
    const auto response = ask("POST", path, body, token);
    CHECK(response.status < 300);
    if (response.body.empty()) return {};
    return json::parse(response.body.reveal()).value();
  }
};

}  // namespace

TEST_CASE("a token ends at its time, with its children and their leases") {
  Fixture fixture;
  fixture.write("sys/mounts/database", R"({"type":"database"})");
  fixture.write("database/config/pg", R"({"plugin_name":"x"})");
  fixture.write("database/roles/dyn", R"({"db_name":"pg","default_ttl":"1h"})");
  fixture.write("sys/policies/acl/p",
                R"({"policy":"path \"*\" { capabilities = [\"read\",\"update\"] }"})");
  const auto parent = fixture.write("auth/token/create", R"({"policies":["p"],"ttl":"20s"})");
  const std::string token(text_at(value_at(parent, "auth"), "client_token"));
  const auto creds = fixture.ask("GET", "database/creds/dyn", {}, token);
  const std::string lease(text_at(json::parse(creds.body.reveal()).value(), "lease_id"));
  fixture.now += 19s;
  CHECK(int_at(fixture.data("auth/token/lookup-self", token), "ttl") == 1);
  CHECK(fixture.ask("PUT", "sys/leases/lookup", "{\"lease_id\":\"" + lease + "\"}").status == 200);
  fixture.now += 1s;
  CHECK(fixture.ask("GET", "auth/token/lookup-self", {}, token).status == 403);
  CHECK(fixture.ask("PUT", "sys/leases/lookup", "{\"lease_id\":\"" + lease + "\"}").status == 400);
}

TEST_CASE("a static password changes by itself at each period") {
  Fixture fixture;
  fixture.write("sys/mounts/database", R"({"type":"database"})");
  fixture.write("database/static-roles/s",
                R"({"db_name":"pg","username":"u","rotation_period":"1m"})");
  const Value first = fixture.data("database/static-creds/s");
  CHECK(int_at(first, "ttl") == 60);
  fixture.now += 59s;
  CHECK(text_at(fixture.data("database/static-creds/s"), "password") == text_at(first, "password"));
  fixture.now += 61s;
  const Value second = fixture.data("database/static-creds/s");
  CHECK(text_at(second, "password") != text_at(first, "password"));
  CHECK(int_at(second, "ttl") == 60);
}

TEST_CASE("a periodic token is renewed forever, another one to its max ttl") {
  Fixture fixture;
  const auto periodic =
      fixture.write("auth/token/create", R"({"policies":["default"],"period":"1h"})");
  const auto bounded = fixture.write(
      "auth/token/create", R"({"policies":["default"],"ttl":"1h","explicit_max_ttl":"100m"})");
  const std::string one(text_at(value_at(periodic, "auth"), "client_token"));
  const std::string two(text_at(value_at(bounded, "auth"), "client_token"));
  fixture.now += 50min;
  CHECK(int_at(value_at(fixture.write("auth/token/renew-self", "{}", two), "auth"),
               "lease_duration") == 3000);
  for (int i = 0; i < 1000; ++i) {
    CHECK(int_at(value_at(fixture.write("auth/token/renew-self", "{}", one), "auth"),
                 "lease_duration") == 3600);
    fixture.now += 59min;
  }
  CHECK(fixture.ask("GET", "auth/token/lookup-self", {}, two).status == 403);
}

TEST_CASE("a locked role opens again after a quarter of an hour") {
  Fixture fixture;
  fixture.write("sys/auth/approle", R"({"type":"approle"})");
  fixture.write("auth/approle/role/r", R"({"role_id":"r"})");
  fixture.write("auth/approle/role/r/custom-secret-id", R"({"secret_id":"s"})");
  for (int i = 0; i < 5; ++i)
    fixture.ask("POST", "auth/approle/login", R"({"role_id":"r","secret_id":"x"})", "");
  CHECK(
      fixture.ask("POST", "auth/approle/login", R"({"role_id":"r","secret_id":"s"})", "").status ==
      403);
  fixture.now += 15min;
  CHECK(
      fixture.ask("POST", "auth/approle/login", R"({"role_id":"r","secret_id":"s"})", "").status ==
      200);
}

TEST_CASE("broken requests are refused") {
  Fixture fixture;
  CHECK(fixture.ask("POST", "secret/data/x", "{").status == 400);
  CHECK(fixture.ask("POST", "secret/data/x", "[1]").status == 400);
  CHECK(fixture.ask("BREW", "secret/data/x").status == 405);
  CHECK(fixture.ask("GET", "%zz").status == 404);
  http::ServerRequest other{.method = "GET", .target = "/ui/"};
  CHECK(fixture.core.handle(other, fixture.now).status == 404);
}

TEST_CASE("a seed fills the server, and a mistake in it is named") {
  Fixture fixture;
  std::string path = "/tmp/kb-seed-XXXXXX";
  const int fd = mkstemp(path.data());
  REQUIRE(fd >= 0);
  close(fd);
  std::ofstream(path) << R"(
[mounts.kv1]
type = "kv"
[kv."secret/app/db"]
password = "p1"
n = 3
[kv."kv1/plain"]
password = "one"
[policies]
app = 'path "secret/*" { capabilities = ["read"] }'
[approle.app]
role_id = "app-role-id"
secret_id = "app-secret-id"
token_policies = ["app"]
token_ttl = "20s"
[database.config.pg]
plugin_name = "x"
[database.roles.dyn]
db_name = "pg"
default_ttl = "6s"
)";
  REQUIRE(apply_seed(fixture.core, path, fixture.now));
  CHECK(text_at(value_at(fixture.data("secret/data/app/db"), "data"), "password") == "p1");
  CHECK(text_at(fixture.data("kv1/plain"), "password") == "one");
  const auto login = fixture.write("auth/approle/login",
                                   R"({"role_id":"app-role-id","secret_id":"app-secret-id"})", "");
  const std::string token(text_at(value_at(login, "auth"), "client_token"));
  CHECK(fixture.ask("GET", "secret/data/app/db", {}, token).status == 200);
  CHECK(fixture.ask("GET", "kv1/plain", {}, token).status == 403);
  CHECK(fixture.ask("GET", "database/creds/dyn").status == 200);

  std::ofstream(path) << "[kv.\"nomount/x\"]\na = \"b\"\n";
  CHECK(apply_seed(fixture.core, path, fixture.now).error().text.find("nomount/x") !=
        std::string::npos);
  std::ofstream(path) << "[kv\n";
  CHECK(apply_seed(fixture.core, path, fixture.now).error().text.find(path) != std::string::npos);
  unlink(path.c_str());
}
