// Leases, minted tokens, static roles: renewed, replaced by overlap, revoked.

#include "fixture.hpp"
#include "secrets/classify.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kCreds = "GET /v1/database/creds/app";
const auto kDynamic = read("database/creds/app");

// The right to ask what the mount is, and its answer.
struct LeaseFixture : Fixture {
  LeaseFixture() {
    for (const char* path : {"creds/app", "static-creds/app"}) {
      http->answer(std::string("GET /v1/sys/internal/ui/mounts/database/") + path, 200,
                   mount("database/", "database"));
    }
    http->answer(kRevokeLease, 204);
    http->answer(kRevokeSelf, 204);
  }
};

TEST_CASE_FIXTURE(LeaseFixture, "a lease that is let go while it is renewed fetches no successor") {
  http->answer(kCreds, 200, lease("database/creds/app/1", 3600, "u1"));
  http->answer(kRenewLease, 400, R"({"errors":["lease not found"]})");  // it was revoked meanwhile
  http->delay(kRenewLease, 20s);
  start({kDynamic});
  while (http->count(kRenewLease) == 0) io.advance(1s, 1s);
  secrets->retain({});
  io.advance(1h, 1s);
  CHECK(http->count(kCreds) == 1);
  CHECK(lines("fetching new credentials") == 0);
}

TEST_CASE_FIXTURE(LeaseFixture, "a lease is renewed at two thirds; the value stays the same") {
  config.lease.increment = 30min;
  http->answer(kCreds, 200, lease("database/creds/app/1", 3600, "u1"));
  http->answer(kRenewLease, 200, renewed("database/creds/app/1", 1800));
  start({kDynamic});
  CHECK(status(kDynamic).kind == Kind::dynamic);
  CHECK(status(kDynamic).lease_id == "database/creds/app/1");
  CHECK(status(kDynamic).lease_end == test::Io::start + 1h);
  io.advance(3h, 1s);
  CHECK(http->count(kCreds) == 1);
  CHECK(status(kDynamic).generation == 1);
  const auto renewals = times(kRenewLease);
  REQUIRE(renewals.size() >= 6);
  CHECK(renewals[0] <= 2413s);
  CHECK(renewals[0] >= 2170s);
  CHECK(renewals[1] - renewals[0] <= 1207s);
  const auto& body =
      std::ranges::find(http->asked, kRenewLease, &test::FakeHttp::Asked::route)->body;
  CHECK(body.find("database/creds/app/1") != std::string::npos);
  CHECK(body.find("1800") != std::string::npos);
}

TEST_CASE_FIXTURE(LeaseFixture, "leases of a few seconds are renewed before they end, in silence") {
  for (const int ttl : {1, 2, 3}) {
    CAPTURE(ttl);
    LeaseFixture each;
    each.http->answer(kCreds, 200, lease("database/creds/app/1", ttl, "u1"));
    each.http->answer(kRenewLease, 200, renewed("database/creds/app/1", ttl));
    each.start({kDynamic});
    each.io.advance(60s, 10ms);
    CHECK(each.http->count(kCreds) == 1);
    Duration before{};
    for (const Duration at : each.times(kRenewLease)) {
      CHECK(at - before < std::chrono::seconds(ttl) - 400ms);
      CHECK(at - before >= 500ms);
      before = at;
    }
    CHECK(before > 57s);
    CHECK(each.alarms.empty());
    CHECK(each.lines("ERROR") + each.lines("WARN") == 0);
  }
}

TEST_CASE_FIXTURE(
    LeaseFixture,
    "at the wall of max_ttl: new credentials once, the old revoked only after the drain") {
  http->answer(kCreds, 200, lease("database/creds/app/1", 600, "u1"));
  http->answer(kCreds, 200, lease("database/creds/app/2", 600, "u2"));
  http->answer(kRenewLease, 200, renewed("database/creds/app/1", 300));
  start({kDynamic});
  io.advance(650s, 1s);  // renewed at 402 s at the latest, read again at 240 s after that
  REQUIRE(http->count(kCreds) == 2);
  CHECK(http->count(kRenewLease) == 1);
  CHECK(value(kDynamic, "username") == "u2");
  CHECK(status(kDynamic).why == "maximum life reached: new credentials");
  CHECK(http->count(kRevokeLease) == 0);  // the program still has the old

  apply_all();
  io.advance(29s);
  CHECK(http->count(kRevokeLease) == 0);
  io.advance(2s);
  REQUIRE(http->count(kRevokeLease) == 1);
  CHECK(http->asked.back().body.find("creds/app/1") != std::string::npos);
}

