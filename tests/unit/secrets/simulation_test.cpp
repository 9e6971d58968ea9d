// A day of a thousand secrets, and random answers and faults: requests are counted, nothing grows,
// no lease is revoked that is in use, no minute is above the budget.

#include <deque>

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

std::string creds_path(int i) {
  return "auth/creds/app" + std::to_string(i);
}
std::string kv_path(int i) {
  return "kv/data/app" + std::to_string(i);
}

TEST_CASE_FIXTURE(Fixture,
                  "a day of a thousand secrets costs what its schedules say, and grows nothing") {
  constexpr int kLeases = 100, kKv = 900;
  config.template_config.static_secret_render_interval.every = 1h;
  int issued = 0;
  std::vector<tmpl::Dependency> all;
  for (int i = 0; i < kLeases; ++i) {
    http->answer("GET /v1/" + creds_path(i),
                 [&issued, i](const auto&) -> result<test::FakeHttp::Reply> {
                   return test::FakeHttp::Reply{
                       .body = lease(creds_path(i) + "/" + std::to_string(++issued), 3600, "u")};
                 });
    all.push_back(read(creds_path(i)));
  }
  http->answer(kRevokeLease, 204);
  // A maximum of four hours: the renewal after the third hour gives less.
  std::map<std::string, Instant> born;
  http->answer(kRenewLease,
               [&](const test::FakeHttp::Asked& asked) -> result<test::FakeHttp::Reply> {
                 const auto [at, first] = born.try_emplace(asked.body, asked.at - 40min);
                 const auto left =
                     std::chrono::duration_cast<std::chrono::seconds>(at->second + 4h - asked.at);
                 return test::FakeHttp::Reply{
                     .body = renewed("x", static_cast<int>(std::min<long>(3600, left.count())))};
               });
  for (int i = 0; i < kKv; ++i) {
    http->answer("GET /v1/" + kv_path(i), 200, kv2(1));
    http->answer("GET /v1/kv/metadata/app" + std::to_string(i), 200, metadata(1));
    all.push_back(read(kv_path(i)));
  }
  start(all);
  CHECK(http->asked.size() == 1000);
  std::size_t per_hour = 0;
  for (int hour = 0; hour < 24; ++hour) {
    http->asked.clear();
    for (int part = 0; part < 12; ++part) {
      io.advance(5min, 5s);
      apply_all();
    }
    per_hour = std::max(per_hour, http->asked.size());
    CHECK(revocations->size() <= kLeases);
  }
  // Each KV secret is compared about once an hour, each lease renewed every 40 minutes, replaced
  // and revoked every four hours.
  CHECK(per_hour <= kKv * 1.25 + kLeases * 3);
  CHECK(issued <= kLeases * 8);
  CHECK(issued >= kLeases * 5);
  CHECK(secrets->all().size() == 1000);
  CHECK(alarms.empty());
}

// A server that issues, forgets, fails and hangs as it likes, and keeps the books.
struct RandomServer {
  explicit RandomServer(Fixture& f, std::uint32_t seed) : fixture(f), random(seed) {}

  result<test::FakeHttp::Reply> answer(const test::FakeHttp::Asked& asked) {
    const double luck = random.fraction();
    if (luck < 0.1) return std::unexpected(Error{ErrorKind::network, "connection reset"});
    if (luck < 0.15) return test::FakeHttp::Reply{503, R"({"errors":["Vault is sealed"]})"};
    if (luck < 0.18) return test::FakeHttp::Reply{429, R"({"errors":["quota"]})", 2s};
    if (luck < 0.2) return test::FakeHttp::Reply{200, "<html>"};
    if (luck < 0.22) return test::FakeHttp::Reply{403, kDenied};
    if (luck < 0.23) return test::FakeHttp::Reply{404, R"({"errors":[]})"};
    if (asked.route == kRevokeLease) return revoke(asked);
    if (asked.route == kRenewLease) return test::FakeHttp::Reply{200, renewed("x", ttl())};
    if (asked.route.contains("creds")) return issue(asked);
    if (asked.route.contains("metadata")) return test::FakeHttp::Reply{200, metadata(version())};
    return test::FakeHttp::Reply{200, kv2(version())};
  }

