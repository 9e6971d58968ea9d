#include <doctest/doctest.h>

#include "cache_sample.hpp"
#include "serve/cache_core.hpp"
#include "serve/cache_key.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using serve::CacheCore;
using serve::Cached;
using serve::CacheEntry;

namespace {

using test::kStart;
using test::lease_entry;

}  // namespace

// Point 34: what is taken with a client's token dies with it, whoever renews what.
TEST_CASE("a lease ends with the client's token that took it") {
  const std::string token = serve::token_digest("mine");
  const auto lease = [&](Duration ttl) {
    auto entry = lease_entry("a", kStart, ttl, 0);
    entry.token = token;
    return entry;
  };
  const struct {
    const char* what;
    std::optional<Duration> before;  // the token's end when the lease came
    std::optional<Duration> after;   // ... and as was learnt then
    Duration ttl;                    // of the lease
    Duration last;                   // it is served until here, 10 s before its end
  } rows[] = {
      {"the lease is shorter", 100s, {}, 60s, 50s},
      {"the token is shorter", 40s, {}, 60s, 30s},
      {"the token has no end", Duration::max(), {}, 60s, 50s},
      {"the token is renewed", 40s, 100s, 60s, 50s},
      {"the token ends sooner than it was said", 100s, 40s, 60s, 30s},
      {"learnt again", 40s, 40s + 500ms, 60s, 30s},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    CacheCore core({.min_remaining = 10s});
    const auto at = [](Duration d) { return d == Duration::max() ? Instant::max() : kStart + d; };
    core.token_known(token, at(*row.before));
    (void)core.ask("k", kStart);
    REQUIRE(core.stored("k", lease(row.ttl), kStart));
    if (row.after) core.token_known(token, at(*row.after));
    CHECK(core.fresh("k", kStart + row.last, 0) != nullptr);
    CHECK(core.fresh("k", kStart + row.last + 1s, 0) == nullptr);
    // Renewed: never beyond the token.
    core.renewed("database/creds/a/1", 1h, kStart);
    const Duration token_ends = row.after.value_or(*row.before);
    if (token_ends < 1h) {
      CHECK(core.fresh("k", kStart + token_ends - 11s, 0) != nullptr);
      CHECK(core.fresh("k", kStart + token_ends - 8s, 0) == nullptr);
    }
    CHECK(core.drop_token(token) == 1);
    CHECK_FALSE(core.knows_token(token));
  }
}

TEST_CASE("known tokens are bounded, and forgotten at their end") {
  CacheCore core({.max_entries = 3, .min_remaining = 1s});
  for (int i = 0; i < 5; ++i)
    core.token_known("t" + std::to_string(i), kStart + std::chrono::seconds(100 + i));
  CHECK_FALSE(core.knows_token("t0"));
  CHECK_FALSE(core.knows_token("t1"));
  CHECK(core.knows_token("t4"));
  (void)core.drop_ended(kStart + 103s);
  CHECK_FALSE(core.knows_token("t3"));
  CHECK(core.knows_token("t4"));
  (void)core.drop_clients();  // which of them a revocation meant, only the server knows
  CHECK_FALSE(core.knows_token("t4"));
}

TEST_CASE("what an answer tells of a token's life") {
  const struct {
    const char *path, *body;
    std::optional<Duration> ttl;
  } rows[] = {
      {"auth/approle/login", R"({"auth":{"client_token":"t","lease_duration":60}})", 60s},
      {"ns/auth/token/create", R"({"auth":{"client_token":"t","lease_duration":0}})", 0s},
      {"auth/token/renew-self", R"({"auth":{"client_token":"t","lease_duration":7}})", 7s},
      {"auth/token/lookup-self", R"({"data":{"id":"t","ttl":9,"expire_time":"2026"}})", 9s},
      {"auth/token/lookup-self", R"({"data":{"id":"t","ttl":0,"expire_time":null}})", 0s},
      {"sys/wrapping/unwrap", R"({"auth":{"client_token":"t","lease_duration":5}})", 5s},
      // Ended, used up by looking, without a token, of another kind.
      {"auth/token/lookup-self", R"({"data":{"id":"t","ttl":0,"expire_time":"2026"}})", {}},
      {"auth/approle/login",
       R"({"auth":{"client_token":"t","lease_duration":60,"num_uses":3}})",
       {}},
      {"auth/token/lookup", R"({"data":{"id":"t","ttl":9,"num_uses":1}})", {}},
      {"auth/token/lookup-accessor", R"({"data":{"id":"","ttl":9}})", {}},
      {"auth/token/roles/x", R"({"data":{"name":"x"}})", {}},
      {"auth/approle/login", R"({"auth":{"client_token":"","mfa_requirement":{}}})", {}},
      {"kv/data/x", R"({"data":{"id":"t","ttl":9}})", {}},
      {"auth/approle/login", "x", {}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.body);
    const auto seen = serve::token_seen(row.path, row.body);
    REQUIRE(seen.has_value() == row.ttl.has_value());
    if (!seen) continue;
    CHECK(seen->token == serve::token_digest("t"));
    CHECK(seen->ttl == *row.ttl);
  }
}

// Point 35: the server takes the body's lease before the path's, and a body may be a form.
TEST_CASE("a revocation names its lease in the body, the path, or both") {
  using What = serve::Eviction::What;
  const struct {
    const char *path, *body, *value, *other;
  } rows[] = {
      {"sys/leases/revoke", R"({"lease_id":"a/1"})", "a/1", ""},
      {"sys/leases/revoke", "lease_id=a%2F1", "a/1", ""},
      {"sys/leases/revoke", "x=y;z&lease_id=a/1", "a/1", ""},
      {"sys/leases/revoke/a/1", "", "a/1", ""},
      {"sys/leases/revoke/a/1", R"({"lease_id":"b/1"})", "b/1", "a/1"},
      {"ns/sys/revoke/a/1", "lease_id=b/1", "b/1", "a/1"},
      {"sys/leases/revoke", "", "", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CAPTURE(row.body);
    const auto eviction = serve::eviction_of("PUT", row.path, row.body);
    CHECK(eviction.what == What::lease);
    CHECK(eviction.value == row.value);
    CHECK(eviction.other == row.other);
  }
}
