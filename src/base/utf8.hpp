#pragma once
// UTF-8 as Go decodes it: what is not valid is U+FFFD, one byte wide.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace keybearer {

inline constexpr char32_t kReplacement = 0xFFFD;

struct Rune {
  char32_t code = kReplacement;
  unsigned width = 1;  // bytes; 1 for a byte that is not valid
  [[nodiscard]] bool valid() const { return code != kReplacement || width == 3; }
};

namespace detail {
[[nodiscard]] Rune decode_long_rune(std::string_view text);
void append_long_rune(std::string& out, char32_t code);
}  // namespace detail

[[nodiscard]] inline Rune decode_rune(std::string_view text) {  // of text that is not empty
  const auto first = static_cast<unsigned char>(text.front());
  return first < 0x80 ? Rune{first, 1} : detail::decode_long_rune(text);
}
inline void append_rune(std::string& out, char32_t code) {
  if (code < 0x80)
    out += static_cast<char>(code);
  else
    detail::append_long_rune(out, code);
}
// Writes it to where there is room for four bytes; the end of what was written.
[[nodiscard]] char* put_rune(char* to, char32_t code);
[[nodiscard]] std::size_t count_runes(std::string_view text);
[[nodiscard]] bool is_utf8(std::string_view text);

// How many bytes in front are ASCII.
[[nodiscard]] inline std::size_t ascii_run(std::string_view text) {
  const char* const begin = text.data();
  std::size_t at = 0;
  std::uint64_t a = 0, b = 0;
  for (; at + 2 * sizeof(a) <= text.size(); at += 2 * sizeof(a)) {
    std::memcpy(&a, begin + at, sizeof(a));
    std::memcpy(&b, begin + at + sizeof(a), sizeof(b));
    if (((a | b) & 0x8080'8080'8080'8080) != 0) break;
  }
  while (at < text.size() && static_cast<unsigned char>(begin[at]) < 0x80) ++at;
  return at;
}

}  // namespace keybearer
