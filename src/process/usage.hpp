#pragma once
// What this process uses of the machine (proc(5), getrlimit(2)), for metrics.

#include <cstdint>

namespace keybearer {

struct ProcessUsage {
  double cpu_seconds = 0;  // user and system
  std::uint64_t resident_bytes = 0, virtual_bytes = 0;
  std::uint64_t open_descriptors = 0, max_descriptors = 0;
};
// What can't be read is 0.
[[nodiscard]] ProcessUsage process_usage();

}  // namespace keybearer
