#include "tmpl/go/unicode.hpp"

#include <algorithm>
#include <span>

#include "tmpl/go/unicode_tables.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::int32_t kAlternating = 0x110000;  // upper and lower case in turns

bool in(std::span<const unicode::Strided> table, char32_t c) {
  const auto after = std::ranges::upper_bound(table, c, {}, &unicode::Strided::first);
  if (after == table.begin()) return false;
  const unicode::Strided& range = *(after - 1);
  const std::uint32_t offset = c - range.first;
  return offset / range.stride < range.count && offset % range.stride == 0;
}

bool in(std::span<const unicode::Range> table, char32_t c) {
  const auto after = std::ranges::upper_bound(table, c, {}, &unicode::Range::first);
  return after != table.begin() && c <= (after - 1)->last;
}

char32_t mapped(char32_t c, int to) {
  const auto* after = std::ranges::upper_bound(unicode::kCases, c, {}, &unicode::CaseRange::first);
  if (after == std::begin(unicode::kCases)) return c;
  const unicode::CaseRange& range = *(after - 1);
  if (c > range.last) return c;
  if (range.delta[to] == kAlternating) {
    const bool lower = to == 1;
    return range.first + (((c - range.first) & ~1u) | (lower ? 1u : 0u));
  }
  return static_cast<char32_t>(static_cast<std::int32_t>(c) + range.delta[to]);
}

// Hangul, Chinese and their neighbours, and what is behind the last letter with a case.
constexpr bool has_no_case(char32_t c) {
  return (c >= 0x2E80 && c < 0xA640) || (c >= 0xAC00 && c < 0xFB00) || c >= 0x1E944;
}
constexpr bool has_some_without_case(std::span<const unicode::Strided> ranges) {
  for (const unicode::Strided& range : ranges) {
    for (std::uint32_t k = 0; k < range.count; ++k) {
      if (has_no_case(range.first + k * range.stride)) return true;
    }
  }
  return false;
}
constexpr bool has_some_without_case(std::span<const unicode::CaseRange> ranges) {
  for (const unicode::CaseRange& range : ranges) {
    for (char32_t c = range.first; c <= range.last; ++c) {
      if (has_no_case(c)) return true;
    }
  }
  return false;
}
static_assert(!has_some_without_case(unicode::kCases) && !has_some_without_case(unicode::kUpper) &&
              !has_some_without_case(unicode::kLower) && !has_some_without_case(unicode::kTitle));

// Letters that are often met: of Latin, Chinese, Hangul.
constexpr char32_t kSure[][2] = {{0xAE, 0x24F}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}};
constexpr bool is_surely_printable(char32_t c) {
  return (c >= kSure[0][0] && c <= kSure[0][1]) || (c >= kSure[1][0] && c <= kSure[1][1]) ||
         (c >= kSure[2][0] && c <= kSure[2][1]);
}
static_assert(std::ranges::all_of(kSure, [](const auto& sure) {
  return std::ranges::any_of(unicode::kPrintable, [&sure](const unicode::Range& range) {
    return range.first <= sure[0] && sure[1] <= range.last;
  });
}));

bool is_ascii_upper(char32_t c) {
  return c >= 'A' && c <= 'Z';
}
bool is_ascii_lower(char32_t c) {
  return c >= 'a' && c <= 'z';
}
bool is_ascii_digit(char32_t c) {
  return c >= '0' && c <= '9';
}

}  // namespace

bool is_upper(char32_t c) {
  return c < 0x80 ? is_ascii_upper(c) : !has_no_case(c) && in(unicode::kUpper, c);
}
bool is_lower(char32_t c) {
  return c < 0x80 ? is_ascii_lower(c) : !has_no_case(c) && in(unicode::kLower, c);
}
bool is_title(char32_t c) {
  return c >= 0x80 && !has_no_case(c) && in(unicode::kTitle, c);
}
bool is_letter(char32_t c) {
  return c < 0x80 ? is_ascii_upper(c) || is_ascii_lower(c) : in(unicode::kLetter, c);
}
bool is_digit(char32_t c) {
  return c < 0x80 ? is_ascii_digit(c) : in(unicode::kDigit, c);
}
bool is_number(char32_t c) {
  return c < 0x80 ? is_ascii_digit(c) : in(unicode::kNumber, c);
}
bool is_punct(char32_t c) {
  return in(unicode::kPunct, c);
}
bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == ' ' ||
         (c >= 0x80 && (c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
                        c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000));
}

char32_t to_upper(char32_t c) {
  if (c < 0x80) return is_ascii_lower(c) ? c - 32 : c;
  return has_no_case(c) ? c : mapped(c, 0);
}
char32_t to_lower(char32_t c) {
  if (c < 0x80) return is_ascii_upper(c) ? c + 32 : c;
  return has_no_case(c) ? c : mapped(c, 1);
}
char32_t to_title(char32_t c) {
  if (c < 0x80) return to_upper(c);
  return has_no_case(c) ? c : mapped(c, 2);
}

bool is_alphanumeric(char32_t c) {
  return is_letter(c) || is_digit(c) || c == '_';
}

bool is_print(char32_t c) {
  if (c < 0x7F) return c >= ' ';
  if (is_surely_printable(c)) return true;
  return in(unicode::kPrintable, c);
}

TitleClass title_class(char32_t c) {
  if (is_ascii_lower(c) || is_ascii_upper(c) || in(unicode::kTitleCased, c))
    return TitleClass::cased;
  if (c == ' ' || c == '\n' || !in(unicode::kTitleJoins, c)) return TitleClass::separates;
  return in(unicode::kTitleMiddle, c) ? TitleClass::middle : TitleClass::joins;
}

std::string_view long_title(char32_t c) {
  if (c < 0x80) return {};
  using Entry = std::pair<char32_t, std::string_view>;
  const auto* at = std::ranges::lower_bound(unicode::kTitleSpecial, c, {}, &Entry::first);
  return at != std::end(unicode::kTitleSpecial) && at->first == c ? at->second : std::string_view();
}

}  // namespace keybearer::tmpl
