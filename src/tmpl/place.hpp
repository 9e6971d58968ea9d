#pragma once
// Places in a template's text.

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace keybearer::tmpl {

// The line of a byte offset, from 1.
[[nodiscard]] inline std::size_t line_of(std::string_view text, std::size_t pos) {
  const auto before = text.substr(0, std::min(pos, text.size()));
  return 1 + static_cast<std::size_t>(std::ranges::count(before, '\n'));
}
// The bytes between the line's begin and the offset.
[[nodiscard]] inline std::size_t column_of(std::string_view text, std::size_t pos) {
  const auto before = text.substr(0, std::min(pos, text.size()));
  const auto newline = before.rfind('\n');
  return newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
}

}  // namespace keybearer::tmpl
