#pragma once
// "did you mean": the known name that is nearest to what somebody wrote.

#include <span>
#include <string_view>

namespace keybearer {

// By Levenshtein's distance, at most three and half of the name; empty: none is near enough.
[[nodiscard]] std::string_view closest_match(std::string_view name,
                                             std::span<const std::string_view> known);

}  // namespace keybearer
