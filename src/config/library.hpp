#pragma once
// The TOML parser that is linked.

#include <string>

namespace keybearer::config {

[[nodiscard]] std::string toml_version();  // "3.3.0"

}  // namespace keybearer::config
