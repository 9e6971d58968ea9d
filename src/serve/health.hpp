#pragma once
// /livez, /readyz, /startupz: is the loop alive, is everything in and fresh, was it ever. `?verbose`
// of /readyz is JSON with a reason for each secret. Pure.

#include <optional>
#include <string_view>

#include "http/server.hpp"
#include "serve/snapshot.hpp"

namespace keybearer::serve {

// A target in its parts: path, and whether `name` stands among the parameters ("verbose",
// "verbose=1").
[[nodiscard]] std::string_view path_of(std::string_view target);
[[nodiscard]] bool has_parameter(std::string_view target, std::string_view name);

[[nodiscard]] http::ServerResponse json_response(int status, std::string_view body);
[[nodiscard]] http::ServerResponse errors_response(int status, std::string_view text);
[[nodiscard]] http::ServerResponse method_not_allowed(std::string_view allowed);

[[nodiscard]] http::ServerResponse livez();
[[nodiscard]] http::ServerResponse readyz(const Snapshot& snapshot, bool verbose);
[[nodiscard]] http::ServerResponse startupz(const Snapshot& snapshot);

}  // namespace keybearer::serve
