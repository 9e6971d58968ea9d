#pragma once
// Scalars of YAML as yaml.v2's encode.go and the analysis of its emitter choose their text and
// style. Internal to formats/. Pure.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.hpp"

namespace keybearer::tmpl::yaml {

enum class Style : std::uint8_t { plain, single_quoted, double_quoted, literal };

struct Scalar {
  std::string text;
  Style style = Style::plain;
  bool binary = false;  // tagged !!binary, text is base64
};

// What the characters of a scalar allow: the emitter's analysis.
struct Analysis {
  bool multiline = false;
  bool plain = true, single_quoted = true, block = true;
};

inline std::size_t width(std::string_view s, std::size_t i) {
  return static_cast<unsigned char>(s[i]) < 0x80 ? 1 : decode_rune(s.substr(i)).width;
}
// A letter or digit: it is never anything else.
inline bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
// How many of them from there on.
inline std::size_t run_of_letters(std::string_view s, std::size_t i) {
  const std::size_t begin = i;
  while (i < s.size() && is_letter_or_digit(s[i])) ++i;
  return i - begin;
}
inline bool is_blank(std::string_view s, std::size_t i) {
  return s[i] == ' ' || s[i] == '\t';
}
// CR, LF, NEL, LS, PS.
inline bool is_break(std::string_view s, std::size_t i) {
  if (static_cast<unsigned char>(s[i]) < 0x80) return s[i] == '\r' || s[i] == '\n';
  const std::string_view rest = s.substr(i);
  return s[i] == '\r' || s[i] == '\n' || rest.starts_with("\xC2\x85") ||
         rest.starts_with("\xE2\x80\xA8") || rest.starts_with("\xE2\x80\xA9");
}
inline bool is_printable(char32_t c) {
  return c == '\n' || (c >= 0x20 && c <= 0x7E) || (c >= 0xA0 && c <= 0xD7FF) ||
         (c >= 0xE000 && c <= 0xFFFD && c != 0xFEFF);
}

[[nodiscard]] Analysis analyse(std::string_view text);

[[nodiscard]] Scalar text_scalar(std::string_view text);
[[nodiscard]] Scalar float_scalar(double value);
// json.Number: an int64 where it is one, else a float64 where it is one, else its text.
[[nodiscard]] Scalar number_scalar(std::string_view text);

}  // namespace keybearer::tmpl::yaml
