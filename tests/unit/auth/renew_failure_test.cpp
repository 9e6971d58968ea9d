// T4: what becomes of us when a token can't be renewed any more: each on_renew_failure with each
// kind of credential and each way in which renewals end. What is expected is worked out from the
// rule, not written down by row.

#include <doctest/doctest.h>

#include <algorithm>

#include "auth/method.hpp"
#include "config/method.hpp"
#include "fixture.hpp"

namespace keybearer::auth {
namespace {

using config::OnRenewFailure;
using Phase = TokenState::Phase;

constexpr auto kWrapLookup = "POST /v1/sys/wrapping/lookup";
constexpr auto kUnwrap = "POST /v1/sys/wrapping/unwrap";
constexpr auto kWrapPath = "auth/approle/role/app/secret-id";

// What a second login with the same credential is worth.
enum class Again {
  works,
  known_to_be_spent,  // an unwrapped secret_id of one use: not even tried
  refused,            // the server says no
  not_ours,           // somebody else made the token
};

struct Credential {
  const char* name;
  const char* type;
  const char* route;
  Again again;
  std::vector<std::pair<const char*, const char*>> texts;  // "F:" is a file with this content
  const char* secret = nullptr;                            // the key that holds "s"
  int wrapped_uses = -1;                                   // 0: no limit
};

const Credential kCredentials[] = {
    {"approle, value", "approle", kLogin, Again::works, {{"role_id", "r"}}, "secret_id"},
    {"approle, files",
     "approle",
     kLogin,
     Again::works,
     {{"role_id_file_path", "F:r"}, {"secret_id_file_path", "F:s"}}},
    {"approle, removed after reading",
     "approle",
     kLogin,
     Again::works,
     {{"role_id", "r"}, {"secret_id_file_path", "F:s"}}},
    {"approle, wrapped",
     "approle",
     kLogin,
     Again::works,
     {{"role_id", "r"},
      {"secret_id_file_path", "F:w"},
      {"secret_id_response_wrapping_path", kWrapPath}},
     nullptr,
     0},
    {"approle, wrapped, of one use",
     "approle",
     kLogin,
     Again::known_to_be_spent,
     {{"role_id", "r"},
      {"secret_id_file_path", "F:w"},
      {"secret_id_response_wrapping_path", kWrapPath}},
     nullptr,
     1},
    {"approle, of one use", "approle", kLogin, Again::refused, {{"role_id", "r"}}, "secret_id"},
    {"token", "token", kLookup, Again::not_ours, {}, "token"},
    {"token_file", "token_file", kLookup, Again::not_ours, {{"token_file_path", "F:T1"}}},
    {"jwt, file",
     "jwt",
     "POST /v1/auth/jwt/login",
     Again::works,
     {{"role", "app"}, {"path", "F:e.y.J"}}},
    {"jwt, value", "jwt", "POST /v1/auth/jwt/login", Again::works, {{"role", "app"}}, "jwt"},
    {"kubernetes",
     "kubernetes",
     "POST /v1/auth/kubernetes/login",
     Again::works,
     {{"role", "app"}, {"token_path", "F:e.y.J"}}},
    {"cert", "cert", "POST /v1/auth/cert/login", Again::works, {{"name", "app"}}},
    {"userpass",
     "userpass",
     "POST /v1/auth/userpass/login/bob",
     Again::works,
     {{"username", "bob"}, {"password_file_path", "F:p"}}},
    {"ldap",
     "ldap",
     "POST /v1/auth/ldap/login/bob",
     Again::works,
     {{"username", "bob"}, {"password_file_path", "F:p"}}},
    {"aws, static keys",
     "aws",
     "POST /v1/auth/aws/login",
     Again::works,
     {{"role", "app"}, {"access_key", "AKIDEXAMPLE"}},
     "secret_key"},
    {"gcp, an instance", "gcp", "POST /v1/auth/gcp/login", Again::works, {{"role", "app"}}},
    {"azure, a managed identity",
     "azure",
     "POST /v1/auth/azure/login",
     Again::works,
     {{"role", "app"}, {"resource", "https://management.azure.com/"}}},
};

enum class Way { refused, forbidden, not_renewable, last_renewal, gone };
constexpr Way kWays[] = {Way::refused, Way::forbidden, Way::not_renewable, Way::last_renewal,
                         Way::gone};
constexpr OnRenewFailure kRules[] = {OnRenewFailure::relogin, OnRenewFailure::exit,
                                     OnRenewFailure::keep};

constexpr int kTtl = 60;
constexpr auto kDue = 48s, kEnd = 60s, kMargin = 5s;

// What the host of an instance says.
void set_up_cloud(test::FakeCloud& cloud) {
  using Reply = test::FakeHttp::Reply;
  cloud.http.answer(
      "GET http://metadata.google.internal:80/computeMetadata/v1/instance/service-accounts/default/"
      "identity?audience=http%3A%2F%2F127.0.0.1%3A8200%2Fvault%2Fapp&format=full",
      [](const auto&) -> result<Reply> {
        return Reply{.status = 200, .body = "e30.e30.c2ln", .wanted_header = "Google"};
      });
  cloud.http.answer(
      "GET http://169.254.169.254:80/metadata/identity/oauth2/"
      "token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F",
      200, R"({"access_token":"e30.e30.c2ln","expires_in":"3599"})");
}

void set_up(Fixture& fixture, const Credential& row, Way way, OnRenewFailure rule) {
  fixture.config.on_renew_failure = rule;
  fixture.stop_margin = kMargin;
  set_up_cloud(fixture.cloud);
  config::Method& method = fixture.config.method = {};
  method.type = row.type;
  for (const auto& [key, value] : row.texts) {
    const std::string_view text(value);
    if (config::MethodSpec::find(row.type)->key(key)->type == config::MethodKey::Type::secret)
      method.set(key, Secret(text));
    else
      method.set(key, text.starts_with("F:") ? fixture.directory.write(key, text.substr(2))
                                             : std::string(text));
  }
  if (row.secret != nullptr) method.set(row.secret, Secret("s"));
  test::FakeHttp& http = *fixture.http;
  const bool renewable = way != Way::not_renewable;
  if (row.again == Again::not_ours) {
    http.answer(kLookup, 200, looked_up(kTtl, renewable));
    if (way == Way::gone) http.answer(kLookup, 403, kDenied);
  } else {
    http.answer(row.route, 200, granted("T1", kTtl, renewable));
    if (row.again == Again::refused)
      http.answer(row.route, 400, R"({"errors":["invalid secret id"]})");
    else
      http.answer(row.route, 200, granted("T2", 3600));
    http.answer(kLookup, way == Way::gone ? 403 : 200, way == Way::gone ? kDenied : looked_up(12));
  }
  const std::string uses = std::to_string(row.wrapped_uses);
  http.answer(
      kWrapLookup, 200,
      std::string(R"({"data":{"creation_path":")") + kWrapPath + R"(","creation_ttl":60}})");
  http.answer(kUnwrap, 200, R"({"data":{"secret_id":"s","secret_id_num_uses":)" + uses + "}}");
  if (way == Way::refused) http.answer(kRenew, 400, R"({"errors":["lease is not renewable"]})");
  if (way == Way::forbidden || way == Way::gone) http.answer(kRenew, 403, kDenied);
  if (way == Way::last_renewal) http.answer(kRenew, 200, granted("T1", kTtl, false));
}

// By the rule.
struct Expected {
  bool new_token = false;
  int logins = 1;     // that were sent
  Duration over{};    // when there is no token any more, or we end
  bool ends = false;  // with 77
  std::vector<std::string> alarms = {};
};

Expected expected(const Credential& row, Way way, OnRenewFailure rule) {
  Expected out;
  const Duration noticed = kDue + (way == Way::last_renewal ? kDue : 0s);
  const Duration end = way == Way::last_renewal ? kDue + kEnd : kEnd;
  if (rule == OnRenewFailure::relogin && row.again == Again::works) {
    out.new_token = true;
    out.logins = 2;
    return out;
  }
  if (rule == OnRenewFailure::relogin && row.again == Again::refused) {
    out.logins = 2;
    out.alarms = {"login.refused"};
  }
  out.ends = rule != OnRenewFailure::keep;
  out.over = way == Way::gone ? noticed : out.ends ? end - kMargin : end;
  out.alarms.emplace_back("token.lost");
  return out;
}

TEST_CASE("T4: on_renew_failure with every credential and every end of renewals") {
  int combinations = 0;
  for (const Credential& row : kCredentials) {
    for (const Way way : kWays) {
      for (const OnRenewFailure rule : kRules) {
        CAPTURE(std::string(row.name));
        CAPTURE(static_cast<int>(way));
        CAPTURE(static_cast<int>(rule));
        ++combinations;
        Fixture fixture;
        set_up(fixture, row, way, rule);
        const Expected wanted = expected(row, way, rule);
        fixture.start();
        fixture.io.advance(120s, 250ms);
        CHECK(fixture.alarms == wanted.alarms);
        CHECK(fixture.state().logins == (wanted.new_token ? 2 : 1));
        if (row.again != Again::not_ours) CHECK(fixture.http->count(row.route) == wanted.logins);
        if (wanted.new_token) {
          CHECK(fixture.token() == "T2");
          CHECK(fixture.in(Phase::valid));
          CHECK_FALSE(fixture.ended);
          continue;
        }
        CHECK(fixture.ended.has_value() == wanted.ends);
        if (wanted.ends && fixture.ended) {
          CHECK(fixture.ended->kind == ErrorKind::denied);
          const Duration at = *fixture.ended_at - test::Io::start;
          CHECK(at >= wanted.over - 1s);
          CHECK(at <= wanted.over + 2s);
        }
        if (!wanted.ends) {
          CHECK(fixture.in(Phase::lost));
          CHECK(fixture.token() == "(none)");
        }
        CHECK(fixture.lines("not valid any more") + fixture.lines("can't be renewed") >= 1);
      }
    }
  }
  CHECK(combinations == 17 * 5 * 3);
}

TEST_CASE("every method has its row in the table of losses") {
  for (const config::MethodSpec* spec : config::MethodSpec::all()) {
    CAPTURE(spec->type());
    CHECK(std::ranges::any_of(kCredentials,
                              [&](const Credential& row) { return spec->type() == row.type; }));
  }
}

// New credentials end a loss by `keep` only where the token is somebody else's.
TEST_CASE("T4: keep logs in no more, but takes a new token that somebody else puts there") {
  Fixture fixture;
  const Credential& row = kCredentials[7];
  set_up(fixture, row, Way::refused, OnRenewFailure::keep);
  fixture.start();
  fixture.io.advance(70s, 250ms);
  REQUIRE(fixture.in(Phase::lost));
  fixture.http->answer(kLookup, 200, looked_up(600));
  fixture.directory.write("token_file_path", "T9");
  fixture.io.advance(20s, 250ms);
  CHECK(fixture.in(Phase::valid));
  CHECK(fixture.token() == "T9");
  CHECK_FALSE(fixture.ended);
}

// Whoever asks, and however many: one login.
TEST_CASE("T4: however many find the token gone at the same time, one login is in flight") {
  Fixture fixture;
  set_up(fixture, kCredentials[0], Way::gone, OnRenewFailure::relogin);
  fixture.http->delay(kLogin, 2s);
  fixture.http->delay(kLookup, 500ms);
  fixture.start();
  fixture.io.advance(20s, 250ms);
  std::vector<bool> answers;
  for (int i = 0; i < 50; ++i) fixture.io.start_task(Fixture::ask(fixture, answers));
  fixture.io.advance(1s, 100ms);
  for (int i = 0; i < 50; ++i) fixture.io.start_task(Fixture::ask(fixture, answers));
  fixture.io.advance(5s, 100ms);
  CHECK(answers.size() == 100);
  CHECK(fixture.http->count(kLookup) == 1);
  CHECK(fixture.http->count(kLogin) == 2);
  CHECK(fixture.token() == "T2");
}

// The clock goes on while the machine sleeps.
TEST_CASE(
    "a suspend of 8 hours: a token that has ended costs one look and one login, one that lives one "
    "renewal") {
  for (const int ttl : {60, 3600, 86400, 32 * 86400}) {
    CAPTURE(ttl);
    Fixture fixture;
    const bool over = ttl < 8 * 3600;
    fixture.http->answer(kLogin, 200, granted("T1", ttl));
    fixture.http->answer(kLogin, 200, granted("T2", 86400));
    if (over) fixture.http->answer(kRenew, 403, kDenied);
    fixture.http->answer(kRenew, 200, granted("T", ttl));
    fixture.http->answer(kLookup, 403, kDenied);
    fixture.start();
    fixture.io.advance(10s);
    fixture.io.advance(8h, 8h);
    fixture.io.advance(5s, 1s);
    CHECK(fixture.token() == (over ? "T2" : "T1"));
    CHECK(fixture.http->count(kLogin) == (over ? 2 : 1));
    CHECK(fixture.http->count(kRenew) <= 1);
    CHECK(fixture.http->count(kLookup) == (over ? 1 : 0));
    CHECK(fixture.in(Phase::valid));
    CHECK_FALSE(fixture.ended);
  }
}

}  // namespace
}  // namespace keybearer::auth
