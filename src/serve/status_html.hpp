#pragma once
// The status page at `/`: a Snapshot as one HTML page without any value, accessor or lease id, whole
// without scripts; with them it follows, by the same page's JSON (`/?format=json`). All that is not
// ours is escaped. Pure.

#include <string>

#include "serve/snapshot.hpp"

namespace keybearer::serve {

[[nodiscard]] std::string status_html(const Snapshot& snapshot);
// Only the page's own style and script, nothing from anywhere else, in no frame.
[[nodiscard]] const std::string& page_security_policy();

}  // namespace keybearer::serve
