// A 2xx answer without what was asked for: a failed try, and the last good value stays.

#include "fixture.hpp"
#include "secrets/whole_answer.hpp"
#include "vault/reply.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kData = "GET /v1/kv/data/app";
constexpr auto kOld = "GET /v1/kv1/app";
constexpr auto kOldMount = "GET /v1/sys/internal/ui/mounts/kv1/app";
constexpr auto kLogin = "GET /v1/auth/database/creds/app";

vault::Reply reply_of(std::string_view body) {
  http::Response response;
  response.status = body.empty() ? 204 : 200;
  response.body = Secret(body);
  return vault::parse_reply(std::move(response), {.method = "GET", .path = "x"}).value();
}

TEST_CASE("what is missing in an answer") {
  using Of = tmpl::Dependency::Kind;
  const struct {
    Of kind;
    std::string_view path, body;
    std::string_view missing, missing_of_kv2;
  } rows[] = {
      {Of::read, "kv1/a", "", "data", "data"},
      {Of::read, "kv1/a", "{}", "data", "data"},
      {Of::read, "kv1/a", R"({"errors":["internal error"]})", "data", "data"},
      {Of::read, "kv1/a", R"({"data":null,"warnings":["x"]})", "data", "data"},
      {Of::read, "kv1/a", R"({"data":[]})", "data", "data"},
      {Of::read, "kv1/a", R"({"data":"text"})", "data", "data"},
      {Of::read, "kv1/a", R"({"wrap_info":{"token":"w","ttl":60}})", "data", "data"},
      {Of::read, "kv1/a", R"({"data":{}})", "", "data.data"},
      {Of::read, "kv1/a", R"({"data":{"data":null}})", "", "data.data"},
      {Of::read, "kv/data/a", R"({"data":{"data":null,"metadata":{"version":2}}})", "data.data",
       "data.data"},
      {Of::read, "kv/data/a", R"({"data":{"data":[],"metadata":{"version":2}}})", "data.data",
       "data.data"},
      {Of::read, "kv/data/a", R"({"data":{"data":{},"metadata":{"version":2}}})", "", ""},
      {Of::read, "kv1/a", R"({"data":{"metadata":{"version":2}}})", "", "data.data"},
      {Of::read, "sys/health", R"({"initialized":true,"sealed":false})", "", ""},
      {Of::list, "kv/metadata", "{}", "keys", "keys"},
      {Of::list, "kv/metadata", R"({"data":{"keys":null}})", "keys", "keys"},
      {Of::list, "kv/metadata", R"({"data":{"keys":[1]}})", "keys", "keys"},
      {Of::list, "kv/metadata", R"({"data":{"keys":[]}})", "", ""},
      {Of::pki, "pki/issue/web", "{}", "certificate", "certificate"},
      {Of::pki, "pki/issue/web", R"({"data":{"certificate":"C","private_key":null}})",
       "private_key", "private_key"},
      {Of::pki, "pki/sign/web", R"({"data":{"certificate":"C"}})", "", ""},
      {Of::write, "sys/x", "", "", ""},
      {Of::write, "sys/x", "{}", "", ""},
      {Of::write, "sys/x", R"({"data":[1]})", "data", "data"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CAPTURE(row.body);
    tmpl::Dependency dependency;
    dependency.kind = row.kind;
    dependency.path = row.path;
    CHECK(missing_part(dependency, reply_of(row.body), false) == row.missing);
    CHECK(missing_part(dependency, reply_of(row.body), true) == row.missing_of_kv2);
  }
}

TEST_CASE_FIXTURE(Fixture, "half an answer changes nothing, and is told of") {
  config.template_config.static_secret_render_interval.every = 10s;
  const auto app = read("kv/data/app"), old = read("kv1/app");
  http->answer(kOldMount, 200, mount("kv1/", "kv"));
  http->answer("GET /v1/kv/metadata/app", 403, kDenied);
  http->answer(kData, 200, kv2(1));
  http->answer(kData, 200, R"({"errors":["internal error"]})");
  http->answer(kData, 200, kv2(3, "canary-3"));
  http->answer(kOld, 200, R"({"data":{"password":"canary-1"}})");
  http->answer(kOld, 204, "");
  http->answer(kOld, 200, R"({"data":{"password":"canary-2"}})");
  start({app, old});
  CHECK(value(app) == "canary-1");
  CHECK(value(old) == "canary-1");
  while (times(kData).size() < 2 || times(kOld).size() < 2) io.advance(100ms);
  CHECK(status(app).state == State::failing);
  CHECK(status(old).state == State::failing);
  CHECK(status(app).error->text == "GET kv/data/app: an answer without data");
  CHECK(status(old).error->text == "GET kv1/app: an answer without data");
  CHECK(value(app) == "canary-1");
  CHECK(value(old) == "canary-1");
  io.advance(10s, 100ms);
  CHECK(value(app) == "canary-3");
  CHECK(value(old) == "canary-2");
}

TEST_CASE_FIXTURE(Fixture, "a lease without its credentials is revoked") {
  const auto creds = read("auth/database/creds/app");
  http->answer(kLogin, 200, R"({"lease_id":"creds/1","renewable":true,"lease_duration":600})");
  http->answer(kLogin, 200, lease("creds/2", 600, "u"));
  http->answer(kRevokeLease, 204, "");
  start({creds});
  io.advance(2s, 100ms);
  CHECK(value(creds) == "canary-2");
  apply_all();
  io.advance(1s, 100ms);
  CHECK(http->count(kRevokeLease) == 1);
  CHECK(http->asked.back().body.contains("creds/1"));
}

}  // namespace
}  // namespace keybearer::secrets
