// What each auth method sends, where its credential comes from, and what a refusal means for it.

#include <doctest/doctest.h>

#include "auth/method.hpp"
#include "config/method.hpp"
#include "fixture.hpp"

namespace keybearer::auth {
namespace {

struct Row {
  const char* type;
  std::vector<std::pair<const char*, const char*>> keys;  // "F:" is a file with this content
  const char* route;
  const char* body;
  bool final;        // a refusal
  const char* says;  // a refusal
};

const Row kRows[] = {
    {"approle",
     {{"role_id", "r"}, {"secret_id", "s"}},
     "POST /v1/auth/approle/login",
     R"({"role_id":"r","secret_id":"s"})",
     true,
     "secret_id may have expired"},
    {"approle",
     {{"role_id_file_path", "F:r"}, {"secret_id_file_path", "F:s"}},
     "POST /v1/auth/approle/login",
     R"({"role_id":"r","secret_id":"s"})",
     true,
     "secret_id may have expired"},
    {"userpass",
     {{"username", "bob"}, {"password", "p"}},
     "POST /v1/auth/userpass/login/bob",
     R"({"password":"p"})",
     true,
     "VAULT_PASSWORD"},
    {"userpass",
     {{"username", "a b%/Kim 김"}, {"password_file_path", "F: p \n"}},
     "POST /v1/auth/userpass/login/a%20b%25/Kim%20%EA%B9%80",
     R"({"password":"p"})",
     true,
     "wrong logins"},
    {"ldap",
     {{"username", "bob"}, {"password_file_path", "F:p"}},
     "POST /v1/auth/ldap/login/bob",
     R"({"password":"p"})",
     false,
     "directory"},
    {"jwt",
     {{"role", "app"}, {"path", "F:e.y.J\n"}},
     "POST /v1/auth/jwt/login",
     R"({"role":"app","jwt":"e.y.J"})",
     false,
     "what is there is no JWT"},
    {"jwt",
     {{"jwt", "e.y.J"}},
     "POST /v1/auth/jwt/login",
     R"({"jwt":"e.y.J"})",
     false,
     "VAULT_JWT"},
    {"kubernetes",
     {{"role", "app"}, {"token_path", "F:e.y.J"}},
     "POST /v1/auth/kubernetes/login",
     R"({"role":"app","jwt":"e.y.J"})",
     false,
     "role \"app\""},
    {"cert",
     {{"name", "app"}, {"client_cert", "F:pem"}},
     "POST /v1/auth/cert/login",
     R"({"name":"app"})",
     false,
     "role \"app\" at auth/cert"},
    {"cert", {}, "POST /v1/auth/cert/login", "{}", false, "vault.client_cert"},
    {"aws",
     {{"role", "app"}, {"access_key", "AKIDEXAMPLE"}, {"secret_key", "s"}},
     "POST /v1/auth/aws/login",
     nullptr,  // tests/unit/auth/method_aws_test.cpp
     false,
     "role \"app\" at auth/aws"},
};

config::Method method_of(const Row& row, const TempDirectory& directory) {
  config::Method method;
  method.type = row.type;
  const auto* spec = config::MethodSpec::find(row.type);
  REQUIRE(spec != nullptr);
  for (const auto& [key, value] : row.keys) {
    const std::string_view text(value);
    REQUIRE(spec->key(key) != nullptr);
    if (text.starts_with("F:"))
      method.set(key, directory.write(key, text.substr(2)));
    else if (spec->key(key)->type == config::MethodKey::Type::secret)
      method.set(key, Secret(text));
    else
      method.set(key, std::string(text));
  }
  return method;
}

TEST_CASE("what each method sends") {
  for (const auto& row : kRows) {
    CAPTURE(std::string(row.type));
    CAPTURE(row.route);
    Fixture fixture;
    fixture.config.method = method_of(row, fixture.directory);
    fixture.http->answer(row.route, 200, granted("T1", 600));
    fixture.start();
    CHECK(fixture.token() == "T1");
    REQUIRE(fixture.http->asked.size() == 1);
    if (row.body != nullptr) CHECK(fixture.http->asked[0].body == row.body);
    CHECK(fixture.http->asked[0].token.empty());
    CHECK(fixture.state().mount == std::string("auth/") + row.type);
  }
}

TEST_CASE("a refused login of each method: three tries, exit 77, and what to look at") {
  for (const auto& row : kRows) {
    CAPTURE(std::string(row.type));
    Fixture fixture;
    fixture.config.method = method_of(row, fixture.directory);
    fixture.http->answer(row.route, 400, R"({"errors":["no"]})");
    fixture.start();
    fixture.io.advance(16s);
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::denied);
    CAPTURE(fixture.ended->text);
    CHECK(fixture.ended->text.contains(row.says));
    CHECK(fixture.http->count(row.route) == 3);
  }
}

TEST_CASE("a refusal in the middle: for good, or tried again slowly where a third party is asked") {
  for (const auto& row : kRows) {
    CAPTURE(std::string(row.type));
    CAPTURE(row.says);
    Fixture fixture;
    fixture.config.method = method_of(row, fixture.directory);
    fixture.http->answer(row.route, 200, granted("T1", 600, false));
    for (int i = 0; i < 4; ++i) fixture.http->answer(row.route, 400, R"({"errors":["no"]})");
    fixture.http->answer(row.route, 200, granted("T2", 600));
    fixture.start();
    fixture.io.advance(560s, 1s);
    CHECK(fixture.http->count(row.route) == (row.final ? 2 : 6));
    CHECK(fixture.token() == (row.final ? "T1" : "T2"));
    fixture.io.advance(50s, 1s);
    CHECK(fixture.ended.has_value() == row.final);
  }
}

TEST_CASE("every method of the configuration has a login, and every login has its keys") {
  for (const auto* spec : config::MethodSpec::all()) {
    CAPTURE(spec->type());
    config::Method method;
    method.type = spec->type();
    CHECK(make_auth_method(method));
  }
}

}  // namespace
}  // namespace keybearer::auth
