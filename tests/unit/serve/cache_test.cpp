#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

#include "cache_sample.hpp"
#include "serve/cache_core.hpp"
#include "serve/cache_key.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using serve::CacheAction;
using serve::CacheCore;
using serve::Cached;
using serve::CacheEntry;
using serve::CacheEvent;
using serve::CacheState;

namespace {

using test::kStart;
using test::lease_entry;

CacheEntry kv_entry(const std::string& path, Instant asked, std::size_t size = 10) {
  CacheEntry entry;
  entry.path = path;
  entry.what.kind = Cached::kv;
  entry.asked = entry.checked = asked;
  entry.body = std::make_shared<const Secret>(std::string(size, 'x'));
  return entry;
}

std::string key_of(const serve::KeyParts& parts) {
  return serve::cache_key(parts);
}

}  // namespace

// Point 29.
TEST_CASE("a key is method, path, parameters, body's value, namespace, token and wrap TTL") {
  const serve::KeyParts base{"GET", "/v1/kv/x", "a=1&b=2", R"({"x":1,"y":[2]})", "ns", "t", ""};
  const auto with = [&](auto change) {
    serve::KeyParts other = base;
    change(other);
    return key_of(other);
  };
  CHECK(with([](auto& k) { k.query = "b=2&a=1"; }) == key_of(base));
  CHECK(with([](auto& k) { k.query = "&a=1&&b=2&"; }) == key_of(base));
  CHECK(with([](auto& k) { k.body = R"({ "y": [2], "x": 1 })"; }) == key_of(base));
  CHECK(with([](auto& k) { k.vault_namespace = "/ns/"; }) == key_of(base));
  CHECK(with([](auto& k) { k.method = "LIST"; }) != key_of(base));
  CHECK(with([](auto& k) { k.path = "/v1/kv/x/"; }) != key_of(base));
  CHECK(with([](auto& k) { k.query = "a=2&b=2"; }) != key_of(base));
  CHECK(with([](auto& k) { k.body = R"({"x":1,"y":[3]})"; }) != key_of(base));
  CHECK(with([](auto& k) { k.vault_namespace = "ns2"; }) != key_of(base));
  CHECK(with([](auto& k) { k.token = "u"; }) != key_of(base));
  CHECK(with([](auto& k) { k.wrap_ttl = "60s"; }) != key_of(base));
  // Parts don't run into each other.
  CHECK(key_of({"GET", "/a", "b", "", "", "", ""}) != key_of({"GET", "/ab", "", "", "", "", ""}));
}

// Point 33.
TEST_CASE("what is kept is told by the answer") {
  const http::Headers json = {{"Content-Type", "application/json"}};
  config::Cache config;
  config.enabled = true;
  config.kv_ttl = 1min;
  const auto judge = [&](std::string_view body, std::string_view method = "GET",
                         std::string_view path = "kv/data/app", int status = 200) {
    return serve::judge_answer(method, path, "", status, json, body, config);
  };
  const auto leased = judge(
      R"({"data":{"lease_duration":9},"lease_duration": 3600,"lease_id":"d/1","renewable":true})");
  CHECK(leased.kind == Cached::lease);
  CHECK(leased.ttl == 1h);
  CHECK(serve::with_duration(
            R"({"data":{"lease_duration":9},"lease_duration": 3600,"lease_id":"d/1"})", leased,
            90500ms)
            .reveal() == R"({"data":{"lease_duration":9},"lease_duration": 90,"lease_id":"d/1"})");
  const auto kv = judge(R"({"data":{"data":{"a":1},"metadata":{"version":7}},"lease_id":""})");
  CHECK(kv.kind == Cached::kv);
  CHECK(kv.version == "7");
  CHECK(kv.metadata == "kv/metadata/app");
  CHECK(judge(R"({"data":{"a":1},"lease_id":"","lease_duration":2764800})", "GET", "kv1/a").kind ==
        Cached::kv);
  CHECK(judge(R"({"data":{"password":"p","ttl":5},"lease_id":"","lease_duration":0})").kind ==
        Cached::no);
  CHECK(judge(R"({"auth":{"client_token":"t"},"lease_id":"x","lease_duration":5})").kind ==
        Cached::no);
  CHECK(judge(R"({"wrap_info":{"token":"t"},"lease_id":"x","lease_duration":5})").kind ==
        Cached::no);
  CHECK(judge(R"({"lease_id":"x","lease_duration":5})", "GET", "a", 404).kind == Cached::no);
  CHECK(judge("not JSON").kind == Cached::no);
  CHECK(judge(R"({"data":{"keys":["a"]}})", "LIST").kind == Cached::no);
  config.lists = true;
  CHECK(judge(R"({"data":{"keys":["a"]}})", "LIST").kind == Cached::list);
  config.kv_ttl = 0s;
  CHECK(judge(R"({"data":{"data":{"a":1},"metadata":{"version":7}}})").kind == Cached::no);
}