struct LookFixture : LeaseFixture {
  static constexpr auto kLook = "PUT /v1/sys/leases/lookup";
  LookFixture() {
    config.lease.check_interval = 30s;
    http->answer(kCreds, 200, lease("database/creds/app/1", 3600, "u1"));
    http->answer(kCreds, 200, lease("database/creds/app/2", 3600, "u2"));
    start({kDynamic});
  }
};

TEST_CASE_FIXTURE(LookFixture, "a lease that somebody else revoked is replaced at the next look") {
  http->answer(kLook, 200, R"({"data":{"id":"database/creds/app/1","ttl":3570}})");
  http->answer(kLook, 400, R"({"errors":["invalid lease"]})");
  io.advance(61s, 1s);
  CHECK(http->count(kLook) == 2);
  REQUIRE(http->count(kCreds) == 2);
  CHECK(value(kDynamic, "username") == "u2");
  CHECK(status(kDynamic).why == "lease revoked");
  apply_all();
  io.advance(31s, 1s);
  CHECK(http->count(kRevokeLease) == 0);  // it is revoked already
}

TEST_CASE_FIXTURE(LookFixture, "who may not look leases up is told once, and keeps the lease") {
  http->answer(kLook, 403, kDenied);
  io.advance(5min, 1s);
  CHECK(http->count(kLook) == 1);
  CHECK(http->count(kCreds) == 1);
  CHECK(lines("can't be obeyed") == 1);
}

TEST_CASE_FIXTURE(LookFixture, "a server that is away tells nothing of a lease") {
  http->answer(kLook, 503, R"({"errors":["sealed"]})");
  io.advance(5min, 1s);
  CHECK(http->count(kLook) == 10);
  CHECK(http->count(kCreds) == 1);
}

TEST_CASE_FIXTURE(LeaseFixture, "the drain never outlasts the old lease") {
  config.lease.drain = 1h;
  http->answer(kCreds, 200, lease("database/creds/app/1", 60, "u1", false));
  http->answer(kCreds, 200, lease("database/creds/app/2", 60, "u2", false));
  start({kDynamic});
  while (http->count(kCreds) < 2) io.advance(100ms);
  const Instant end = test::Io::start + 60s;
  apply_all();
  io.advance(end - Clock::now() - 2s);
  CHECK(http->count(kRevokeLease) == 0);
  io.advance(1500ms);
  CHECK(http->count(kRevokeLease) == 1);
}

TEST_CASE_FIXTURE(LeaseFixture, "a renewal that is refused leads to new credentials, once") {
  http->answer(kCreds, 200, lease("database/creds/app/1", 600, "u1"));
  http->answer(kCreds, 200, lease("database/creds/app/2", 600, "u2"));
  http->answer(kRenewLease, 400, R"({"errors":["lease not found"]})");
  start({kDynamic});
  io.advance(410s, 1s);
  CHECK(http->count(kCreds) == 2);
  CHECK(http->count(kRenewLease) == 1);
  CHECK(value(kDynamic, "username") == "u2");
}

TEST_CASE_FIXTURE(LeaseFixture,
                  "a renewal without an answer is tried again and never throws a good lease away") {
  http->answer(kCreds, 200, lease("database/creds/app/1", 600, "u1"));
  http->answer(kRenewLease, 502);
  http->answer(kRenewLease, 502);
  http->answer(kRenewLease, 200, renewed("database/creds/app/1", 600));
  start({kDynamic});
  io.advance(420s, 1s);
  CHECK(http->count(kRenewLease) == 3);
  CHECK(http->count(kCreds) == 1);
  CHECK(status(kDynamic).state == State::fresh);
  CHECK(value(kDynamic, "username") == "u1");
}

TEST_CASE_FIXTURE(
    LeaseFixture,
    "an outage longer than the lease: the value stays, and new credentials come with the server") {
  http->answer(kCreds, 200, lease("database/creds/app/1", 60, "u1"));
  http->fail(kRenewLease, ErrorKind::network);
  start({kDynamic});
  http->reset(kCreds);
  http->fail(kCreds, ErrorKind::network);
  io.advance(10min, 1s);
  CHECK(value(kDynamic, "username") == "u1");
  CHECK(status(kDynamic).state == State::failing);
  http->reset(kCreds);
  http->answer(kCreds, 200, lease("database/creds/app/2", 60, "u2"));
  io.advance(61s, 1s);
  CHECK(value(kDynamic, "username") == "u2");
  CHECK(http->asked.size() < 60);
}

