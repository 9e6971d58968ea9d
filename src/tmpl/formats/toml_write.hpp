#pragma once
// Values to TOML, byte for byte as github.com/BurntSushi/toml v1.5.0 writes them.

#include <string>

#include "json/value.hpp"

namespace keybearer::tmpl::toml {

// Throws CallError for what TOML can't hold; no value is in its text.
[[nodiscard]] std::string write(const Value& value);

}  // namespace keybearer::tmpl::toml
