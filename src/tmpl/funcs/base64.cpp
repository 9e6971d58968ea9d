#include "tmpl/funcs/base64.hpp"

#include <algorithm>
#include <cstdint>

namespace keybearer::tmpl {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64(std::string_view bytes, bool url) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k) out += k <= n ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=';
  }
  if (url)
    std::ranges::transform(out, out.begin(), [](char c) {
      return c == '+' ? '-' : c == '/' ? '_' : c;
    });
  return out;
}

std::expected<std::string, std::size_t> base64_decoded(std::string_view text, bool url) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0, padding = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
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
      if (url) c = c == '-' ? '+' : c == '_' ? '/' : c == '+' || c == '/' ? '\0' : c;
      const auto digit = kAlphabet.find(c);
      if (digit == std::string_view::npos || c == '\0') return std::unexpected(i);
      bits = bits << 6 | static_cast<std::uint32_t>(digit);
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