TEST_CASE_FIXTURE(LeaseFixture, "strategy refetch: read again, never renewed") {
  config.lease.strategy = config::LeaseStrategy::refetch;
  config.lease.renew_at = 0.8;
  config.lease.min_remaining = 0s;
  for (int i = 1; i < 6; ++i) {
    http->answer(kCreds, 200,
                 lease("database/creds/app/" + std::to_string(i), 10, "u" + std::to_string(i)));
  }
  start({kDynamic});
  io.advance(25s);
  CHECK(http->count(kCreds) == 4);  // at 0, 8, 16 and 24 s, or a little earlier
  CHECK(http->count(kRenewLease) == 0);
  CHECK(status(kDynamic).generation == 4);
}

TEST_CASE_FIXTURE(
    LeaseFixture,
    "a new token: its leases replace the old token's, and what has no lease is left alone") {
  http->answer(kCreds, 200, lease("database/creds/app/1", 3600, "u1"));
  http->answer(kCreds, 200, lease("database/creds/app/2", 3600, "u2"));
  http->answer("GET /v1/kv/data/app", 200, kv2(1));
  start({kDynamic, read("kv/data/app")});
  SUBCASE("another one") {
    set_token("hvs.2");
    secrets->token_changed();
    io.run();
    CHECK(value(kDynamic, "username") == "u2");
    CHECK(http->count("GET /v1/kv/data/app") == 1);
    CHECK(http->count(kRevokeLease) == 0);
    apply_all();
    io.advance(31s);
    CHECK(http->count(kRevokeLease) == 1);
  }
  SUBCASE("another one after a time without any") {
    client.set_token(nullptr);
    secrets->token_changed();
    io.advance(1min, 1s);
    CHECK(value(kDynamic, "username") == "u1");
    set_token("hvs.2");
    secrets->token_changed();
    io.run();
    CHECK(value(kDynamic, "username") == "u2");
  }
  SUBCASE("the same once more") {
    set_token("hvs.1");
    secrets->token_changed();
    io.run();
    CHECK(http->count(kCreds) == 1);
  }
}

TEST_CASE_FIXTURE(
    LeaseFixture,
    "a token that changes while an answer is on its way: the answer was the old one's") {
  http->answer(kCreds, 200, lease("database/creds/app/1", 3600, "u1"));
  http->answer(kCreds, 200, lease("database/creds/app/2", 3600, "u2"));
  http->delay(kCreds, 2s);
  start({kDynamic});
  io.advance(1s);
  set_token("hvs.2");
  secrets->token_changed();
  io.advance(5s);
  CHECK(value(kDynamic, "username") == "u2");
}

constexpr auto kMint = "PUT /v1/auth/token/create/svc";
const auto kKey = tmpl::write_dependency("auth/token/create/svc", {{"ttl", "60s"}});
std::string issued_token(const std::string& token, int ttl, bool orphan = false,
                         bool renewable = true) {
  return R"({"auth":{"client_token":")" + token +
         R"(","accessor":"a","policies":["x"],"token_type":"service","lease_duration":)" +
         std::to_string(ttl) + R"(,"renewable":)" + (renewable ? "true" : "false") +
         R"(,"orphan":)" + (orphan ? "true" : "false") + "}}";
}

TEST_CASE_FIXTURE(
    LeaseFixture,
    "a minted token is renewed with itself until it is capped, then another is minted") {
  const auto renew = "POST /v1/auth/token/renew-self";
  http->answer(kMint, 200, issued_token("canary-key-1", 60));
  http->answer(kMint, 200, issued_token("canary-key-2", 60));
  http->answer(renew, 200, issued_token("canary-key-1", 60));
  http->answer(renew, 200, issued_token("canary-key-1", 20));
  http->answer(renew, 200, issued_token("canary-key-2", 60));
  start({kKey});
  CHECK(status(kKey).kind == Kind::token);
  CHECK(http->asked[0].body == R"({"ttl":"60s"})");
  io.advance(100s);
  CHECK(http->count(kMint) == 2);
  const auto first = std::ranges::find(http->asked, renew, &test::FakeHttp::Asked::route);
  CHECK(first->token == "canary-key-1");
  apply_all();
  io.advance(31s);
  const auto revoked = std::ranges::find(http->asked, kRevokeSelf, &test::FakeHttp::Asked::route);
  if (revoked != http->asked.end()) CHECK(revoked->token == "canary-key-1");
}