  Fixture& fixture;
  Random random;
  int issued = 0, wrongly_revoked = 0;
  InUse program;                                  // what it has
  std::map<std::string, std::string> lease_path;  // lease id -> path

 private:
  int ttl() { return static_cast<int>(random.fraction() * 120) - 5; }
  int version() { return 1 + static_cast<int>(random.fraction() * 3); }
  result<test::FakeHttp::Reply> issue(const test::FakeHttp::Asked& asked) {
    const std::string path = asked.route.substr(8);
    const std::string id = path + "/" + std::to_string(++issued);
    lease_path[id] = path;
    return test::FakeHttp::Reply{
        200, lease(id, std::max(1, ttl()), std::to_string(issued), random.fraction() < 0.7)};
  }
  result<test::FakeHttp::Reply> revoke(const test::FakeHttp::Asked& asked) {
    for (const auto& id : in_use) {
      if (asked.body.contains("\"" + id + "\"")) ++wrongly_revoked;
    }
    return test::FakeHttp::Reply{204, ""};
  }

 public:
  std::vector<std::string> in_use;  // lease ids that the program has
};

TEST_CASE("random answers and faults: nothing in use is revoked, no minute is above the budget") {
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Fixture f({.budget = {.requests_per_minute = 90, .burst = 20}});
    f.config.template_config.static_secret_render_interval.every = 7s;
    f.config.lease.drain = 3s;
    // It answers what is revoked at the end, too.
    const auto shared = std::make_shared<RandomServer>(f, seed);
    RandomServer& server = *shared;
    const auto serve = [&f, shared](const std::string& route) {
      f.http->answer(route, [shared](const auto& asked) { return shared->answer(asked); });
    };
    serve(kRevokeLease);
    serve(kRenewLease);
    std::vector<tmpl::Dependency> all;
    for (int i = 0; i < 6; ++i) {
      serve("GET /v1/" + creds_path(i));
      serve("GET /v1/" + kv_path(i));
      serve("GET /v1/kv/metadata/app" + std::to_string(i));
      all.push_back(read(creds_path(i)));
      all.push_back(read(kv_path(i)));
    }
    f.start(all);
    Random& random = server.random;
    InUse program;
    std::set<std::string> asked_for;
    for (const auto& each : all) asked_for.insert(each.id);
    for (int second = 0; second < 900; ++second) {
      f.io.advance(1s, 200ms);
      const double what = random.fraction();
      if (what < 0.1) {  // the program takes what there is
        program.clear();
        server.in_use.clear();
        for (const Status* status : f.secrets->all()) {
          program[status->id] = status->generation;
          if (!status->lease_id.empty()) server.in_use.push_back(status->lease_id);
        }
        f.secrets->applied(program);
      } else if (what < 0.2) {
        f.secrets->applied(program);
      } else if (what < 0.22) {  // a template asks for another set
        const auto& each = all[static_cast<std::size_t>(random.fraction() * 12)];
        if (asked_for.erase(each.id) == 0) {
          asked_for.insert(each.id);
          f.secrets->require(each);
        }
        f.secrets->retain(asked_for);
      } else if (what < 0.23) {
        f.set_token("hvs." + std::to_string(second));
        f.secrets->token_changed();
      } else if (what < 0.24) {
        f.secrets->refresh_all();
      }
    }
    CHECK(server.wrongly_revoked == 0);
    const auto& asked = f.http->asked;
    for (std::size_t i = 0, j = 0; i < asked.size(); ++i) {
      while (asked[i].at - asked[j].at > 1min) ++j;
      if (i - j + 1 > 90 + 20 + 15) FAIL_CHECK("more than the budget in a minute: " << i - j + 1);
    }
    CHECK(f.revocations->size() < 60);
  }
}

}  // namespace
}  // namespace keybearer::secrets
