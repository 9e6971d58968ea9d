#include "base/escapes.hpp"

#include <fmt/format.h>

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

bool is_base64(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/' ||
         c == '-' || c == '_';
}

// A line break between two lines of base64, the first of which is full.
Escape wrap(std::string_view text, std::size_t at) {
  constexpr std::size_t kFullLine = 60;  // 60, 64, 70, 72, 76 and more are usual
  const std::size_t size = text.substr(at).starts_with("\r\n") ? 2 : text[at] == '\n' ? 1 : 0;
  if (size == 0 || at < kFullLine || at + size >= text.size() || !is_base64(text[at + size]))
    return {};
  const bool full = std::ranges::all_of(text.substr(at - kFullLine, kFullLine), is_base64);
  return full ? Escape{"", size} : Escape{};
}

// Bytes of the UTF-8 sequence at the beginning of `text` (RFC 3629); 0: it is none.
std::size_t utf8_size(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto first = byte(0), second = byte(1);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xc2 ? 0
                           : first < 0xe0 ? 2
                           : first < 0xf0 ? 3
                           : first < 0xf5 ? 4
                                          : 0;
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  if (overlong || (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f)) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  return size;
}

// Controls of terminals (C1), and what turns the direction of writing or breaks the line.
std::optional<unsigned> unseen(std::string_view sequence) {
  unsigned code = 0;
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    const auto byte = static_cast<unsigned char>(sequence[i]);
    code = code << 6 | (i > 0 ? byte & 63U : sequence.size() == 2 ? byte & 31U : byte & 15U);
  }
  if (sequence.size() == 2) return code < 0xa0 ? std::optional(code) : std::nullopt;
  if (sequence.size() != 3) return std::nullopt;
  const bool hidden = code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
                      (code >= 0x2066 && code <= 0x2069);
  return hidden ? std::optional(code) : std::nullopt;
}

}  // namespace

void append_visible(std::string& out, std::string_view text, bool json) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      const std::size_t size = utf8_size(text.substr(at));
      const auto code = unseen(text.substr(at, size));
      if (code)
        out += fmt::format("\\u{:04x}", *code);
      else
        out += size == 0 ? "\uFFFD" : text.substr(at, size);
      at += std::max<std::size_t>(size, 1) - 1;
    } else if (json && (c == '"' || c == '\\')) {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format(fmt::runtime(json ? "\\u{:04x}" : "\\x{:02x}"), byte);
    } else {
      out += c;
    }
  }
}

std::string visible_lines(std::string_view text) {
  std::string out;
  for (bool more = true; more;) {
    const auto end = text.find_first_of("\n\t");
    append_visible(out, text.substr(0, end), false);
    more = end != std::string_view::npos;
    if (more) out += text[end];
    text.remove_prefix(more ? end + 1 : text.size());
  }
  return out;
}

Decoded decoded(std::string_view text, Coding coding) {
  Decoded out;
  const std::string_view marks = coding == Coding::backslash ? "\\"
                                 : coding == Coding::percent ? "%"
                                 : coding == Coding::query   ? "%+"
                                 : coding == Coding::wrapped ? "\r\n"
                                                             : "'";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t mark = std::min(text.find_first_of(marks, at), text.size());
    out.text += text.substr(at, mark - at);
    at = mark;
    if (at == text.size()) break;
    const Escape escape = text[at] == '+'               ? Escape{" ", 1}
                          : coding == Coding::backslash ? backslash_escape(text, at)
                          : coding == Coding::shell     ? shell_escape(text, at)
                          : coding == Coding::wrapped   ? wrap(text, at)
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
