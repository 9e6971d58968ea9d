#include "tmpl/funcs/regex.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/regex_syntax.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::size_t kMostPattern = 256u << 10;
constexpr std::int64_t kMostMemory = 256 << 20;  // of a program and its states

re2::StringPiece piece(std::string_view text) {
  return {text.data(), text.size()};
}

// The name behind a '$': its text and how long it is with its braces; nothing: the '$' is itself.
struct Reference {
  std::string_view name;
  std::size_t length = 0;
};
std::optional<Reference> reference(std::string_view text) {
  const bool braced = text.starts_with('{');
  if (braced) text.remove_prefix(1);
  std::size_t end = 0;
  while (end < text.size()) {
    const Rune rune = decode_rune(text.substr(end));
    if (!is_alphanumeric(rune.code)) break;
    end += rune.width;
  }
  if (end == 0 || (braced && (end == text.size() || text[end] != '}'))) return std::nullopt;
  return Reference{text.substr(0, end), end + (braced ? 2 : 0)};
}

// The number of a group; -1: it is a name.
int number_of(std::string_view name) {
  if (name.size() > 8 || (name.size() > 1 && name[0] == '0')) return -1;
  int number = 0;
  for (const char c : name) {
    if (c < '0' || c > '9') return -1;
    number = number * 10 + (c - '0');
  }
  return number;
}

// Go's Regexp.Expand.
void expand(std::string& out, const std::vector<std::string>& names, std::string_view replacement,
            const Regex::Match& match) {
  for (;;) {
    const auto dollar = replacement.find('$');
    out += replacement.substr(0, dollar);
    if (dollar == std::string_view::npos) return;
    replacement.remove_prefix(dollar + 1);
    if (replacement.starts_with('$')) {
      out += '$';
      replacement.remove_prefix(1);
      continue;
    }
    const auto found = reference(replacement);
    if (!found) {
      out += '$';
      continue;
    }
    int group = number_of(found->name);
    if (group < 0) {  // of several with one name the first that took part
      for (std::size_t i = 0; i < match.size() && group < 0; ++i) {
        if (names[i] == found->name && match[i].data() != nullptr) group = static_cast<int>(i);
      }
    }
    if (group >= 0 && std::cmp_less(group, match.size()))
      out += match[static_cast<std::size_t>(group)];
    replacement.remove_prefix(found->length);
  }
}

// Whether all that it can match is ASCII, and nothing between the bytes of a character: no class but
// those that list ASCII, no escape but those that stand for such.
bool matches_ascii_only(std::string_view pattern) {
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (static_cast<unsigned char>(c) >= 0x80) return false;
    if (c == '\\') {
      constexpr std::string_view kKnown = "dwsbAzatnrfv\\.+*?()|[]{}^$-/";
      if (++i == pattern.size() || !kKnown.contains(pattern[i])) return false;
    } else if (c == '[') {
      in_class = true;
    } else if (c == ']') {
      in_class = false;
    } else if (c == (in_class ? '^' : '.')) {
      return false;
    }
  }
  return true;
}

std::size_t width_at(std::string_view text, std::size_t at) {
  return at < text.size() ? decode_rune(text.substr(at)).width : 1;
}

}  // namespace

Regex::Regex(std::string_view pattern) {
  if (pattern.size() > kMostPattern)
    throw CallError{"error parsing regexp: expression too large: more than 256 KiB"};
  RegexSyntax syntax = translated_regex(pattern);
  names_ = std::move(syntax.names);
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kMostMemory);
  re_ = std::make_unique<RE2>(syntax.pattern, options);
  if (!re_->ok())
    throw CallError{"error parsing regexp: expression too large: `" + std::string(pattern) + "`"};
  ascii_ = matches_ascii_only(pattern);
  spend(50 * static_cast<std::size_t>(re_->ProgramSize()));
}
Regex::~Regex() = default;

// A text to search in. RE2 matches no byte that is not UTF-8; for Go each is U+FFFD: it is searched
// for in a copy with those, and what is found is told by where it is in the text itself.
class Regex::Haystack {
 public:
  Haystack(std::string_view text, bool ascii) : text_(text), ascii_(ascii) {
    if (ascii) return;
    std::size_t kept = 0;  // up to here the text is in the copy, where there is one
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t run = ascii_run(text.substr(at, 65536));
      spend(run / 4 + 5);
      at += run;
      if (at == text.size()) break;
      const Rune rune = decode_rune(text.substr(at));
      if (!rune.valid()) {
        copy_ += text.substr(kept, at - kept);
        append_rune(copy_, kReplacement);
        kept = at + 1;
        changed_.push_back(at);
      }
      at += rune.width;
    }
    if (!changed_.empty()) copy_ += text.substr(kept);
  }
  [[nodiscard]] std::string_view searched() const { return changed_.empty() ? text_ : copy_; }
  [[nodiscard]] std::size_t to_copy(std::size_t at) const {
    return changed_.empty() ? at : at + kMore * behind(at, 0);
  }
  [[nodiscard]] std::string_view original(std::string_view found) const {
    if (found.data() == nullptr || changed_.empty()) return found;
    const auto begin = static_cast<std::size_t>(found.data() - copy_.data());
    const std::size_t first = from_copy(begin);
    return text_.substr(first, from_copy(begin + found.size()) - first);
  }
  // Does a character begin here, or end the text?
  [[nodiscard]] bool is_between(std::size_t at) const {
    if (ascii_) return true;
    const std::string_view text = searched();
    return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
  }

 private:
  static constexpr std::size_t kMore = 2;  // bytes that U+FFFD has more
  // The k-th changed byte stands in the copy kMore * k behind its place.
  [[nodiscard]] std::size_t from_copy(std::size_t at) const {
    return at - kMore * behind(at, kMore);
  }
  // How many changed bytes, `more` further on for each before, are before `at`. A search goes on from
  // where the last one ended: matches come one after another.
  [[nodiscard]] std::size_t behind(std::size_t at, std::size_t more) const {
    const auto is_before = [&](std::size_t k) { return changed_[k] + more * k < at; };
    std::size_t low = 0, high = changed_.size();
    if (last_ == 0 || is_before(last_ - 1)) {
      low = last_;
      for (std::size_t step = 1; low + step < high; step *= 2) {
        if (is_before(low + step)) continue;
        high = low + step;
        break;
      }
    } else {
      high = last_;
    }
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (is_before(middle))
        low = middle + 1;
      else
        high = middle;
    }
    return last_ = low;
  }

  std::string_view text_;
  bool ascii_;
  std::string copy_;
  std::vector<std::size_t> changed_;
  mutable std::size_t last_ = 0;  // what behind() found
};

