#include "tmpl/go/go_strings.hpp"

#include <array>
#include <cstring>
#include <utility>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

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
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text[0]);
    const Rune rune = byte < 0x80 ? Rune{byte, 1} : decode_rune(text);
    if (!cut(rune.code)) break;
    text.remove_prefix(rune.width);
  }
  while (!text.empty()) {
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
  return trimmed_by(text, is_space);
}

std::string mapped(std::string_view text, char32_t (*change)(char32_t)) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    spend(5);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (byte < 0x80) {
      out += static_cast<char>(change(byte));
      text.remove_prefix(1);
      continue;
    }
    const Rune rune = decode_rune(text);
    append_rune(out, change(rune.code));
    text.remove_prefix(rune.width);
  }
  return out;
}

List split_text(std::string_view text, std::string_view separator, int most) {
  List parts;
  if (most == 0 || (separator.empty() && text.empty())) return parts;
  std::array<Value, 128> letters;  // one of each, counted, where single letters are cut
  const auto part = [&letters](std::string_view piece) {
    if (piece.size() != 1 || static_cast<unsigned char>(piece[0]) >= 0x80) return Value(piece);
    Value& letter = letters[static_cast<unsigned char>(piece[0])];
    if (letter.is_nil()) letter = Value(piece);
    return letter;
  };
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
