#pragma once
// Characters by category and their simple case mappings, as Go's package unicode has them.

#include <cstdint>
#include <string_view>

namespace keybearer::tmpl {

[[nodiscard]] bool is_upper(char32_t c);   // Lu
[[nodiscard]] bool is_lower(char32_t c);   // Ll
[[nodiscard]] bool is_title(char32_t c);   // Lt
[[nodiscard]] bool is_letter(char32_t c);  // L
[[nodiscard]] bool is_digit(char32_t c);   // Nd
[[nodiscard]] bool is_number(char32_t c);  // N
[[nodiscard]] bool is_punct(char32_t c);   // P
[[nodiscard]] bool is_space(char32_t c);   // White_Space

[[nodiscard]] char32_t to_upper(char32_t c);
[[nodiscard]] char32_t to_lower(char32_t c);
[[nodiscard]] char32_t to_title(char32_t c);

// unicode.IsLetter or IsDigit, or '_' (what an identifier is made of).
[[nodiscard]] bool is_alphanumeric(char32_t code);
// unicode.IsPrint, as strconv.Quote asks it.
[[nodiscard]] bool is_print(char32_t code);

// What x/text's title casing sees in a character: a letter with cases; what may stand in a word; what
// may stand in one but not twice; what ends it.
enum class TitleClass : std::uint8_t { cased, joins, middle, separates };
[[nodiscard]] TitleClass title_class(char32_t c);
// Title case of a letter that is not to_title's: often more than one character. Empty: it is.
[[nodiscard]] std::string_view long_title(char32_t c);

}  // namespace keybearer::tmpl
