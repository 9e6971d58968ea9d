#include "tmpl/go/go_strings.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/utf8.hpp"
#include "json/pool.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

constexpr bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

// How many bytes in front are ASCII, of `most`.
std::size_t ascii_run(std::string_view text, std::size_t most) {
  most = std::min(most, text.size());
  std::size_t at = 0;
  for (std::uint64_t eight = 0; at + sizeof(eight) <= most; at += sizeof(eight)) {
    std::memcpy(&eight, text.data() + at, sizeof(eight));
    if ((eight & 0x8080'8080'8080'8080) != 0) break;
  }
  while (at < most && is_ascii(text[at])) ++at;
  return at;
}

// Characters to cut off at both ends.
class CutSet {
 public:
  explicit CutSet(std::string_view set) : set_(set) {
    for (const char c : set) {
      if (static_cast<unsigned char>(c) < 0x80)
        ascii_[static_cast<unsigned char>(c)] = true;
      else
        more_ = true;
    }
  }
  [[nodiscard]] bool has(char32_t c) const {
    if (c < 0x80) return ascii_[c];
    if (!more_) return false;
    for (std::string_view set = set_; !set.empty();) {
      const Rune rune = decode_rune(set);
      spend(5);
      if (rune.code == c) return true;
      set.remove_prefix(rune.width);
    }
    return false;
  }

 private:
  std::string_view set_;
  std::array<bool, 128> ascii_{};
  bool more_ = false;
};

template <class Cut>
std::string_view trimmed_by(std::string_view text, Cut cut) {
  const std::size_t before = text.size();
  for (;;) {
    std::size_t at = 0;
    while (at < text.size() && is_ascii(text[at]) && cut(static_cast<unsigned char>(text[at])))
      ++at;
    text.remove_prefix(at);
    if (text.empty() || is_ascii(text[0])) break;
    const Rune rune = decode_rune(text);
    if (!cut(rune.code)) break;
    text.remove_prefix(rune.width);
  }
  while (!text.empty()) {
    if (is_ascii(text.back())) {
      if (!cut(static_cast<unsigned char>(text.back()))) break;
      text.remove_suffix(1);
      continue;
    }
    std::size_t begin = text.size() - 1;
    while (begin > 0 && text.size() - begin < 4 &&
           (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
      --begin;
    Rune rune = decode_rune(text.substr(begin));
    if (begin + rune.width != text.size()) rune = {};
    if (!cut(rune.code)) break;
    text.remove_suffix(rune.width);
  }
  spend(2 * (before - text.size()));
  return text;
}

}  // namespace

// As Go does: by the first byte while that finds little else, then by a method that is linear
// whatever the texts are (memmem(3)).
std::size_t index_of(std::string_view text, std::string_view what) {
  if (what.empty()) return 0;
  std::size_t at = 0, wrong = 0;
  while (text.size() - at >= what.size()) {
    const void* first = std::memchr(text.data() + at, what[0], text.size() - what.size() + 1 - at);
    if (first == nullptr) return std::string_view::npos;
    at = static_cast<std::size_t>(static_cast<const char*>(first) - text.data());
    if (std::memcmp(text.data() + at, what.data(), what.size()) == 0) return at;
    ++at;
    if (++wrong <= 4 + at / 16) continue;
    const void* found = memmem(text.data() + at, text.size() - at, what.data(), what.size());
    return found == nullptr
               ? std::string_view::npos
               : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
  }
  return std::string_view::npos;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  if (from.empty()) {  // Go: between all runes
    while (!text.empty()) {
      check_size(out);
      spend(10 + to.size() / 8);
      out += to;
      const auto width = decode_rune(text).width;
      out += text.substr(0, width);
      text.remove_prefix(width);
    }
    return out += to;
  }
  for (std::size_t at = 0; (at = index_of(text, from)) != std::string_view::npos;) {
    check_size(out);
    spend(10 + (at + to.size()) / 4);
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
  }
  return out += text;
}

std::string_view trimmed(std::string_view text, std::string_view set) {
  const CutSet cut(set);
  return trimmed_by(text, [&cut](char32_t c) { return cut.has(c); });
}
std::string_view trimmed_space(std::string_view text) {
  return trimmed_by(text, [](char32_t c) {
    return c < 0x80 ? c == ' ' || (c >= '\t' && c <= '\r') : is_space(c);
  });
}

// ASCII comes in runs, without a branch for each byte. It is the same in each case but for the bit
// 0x20 of 26 letters.
std::string mapped(std::string_view text, Case to) {
  constexpr std::size_t kRun = 4096;
  constexpr unsigned char kLetters = 26, kCaseBit = 0x20;
  const unsigned char first = to == Case::lower ? 'A' : 'a';
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    if (const std::size_t run = ascii_run(text, kRun); run > 0) {
      spend(run);
      const std::size_t begin = out.size();
      out += text.substr(0, run);
      for (char* c = out.data() + begin; c != out.data() + begin + run; ++c) {
        const auto byte = static_cast<unsigned char>(*c);
        const bool turned = static_cast<unsigned char>(byte - first) < kLetters;
        *c = static_cast<char>(byte ^ (turned ? kCaseBit : 0));
      }
      text.remove_prefix(run);
      continue;
    }
    spend(5);
    const Rune rune = decode_rune(text);
    append_rune(out, to == Case::lower ? to_lower(rune.code) : to_upper(rune.code));
    text.remove_prefix(rune.width);
  }
  return out;
}

List split_text(std::string_view text, std::string_view separator, int most) {
  List parts;
  if (most == 0 || (separator.empty() && text.empty())) return parts;
  ValuePool pool(2 *
                 text.size());  // a block on the heap for each part would cost more than the part
  const auto part = [&pool](std::string_view piece) { return pool.text(Type::string, piece); };
  while (most < 0 || std::cmp_less(parts.size() + 1, most)) {
    const std::size_t at = separator.empty() ? decode_rune(text).width : index_of(text, separator);
    if (at == std::string_view::npos || (separator.empty() && at == text.size())) break;
    spend(20 + at / 4);
    parts.push_back(part(text.substr(0, at)));
    if (parts.size() > kMostItems) throw CallError{"the list has more than 4,000,000 elements"};
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(part(text));
  parts.shrink_to_fit();  // as in Go, where spew shows the room of a list
  return parts;
}

}  // namespace keybearer::tmpl
