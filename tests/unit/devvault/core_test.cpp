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

struct House {
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
  House house;
  house.write("sys/mounts/database", R"({"type":"database"})");
  house.write("database/config/pg", R"({"plugin_name":"x"})");
  house.write("database/roles/dyn", R"({"db_name":"pg","default_ttl":"1h"})");
  house.write("sys/policies/acl/p",
              R"({"policy":"path \"*\" { capabilities = [\"read\",\"update\"] }"})");
  const auto parent = house.write("auth/token/create", R"({"policies":["p"],"ttl":"20s"})");
  const std::string token(text_at(value_at(parent, "auth"), "client_token"));
  const auto creds = house.ask("GET", "database/creds/dyn", {}, token);
  const std::string lease(text_at(json::parse(creds.body.reveal()).value(), "lease_id"));
  house.now += 19s;
  CHECK(int_at(house.data("auth/token/lookup-self", token), "ttl") == 1);
  CHECK(house.ask("PUT", "sys/leases/lookup", "{\"lease_id\":\"" + lease + "\"}").status == 200);
  house.now += 1s;
  CHECK(house.ask("GET", "auth/token/lookup-self", {}, token).status == 403);
  CHECK(house.ask("PUT", "sys/leases/lookup", "{\"lease_id\":\"" + lease + "\"}").status == 400);
}

TEST_CASE("a static password changes by itself at each period") {
  House house;
  house.write("sys/mounts/database", R"({"type":"database"})");
  house.write("database/static-roles/s",
              R"({"db_name":"pg","username":"u","rotation_period":"1m"})");
  const Value first = house.data("database/static-creds/s");
  CHECK(int_at(first, "ttl") == 60);
  house.now += 59s;
  CHECK(text_at(house.data("database/static-creds/s"), "password") == text_at(first, "password"));
  house.now += 61s;
  const Value second = house.data("database/static-creds/s");
  CHECK(text_at(second, "password") != text_at(first, "password"));
  CHECK(int_at(second, "ttl") == 60);
}

TEST_CASE("a periodic token is renewed for ever, another one to its max ttl") {
  House house;
  const auto periodic =
      house.write("auth/token/create", R"({"policies":["default"],"period":"1h"})");
  const auto bounded = house.write(
      "auth/token/create", R"({"policies":["default"],"ttl":"1h","explicit_max_ttl":"100m"})");
  const std::string one(text_at(value_at(periodic, "auth"), "client_token"));
  const std::string two(text_at(value_at(bounded, "auth"), "client_token"));
  house.now += 50min;
  CHECK(int_at(value_at(house.write("auth/token/renew-self", "{}", two), "auth"),
               "lease_duration") == 3000);
  for (int i = 0; i < 1000; ++i) {
    CHECK(int_at(value_at(house.write("auth/token/renew-self", "{}", one), "auth"),
                 "lease_duration") == 3600);
    house.now += 59min;
  }
  CHECK(house.ask("GET", "auth/token/lookup-self", {}, two).status == 403);
}

TEST_CASE("a locked role opens again after a quarter of an hour") {
  House house;
  house.write("sys/auth/approle", R"({"type":"approle"})");
  house.write("auth/approle/role/r", R"({"role_id":"r"})");
  house.write("auth/approle/role/r/custom-secret-id", R"({"secret_id":"s"})");
  for (int i = 0; i < 5; ++i)
    house.ask("POST", "auth/approle/login", R"({"role_id":"r","secret_id":"x"})", "");
  CHECK(house.ask("POST", "auth/approle/login", R"({"role_id":"r","secret_id":"s"})", "").status ==
        403);
  house.now += 15min;
  CHECK(house.ask("POST", "auth/approle/login", R"({"role_id":"r","secret_id":"s"})", "").status ==
        200);
}

TEST_CASE("broken requests are refused") {
  House house;
  CHECK(house.ask("POST", "secret/data/x", "{").status == 400);
  CHECK(house.ask("POST", "secret/data/x", "[1]").status == 400);
  CHECK(house.ask("BREW", "secret/data/x").status == 405);
  CHECK(house.ask("GET", "%zz").status == 404);
  http::ServerRequest other{.method = "GET", .target = "/ui/"};
  CHECK(house.core.handle(other, house.now).status == 404);
}

TEST_CASE("a seed fills the server, and a mistake in it is named") {
  House house;
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
  REQUIRE(apply_seed(house.core, path, house.now));
  CHECK(text_at(value_at(house.data("secret/data/app/db"), "data"), "password") == "p1");
  CHECK(text_at(house.data("kv1/plain"), "password") == "one");
  const auto login = house.write("auth/approle/login",
                                 R"({"role_id":"app-role-id","secret_id":"app-secret-id"})", "");
  const std::string token(text_at(value_at(login, "auth"), "client_token"));
  CHECK(house.ask("GET", "secret/data/app/db", {}, token).status == 200);
  CHECK(house.ask("GET", "kv1/plain", {}, token).status == 403);
  CHECK(house.ask("GET", "database/creds/dyn").status == 200);

  std::ofstream(path) << "[kv.\"nomount/x\"]\na = \"b\"\n";
  CHECK(apply_seed(house.core, path, house.now).error().text.find("nomount/x") !=
        std::string::npos);
  std::ofstream(path) << "[kv\n";
  CHECK(apply_seed(house.core, path, house.now).error().text.find(path) != std::string::npos);
  unlink(path.c_str());
}
