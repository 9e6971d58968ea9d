#pragma once
// The entries of the cache: what may be served, until when, and what gives way. Pure: no clock, no
// request. Entries hold answers as they came; keys are digests (serve/cache_key).
//
// Bounded in entries and bytes: what was used longest ago goes first. A leased answer is served with
// at least `min_remaining` left, never longer; KV until its time, then compared.

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/secret.hpp"
#include "base/time.hpp"
#include "http/message.hpp"
#include "serve/cache_key.hpp"
#include "serve/cache_table.hpp"
#include "serve/serving_stats.hpp"

namespace keybearer::serve {

struct CacheEntry {
  std::string path;         // below /v1/, with the namespace in front
  std::string token;        // digest of the token that asked
  std::uint64_t maker = 0;  // number of our login that asked; 0: a client's own token
  CachedAnswer what;
  int status = 200;
  http::Headers headers = {};
  std::string lines = {};  // of the head, as they go out: headers, but for what only TLS may have
  std::shared_ptr<const Secret> body = {};
  Instant asked{};                      // when the request went out: lifetimes count from then
  Instant checked{};                    // KV: when it was last known to be in force
  std::optional<Instant> granted = {};  // how long the lease lasts by itself
  std::optional<Instant> end = {};      // ... and with the token that it dies with

  // Since it was known to be in force.
  [[nodiscard]] Duration age(Instant now) const { return now - (end ? asked : checked); }
};

struct CacheLimits {
  std::size_t max_entries = 10'000, max_bytes = 64u << 20;
  Duration kv_ttl{}, min_remaining = std::chrono::seconds(10);
  std::optional<Duration> max_stale = {};
};

class CacheCore {
 public:
  explicit CacheCore(CacheLimits limits) : limits_(limits) {}
  void configure(CacheLimits limits);

  struct Verdict {
    CacheAction action;                 // serve, fetch, compare or join
    const CacheEntry* entry = nullptr;  // to serve, or to compare; good until the next call
  };
  // `maker`: the login in force; what another of ours has fetched is fetched again.
  [[nodiscard]] Verdict ask(const std::string& key, Instant now, std::uint64_t maker = 0);
  // The same where it is to be served; else null, and nothing has changed: then ask().
  [[nodiscard]] const CacheEntry* fresh(const std::string& key, Instant now,
                                        std::uint64_t maker = 0);
  // What a client may have while the server is away, and how old.
  [[nodiscard]] const CacheEntry* stale(const std::string& key, Instant now) const;

  // The outcome of a fetch or a comparison. False: it is not kept (doomed, or too large).
  bool stored(const std::string& key, CacheEntry entry, Instant now);
  void passed(const std::string& key);
  bool unchanged(const std::string& key, Instant now);
  void failed(const std::string& key);

  // The lease of an entry was renewed, by us or by a client.
  void renewed(std::string_view lease_id, Duration ttl, Instant asked);
  void token_renewed(std::string_view issued, Duration ttl, Instant asked);
  // A client's token (its digest) is good until then (Instant::max(): it never ends). What is taken
  // with it dies with it; with one of which nothing is known nothing leased is kept.
  void token_known(const std::string& token, Instant end);
  [[nodiscard]] bool knows_token(const std::string& token) const { return tokens_.contains(token); }
  // An answer past its time was served.
  void served_stale() { ++stats_.stale; }

  // Is anything kept that it asked for?
  [[nodiscard]] bool has_of(const std::string& token) const { return counts_.contains(token); }

  // How many went.
  std::size_t drop_lease(std::string_view lease_id);
  std::size_t drop_lease_prefix(std::string_view prefix);
  std::size_t drop_path(std::string_view prefix, bool exact);
  std::size_t drop_token(std::string_view token);   // a digest: what it asked for, and itself
  std::size_t drop_issued(std::string_view token);  // not to be given again; it lives on
  std::size_t drop_reads(std::string_view token);   // KV that it has read
  std::size_t drop_accessor(std::string_view accessor);
  std::size_t drop_tokens();   // all that were issued
  std::size_t drop_clients();  // all that clients' own tokens took
  std::size_t drop_ours();
  std::size_t drop_all();
  std::size_t drop_ended(Instant now);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] CacheState state(const std::string& key) const;
  [[nodiscard]] const CacheEntry* find(const std::string& key) const;
  [[nodiscard]] const CacheStats& stats() const { return stats_; }
  // Leases that are kept, each once; and tokens.
  [[nodiscard]] std::vector<const CacheEntry*> leases() const;
  [[nodiscard]] std::vector<const CacheEntry*> tokens() const;

 private:
  struct Slot {
    CacheEntry entry;
    std::size_t size = 0;
    std::list<const std::string*>::iterator used = {};
  };
  using Slots = std::unordered_map<std::string, Slot>;

  [[nodiscard]] bool is_over(const CacheEntry& entry, Instant now, std::uint64_t maker) const;
  [[nodiscard]] bool is_aged(const CacheEntry& entry, Instant now) const;
  void set_end(CacheEntry& entry) const;
  CacheCell step(const std::string& key, CacheEvent event);
  void erase(Slots::iterator slot);
  template <class Test>
  std::size_t drop_if(Test test);
  void make_room();

  CacheLimits limits_;
  Slots entries_;
  std::unordered_map<std::string, CacheState> states_;   // absent ones are not there
  std::list<const std::string*> used_;                   // keys, the latest in front
  std::unordered_map<std::string, std::size_t> counts_;  // of entries, by the token that asked
  std::unordered_map<std::string, Instant> tokens_;      // clients' own, and until when they live
  std::size_t bytes_ = 0;
  CacheStats stats_;
};

}  // namespace keybearer::serve
