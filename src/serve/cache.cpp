#include "serve/cache.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "http/server.hpp"
#include "json/json.hpp"
#include "serve/forward.hpp"
#include "tmpl/formats/go_json_error.hpp"

namespace keybearer::serve {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

const Value kNothing;

}  // namespace

struct Cache::Flight {
  Event done;
  std::optional<Served> served = {};
};

Cache::Cache(boost::asio::any_io_executor executor, vault::Client& client, Random& random)
    : executor_(executor), client_(client), random_(random), tasks_(executor) {}
Cache::~Cache() = default;

void Cache::configure(const config::Cache& config, const config::Lease& lease) {
  config_ = config;
  lease_ = lease;
  lease_.check_interval = config.check_interval;
  core_.configure({.max_entries = config.max_entries,
                   .max_bytes = config.max_size,
                   .kv_ttl = config.kv_ttl,
                   .min_remaining = lease.min_remaining,
                   .max_stale = config.max_stale});
  for (auto& [id, renewal] : renewals_) {
    const bool on_its_way = renewal.step.at == Instant::max();
    const lease::Step step = renewal.schedule.configure(lease_rules(), Clock::now());
    if (!on_its_way) renewal.step = step;
  }
  if (!config.enabled) core_.drop_all();
  changed_.set();
}

lease::ScheduleRules Cache::lease_rules() const {
  return {lease_, {}, {1s, 1min}};
}

// --- asking --------------------------------------------------------------------------------------

Served Cache::from_entry(const CacheEntry& entry, bool stale) const {
  const Instant now = Clock::now();
  Served served{.answer = {.status = entry.status,
                           .headers = entry.headers,
                           .body = entry.body,
                           .asked = entry.asked},
                .hit = true,
                .stale = stale,
                .age = entry.age(now)};
  if (entry.end)
    served.answer.body = std::make_shared<const Secret>(
        with_duration(entry.body->reveal(), entry.what, *entry.end - now));
  return served;
}

void Cache::keep(const std::string& key, const About& about, const Fetched& fetched) {
  const Instant now = Clock::now();
  CacheEntry entry{
      .path = about.path,
      .token = about.token,
      .maker = about.maker,
      .what = about.makes_token
                  ? judge_token(fetched.status, fetched.headers, fetched.body->reveal())
                  : judge_answer(about.method, about.raw_path, about.query, fetched.status,
                                 fetched.headers, fetched.body->reveal(), config_),
      .status = fetched.status,
      .headers = fetched.headers,
      .lines = http::header_lines(headers_down(fetched.headers, false, false)),
      .body = fetched.body,
      .asked = fetched.asked,
      .checked = fetched.asked};
  if (entry.what.kind == Cached::no) return core_.passed(key);
  const CachedAnswer what = entry.what;
  const bool ends = what.kind == Cached::lease || what.kind == Cached::token;
  if (ends) entry.granted = fetched.asked + what.ttl;
  // Who knows how long a token lives that we have seen nothing of? What it took dies with it.
  if (what.kind == Cached::lease && about.maker == 0 && !core_.knows_token(about.token))
    return core_.passed(key);
  if (!core_.stored(key, std::move(entry), now)) return;
  if (what.kind == Cached::token) core_.token_known(what.issued, fetched.asked + what.ttl);
  if (const CacheEntry* const kept = core_.find(key); ends && kept != nullptr)
    watch(*kept, about, now);
}