TEST_CASE_FIXTURE(LeaseFixture, "a minted token dies with its maker, an orphan does not") {
  bool orphan = false;
  SUBCASE("child") {}
  SUBCASE("orphan") {
    orphan = true;
  }
  http->answer(kMint, 200, issued_token("canary-key-1", 3600, orphan));
  start({kKey});
  set_token("hvs.2");
  secrets->token_changed();
  io.run();
  CHECK(http->count(kMint) == (orphan ? 1 : 2));
}

TEST_CASE_FIXTURE(LeaseFixture, "what is written is written once in a lifetime") {
  http->answer("PUT /v1/transit/decrypt/k", 200, R"({"data":{"plaintext":"canary"}})");
  const auto plain = tmpl::write_dependency("transit/decrypt/k", {{"ciphertext", "vault:v1:x"}});
  start({plain, plain});
  CHECK(status(plain).kind == Kind::written_once);
  for (int i = 0; i < 5; ++i) {
    secrets->require(plain);
    io.advance(1h, 10s);
    set_token("hvs." + std::to_string(i));
    secrets->token_changed();
  }
  CHECK(http->asked.size() == 1);
}

TEST_CASE_FIXTURE(LeaseFixture, "[[secret]] data make a write of what a template reads") {
  config::SecretRule rule;
  rule.path = "pki/issue/web";
  rule.data = {{"common_name", "localhost"}};
  config.secrets.push_back(rule);
  const auto end = [] {
    return std::to_string(
        std::chrono::duration_cast<std::chrono::seconds>((wall_now() + 20s).time_since_epoch())
            .count());
  };
  http->answer("PUT /v1/pki/issue/web", [&](const auto&) -> result<test::FakeHttp::Reply> {
    return test::FakeHttp::Reply{
        .body =
            R"({"data":{"certificate":"C","private_key":"canary","expiration":)" + end() + "}}"};
  });
  const auto pair = read("pki/issue/web");
  start({pair});
  CHECK(status(pair).kind == Kind::certificate);
  CHECK(http->asked[0].body == R"({"common_name":"localhost"})");
  io.advance(9s);
  CHECK(http->asked.size() == 1);
  io.advance(2s);  // ten seconds are kept of twenty
  CHECK(http->asked.size() == 2);
  CHECK(status(pair).generation == 2);
}

TEST_CASE_FIXTURE(LeaseFixture, "at the end all leases and minted tokens are revoked, at once") {
  http->answer(kCreds, 200, lease("database/creds/app/1", 600, "u1"));
  http->answer(kMint, 200, issued_token("canary-key-1", 600));
  config::SecretRule kept;
  kept.path = "database/creds/kept";
  kept.lease.revoke_on_exit = false;
  config.secrets.push_back(kept);
  http->answer("GET /v1/database/creds/kept", 200, lease("database/creds/kept/1", 600, "u3"));
  start({kDynamic, kKey, read("database/creds/kept")});
  stop();
  revoke_all();
  io.run();
  CHECK(http->count(kRevokeLease) == 1);
  CHECK(http->count(kRevokeSelf) == 1);
  CHECK(http->asked.back().route != kRenewLease);
}

TEST_CASE_FIXTURE(
    LeaseFixture,
    "revocations that are not allowed are noted once, and a server that is away costs 5 s") {
  std::vector<tmpl::Dependency> all;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "creds/r" + std::to_string(i);
    http->answer("GET /v1/sys/internal/ui/mounts/database/" + name, 200,
                 mount("database/", "database"));
    http->answer("GET /v1/database/" + name, 200, lease("database/" + name + "/1", 600, "u"));
    all.push_back(read("database/" + name));
  }
  start(all);
  stop();
  http->reset(kRevokeLease);
  SUBCASE("denied") {
    http->answer(kRevokeLease, 403, kDenied);
    revoke_all();
    io.run();
    CHECK(http->count(kRevokeLease) == 5);
    CHECK(lines("not revoked") == 1);
    CHECK(revoked == lease::Revoked::some);
  }
  SUBCASE("away") {
    http->delay(kRevokeLease, 10min);
    revoke_all();
    io.advance(4900ms);
    CHECK_FALSE(io.context.stopped());
    io.advance(200ms);
    CHECK(io.context.stopped());
    CHECK(revoked == lease::Revoked::timed_out);
    CHECK(lines("not all was revoked in time") == 1);
  }
}

}  // namespace
}  // namespace keybearer::secrets
