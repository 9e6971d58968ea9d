#pragma once
// The order in which yaml.v2 writes a map's keys.

#include <vector>

#include "json/value.hpp"

namespace keybearer::tmpl::yaml {

// The map's entries; they live as long as the map is not changed.
[[nodiscard]] std::vector<const Value::Entry*> ordered(const Value& map);

}  // namespace keybearer::tmpl::yaml
