#pragma once
// Templates whose evaluation takes less than a thread that would do it: text, and a few actions that
// print, choose or join what answers hold. No loop, nothing that parses, hashes or draws keys.

#include <cstddef>
#include <optional>

#include "tmpl/parse.hpp"

namespace keybearer::tmpl {

// How many actions it carries out at most: each copies a value at most a few times. nullopt: it may
// take long.
[[nodiscard]] std::optional<std::size_t> quick_actions(const TreeSet& trees);

}  // namespace keybearer::tmpl
