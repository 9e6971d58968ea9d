#pragma once
// The shortest way from some lines to others (Myers, "An O(ND) Difference Algorithm", 1986). Pure.

#include <cstddef>
#include <string_view>
#include <vector>

namespace keybearer::render {

struct Edit {
  enum class Kind { keep, remove, add };
  Kind kind;
  std::size_t before, after;  // index of the line; of the one that comes next where it has none
};

// Lines with their newline, the last perhaps without.
[[nodiscard]] std::vector<std::string_view> lines_of(std::string_view text);

// In order; removals before additions. Texts that differ in very much are removed and added whole.
[[nodiscard]] std::vector<Edit> line_diff(const std::vector<std::string_view>& before,
                                          const std::vector<std::string_view>& after);

}  // namespace keybearer::render
