#pragma once
// Small things with texts that many need. Pure.

#include <string>
#include <string_view>
#include <vector>

namespace keybearer {

// Without spaces, tabs and line ends at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);
// "a, b, c".
[[nodiscard]] std::string joined(const std::vector<std::string>& items,
                                 std::string_view separator = ", ");
// Without their line ends; a last line that is empty is none.
[[nodiscard]] std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace keybearer
