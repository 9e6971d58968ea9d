#include <doctest/doctest.h>

#include <algorithm>

#include "auth/azure/documents.hpp"
#include "json/json.hpp"
#include "support/cloud_login.hpp"

// Method "azure" against a fake metadata service, application service and login of Microsoft's.
namespace keybearer::auth {
namespace {

using test::CloudLogin;

constexpr auto kResource = "https://management.azure.com/";
const std::string kHost = "GET http://169.254.169.254:80";
const std::string kToken =
    kHost +
    "/metadata/identity/oauth2/"
    "token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
const std::string kInstance = kHost + "/metadata/instance?api-version=2018-02-01";
const std::string kExchange = "POST https://login.microsoftonline.com:443/tenant/oauth2/v2.0/token";
const std::string kJwt = test::jwt_of(R"({"aud":"https://management.azure.com/","oid":"o"})");
const std::string kAnswer = R"({"access_token":")" + kJwt + R"(","expires_in":"3599"})";

struct Azure : CloudLogin {
  Azure() : CloudLogin("azure") { method.set("resource", std::string(kResource)); }
};

TEST_CASE("azure, a managed identity: the host's token, and which of several") {
  Azure login;
  std::string route = kToken;
  SUBCASE("the only one") {}
  SUBCASE("by client_id") {
    login.method.set("client_id", std::string("a&b"));
    route += "&client_id=a%26b";
  }
  SUBCASE("by object_id") {
    login.method.set("object_id", std::string("o-1"));
    route += "&object_id=o-1";
  }
  SUBCASE("an identity of a workload's environment is another's") {
    login.cloud.variables["AZURE_CLIENT_ID"] = "workload";
  }
  SUBCASE("at another host") {
    login.method.set("metadata_endpoint", std::string("http://127.0.0.1:99/"));
    route.replace(4, std::string("http://169.254.169.254:80").size(), "http://127.0.0.1:99");
  }
  login.cloud.http.answer(route, 200, kAnswer);
  REQUIRE(login.run());
  CHECK(login.body() == R"({"jwt":")" + kJwt + R"(","role":"app"})");
  const auto& asked = login.cloud.http.asked.at(0);
  CHECK(asked.route == route);
  CHECK(asked.headers.at(0) == std::pair<std::string, std::string>{"Metadata", "true"});
}

TEST_CASE("azure: what the instance says of itself is sent, and asked for once") {
  Azure login;
  login.cloud.http.answer(kToken, 200, kAnswer);
  std::string wanted = R"({"jwt":")" + kJwt + R"(","role":"app")";
  int times = 1;
  SUBCASE("a machine") {
    login.cloud.http.answer(
        kInstance, 200,
        R"({"compute":{"name":"vm","resourceGroupName":"rg","subscriptionId":"s","vmScaleSetName":""}})");
    wanted.insert(wanted.size(), R"(,"subscription_id":"s","vm_name":"vm"})");
    wanted.insert(wanted.find(R"("role")"), R"("resource_group_name":"rg",)");
  }
  SUBCASE("not there") {
    login.cloud.http.answer(kInstance, 404, "");
    wanted += "}";
  }
  SUBCASE("no JSON: left out") {
    login.cloud.http.answer(kInstance, 200, "<html>");
    wanted += "}";
  }
  SUBCASE("broken: left out, and asked again") {
    login.cloud.http.answer(kInstance, 500, "");
    wanted += "}";
    times = 2;
  }
  REQUIRE(login.run());
  CHECK(login.body() == wanted);
  REQUIRE(login.run());
  CHECK(login.cloud.http.count(kInstance) == times);
}

TEST_CASE("azure, an application service: its own endpoint and header") {
  Azure login;
  login.cloud.variables = {{"IDENTITY_ENDPOINT", "http://127.0.0.1:41/msi/token"},
                           {"IDENTITY_HEADER", "header-canary"}};
  const std::string route =
      "GET "
      "http://127.0.0.1:41/msi/"
      "token?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
  std::string query;
  SUBCASE("the only identity") {}
  SUBCASE("by object_id") {
    login.method.set("object_id", std::string("o-1"));
    query = "&principal_id=o-1";
  }
  login.cloud.http.answer(route + query, 200, kAnswer);
  REQUIRE(login.run());
  REQUIRE(login.cloud.http.asked.size() == 1);
  const auto& headers = login.cloud.http.asked[0].headers;
  const std::pair<std::string, std::string> wanted("X-IDENTITY-HEADER", "header-canary");
  CHECK(std::ranges::find(headers, wanted) != headers.end());
}

TEST_CASE("azure, a workload: its federated token is read each time and exchanged") {
  Azure login;
  const std::string file = login.directory.write("assertion", "assertion-1\n");
  std::string form =
      "grant_type=client_credentials&client_id=client&scope=https%3A%2F%2Fmanagement.azure.com%2F%"
      "2F."
      "default&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-"
      "bearer&client_assertion=";
  std::string route = kExchange;
  SUBCASE("by the environment") {
    login.cloud.variables = {{"AZURE_TENANT_ID", "tenant"},
                             {"AZURE_CLIENT_ID", "client"},
                             {"AZURE_FEDERATED_TOKEN_FILE", std::string(file)}};
    SUBCASE("of Azure's own cloud") {}
    SUBCASE("of another cloud") {
      login.cloud.variables["AZURE_AUTHORITY_HOST"] = "https://login.chinacloudapi.cn/";
      route = "POST https://login.chinacloudapi.cn:443/tenant/oauth2/v2.0/token";
    }
  }
  SUBCASE("by keys, which come before the environment") {
    login.cloud.variables = {{"AZURE_TENANT_ID", "x"},
                             {"AZURE_CLIENT_ID", "x"},
                             {"AZURE_FEDERATED_TOKEN_FILE", "/nowhere"}};
    login.method.set("tenant_id", std::string("tenant"));
    login.method.set("client_id", std::string("client"));
    login.method.set("federated_token_file", std::string(file));
    login.method.set_flag("authenticate_from_environment", true);
  }
  login.cloud.http.answer(route, 200, kAnswer);
  REQUIRE(login.run());
  CHECK(login.cloud.http.asked.at(0).body == form + "assertion-1");
  CHECK(login.cloud.http.asked.at(0).headers.back() ==
        std::pair<std::string, std::string>("Content-Type", "application/x-www-form-urlencoded"));
  login.directory.write("assertion", "assertion-22");
  REQUIRE(login.run());
  CHECK(login.cloud.http.asked.at(1).body == form + "assertion-22");
  CHECK(login.cloud.http.asked.size() == 2);
}

TEST_CASE("azure, a workload: what is missing is named") {
  const test::TempDirectory directory;
  const std::string path = directory.write("assertion", "a");
  struct {
    std::map<std::string, std::string> variables;
    const char* says;
  } rows[] = {
      {{{"AZURE_FEDERATED_TOKEN_FILE", path}, {"AZURE_CLIENT_ID", "c"}},
       "tenant_id: required with a federated token; set it or AZURE_TENANT_ID"},
      {{{"AZURE_FEDERATED_TOKEN_FILE", path}, {"AZURE_TENANT_ID", "t"}}, "client_id: required"},
      {{{"AZURE_FEDERATED_TOKEN_FILE", path + ".none"},
        {"AZURE_TENANT_ID", "t"},
        {"AZURE_CLIENT_ID", "c"}},
       "federated_token_file"},
      {{}, "AZURE_FEDERATED_TOKEN_FILE is not set"},
  };
  for (const auto& [variables, says] : rows) {
    CAPTURE(says);
    Azure login;
    login.cloud.variables = variables;
    login.method.set_flag("authenticate_from_environment", true);
    login.check_refused(ErrorKind::config, says, "canary");
  }
}

TEST_CASE("azure: what the metadata service may answer instead") {
  struct {
    int status;
    const char* body;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {400, R"({"error":"invalid_request","error_description":"Identity not found"})",
       ErrorKind::denied, "400 Identity not found; a host with several identities"},
      {404, "", ErrorKind::server, "404"},
      {410, "", ErrorKind::server, "410"},
      {429, "", ErrorKind::throttled, "429"},
      {500, "<html>", ErrorKind::server, "500"},
      {200, "{}", ErrorKind::bad_reply, "no \"access_token\""},
      {200, R"({"access_token":"canary"})", ErrorKind::bad_reply, "not a JWT"},
      {200, R"({"access_token":["a"]})", ErrorKind::bad_reply, "no \"access_token\""},
      {307, "", ErrorKind::bad_reply, "redirect"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    Azure login;
    login.cloud.http.answer(kToken, row.status, row.body);
    login.check_refused(row.kind, row.says, "canary");
    CHECK(login.refused().text.starts_with(
        "http://169.254.169.254/metadata/identity/oauth2/token: "));
    CHECK(login.server->asked.empty());
  }
}

TEST_CASE("azure: a refused exchange says Microsoft's reason and whose token it was") {
  Azure login;
  const std::string file =
      login.directory.write("assertion", test::jwt_of(R"({"sub":"system:serviceaccount:ns:app"})"));
  login.method.set("tenant_id", std::string("tenant"));
  login.method.set("client_id", std::string("client"));
  login.method.set("federated_token_file", std::string(file));
  login.cloud.http.answer(
      kExchange, 401,
      R"({"error":"invalid_client","error_description":"AADSTS70021: No matching federated identity\r\nTrace ID: x"})");
  login.check_refused(ErrorKind::denied,
                      "401 AADSTS70021: No matching federated identity; the federated token in ",
                      "Trace ID");
  CHECK(login.refused().text.contains("sub = \"system:serviceaccount:ns:app\""));
}

// T12: the server answers 500 to a token that it does not accept.
TEST_CASE("azure: a 500 is a refusal or an outage, by what the server says") {
  struct {
    int status;
    const char* said;
    ErrorKind kind;
    const char* advice;
  } rows[] = {
      {500, "oidc: token is expired (Token Expiry: 2026-11-29 13:15:38 +0000 UTC)",
       ErrorKind::denied, "compare this host's clock"},
      {500, "oidc: current time 2026 before the nbf (not before) time: 2027", ErrorKind::denied,
       "compare this host's clock"},
      {500, "oidc: expected audience \\\"a\\\" got [\\\"b\\\"]", ErrorKind::denied,
       "character for character"},
      {500, "oidc: id token issued by a different provider, expected \\\"a\\\" got \\\"b\\\"",
       ErrorKind::denied, "another tenant"},
      {500, "service principal not authorized: o", ErrorKind::denied,
       "bound_service_principal_ids"},
      {500, "groups not authorized: []", ErrorKind::denied, "bound_group_ids"},
      {500, "subscription_id and resource_group_name are required", ErrorKind::denied,
       "bound to resource groups"},
      {500, "failed to verify signature: failed to verify id token signature", ErrorKind::denied,
       "another tenant or cloud"},
      {500, "failed to verify signature: fetching keys oidc: get keys failed Get: Bad Gateway",
       ErrorKind::server, "can't reach Azure"},
      {500, "unable to retrieve virtual machine metadata: x", ErrorKind::server, ""},
      {500, "internal error", ErrorKind::server, ""},
      {503, "Vault is sealed", ErrorKind::sealed, ""},
      {400, "invalid role name \\\"app\\\"", ErrorKind::denied, "`vault list auth/azure/role`"},
      {403, "permission denied", ErrorKind::denied, "auto_auth.method.mount_path"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.said);
    Azure login;
    login.cloud.http.answer(kToken, 200, kAnswer);
    login.server_says(row.status, row.said);
    login.check_refused(row.kind, row.advice, kJwt);
  }
}

}  // namespace
}  // namespace keybearer::auth
