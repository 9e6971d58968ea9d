#pragma once
// What listeners, proxy and cache count since the start.

#include <cstdint>
#include <map>
#include <string>

#include "http/server_stats.hpp"

namespace keybearer::serve {

// Over all listeners.
struct ListenerStats {
  std::map<std::string, std::uint64_t, std::less<>>
      refused;                         // by check: "guard", "host", "allow" ...
  std::uint64_t dry_run_refusals = 0;  // that allow_mode "log" let pass
  std::uint64_t rate_limited = 0;
};

struct ProxyStats {
  std::uint64_t success = 0, client_error = 0, error = 0;    // by the answer: < 400, 4xx, 5xx
  std::map<std::string, std::uint64_t, std::less<>> failed;  // ours: upstream, timeout, auth, limit
  std::uint64_t refused = 0;                                 // to keep the token ours
  std::uint64_t leaks_stopped = 0;  // answers that held our token or accessor
  std::uint64_t cancelled = 0;      // the client left
};

struct CacheStats {
  std::uint64_t hits = 0, misses = 0, joined = 0, stale = 0, stored = 0, compared = 0;
  std::uint64_t evicted = 0;  // for lack of room
  std::uint64_t dropped = 0;  // ended, revoked, cleared
};

}  // namespace keybearer::serve
