#include "tmpl/go/go_strings.hpp"

#include <cstring>
#include <utility>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"

namespace keybearer::tmpl {
namespace {

std::string_view trimmed_by(std::string_view text, bool (*cut)(char32_t, std::string_view),
                            std::string_view set) {
  while (!text.empty()) {
    const Rune rune = decode_rune(text);
    if (!cut(rune.code, set)) break;
    text.remove_prefix(rune.width);
  }
  while (!text.empty()) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && text.size() - begin < 4 &&
           (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
      --begin;
    Rune rune = decode_rune(text.substr(begin));
    if (begin + rune.width != text.size()) rune = {};
    if (!cut(rune.code, set)) break;
    text.remove_suffix(rune.width);
  }
  return text;
}

bool in_set(char32_t c, std::string_view set) {
  while (!set.empty()) {
    const Rune rune = decode_rune(set);
    if (rune.code == c) return true;
    set.remove_prefix(rune.width);
  }
  return false;
}
}  // namespace

// Linear, whatever the texts are (memmem(3)).
std::size_t index_of(std::string_view text, std::string_view what) {
  const void* found = memmem(text.data(), text.size(), what.data(), what.size());
  return found == nullptr ? std::string_view::npos
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  if (from.empty()) {  // Go: between all runes
    while (!text.empty()) {
      check_size(out);
      out += to;
      const auto width = decode_rune(text).width;
      out += text.substr(0, width);
      text.remove_prefix(width);
    }
    return out += to;
  }
  for (std::size_t at = 0; (at = index_of(text, from)) != std::string_view::npos;) {
    check_size(out);
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
  }
  return out += text;
}

std::string_view trimmed(std::string_view text, std::string_view set) {
  return trimmed_by(text, in_set, set);
}
std::string_view trimmed_space(std::string_view text) {
  return trimmed_by(text, [](char32_t c, std::string_view) { return is_space(c); }, {});
}

std::string mapped(std::string_view text, char32_t (*change)(char32_t)) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Rune rune = decode_rune(text);
    if (rune.code < 0x80)
      out += static_cast<char>(change(rune.code));
    else
      append_rune(out, change(rune.code));
    text.remove_prefix(rune.width);
  }
  return out;
}

List split_text(std::string_view text, std::string_view separator, int most) {
  List parts;
  if (most == 0 || (separator.empty() && text.empty())) return parts;
  while (most < 0 || std::cmp_less(parts.size() + 1, most)) {
    const std::size_t at = separator.empty() ? decode_rune(text).width : index_of(text, separator);
    if (at == std::string_view::npos || (separator.empty() && at == text.size())) break;
    parts.emplace_back(text.substr(0, at));
    if (parts.size() > kMostItems) throw CallError{"the list has more than 4,000,000 elements"};
    text.remove_prefix(at + separator.size());
  }
  parts.emplace_back(text);
  parts.shrink_to_fit();  // as in Go, where spew shows the room of a list
  return parts;
}

}  // namespace keybearer::tmpl
