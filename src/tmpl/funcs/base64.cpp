#include "tmpl/funcs/base64.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// What each byte stands for; kNone: for nothing.
constexpr std::uint8_t kNone = 0xFF;
using Digits = std::array<std::uint8_t, 256>;
constexpr Digits digits_of(std::string_view alphabet) {
  Digits out{};
  out.fill(kNone);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    out[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return out;
}
constexpr Digits kStandardDigits = digits_of(kStandard), kUrlDigits = digits_of(kUrl);

// Whole groups of four digits from the front on; how many bytes of `text` they were.
std::size_t decode_groups(std::string_view text, const Digits& digits, char*& end) {
  std::size_t i = 0;
  char* to = end;
  const auto* const begin = reinterpret_cast<const unsigned char*>(text.data());
  const auto group = [&] {
    return std::array<std::uint32_t, 4>{digits[begin[i]], digits[begin[i + 1]],
                                        digits[begin[i + 2]], digits[begin[i + 3]]};
  };
  for (; text.size() - i >= 8; i += 4) {  // writes four bytes, of which the last is no good
    const auto [a, b, c, d] = group();
    if (((a | b | c | d) & 0xC0) != 0) break;
    const std::uint32_t bits = std::byteswap(a << 26 | b << 20 | c << 14 | d << 8);
    std::memcpy(to, &bits, sizeof(bits));
    to += 3;
  }
  for (; text.size() - i >= 4; i += 4) {
    const auto [a, b, c, d] = group();
    if (((a | b | c | d) & 0xC0) != 0) break;
    const std::uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    *to++ = static_cast<char>(bits >> 16);
    *to++ = static_cast<char>(bits >> 8);
    *to++ = static_cast<char>(bits);
  }
  end = to;
  return i;
}

}  // namespace

std::string base64(std::string_view bytes, bool url) {
  spend(bytes.size());
  const std::string_view alphabet = url ? kUrl : kStandard;
  std::string out = made_text((bytes.size() + 2) / 3 * 4,
                              [&bytes](char* begin) { return begin + (bytes.size() + 2) / 3 * 4; });
  char* to = out.data();
  std::size_t i = 0;
  const char* const digits = alphabet.data();
  for (; bytes.size() - i >= 6; i += 3) {  // reads four bytes
    std::uint32_t bits = 0;
    std::memcpy(&bits, bytes.data() + i, sizeof(bits));
    bits = std::byteswap(bits);
    to[0] = digits[bits >> 26];
    to[1] = digits[bits >> 20 & 63];
    to[2] = digits[bits >> 14 & 63];
    to[3] = digits[bits >> 8 & 63];
    to += 4;
  }
  for (; bytes.size() - i >= 3; i += 3) {
    const auto byte = [&](std::size_t k) {
      return std::uint32_t{static_cast<unsigned char>(bytes[i + k])};
    };
    const std::uint32_t bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    *to++ = digits[bits >> 18];
    *to++ = digits[bits >> 12 & 63];
    *to++ = digits[bits >> 6 & 63];
    *to++ = digits[bits & 63];
  }
  if (i < bytes.size()) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0);
    std::fill_n(to, 4, '=');
    for (std::size_t k = 0; k <= n; ++k) to[k] = digits[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

std::expected<std::string, std::size_t> base64_decoded(std::string_view text, bool url) {
  spend(2 * text.size());
  const Digits& digits = url ? kUrlDigits : kStandardDigits;
  std::size_t done = 0;
  std::string out = made_text(text.size() / 4 * 3, [&](char* to) {
    done = decode_groups(text, digits, to);
    return to;
  });
  std::uint32_t bits = 0;
  int count = 0, padding = 0;
  for (std::size_t i = done; i < text.size(); ++i) {
    if (count % 4 == 0 && padding == 0) {  // behind a break of lines
      char few[3 * 256];
      char* to = few;
      i += decode_groups(text.substr(i, 4 * 256), digits, to);
      out.append(few, to);
      if (i == text.size()) break;
    }
    const char c = text[i];
    if (c == '\r' || c == '\n') continue;
    if (c == '=' && count % 4 >= 2) {
      ++padding;
      if (++count % 4 == 0) {
        const auto rest = text.find_first_not_of("\r\n", i + 1);
        if (rest != std::string_view::npos) return std::unexpected(rest);
      }
      bits <<= 6;
    } else {
      if (padding > 0) return std::unexpected(i - 1);  // Go: where the second '=' should be
      const std::uint8_t digit = digits[static_cast<unsigned char>(c)];
      if (digit == kNone) return std::unexpected(i);
      bits = bits << 6 | digit;
      ++count;
    }
    if (count % 4 == 0) {
      for (int k = 0; k < 3 - padding; ++k) out += static_cast<char>(bits >> (16 - 8 * k) & 255);
      bits = 0;
    }
  }
  if (padding == 1 && count % 4 != 0) return std::unexpected(text.size());
  if (count % 4 != 0) return std::unexpected(text.size() - static_cast<std::size_t>(count % 4));
  return out;
}

}  // namespace keybearer::tmpl