awaitable<void> Cache::fly(Cache* cache, std::string key, About about, Fetch fetch, Compare compare,
                           std::string metadata, std::string version,
                           std::shared_ptr<Flight> flight) {
  struct Landing {  // whatever happens, nobody waits forever
    Cache* cache;
    const std::string& key;
    std::shared_ptr<Flight> flight;
    // Cleared, and asked again since: the key is another flight's.
    [[nodiscard]] bool superseded() const {
      const auto found = cache->flights_.find(key);
      return found == cache->flights_.end() || found->second != flight;
    }
    ~Landing() {
      if (!flight->served) {
        if (!superseded()) cache->core_.failed(key);
        flight->served.emplace();
        flight->served->answer.error = Error{ErrorKind::cancelled, "cancelled"};
      }
      if (!superseded()) cache->flights_.erase(key);
      flight->done.set();
    }
  } const landing{cache, key, flight};
  const Instant began = Clock::now();
  if (!metadata.empty()) {
    const auto now = co_await compare(std::move(metadata));
    if (now && !version.empty() && *now == version && !landing.superseded() &&
        cache->core_.unchanged(key, began)) {
      if (const CacheEntry* entry = cache->core_.find(key)) {
        flight->served = cache->from_entry(*entry, false);
        co_return;
      }
    }
  }
  Fetched fetched = co_await fetch();
  if (landing.superseded()) {
    flight->served = Served{.answer = std::move(fetched)};
    co_return;
  }
  // A server that is away, or sealed, takes nothing back of what it said.
  const bool away =
      fetched.error || fetched.status == 502 || fetched.status == 503 || fetched.status == 504;
  if (away) {
    const CacheEntry* const old = cache->core_.stale(key, Clock::now());
    const std::optional<Served> last =
        old != nullptr ? std::optional(cache->from_entry(*old, true)) : std::nullopt;
    if (last) cache->core_.served_stale();
    cache->core_.failed(key);
    flight->served = last ? *last : Served{.answer = std::move(fetched)};
    co_return;
  }
  if (fetched.too_large || fetched.leaks)
    cache->core_.passed(key);
  else
    cache->keep(key, about, fetched);
  flight->served = Served{.answer = std::move(fetched)};
}

awaitable<Served> Cache::get(std::string key, About about, Fetch fetch, Compare compare) {
  const auto verdict = core_.ask(key, Clock::now(), about.maker);
  if (verdict.action == CacheAction::serve) co_return from_entry(*verdict.entry, false);
  std::shared_ptr<Flight> flight;
  if (verdict.action == CacheAction::join && flights_.contains(key)) {
    flight = flights_[key];
  } else {
    flight = std::make_shared<Flight>();
    flights_[key] = flight;
    const bool compares = verdict.action == CacheAction::compare && verdict.entry != nullptr;
    tasks_.spawn(fly(this, key, std::move(about), std::move(fetch), std::move(compare),
                     compares ? verdict.entry->what.metadata : "",
                     compares ? verdict.entry->what.version : "", flight));
  }
  while (!flight->served) co_await flight->done.wait(flight->done.generation());
  co_return *flight->served;
}

// --- what goes by --------------------------------------------------------------------------------

