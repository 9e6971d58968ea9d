#include "base/escapes.hpp"

#include <optional>

#include "base/utf8.hpp"

namespace keybearer {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<unsigned> hex(std::string_view text, std::size_t at, std::size_t digits) {
  if (at + digits > text.size()) return std::nullopt;
  unsigned out = 0;
  for (const char c : text.substr(at, digits)) {
    const int digit = is_digit(c)            ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    out = out << 4 | static_cast<unsigned>(digit);
  }
  return out;
}

struct Escape {
  std::string bytes;
  std::size_t size = 0;  // in the source; 0: none
};

// \n \" \/ \u003c \U0001f600 \xff, of JSON, Go, C and Python; surrogates in pairs.
Escape backslash_escape(std::string_view text, std::size_t at) {
  if (at + 1 >= text.size()) return {};
  const char c = text[at + 1];
  constexpr std::string_view kLetters = "abfnrtv0e", kBytes("\a\b\f\n\r\t\v\0\033", 9);
  if (c == 'u' || c == 'U') {
    const std::size_t digits = c == 'u' ? 4 : 8;
    auto code = hex(text, at + 2, digits);
    if (!code) return {};
    std::size_t size = 2 + digits;
    if (*code >= 0xd800 && *code < 0xdc00 && text.substr(at + size).starts_with("\\u")) {
      const auto low = hex(text, at + size + 2, 4);
      if (low && *low >= 0xdc00 && *low < 0xe000) {
        code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
        size += 6;
      }
    }
    Escape out{{}, size};
    append_rune(out.bytes, *code);
    return out;
  }
  if (c == 'x') {
    const auto byte = hex(text, at + 2, 2);
    return byte ? Escape{std::string(1, static_cast<char>(*byte)), 4} : Escape{};
  }
  if (const auto letter = kLetters.find(c); letter != kLetters.npos)
    return {std::string(1, kBytes[letter]), 2};
  return {std::string(1, c), 2};
}

Escape percent_escape(std::string_view text, std::size_t at) {
  const auto byte = hex(text, at + 1, 2);
  return byte ? Escape{std::string(1, static_cast<char>(*byte)), 3} : Escape{};
}

// How a shell's trace writes a quote within quotes: '\'' and '"'"'.
Escape shell_escape(std::string_view text, std::size_t at) {
  for (const std::string_view quote : {"'\\''", "'\"'\"'"})
    if (text.substr(at).starts_with(quote)) return {"'", quote.size()};
  return {};
}

}  // namespace

Decoded decoded(std::string_view text, Coding coding) {
  Decoded out;
  const std::string_view marks = coding == Coding::backslash ? "\\"
                                 : coding == Coding::percent ? "%"
                                 : coding == Coding::query   ? "%+"
                                                             : "'";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t mark = std::min(text.find_first_of(marks, at), text.size());
    out.text += text.substr(at, mark - at);
    at = mark;
    if (at == text.size()) break;
    const Escape escape = text[at] == '+'               ? Escape{" ", 1}
                          : coding == Coding::backslash ? backslash_escape(text, at)
                          : coding == Coding::shell     ? shell_escape(text, at)
                                                        : percent_escape(text, at);
    if (escape.size == 0)
      out.text += text[at++];
    else
      out.add(escape.bytes, at, escape.size);
    at += escape.size;
  }
  return out;
}

}  // namespace keybearer
