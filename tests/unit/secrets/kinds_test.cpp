// Every kind of secret from its first value to its second and third: each is served, and each has
// its reason. What is the same again is no new value.

#include "fixture.hpp"
#include "json/json.hpp"
#include "secrets/classify.hpp"

namespace keybearer::secrets {
namespace {

std::string pki(int serial, bool with_lease) {
  const std::string n = std::to_string(serial);
  const auto end =
      std::chrono::duration_cast<std::chrono::seconds>((wall_now() + 60s).time_since_epoch());
  const std::string id = with_lease ? "pki/issue/web/" + n : "";
  return R"({"request_id":")" + n + R"(","lease_id":")" + id + R"(","lease_duration":)" +
         (with_lease ? "60" : "0") + R"(,"renewable":false,"data":{"certificate":"C)" + n +
         R"(","private_key":"canary-K)" + n + R"(","issuing_ca":"CA","ca_chain":["CA"],)" +
         R"("expiration":)" + std::to_string(end.count()) + "}}";
}
std::string password(int n, const std::string& more = "") {
  return R"({"request_id":")" + std::to_string(n) + R"(","data":{"password":"canary-)" +
         std::to_string(n) + "\"" + more + "}}";
}
std::string rotated(int n) {
  const auto at = std::chrono::time_point_cast<std::chrono::seconds>(wall_now());
  const std::time_t time = std::chrono::system_clock::to_time_t(at);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return password(
      n, R"(,"last_vault_rotation":")" + std::string(text) + R"(","rotation_period":60,"ttl":60)");
}
std::string issued_token(int n) {
  return R"({"auth":{"client_token":"canary-t)" + std::to_string(n) +
         R"(","accessor":"a","policies":["x"],"token_type":"service","lease_duration":60,)"
         R"("renewable":false,"orphan":false}})";
}

using Of = tmpl::Dependency::Kind;

struct KindCase {
  const char* what;
  tmpl::Dependency dependency;
  std::string route;
  std::function<std::string(int)> body;
  const char* reason;  // of what comes after the first; nullptr: it never changes
};

const std::vector<KindCase>& kinds() {
  static const std::vector<KindCase> all{
      {"KV 1", read("auth/kv1/app"), "GET /v1/auth/kv1/app", [](int n) { return password(n); },
       "changed"},
      {"KV 2", read("kv/data/app"), "GET /v1/kv/data/app",
       [](int n) { return kv2(n, "canary-" + std::to_string(n)); }, "version"},
      {"renewable lease", read("auth/database/creds/app"), "GET /v1/auth/database/creds/app",
       [](int n) { return lease("database/creds/app/" + std::to_string(n), 60, "u"); },
       "new credentials"},
      {"non-renewable lease", read("auth/aws/sts/app"), "GET /v1/auth/aws/sts/app",
       [](int n) { return lease("aws/sts/app/" + std::to_string(n), 60, "u", false); },
       "new credentials before the end of the lease"},
      {"certificate without lease",
       tmpl::write_dependency("pki/issue/web", {{"common_name", "a.test"}}),
       "PUT /v1/pki/issue/web", [](int n) { return pki(n, false); }, "new certificate"},
      {"certificate with lease",
       tmpl::write_dependency("pki/issue/web", {{"common_name", "a.test"}}),
       "PUT /v1/pki/issue/web", [](int n) { return pki(n, true); },
       "new credentials before the end of the lease"},
      {"pkiCert",
       {.kind = Of::pki, .path = "pki/issue/web", .args = {{"common_name", "a.test"}}, .id = "pki"},
       "PUT /v1/pki/issue/web",
       [](int n) { return pki(n, false); },
       "new certificate"},
      {"pkiCert with lease",
       {.kind = Of::pki, .path = "pki/issue/web", .args = {{"common_name", "a.test"}}, .id = "pki"},
       "PUT /v1/pki/issue/web",
       [](int n) { return pki(n, true); },
       "new credentials before the end of the lease"},
      {"static role", read("auth/static-creds/app"), "GET /v1/auth/static-creds/app",
       [](int n) { return rotated(n); }, "rotated"},
      {"issued token", tmpl::write_dependency("auth/token/create/svc", {{"ttl", "60s"}}),
       "PUT /v1/auth/token/create/svc", [](int n) { return issued_token(n); }, "new credentials"},
      {"list",
       {.kind = Of::list, .path = "auth/kv1", .id = "list"},
       "GET /v1/auth/kv1?list=true",
       [](int n) { return R"({"data":{"keys":["k)" + std::to_string(n) + R"("]}})"; },
       "changed"},
      {"written once", tmpl::write_dependency("transit/encrypt/k", {{"plaintext", "aa"}}),
       "PUT /v1/transit/encrypt/k", [](int n) { return password(n); }, nullptr},
  };
  return all;
}