TEST_CASE("requests that mean more than a read are not shared") {
  const auto head = [](std::string method, http::Headers headers = {}) {
    http::RequestHead out;
    out.method = std::move(method);
    out.headers = std::move(headers);
    return out;
  };
  CHECK(serve::is_cacheable_request(head("GET"), "GET", "kv/data/x"));
  CHECK(serve::is_cacheable_request(head("GET"), "LIST", "kv/metadata/x"));
  CHECK(serve::is_cacheable_request(head("GET"), "GET", "sys/internal/ui/mounts/kv/x"));
  CHECK_FALSE(serve::is_cacheable_request(head("POST"), "POST", "kv/data/x"));
  for (const char* path :
       {"auth/token/lookup-self", "sys/leases/lookup", "sys/monitor", "ns/auth/token/lookup-self"})
    CHECK_FALSE(serve::is_cacheable_request(head("GET"), "GET", path));
  for (const char* name : {"X-Vault-Wrap-TTL", "X-Vault-Index", "X-Vault-Forward", "Range"})
    CHECK_FALSE(serve::is_cacheable_request(head("GET", {{name, "1"}}), "GET", "kv/data/x"));
}

// Point 35: the rows that peers miss.
TEST_CASE("what a request through the proxy takes out of the cache") {
  using What = serve::Eviction::What;
  const struct {
    const char *method, *path, *body;
    What what;
    const char* value;
  } rows[] = {
      {"PUT", "sys/leases/revoke", R"({"lease_id":"d/1"})", What::lease, "d/1"},
      {"PUT", "sys/leases/revoke", R"({"lease_id":"d/1","sync":false})", What::lease, "d/1"},
      {"PUT", "sys/leases/revoke/d/1", "", What::lease, "d/1"},
      {"PUT", "sys/revoke", R"({"lease_id":"d/1"})", What::lease, "d/1"},
      {"PUT", "sys/revoke/d/1", "", What::lease, "d/1"},
      {"PUT", "sys/leases/revoke-prefix/database/creds/dyn", "", What::lease_prefix,
       "database/creds/dyn"},
      {"PUT", "sys/leases/revoke-force/database", "", What::lease_prefix, "database"},
      {"PUT", "sys/revoke-prefix/database", "", What::lease_prefix, "database"},
      {"POST", "ns/sys/leases/revoke", R"({"lease_id":"d/1"})", What::lease, "d/1"},
      {"POST", "sys/leases/renew", R"({"lease_id":"d/1"})", What::renewed, "d/1"},
      {"POST", "sys/leases/renew/d/1", "", What::renewed, "d/1"},
      {"POST", "auth/token/revoke-self", "", What::tokens, ""},
      {"POST", "auth/token/revoke-accessor", "{}", What::tokens, ""},
      {"POST", "auth/token/lookup", "{}", What::nothing, ""},
      {"POST", "kv/data/app", "{}", What::path, "kv/data/app"},
      {"GET", "sys/leases/revoke/d/1", "", What::nothing, ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    const auto eviction = serve::eviction_of(row.method, row.path, row.body);
    CHECK(eviction.what == row.what);
    CHECK(eviction.value == row.value);
  }
}

TEST_CASE("the table has no way out of itself") {
  using enum CacheState;
  // Nothing is served but what is fresh; nothing is kept that was cleared while it was under way.
  for (std::size_t s = 0; s < serve::kCacheStates; ++s) {
    for (std::size_t e = 0; e < serve::kCacheEvents; ++e) {
      const auto state = static_cast<CacheState>(s);
      const auto event = static_cast<CacheEvent>(e);
      const auto cell = serve::cache_cell(state, event);
      if (cell.action == CacheAction::serve) CHECK(state == fresh);
      if (state == doomed || state == absent) CHECK(cell.action != CacheAction::keep);
      if (event == CacheEvent::dropped) CHECK((cell.next == absent || cell.next == doomed));
      if (cell.next == fresh)
        CHECK((state == fresh || cell.action == CacheAction::keep ||
               cell.action == CacheAction::extend));
      if (event == CacheEvent::ask && (state == fetching || state == refreshing))
        CHECK(cell.action == CacheAction::join);
    }
  }
}

// Points 31, 32, 36, 40.
TEST_CASE("leases are served with enough left and no longer; the oldest give way") {
  CacheCore core({.max_entries = 2, .kv_ttl = 1min});
  CHECK(core.ask("a", kStart, 1).action == CacheAction::fetch);
  CHECK(core.ask("a", kStart, 1).action == CacheAction::join);
  CHECK(core.stored("a", lease_entry("a", kStart, 60s), kStart));
  CHECK(core.ask("a", kStart + 50s, 1).action == CacheAction::serve);
  CHECK(core.ask("a", kStart + 51s, 1).action == CacheAction::fetch);
  CHECK(core.stored("a", lease_entry("a", kStart + 51s, 60s), kStart + 51s));
  core.renewed("database/creds/a/1", 100s, kStart + 60s);
  CHECK(core.ask("a", kStart + 149s, 1).action == CacheAction::serve);
  CHECK(core.ask("a", kStart + 149s, 2).action == CacheAction::fetch);  // another login of ours
  core.failed("a");
  for (const char* key : {"x", "y", "z"}) {
    CHECK(core.ask(key, kStart, 1).action == CacheAction::fetch);
    CHECK(core.stored(key, kv_entry(key, kStart), kStart));
  }
  CHECK(core.size() == 2);
  CHECK(core.stats().evicted == 1);
  CHECK(core.ask("x", kStart, 1).action == CacheAction::fetch);
  CHECK(core.ask("z", kStart, 1).action == CacheAction::serve);
}

// Points 41 and 42.
TEST_CASE("KV is compared after its time, and served as stale only while the server is away") {
  CacheCore core({.kv_ttl = 10s, .max_stale = 1min});
  (void)core.ask("k", kStart);
  CHECK(core.stored("k", kv_entry("kv/data/k", kStart), kStart));
  CHECK(core.ask("k", kStart + 9s).action == CacheAction::serve);
  CHECK(core.ask("k", kStart + 10s).action == CacheAction::compare);
  CHECK(core.ask("k", kStart + 10s).action == CacheAction::join);
  CHECK(core.unchanged("k", kStart + 10s));
  CHECK(core.ask("k", kStart + 19s).action == CacheAction::serve);
  CHECK(core.ask("k", kStart + 20s).action == CacheAction::compare);
  CHECK(core.stale("k", kStart + 80s) != nullptr);
  CHECK(core.stale("k", kStart + 81s) == nullptr);
  core.failed("k");
  CHECK(core.ask("k", kStart + 30s).action == CacheAction::compare);
  core.passed("k");  // a 403 or 404
  CHECK(core.find("k") == nullptr);
}

TEST_CASE("an answer that was under way when its lease was revoked is not kept") {
  CacheCore core({.kv_ttl = 10s});
  (void)core.ask("k", kStart, 1);
  core.drop_all();
  CHECK(core.state("k") == CacheState::doomed);
  CHECK_FALSE(core.stored("k", lease_entry("k", kStart, 1h), kStart));
  CHECK(core.ask("k", kStart, 1).action == CacheAction::fetch);
}

// The model: what a plain description of the rules says, against the core, step by step.
TEST_CASE("a million random steps agree with the model") {
  std::mt19937 random(11);
  const serve::CacheLimits limits{.max_entries = 20,
                                  .max_bytes = 100'000,
                                  .kv_ttl = 10s,
                                  .min_remaining = 5s,
                                  .max_stale = 30s};
  CacheCore core(limits);
  struct Model {
    bool leased;
    Instant checked;
    std::optional<Instant> end;
    std::string lease;
  };
  std::map<std::string, Model> kept;   // a superset: the core may have let go for room
  std::map<std::string, bool> flying;  // key -> cleared since
  Instant now = kStart;
  std::uint64_t served = 0, compared = 0;
  for (int step = 0; step < 1'000'000; ++step) {
    const std::string key = "k" + std::to_string(random() % 40);
    const bool leased = key.back() % 2 == 0;
    now += Duration(random() % 200);
    switch (random() % 8) {
      case 0:
      case 1:
      case 2: {
        const auto verdict = core.ask(key, now, 1);
        const auto model = kept.find(key);
        if (verdict.action == CacheAction::serve) {
          ++served;
          REQUIRE(model != kept.end());
          if (leased) REQUIRE(*model->second.end - now >= limits.min_remaining);
          if (!leased) REQUIRE(now < model->second.checked + limits.kv_ttl);
          REQUIRE_FALSE(flying.contains(key));
        } else if (verdict.action == CacheAction::join) {
          REQUIRE(flying.contains(key));
          REQUIRE_FALSE(flying[key]);
        } else {
          compared += verdict.action == CacheAction::compare ? 1 : 0;
          REQUIRE((!flying.contains(key) || flying[key]));  // one request at a time
          flying[key] = false;
          if (verdict.action == CacheAction::fetch) kept.erase(key);
        }
        break;
      }
      case 3:
      case 4: {  // an answer comes
        if (!flying.contains(key)) break;
        const bool cleared = flying[key];
        flying.erase(key);
        const Duration ttl = std::chrono::seconds(1 + random() % 60);
        auto entry = leased ? lease_entry(key, now, ttl) : kv_entry(key, now, random() % 4000);
        const bool stays = core.stored(key, std::move(entry), now);
        REQUIRE(stays == (!cleared && (!leased || ttl >= limits.min_remaining)));
        if (stays)
          kept[key] = {leased, now, leased ? std::optional(now + ttl) : std::nullopt,
                       leased ? "database/creds/" + key + "/1" : ""};
        else
          kept.erase(key);
        break;
      }
      case 5:
        if (!flying.contains(key)) break;
        if (random() % 2 == 0) {
          core.failed(key);
        } else {
          core.passed(key);
          kept.erase(key);
        }
        flying.erase(key);
        break;
      case 6: {
        const std::string lease = "database/creds/" + key + "/1";
        if (random() % 2 == 0) {
          const Duration ttl = std::chrono::seconds(random() % 100);
          core.renewed(lease, ttl, now);
          for (auto& [name, model] : kept)
            if (model.lease == lease) model.end = now + ttl;
        } else {
          core.drop_lease(lease);
          for (auto& [name, cleared] : flying)
            if (kept.contains(name) && kept[name].lease == lease) cleared = true;
          std::erase_if(kept, [&](const auto& each) { return each.second.lease == lease; });
        }
        break;
      }
      default:
        if (random() % 500 == 0) {
          core.drop_all();
          kept.clear();
          for (auto& [name, cleared] : flying) cleared = true;
        } else if (random() % 50 == 0) {
          core.drop_ended(now);
        }
    }
    for (auto& [name, cleared] : flying)  // it gave way while it was compared
      cleared = cleared || (kept.contains(name) && core.find(name) == nullptr);
    REQUIRE(core.size() <= limits.max_entries);
    REQUIRE(core.bytes() <= limits.max_bytes);
  }
  CHECK(served > 10'000);
  CHECK(compared > 1'000);
  core.drop_all();
  CHECK(core.size() == 0);
  CHECK(core.bytes() == 0);
}

// Point 34.
TEST_CASE("tokens: what is kept of a login, and how it goes") {
  const http::Headers json{{"Content-Type", "application/json"}};
  const auto judge = [&](std::string_view body, int status = 200) {
    return serve::judge_token(status, json, body);
  };
  const std::string_view login =
      R"({"lease_duration":0,"auth":{"client_token":"hvs.t","accessor":"a","metadata":{"lease_duration":"5"},"lease_duration":60,"num_uses":0}})";
  const auto kept = judge(login);
  CHECK(kept.kind == Cached::token);
  CHECK(kept.issued == serve::token_digest("hvs.t"));
  CHECK(kept.accessor == "a");
  CHECK(kept.ttl == 60s);
  const Secret left = serve::with_duration(login, kept, 41s);
  CHECK(left.reveal().contains(R"("lease_duration":41,"num_uses")"));
  CHECK(left.reveal().starts_with(R"({"lease_duration":0,)"));
  for (const char* body :
       {R"({"auth":{"client_token":"t","lease_duration":60,"num_uses":3}})",
        R"({"auth":{"client_token":"t","lease_duration":0}})", R"({"auth":{"lease_duration":60}})",
        R"({"auth":{"client_token":"","lease_duration":60,"mfa_requirement":{}}})",
        R"({"auth":null,"wrap_info":{"token":"w"}})", "x", "[]"})
    CHECK(judge(body).kind == Cached::no);
  CHECK(judge(login, 400).kind == Cached::no);

  const auto head = [](std::string method, http::Headers headers = {}) {
    http::RequestHead out;
    out.method = std::move(method);
    out.headers = std::move(headers);
    return out;
  };
  for (const char* path : {"auth/approle/login", "ns/auth/ldap/login/bob", "auth/token/create",
                           "auth/token/create/role", "auth/token/create-orphan"}) {
    CHECK(serve::is_token_request(head("POST"), path));
    CHECK_FALSE(serve::is_token_request(head("GET"), path));
    CHECK_FALSE(serve::is_token_request(head("POST", {{"X-Vault-Wrap-TTL", "9"}}), path));
  }
  CHECK_FALSE(serve::is_token_request(head("POST", {{"Authorization", "Negotiate x"}}),
                                      "auth/kerberos/login"));
  for (const char* path : {"auth/token/renew-self", "kv/data/x", "auth/token/lookup"})
    CHECK_FALSE(serve::is_token_request(head("POST"), path));

  CacheCore core({.max_entries = 9, .min_remaining = 10s});
  const auto keep = [&](const char* key, std::uint64_t maker = 0) {
    CacheEntry entry;
    entry.path = "auth/approle/login";
    entry.maker = maker;
    entry.what = kept;
    entry.granted = kStart + 60s;
    entry.body = std::make_shared<const Secret>(login);
    (void)core.ask(key, kStart, maker);
    CHECK(core.stored(key, std::move(entry), kStart));
  };
  keep("k");
  CHECK(core.ask("k", kStart + 50s).action == CacheAction::serve);
  CHECK(core.ask("k", kStart + 51s).action == CacheAction::fetch);
  core.failed("k");
  keep("k");
  core.token_renewed(kept.issued, 60s, kStart + 40s);
  CHECK(core.ask("k", kStart + 90s).action == CacheAction::serve);
  CHECK(core.drop_accessor("b") == 0);
  CHECK(core.drop_accessor("a") == 1);
  keep("k");
  CHECK(core.drop_token(kept.issued) == 1);
  keep("k");
  CHECK(core.drop_tokens() == 1);
  // Made of our token: it dies with it.
  keep("k", 1);
  CHECK(core.ask("k", kStart, 2).action == CacheAction::fetch);
  CHECK(serve::eviction_of("POST", "auth/token/renew-self", "").what ==
        serve::Eviction::What::token_renewed);
}

TEST_CASE("what is served at once is what would be served, and a miss changes nothing") {
  CacheCore core({.kv_ttl = 1min, .min_remaining = 10s});
  const auto keep = [&](const std::string& key, CacheEntry entry) {
    (void)core.ask(key, kStart, 1);
    REQUIRE(core.stored(key, std::move(entry), kStart));
  };
  CHECK(core.fresh("none", kStart, 1) == nullptr);
  CHECK(core.state("none") == CacheState::absent);
  CHECK(core.stats().misses == 0);
  keep("lease", lease_entry("a", kStart, 60s));
  keep("kv", kv_entry("kv/data/x", kStart));
  for (const char* key : {"lease", "kv"}) {
    const auto* const entry = core.fresh(key, kStart + 1s, 1);
    REQUIRE(entry != nullptr);
    CHECK(entry == core.ask(key, kStart + 1s, 1).entry);
  }
  CHECK(core.stats().hits == 4);
  // Another login, too little left, old: asked for, and until then nothing has changed.
  CHECK(core.fresh("lease", kStart + 1s, 2) == nullptr);
  CHECK(core.fresh("lease", kStart + 51s, 1) == nullptr);
  CHECK(core.fresh("kv", kStart + 1min, 1) == nullptr);
  CHECK(core.state("lease") == CacheState::fresh);
  CHECK(core.state("kv") == CacheState::fresh);
  CHECK(core.stats().hits == 4);
  CHECK(core.ask("kv", kStart + 1min, 1).action == CacheAction::compare);
}