bool Regex::find_from(const Haystack& text, std::size_t at, std::size_t count, Match& match) const {
  std::array<re2::StringPiece, 8> few;
  std::vector<re2::StringPiece> many;
  std::span<re2::StringPiece> groups(few.data(), std::min(count, few.size()));
  if (count > few.size()) {
    many.resize(count);
    groups = many;
  }
  const std::string_view searched = text.searched();
  std::size_t from = text.to_copy(at);
  for (;;) {
    if (!re_->Match(piece(searched), from, searched.size(), RE2::UNANCHORED, groups.data(),
                    static_cast<int>(count))) {
      spend(searched.size() - from);
      return false;
    }
    const auto begin = static_cast<std::size_t>(groups[0].data() - searched.data());
    spend(begin + groups[0].size() - from + 50);
    // \B is also between the bytes of a character.
    if (text.is_between(begin)) break;
    from = begin;
    while (!text.is_between(from)) ++from;
  }
  match.clear();
  for (const re2::StringPiece& group : groups) {
    match.push_back(group.data() == nullptr ? std::string_view()
                                            : text.original({group.data(), group.size()}));
  }
  return true;
}

bool Regex::matches(std::string_view text) const {
  if (ascii_) {
    spend(text.size() / 4);  // without a place to tell it is quick
    return re_->Match(piece(text), 0, text.size(), RE2::UNANCHORED, nullptr, 0);
  }
  Match match;
  return find_from(Haystack(text, false), 0, 1, match);
}

std::optional<Regex::Match> Regex::find(std::string_view text) const {
  Match match;
  return find_from(Haystack(text, ascii_), 0, groups(), match) ? std::optional(match)
                                                               : std::nullopt;
}

template <class Found>
void Regex::each(std::string_view text, std::int64_t most, std::size_t count, Found found) const {
  const Haystack haystack(text, ascii_);
  Match match;
  std::size_t at = 0, last_end = std::string_view::npos, all = 0;
  while ((most < 0 || std::cmp_less(all, most)) && at <= text.size() &&
         find_from(haystack, at, count, match)) {
    const auto begin = static_cast<std::size_t>(match[0].data() - text.data());
    const std::size_t end = begin + match[0].size();
    const bool is_empty_here = end == at;
    // An empty match right behind another is none.
    const bool counts = !is_empty_here || begin != last_end;
    at = is_empty_here ? at + width_at(text, at) : end;
    last_end = end;
    if (!counts) continue;
    found(match);
    if (++all > kMostItems) throw CallError{"the list has more than 4,000,000 elements"};
  }
}

std::vector<std::string_view> Regex::find_texts(std::string_view text, std::int64_t most) const {
  std::vector<std::string_view> all;
  each(text, most, 1, [&all](const Match& match) { all.push_back(match[0]); });
  return all;
}

std::vector<Regex::Match> Regex::find_all(std::string_view text, std::int64_t most) const {
  std::vector<Match> all;
  each(text, most, groups(), [&all](const Match& match) { all.push_back(match); });
  return all;
}

std::string Regex::replace_all(std::string_view text, std::string_view replacement,
                               bool literal) const {
  const Haystack haystack(text, ascii_);
  std::string out;
  out.reserve(text.size());
  Match match;
  std::size_t at = 0, last_end = 0;
  const bool is_text = literal || !replacement.contains('$');
  while (at <= text.size() && find_from(haystack, at, is_text ? 1 : groups(), match)) {
    const auto begin = static_cast<std::size_t>(match[0].data() - text.data());
    const std::size_t end = begin + match[0].size();
    out += text.substr(last_end, begin - last_end);
    if (end > last_end || begin == 0) {
      if (is_text)
        out += replacement;
      else
        expand(out, names_, replacement, match);
    }
    check_size(out);
    last_end = end;
    at = std::max(at + width_at(text, at), end);
  }
  return out += text.substr(last_end);
}

const Regex& RegexCache::get(std::string_view pattern) {
  constexpr std::size_t kMost = 16;
  constexpr int kLarge = 2000;  // instructions
  if (const auto at = std::ranges::find(small_, pattern, &Known::pattern); at != small_.end())
    return *at->regex;
  if (large_.regex != nullptr && large_.pattern == pattern) return *large_.regex;
  Known made{std::string(pattern), std::make_unique<Regex>(pattern)};
  if (made.regex->re_->ProgramSize() > kLarge) return *(large_ = std::move(made)).regex;
  if (small_.size() < kMost) return *small_.emplace_back(std::move(made)).regex;
  return *(small_[next_++ % kMost] = std::move(made)).regex;
}

}  // namespace keybearer::tmpl