struct KindsFixture : Fixture {
  int number = 1;
  KindsFixture() {
    config.template_config.static_secret_render_interval.every = 10s;
    config.lease.min_remaining = 0s;
    http->answer(kRevokeLease, 204);
    http->answer(kRevokeSelf, 204);
    http->answer(kRenewLease, 400, R"({"errors":["lease is not renewable"]})");
    http->answer("GET /v1/kv/metadata/app", [this](const auto&) -> result<test::FakeHttp::Reply> {
      return test::FakeHttp::Reply{.body = metadata(number)};
    });
  }
  void serve(const KindCase& kind) {
    http->answer(kind.route, [this, &kind](const auto&) -> result<test::FakeHttp::Reply> {
      return test::FakeHttp::Reply{.body = kind.body(number)};
    });
    start({kind.dependency});
  }
};

TEST_CASE("every kind of secret: the first value, the second and the third are served") {
  for (const KindCase& kind : kinds()) {
    CAPTURE(kind.what);
    KindsFixture f;
    f.serve(kind);
    CHECK(f.status(kind.dependency).why == "first read");
    std::vector<Value> seen;
    std::uint64_t generation = 0;
    for (f.number = 1; f.number <= 3; ++f.number) {
      if (f.number > 1) f.io.advance(90s);
      Snapshot snapshot = f.secrets->snapshot();
      const Value* value = snapshot.find(kind.dependency);
      REQUIRE(value != nullptr);
      if (kind.reason == nullptr && f.number > 1) {
        CHECK(*value == seen.back());
        continue;
      }
      vault::Reply served;  // what the server has now is what is served, member for member
      served.body = json::parse(kind.body(f.number)).value();
      const Value expected = value_of(kind.dependency, served);
      const char* const members[] = {"Cert", "Key"};
      if (kind.dependency.kind == Of::pki) {
        for (const char* name : members) CHECK(text_at(*value, name) == text_at(expected, name));
      } else if (kind.dependency.kind == Of::list) {
        CHECK(*value == expected);
      } else {
        const auto token = [](const Value& v) {
          return text_at(value_at(v, "auth"), "client_token");
        };
        CHECK(token(*value) == token(expected));
        for (const char* name : {"password", "private_key", "username"})
          CHECK(text_at(value_at(*value, "data"), name) ==
                text_at(value_at(expected, "data"), name));
      }
      CHECK(snapshot.generation(kind.dependency) > generation);
      generation = snapshot.generation(kind.dependency);
      for (const Value& before : seen) CHECK_FALSE(*value == before);
      seen.push_back(value->deep_copy());
      if (f.number > 1) CHECK(f.status(kind.dependency).why.contains(kind.reason));
    }
  }
}

TEST_CASE("what says the same again is no new value, whatever the request's id is") {
  for (const KindCase& kind : kinds()) {
    const bool looked_at = kind.reason == nullptr || std::string_view(kind.reason) == "changed" ||
                           std::string_view(kind.reason) == "version";
    if (!looked_at) continue;  // others are another one each time
    CAPTURE(kind.what);
    KindsFixture f;
    int answers = 0;
    f.http->answer(kind.route, [&](const auto&) -> result<test::FakeHttp::Reply> {
      std::string body = kind.body(1);
      const auto at = body.find(R"("request_id":"1")");
      if (at != std::string::npos) body.replace(at + 14, 1, std::to_string(++answers));
      return test::FakeHttp::Reply{.body = body};
    });
    f.start({kind.dependency});
    f.io.advance(45s);
    CHECK(f.status(kind.dependency).generation == 1);
  }
}

}  // namespace
}  // namespace keybearer::secrets
