#pragma once
// `/metrics`: a Snapshot in Prometheus' text format 0.0.4. The names are a contract (behaviour
// section 7); labels hold paths and numbers, never a value, a token's accessor or a lease's id.
// Pure.

#include <string>

#include "process/usage.hpp"
#include "serve/snapshot.hpp"

namespace keybearer::serve {

inline constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";
[[nodiscard]] std::string prometheus(const Snapshot& snapshot, const ProcessUsage& process);
// The same in the form of Vault Agent's /agent/v1/metrics without ?format=prometheus: gauges and
// counters, since the start.
[[nodiscard]] std::string agent_metrics_json(const Snapshot& snapshot, const ProcessUsage& process);

}  // namespace keybearer::serve
