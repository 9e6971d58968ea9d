#include "base/utf8.hpp"

namespace keybearer {

Rune detail::decode_long_rune(std::string_view text) {
  const auto* const byte = reinterpret_cast<const unsigned char*>(text.data());
  const auto more = [byte](std::size_t i) { return (byte[i] & 0xC0) == 0x80; };
  const auto bits = [byte](std::size_t i) { return static_cast<char32_t>(byte[i] & 0x3F); };
  const char32_t first = byte[0];
  if (first < 0xC2 || first > 0xF4) return {};
  if (first < 0xE0) {
    if (text.size() < 2 || !more(1)) return {};
    return {(first & 0x1F) << 6 | bits(1), 2};
  }
  if (first < 0xF0) {
    if (text.size() < 3 || !more(1) || !more(2)) return {};
    const char32_t code = (first & 0x0F) << 12 | bits(1) << 6 | bits(2);
    if (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF)) return {};
    return {code, 3};
  }
  if (text.size() < 4 || !more(1) || !more(2) || !more(3)) return {};
  const char32_t code = (first & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3);
  if (code < 0x10000 || code > 0x10FFFF) return {};
  return {code, 4};
}

char* put_rune(char* to, char32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) code = kReplacement;
  const auto put = [&to](char32_t byte) { *to++ = static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
  return to;
}

void detail::append_long_rune(std::string& out, char32_t code) {
  char bytes[4];
  out.append(bytes, put_rune(bytes, code));
}

std::size_t count_runes(std::string_view text) {
  std::size_t count = 0;
  while (!text.empty()) {
    const std::size_t run = ascii_run(text);
    count += run;
    text.remove_prefix(run);
    if (text.empty()) break;
    text.remove_prefix(detail::decode_long_rune(text).width);
    ++count;
  }
  return count;
}

bool is_utf8(std::string_view text) {
  for (;;) {
    text.remove_prefix(ascii_run(text));
    if (text.empty()) return true;
    const Rune rune = detail::decode_long_rune(text);
    if (!rune.valid()) return false;
    text.remove_prefix(rune.width);
  }
}

}  // namespace keybearer
