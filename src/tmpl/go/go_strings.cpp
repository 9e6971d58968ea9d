#include "tmpl/go/go_strings.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/bytes.hpp"
#include "base/utf8.hpp"
#include "json/pool.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

constexpr const char* kTooLarge = "the text is larger than 64 MiB";

constexpr bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
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

namespace {

// How often `what` stands in the text.
std::size_t count_of(std::string_view text, std::string_view what) {
  if (what.size() == 1) return count_byte(text, what[0]);
  std::size_t count = 0;
  for (std::size_t at = 0; (at = index_of(text, what)) != std::string_view::npos; ++count) {
    spend(10 + at / 4);
    text.remove_prefix(at + what.size());
  }
  return count;
}

// Calls `found` with the place of each `what`.
template <class Found>
void each_of(std::string_view text, std::string_view what, Found found) {
  if (what.size() == 1) return each_byte(text, what[0], found);
  for (std::size_t at = 0, next = 0; (next = index_of(text.substr(at), what)) != text.npos;
       at += next + what.size())
    found(at + next);
}

// Go: between all characters.
std::string interspersed(std::string_view text, std::string_view with) {
  Output out(text.size() + (text.size() + 1) * std::min<std::size_t>(with.size(), 64));
  while (!text.empty()) {
    if (out.size() > kMostText) throw CallError{kTooLarge};
    spend(5 + with.size() / 8);
    const unsigned width = decode_rune(text).width;
    char* to = put(out.room(with.size() + width), with);
    out.wrote(put(to, text.substr(0, width)));
    text.remove_prefix(width);
  }
  out += with;
  return out.take();
}

}  // namespace

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) return interspersed(text, to);
  const std::size_t count = count_of(text, from), kept = text.size() - count * from.size();
  if (kept > kMostText || (count > 0 && to.size() > (kMostText - kept) / count))
    throw CallError{kTooLarge};
  return made_text(kept + count * to.size(), [&](char* end) {
    std::size_t begin = 0;
    each_of(text, from, [&](std::size_t at) {
      spend(10 + (at - begin + to.size()) / 4);
      end = put(put(end, text.substr(begin, at - begin)), to);
      begin = at + from.size();
    });
    return put(end, text.substr(begin));
  });
}

namespace {

// All of one character, at both ends.
std::string_view trimmed_of(std::string_view text, char cut) {
  const auto set = static_cast<unsigned char>(cut);
  text.remove_prefix(run_without(text, [set](unsigned char c) { return c != set; }));
  while (text.size() > 8 && std::ranges::count(text.substr(text.size() - 8), cut) == 8)
    text.remove_suffix(8);
  while (!text.empty() && text.back() == cut) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string_view trimmed(std::string_view text, std::string_view set) {
  if (set.size() == 1 && is_ascii(set[0])) return trimmed_of(text, set[0]);
  const CutSet cut(set);
  return trimmed_by(text, [&cut](char32_t c) { return cut.has(c); });
}
std::string_view trimmed_space(std::string_view text) {
  text = trimmed_of(text, ' ');  // most of it, many at a time
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
  Output out(text.size());
  while (!text.empty()) {
    const std::size_t run = ascii_run(text.substr(0, kRun));
    spend(run + 5);
    char* end = out.room(run + 4);
    for (std::size_t i = 0; i < run; ++i) {
      const auto byte = static_cast<unsigned char>(text.data()[i]);
      const bool turned = static_cast<unsigned char>(byte - first) < kLetters;
      end[i] = static_cast<char>(byte ^ (turned ? kCaseBit : 0));
    }
    end += run;
    text.remove_prefix(run);
    if (!text.empty() && !is_ascii(text[0])) {
      const Rune rune = decode_rune(text);
      end = put_rune(end, to == Case::lower ? to_lower(rune.code) : to_upper(rune.code));
      text.remove_prefix(rune.width);
    }
    out.wrote(end);
  }
  return out.take();
}

std::vector<std::string_view> cut_text(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  parts.reserve(count_of(text, separator) + 1);
  std::size_t begin = 0;
  each_of(text, separator, [&](std::size_t at) {
    spend(10);
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  });
  parts.push_back(text.substr(begin));
  return parts;
}

List split_text(std::string_view text, std::string_view separator, int most) {
  List parts;
  if (most == 0 || (separator.empty() && text.empty())) return parts;
  // As many as there are: in Go, too, where spew shows the room of a list.
  std::size_t count = separator.empty() ? count_runes(text) : count_of(text, separator) + 1;
  if (most > 0) count = std::min(count, static_cast<std::size_t>(most));
  if (count > kMostItems) throw CallError{"the list has more than 4,000,000 elements"};
  parts.reserve(count);
  ValuePool pool(2 *
                 text.size());  // a block on the heap for each part would cost more than the part
  const char* const end = text.data() + text.size();
  const auto add = [&, end](std::string_view piece) {
    spend(20 + piece.size() / 4);
    parts.push_back(pool.part(Type::string, piece, end));
  };
  if (separator.empty()) {
    while (parts.size() + 1 < count) {
      const unsigned width = decode_rune(text).width;
      add(text.substr(0, width));
      text.remove_prefix(width);
    }
    add(text);
    return parts;
  }
  if (most < 0) {
    std::size_t begin = 0;
    each_of(text, separator, [&](std::size_t at) {
      add(text.substr(begin, at - begin));
      begin = at + separator.size();
    });
    add(text.substr(begin));
    return parts;
  }
  while (parts.size() + 1 < count) {
    const std::size_t at = index_of(text, separator);
    add(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  add(text);
  return parts;
}

std::string joined(std::span<const Value> parts, std::string_view separator) {
  if (parts.empty()) return {};
  std::size_t size = separator.size() * (parts.size() - 1);
  for (const Value& part : parts) size += part.as_text().size();
  if (size > kMostText) throw CallError{kTooLarge};
  spend(size + 5 * parts.size());
  return made_text(size, [&](char* end) {
    end = put(end, parts.front().as_text());
    for (const Value& part : parts.subspan(1)) end = put(put(end, separator), part.as_text());
    return end;
  });
}

}  // namespace keybearer::tmpl
