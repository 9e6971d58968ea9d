#pragma once
// What a server counts since its start.

#include <cstddef>
#include <cstdint>

namespace keybearer::http {

struct ServerStats {
  std::uint64_t connections = 0;          // accepted
  std::uint64_t connections_refused = 0;  // 503: all places were busy
  std::uint64_t connections_evicted = 0;  // idle ones that gave way
  std::uint64_t tls_failures = 0;
  std::uint64_t requests = 0;
  std::uint64_t malformed = 0;  // refused by the parser
  std::uint64_t timeouts = 0;
  std::uint64_t responses[6] = {};  // by the first digit of their status
  std::size_t open = 0;             // connections now
};

}  // namespace keybearer::http