void Cache::observe(std::string_view method, std::string_view path, std::string_view request_body,
                    int status, std::string_view answer, Instant asked) {
  if (status >= 300 && status < 500) return;  // refused: nothing was done
  if (status == 200) {
    if (const auto seen = token_seen(path, answer))
      core_.token_known(seen->token,
                        seen->ttl > Duration::zero() ? asked + seen->ttl : Instant::max());
  }
  using What = Eviction::What;
  const Eviction eviction = eviction_of(method, path, request_body);
  switch (eviction.what) {
    case What::nothing:
      return;
    case What::lease:
      for (const std::string& id : {eviction.value, eviction.other}) {
        core_.drop_lease(id);
        if (id.starts_with("auth/")) core_.drop_tokens();
      }
      break;
    case What::lease_prefix:
      core_.drop_lease_prefix(eviction.value);
      if (eviction.value.starts_with("auth")) core_.drop_tokens();
      break;
    case What::tokens:
      // Which leases end with it only the server knows: all that were not taken with our own token.
      core_.drop_clients();
      core_.drop_tokens();
      break;
    case What::token_renewed: {
      const auto parsed = json::parse(answer);
      const Value& auth = parsed ? value_at(*parsed, "auth") : kNothing;
      if (!auth.is_map()) return;
      const std::string token = token_digest(text_at(auth, "client_token"));
      const auto ttl = std::chrono::seconds(int_at(auth, "lease_duration"));
      core_.token_renewed(token, ttl, asked);
      if (const auto renewal = renewals_.find(token); renewal != renewals_.end() && ttl > 0s)
        renewal->second.step = renewal->second.schedule.renewed(ttl, Clock::now(), asked);
      changed_.set();
      return;
    }
    case What::renewed: {
      const auto parsed = json::parse(answer);
      const auto ttl = parsed ? int_at(*parsed, "lease_duration") : 0;
      if (ttl > 0) core_.renewed(eviction.value, std::chrono::seconds(ttl), asked);
      const auto renewal = renewals_.find(eviction.value);
      if (ttl > 0 && renewal != renewals_.end())
        renewal->second.step =
            renewal->second.schedule.renewed(std::chrono::seconds(ttl), Clock::now(), asked);
      break;
    }
    case What::path: {
      core_.drop_path(eviction.value, true);
      // A write to a version's metadata, its deletion and the like change what data/ gives.
      for (const char* part : {"/metadata/", "/delete/", "/undelete/", "/destroy/"}) {
        const auto at = eviction.value.find(part);
        if (at == std::string::npos || at == 0) continue;
        core_.drop_path(eviction.value.substr(0, at) + "/data/" +
                            eviction.value.substr(at + std::string_view(part).size()),
                        true);
      }
      break;
    }
  }
  forget_gone_leases();
  changed_.set();
}

void Cache::denied(std::string_view token, std::string_view vault_namespace) {
  if (!enabled() || token.empty()) return;
  const std::string digest = token_digest(token);
  if (const auto pending = verifying_.find(digest); pending != verifying_.end()) {
    pending->second = true;  // once more
    return;
  }
  const bool known = core_.knows_token(digest);
  if (!known && !core_.has_of(digest)) return;
  core_.drop_issued(digest);
  core_.drop_reads(digest);
  forget_gone_leases();
  if (!known) return;
  verifying_[digest] = false;
  tasks_.spawn(verify(digest, Secret(token), std::string(vault_namespace)));
}

Cache::Cleared Cache::clear(std::string_view body, std::string_view own_accessor) {
  const auto bad = [](int status, const std::string& why) { return Cleared{status, why}; };
  if (body.empty()) return bad(400, "failed to parse JSON input: empty JSON provided");
  const auto parsed = json::parse(body);
  if (!parsed) return bad(400, "failed to parse JSON input: " + tmpl::go_json_error(body));
  const std::string_view type = text_at(*parsed, "type"), value = text_at(*parsed, "value");
  const auto missing = [&](const char* what) {
    return bad(500, "failed to clear cache: " + std::string(what) + " not provided");
  };
  if (type.empty()) return bad(400, "failed to parse clear input: no type provided");
  if (!enabled()) return {};
  if (type == "all") {
    core_.drop_all();
  } else if (type == "request_path") {
    if (value.empty()) return missing("request path");
    std::string_view prefix = value;
    if (prefix.starts_with("/v1/")) prefix.remove_prefix(4);
    while (prefix.starts_with('/')) prefix.remove_prefix(1);
    std::string_view ns = text_at(*parsed, "namespace");
    while (ns.ends_with('/')) ns.remove_suffix(1);
    const bool root = ns.empty() || ns == "root";
    core_.drop_path((root ? "" : std::string(ns) + "/") + std::string(prefix), false);
  } else if (type == "lease") {
    if (value.empty()) return missing("lease");
    core_.drop_lease(value);
  } else if (type == "token") {
    if (value.empty()) return missing("token");
    core_.drop_token(token_digest(value));
  } else if (type == "token_accessor") {
    if (value.empty()) return missing("token accessor");
    if (value == own_accessor) core_.drop_ours();
    core_.drop_accessor(value);
  } else {
    return bad(400, "failed to clear cache: invalid type provided");
  }
  forget_gone_leases();
  return {};
}

}  // namespace keybearer::serve
