#pragma once
// What the tests of the cache keep in it.

#include <memory>
#include <string>

#include "serve/cache_core.hpp"

namespace keybearer::test {

inline constexpr Instant kStart{std::chrono::hours(1000)};

inline serve::CacheEntry lease_entry(const std::string& id, Instant asked, Duration ttl,
                                     std::uint64_t maker = 1) {
  serve::CacheEntry entry;
  entry.path = "database/creds/" + id;
  entry.token = "t";
  entry.maker = maker;
  entry.what.kind = serve::Cached::lease;
  entry.what.lease_id = "database/creds/" + id + "/1";
  entry.what.ttl = ttl;
  entry.asked = entry.checked = asked;
  entry.granted = entry.end = asked + ttl;
  entry.body = std::make_shared<const Secret>("{}");
  return entry;
}

}  // namespace keybearer::test
