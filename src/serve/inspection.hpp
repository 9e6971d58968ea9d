#pragma once
// The paths that show a running keybearer and never a value: /livez, /readyz, /startupz, /metrics,
// the page at /, and Vault Agent's /agent/v1/metrics. On each listener, without a header guard, and
// on the control socket. GET and HEAD only.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/server.hpp"
#include "serve/snapshot.hpp"

namespace keybearer::serve {

struct Inspected {
  std::function<Snapshot()> snapshot = {};  // asked at most once for each request
  std::function<bool()> metrics = {};       // metrics.enabled
  std::function<void()> probe = {};         // somebody wants to know whether the server is there
};

[[nodiscard]] const std::vector<std::string>& inspection_paths();
// Nullopt: none of these paths.
[[nodiscard]] std::optional<http::ServerResponse> inspect(const Inspected& inspected,
                                                          const http::ServerRequest& request);

}  // namespace keybearer::serve
