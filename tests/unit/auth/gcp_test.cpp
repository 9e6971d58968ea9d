#include <doctest/doctest.h>

#include "../crypto/keys.hpp"
#include "auth/gcp/documents.hpp"
#include "auth/jwt.hpp"
#include "json/json.hpp"
#include "support/cloud_login.hpp"

// Method "gcp" against a fake metadata service and a fake IAM Credentials API.
namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;
using test::CloudLogin;
using Reply = test::FakeHttp::Reply;

const std::string kHost = "GET http://metadata.google.internal:80";
const std::string kAccounts = kHost + "/computeMetadata/v1/instance/service-accounts/";
const std::string kIdentity =
    kAccounts + "default/identity?audience=http%3A%2F%2F127.0.0.1%3A8200%2Fvault%2Fapp&format=full";
const std::string kSign =
    "POST https://iamcredentials.googleapis.com:443/v1/projects/-/serviceAccounts/"
    "app%40p.iam.gserviceaccount.com:signJwt";
const std::string kJwt = test::jwt_of(R"({"aud":"vault/app"})");

// An answer of Google's, which says so in its header.
void answer(CloudLogin& login, const std::string& route, int status, std::string body,
            std::string flavor = "Google") {
  login.cloud.http.answer(
      route,
      [reply =
           Reply{.status = status, .body = std::move(body), .wanted_header = std::move(flavor)}](
          const auto&) -> result<Reply> { return reply; });
}

std::string key_document(const std::string& email = "app@p.iam.gserviceaccount.com") {
  Value document = Value::map();
  document.set("type", "service_account");
  document.set("client_email", email);
  document.set("private_key", test::kPkcs8);
  document.set("private_key_id", "kid-1");
  return json::write(document);
}

Value payload_of(std::string_view jwt) {
  const auto first = jwt.find('.'), second = jwt.find('.', first + 1);
  const auto text = base64url_decoded(jwt.substr(first + 1, second - first - 1));
  REQUIRE(text);
  return json::parse(*text).value();
}

TEST_CASE("gcp, an instance: its identity token for this server and role") {
  CloudLogin login("gcp");
  std::string route = kIdentity;
  SUBCASE("as it is") {}
  SUBCASE("at another host") {
    login.cloud.variables["GCE_METADATA_HOST"] = "127.0.0.1:99";
    route.replace(4, std::string("http://metadata.google.internal:80").size(),
                  "http://127.0.0.1:99");
  }
  SUBCASE("the key comes before the variable") {
    login.cloud.variables["GCE_METADATA_HOST"] = "elsewhere";
    login.method.set("metadata_endpoint", std::string("http://10.0.0.1/"));
    route.replace(4, std::string("http://metadata.google.internal:80").size(),
                  "http://10.0.0.1:80");
  }
  SUBCASE("of another account, for another audience") {
    login.method.set("service_account", std::string("a/b@p"));
    login.method.set("audience", std::string("x&y/vault/app"));
    route = kAccounts + "a%2Fb%40p/identity?audience=x%26y%2Fvault%2Fapp&format=full";
  }
  answer(login, route, 200, kJwt + "\n");
  const auto auth = login.run();
  REQUIRE(auth);
  CHECK(login.body() == R"({"role":"app","jwt":")" + kJwt + "\"}");
  REQUIRE(login.cloud.http.asked.size() == 1);
  CHECK(login.cloud.http.asked[0].headers.at(0) ==
        std::pair<std::string, std::string>{"Metadata-Flavor", "Google"});
}

TEST_CASE("gcp: what the metadata service may answer instead") {
  struct {
    int status;
    const char* body;
    const char* flavor;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {404, "", "Google", ErrorKind::denied, "no service account \"default\""},
      {403, "", "Google", ErrorKind::denied, "403"},
      {429, "", "Google", ErrorKind::throttled, "429"},
      {503, "", "Google", ErrorKind::server, "503"},
      {200, "<html>", "Google", ErrorKind::bad_reply, "not a JWT"},
      {200, "a.b.c\r\nX: y", "Google", ErrorKind::bad_reply, "not a JWT"},
      {200, "", "", ErrorKind::bad_reply, "something else than Google's metadata service"},
      {302, "", "Google", ErrorKind::bad_reply, "redirect"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    CloudLogin login("gcp");
    answer(login, kIdentity, row.status, row.body, row.flavor);
    login.check_refused(row.kind, row.says, "?");
    CHECK(login.refused().text.contains("metadata.google.internal"));
    CHECK(login.server->asked.empty());
  }
}

TEST_CASE("gcp, a key file: signed by the key itself, nobody is asked") {
  CloudLogin login("gcp");
  const std::string file = login.directory.write("key", key_document());
  login.method.set("login_type", std::string("iam"));
  SUBCASE("by its key") {
    login.method.set("credentials", std::string(file));
  }
  SUBCASE("by the variable") {
    login.cloud.variables["GOOGLE_APPLICATION_CREDENTIALS"] = file;
  }
  const auto auth = login.run();
  REQUIRE(auth);
  CHECK(login.cloud.http.asked.empty());
  const auto body = json::parse(login.body()).value();
  const auto claims = payload_of(body.find("jwt")->as_text());
  CHECK(claims.find("aud")->as_text() == "http://vault/app");
  CHECK(claims.find("sub")->as_text() == "app@p.iam.gserviceaccount.com");
  const auto read = read_jwt(body.find("jwt")->as_text());
  const auto left =
      *read->expires -
      std::chrono::duration_cast<std::chrono::seconds>(wall_now().time_since_epoch()).count();
  CHECK(left > 830);
  CHECK(left <= 840);
}

TEST_CASE("gcp, signed by Google: as the instance, or as another account's key allows") {
  CloudLogin login("gcp");
  login.method.set("login_type", std::string("iam"));
  bool by_key = false;
  SUBCASE("the instance's own account") {
    answer(login, kAccounts + "default/email", 200, "app@p.iam.gserviceaccount.com\n");
    answer(login, kAccounts + "default/token", 200, R"({"access_token":"bearer-1"})");
  }
  SUBCASE("another account") {
    login.method.set("service_account", std::string("app@p.iam.gserviceaccount.com"));
    answer(login, kAccounts + "default/token", 200, R"({"access_token":"bearer-1"})");
  }
  SUBCASE("by another account's key") {
    by_key = true;
    login.method.set("credentials", login.directory.write("key", key_document("other@p")));
    login.method.set("service_account", std::string("app@p.iam.gserviceaccount.com"));
  }
  login.cloud.http.answer(kSign, 200, R"({"keyId":"k","signedJwt":")" + kJwt + "\"}");
  const auto auth = login.run();
  REQUIRE(auth);
  const auto& asked = login.cloud.http.asked.back();
  const auto body = json::parse(asked.body).value();
  const auto payload = json::parse(body.find("payload")->as_text()).value();
  CHECK(payload.find("sub")->as_text() == "app@p.iam.gserviceaccount.com");
  const auto bearer = std::ranges::find(asked.headers, "Authorization",
                                        &std::pair<std::string, std::string>::first);
  REQUIRE(bearer != asked.headers.end());
  if (by_key)
    CHECK(payload_of(bearer->second.substr(7)).find("iss")->as_text() == "other@p");
  else
    CHECK(bearer->second == "Bearer bearer-1");
}

