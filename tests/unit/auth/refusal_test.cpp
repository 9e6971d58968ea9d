#include "auth/refusal.hpp"

#include <doctest/doctest.h>

#include "auth/method.hpp"
#include "crypto/base64url.hpp"
#include "fixture.hpp"

// What the operator is told about a login that was refused: the answers are those of the servers' own
// back ends, and each text names method, mount, role and where the credential comes from.
namespace keybearer::auth {
namespace {

struct LoginOnce : Fixture {
  explicit LoginOnce(const char* type) {
    config.method = {};
    config.method.type = type;
    config.method.mount_path = "auth/here";
    rules.once = true;
  }
  // The text that the start ends with.
  std::string refused(const std::string& route, int status, const std::string& reason) {
    http->answer("POST /v1/auth/here/" + route, status, R"({"errors":[")" + reason + "\"]}");
    start();
    REQUIRE(ended);
    kind = ended->kind;
    return ended->text;
  }
  ErrorKind kind = ErrorKind::io;
};

std::string jwt() {
  return base64url(R"({"alg":"none"})") + "." +
         base64url(R"({"aud":"theirs","iss":"them","sub":"me","exp":1})") + ".sig";
}

struct Row {
  int status;
  const char* answer;
  const char* remedy;
};

void check_texts(const char* type, std::span<const Row> rows, const char* file_key,
                 std::span<const std::pair<const char*, const char*>> keys, const char* route) {
  for (const auto& [status, answer, remedy] : rows) {
    CAPTURE(type);
    CAPTURE(answer);
    LoginOnce login(type);
    for (const auto& [key, value] : keys) login.config.method.set(key, std::string(value));
    const auto path = login.directory.write("credential", jwt());
    login.config.method.set(file_key, std::string(path));
    const std::string text = login.refused(route, status, answer);
    CAPTURE(text);
    CHECK(login.kind == ErrorKind::denied);
    CHECK(text.starts_with("login by " + std::string(type) + ": "));
    CHECK(text.contains("auth/here"));
    CHECK(text.contains(remedy));
    if (status == 400 && !std::string_view(remedy).contains("vault list"))
      CHECK((text.contains(path) || text.contains("auth/here/config") ||
             text.contains("client_cert") || text.contains("default_role") ||
             text.contains("jwks_url")));
    CHECK_FALSE(text.contains(jwt()));
    CHECK_FALSE(text.contains(".sig"));
    CHECK(text.find('\n') == std::string::npos);
  }
}

TEST_CASE("jwt: what each refusal means") {
  const Row rows[] = {
      {400, "role \\\"app\\\" could not be found", "`vault list auth/here/role`"},
      {400, "missing role", "auto_auth.method.role"},
      {400, "could not load configuration", "vault read auth/here/config"},
      {400, "error validating token: invalid expiration time (exp) claim: token is expired",
       "is whatever writes it running? its aud = [\"theirs\"]"},
      {400, "error validating token: invalid not before (nbf) claim: token not yet valid",
       "compare the clocks"},
      {400, "error validating token: invalid audience (aud) claim: audience claim does not match",
       "bound_audiences of role \"app\""},
      {400, "error validating token: invalid issuer (iss) claim", "iss = \"them\""},
      {400, "error validating claims: claim \\\"env\\\" is missing", "does not have the claims"},
      {400, "error verifying token: no known key successfully validated the token signature",
       "signed by a key that the server does not know"},
      {400, "failed to verify id token signature: fetching keys oidc: get keys failed: 503",
       "can't reach the keys of the issuer"},
      {400, "something new", "expired at 1970-01-01T00:00:01Z"},
      {403, "permission denied", "auto_auth.method.mount_path and namespace"},
  };
  const std::pair<const char*, const char*> keys[] = {{"role", "app"}};
  check_texts("jwt", rows, "path", keys, "login");
}

TEST_CASE("kubernetes: what each refusal means") {
  const Row rows[] = {
      {400, "invalid role name \\\"app\\\"", "`vault list auth/here/role`"},
      {403, "invalid expiration time (exp) claim: token is expired", "is the kubelet running?"},
      {403, "invalid audience (aud) claim: audience claim does not match", "add a projected"},
      {403, "namespace not authorized", "bound_service_account_names"},
      {403, "service account name not authorized", "bound_service_account_names"},
      {403, "permission denied", "the server's debug log has the reason"},
  };
  const std::pair<const char*, const char*> keys[] = {{"role", "app"}};
  check_texts("kubernetes", rows, "token_path", keys, "login");
}

TEST_CASE("cert: what each refusal means") {
  const Row rows[] = {
      {400, "client certificate must be supplied", "let no proxy end TLS in between"},
      {400, "invalid certificate or no client certificate supplied; additionally got errors",
       "not signed by an authority"},
      {400, "no chain matching all constraints could be found for this login certificate",
       "does not fit the names that role \"app\""},
      {403, "permission denied", "auto_auth.method.mount_path"},
  };
  const std::pair<const char*, const char*> keys[] = {{"name", "app"}};
  check_texts("cert", rows, "client_cert", keys, "login");
}

TEST_CASE("userpass and ldap: what each refusal means") {
  const std::pair<const char*, const char*> keys[] = {{"username", "app"}};
  const Row userpass[] = {
      {400, "invalid username or password", "put the right password of \"app\" at auth/here in"},
      {500, "failed to determine alias name from login request", "can't have a user \"app\""},
      {403, "permission denied", "auto_auth.method.mount_path"},
  };
  check_texts("userpass", userpass, "password_file_path", keys, "login/app");
  const Row ldap[] = {
      {400, "ldap operation failed: failed to bind as user", "no such user"},
      {400, "error connecting to host \\\"ldap://x\\\"", "can't reach its directory"},
      {403, "permission denied", "auto_auth.method.mount_path"},
  };
  check_texts("ldap", ldap, "password_file_path", keys, "login/app");
}

TEST_CASE("advice: the first row that fits, its places filled in once; none without a status") {
  constexpr Remedy rows[] = {{400, "a", "one {role}"}, {0, "b", "two {mount} {place} {about}"}};
  const auto advised = [&](int status, const char* said) {
    Error error{.kind = ErrorKind::denied, .text = said, .status = status};
    advise(error, rows, {.mount = "{role}", .role = "{about}", .place = "P", .about = "{mount}"});
    return error.text;
  };
  CHECK(advised(400, "a b") == "a b; one {about}");
  CHECK(advised(500, "a b") == "a b; two {role} P {mount} (role \"{about}\" at {role})");
  CHECK(advised(500, "c") == "c");
  CHECK(advised(0, "b") == "b");
}

}  // namespace
}  // namespace keybearer::auth
