#pragma once
// go-spew (github.com/davecgh/go-spew): dumps of values with their types. Addresses are not shown;
// maps are in order.

#include <span>
#include <string>
#include <string_view>

#include "json/value.hpp"

namespace keybearer::tmpl::spew {

[[nodiscard]] std::string dump(std::span<const Value> values);  // Sdump
// Sprintf: %v, %+v, %#v and %#+v are spew's own, other verbs are fmt's.
[[nodiscard]] std::string sprintf(std::string_view format, std::span<const Value> values);

}  // namespace keybearer::tmpl::spew