TEST_CASE("gcp: what the IAM Credentials API may answer instead") {
  struct {
    int status;
    const char* body;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {403, R"({"error":{"code":403,"message":"Permission denied\nsecret detail"}})",
       ErrorKind::denied,
       "403 Permission denied; who asks needs roles/iam.serviceAccountTokenCreator"},
      {400, "<html>", ErrorKind::denied, ": 400"},
      {503, R"({"error":{"message":"later"}})", ErrorKind::server, "503 later"},
      {200, R"({"keyId":"k"})", ErrorKind::bad_reply, "no \"signedJwt\""},
      {200, R"({"signedJwt":"no"})", ErrorKind::bad_reply, "not a JWT"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    CloudLogin login("gcp");
    login.method.set("login_type", std::string("iam"));
    login.method.set("service_account", std::string("app@p.iam.gserviceaccount.com"));
    answer(login, kAccounts + "default/token", 200, R"({"access_token":"bearer-1"})");
    login.cloud.http.answer(kSign, row.status, row.body);
    login.check_refused(row.kind, row.says, "secret detail");
    CHECK_FALSE(login.refused().text.contains("bearer-1"));
  }
}

TEST_CASE("gcp: what the server's refusal means") {
  const std::pair<const char*, const char*> rows[] = {
      {"role \\\"app\\\" not found", "`vault list auth/gcp/role`"},
      {"JWT is expired or does not have proper 'exp' claim", "compare this host's clock"},
      {"JWT must expire in 60 minutes, expires in 2h", "compare this host's clock"},
      {"role requires that service account JWTs expire within 900 seconds",
       "auto_auth.method.jwt_exp"},
      {"at least one of the JWT claim 'aud' must end in \\\"vault/app\\\"",
       "auto_auth.method.audience"},
      {"expected JWT to have claims with GCE metadata", "login_type = \"gce\""},
      {"Got GCE token but IAM role \\\"app\\\" does not allow GCE inference",
       "login_type = \"iam\""},
      {"instance \\\"42\\\" (project \\\"z\\\") not in bound projects [x]", "bound_projects"},
      {"service account a (id: 1) is not authorized for role", "bound_service_accounts"},
      {"error when attempting to find instance (project z)",
       "may the server's credentials read it"},
      {"something new", "role \"app\" at auth/gcp; its aud = [\"vault/app\"]"},
  };
  for (const auto& [said, advice] : rows) {
    CAPTURE(said);
    CloudLogin login("gcp");
    answer(login, kIdentity, 200, kJwt);
    login.server_says(400, said);
    login.check_refused(ErrorKind::denied, advice, kJwt);
  }
}

TEST_CASE("gcp: a key file that is none says what it is, and nothing of it") {
  const std::pair<const char*, const char*> rows[] = {
      {"", "the file is empty"},
      {"no JSON", "not a JSON document"},
      {"[1]", "not a JSON document"},
      {"{}", "credentials of an unknown type"},
      {R"({"type":"authorized_user","client_secret":"canary"})",
       "\"authorized_user\": not supported"},
      {R"({"type":"external_account"})", "\"external_account\": not supported"},
      {R"({"type":"service_account","private_key":"canary"})", "without \"client_email\""},
      {R"({"type":"service_account","client_email":"e"})", "without \"private_key\""},
      {R"({"type":"service_account","client_email":"e","private_key":"canary"})",
       "not a private key in PEM"},
  };
  for (const auto& [content, says] : rows) {
    CAPTURE(content);
    CloudLogin login("gcp");
    const std::string file = login.directory.write("key", content);
    login.method.set("login_type", std::string("iam"));
    login.method.set("credentials", std::string(file));
    login.check_refused(ErrorKind::config, says, "canary");
    CHECK(login.refused().text.contains(file));
  }
}

}  // namespace
}  // namespace keybearer::auth
