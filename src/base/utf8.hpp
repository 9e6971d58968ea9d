#pragma once
// UTF-8 as Go decodes it: what is not valid is U+FFFD, one byte wide.

#include <cstdint>
#include <string>
#include <string_view>

namespace keybearer {

inline constexpr char32_t kReplacement = 0xFFFD;

struct Rune {
  char32_t code = kReplacement;
  unsigned width = 1;  // bytes; 1 for a byte that is not valid
  [[nodiscard]] bool valid() const { return code != kReplacement || width == 3; }
};

[[nodiscard]] Rune decode_rune(std::string_view text);  // of text that is not empty
void append_rune(std::string& out, char32_t code);
[[nodiscard]] std::size_t count_runes(std::string_view text);

}  // namespace keybearer
