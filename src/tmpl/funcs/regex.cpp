#include "tmpl/funcs/regex.hpp"
#include "tmpl/nesting.hpp"

#include <re2/re2.h>

#include <algorithm>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/unicode.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::size_t kMostPattern = 256u << 10;  // RE2 complains on stderr of much larger ones

re2::StringPiece piece(std::string_view text) {
  return {text.data(), text.size()};
}

// Go's regexp/syntax.ErrorCode.
std::string_view reason(RE2::ErrorCode code) {
  switch (code) {
    case RE2::ErrorBadEscape:
      return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
      return "invalid character class";
    case RE2::ErrorBadCharRange:
      return "invalid character class range";
    case RE2::ErrorMissingBracket:
      return "missing closing ]";
    case RE2::ErrorMissingParen:
      return "missing closing )";
    case RE2::ErrorUnexpectedParen:
      return "unexpected )";
    case RE2::ErrorTrailingBackslash:
      return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
      return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
      return "invalid repeat count";
    case RE2::ErrorRepeatOp:
      return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
      return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
      return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
      return "invalid named capture";
    default:
      return "expression too large";
  }
}

// Go also knows (?<name>...), which this RE2 writes (?P<name>...).
std::string with_named_groups(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view rest = pattern.substr(i);
    if (rest.starts_with("\\Q") && !in_class) {
      const auto end = std::min(pattern.find("\\E", i), pattern.size());
      out += pattern.substr(i, end - i);
      i = end - 1;
    } else if (rest.starts_with("\\C")) {  // RE2's any byte
      throw CallError{"error parsing regexp: invalid escape sequence: `\\C`"};
    } else if (rest[0] == '\\') {
      out += rest.substr(0, 2);
      ++i;
    } else if (!in_class && rest.size() > 3 && rest.starts_with("(?<") && rest[3] != '=' &&
               rest[3] != '!') {
      out += "(?P<";
      i += 2;
    } else {
      if (rest[0] == '[' && !in_class) {
        in_class = true;
        // A ] right behind the opening is a member of the class.
        const std::size_t member = rest.substr(1).starts_with('^') ? 2 : 1;
        if (rest.size() > member && rest[member] == ']') {
          out += rest.substr(0, member);
          i += member;
        }
      } else if (rest[0] == ']') {
        in_class = false;
      }
      out += pattern[i];
    }
  }
  return out;
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
void expand(std::string& out, const RE2& re, std::string_view replacement,
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
    if (group < 0) {
      const auto& names = re.NamedCapturingGroups();
      const auto at = names.find(std::string(found->name));
      group = at == names.end() ? -1 : at->second;
    }
    if (group >= 0 && std::cmp_less(group, match.size()))
      out += match[static_cast<std::size_t>(group)];
    replacement.remove_prefix(found->length);
  }
}

std::size_t width_at(std::string_view text, std::size_t at) {
  return at < text.size() ? decode_rune(text.substr(at)).width : 1;
}

}  // namespace

Regex::Regex(std::string_view pattern) {
  if (pattern.size() > kMostPattern)
    throw CallError{"error parsing regexp: expression too large: more than 256 KiB"};
  re_ = std::make_unique<RE2>(with_named_groups(pattern), RE2::Quiet);
  if (re_->ok()) return;
  const auto code = re_->error_code();
  const bool whole = code == RE2::ErrorMissingParen || code == RE2::ErrorUnexpectedParen ||
                     code == RE2::ErrorBadUTF8;
  // Go shows what is left where the text is no UTF-8.
  while (code == RE2::ErrorBadUTF8 && !pattern.empty() && decode_rune(pattern).valid())
    pattern.remove_prefix(decode_rune(pattern).width);
  throw CallError{"error parsing regexp: " + std::string(reason(code)) + ": `" +
                  (whole ? std::string(pattern) : re_->error_arg()) + "`"};
}
Regex::~Regex() = default;

// A text to search in. RE2 matches no byte that is not UTF-8; for Go each is U+FFFD: it is searched
// for in a copy with those, and what is found is told by where it is in the text itself.
class Regex::Haystack {
 public:
  explicit Haystack(std::string_view text) : text_(text) {
    for (std::size_t at = 0; at < text.size();) {
      const Rune rune = decode_rune(text.substr(at));
      if (!rune.valid()) {
        if (changed_.empty()) copy_ = text.substr(0, at);
        changed_.push_back(at);
        append_rune(copy_, kReplacement);
      } else if (!changed_.empty()) {
        copy_ += text.substr(at, rune.width);
      }
      at += rune.width;
    }
  }
  [[nodiscard]] std::string_view searched() const { return changed_.empty() ? text_ : copy_; }
  [[nodiscard]] std::size_t to_copy(std::size_t at) const {
    const auto before = std::ranges::lower_bound(changed_, at) - changed_.begin();
    return at + kMore * static_cast<std::size_t>(before);
  }
  [[nodiscard]] std::string_view original(std::string_view found) const {
    if (found.data() == nullptr || changed_.empty()) return found;
    const auto begin = static_cast<std::size_t>(found.data() - copy_.data());
    const std::size_t first = from_copy(begin);
    return text_.substr(first, from_copy(begin + found.size()) - first);
  }

 private:
  static constexpr std::size_t kMore = 2;  // bytes that U+FFFD has more
  [[nodiscard]] std::size_t from_copy(std::size_t at) const {
    std::size_t more = 0;
    for (const std::size_t changed : changed_) {
      if (changed + more >= at) break;
      more += kMore;
    }
    return at - more;
  }

  std::string_view text_;
  std::string copy_;
  std::vector<std::size_t> changed_;
};

bool Regex::find_from(const Haystack& text, std::size_t at, Match& match) const {
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(re_->NumberOfCapturingGroups()) +
                                       1);
  const std::string_view searched = text.searched();
  if (!re_->Match(piece(searched), text.to_copy(at), searched.size(), RE2::UNANCHORED,
                  groups.data(), static_cast<int>(groups.size())))
    return false;
  match.clear();
  for (const re2::StringPiece& group : groups) {
    match.push_back(group.data() == nullptr ? std::string_view()
                                            : text.original({group.data(), group.size()}));
  }
  return true;
}

bool Regex::matches(std::string_view text) const {
  const Haystack haystack(text);
  return RE2::PartialMatch(piece(haystack.searched()), *re_);
}

std::optional<Regex::Match> Regex::find(std::string_view text) const {
  Match match;
  return find_from(Haystack(text), 0, match) ? std::optional(match) : std::nullopt;
}

std::vector<Regex::Match> Regex::find_all(std::string_view text, std::int64_t most) const {
  const Haystack haystack(text);
  std::vector<Match> all;
  Match match;
  std::size_t at = 0, last_end = std::string_view::npos;
  while ((most < 0 || std::cmp_less(all.size(), most)) && at <= text.size() &&
         find_from(haystack, at, match)) {
    const auto begin = static_cast<std::size_t>(match[0].data() - text.data());
    const std::size_t end = begin + match[0].size();
    const bool is_empty_here = end == at;
    // An empty match right behind another is none.
    const bool counts = !is_empty_here || begin != last_end;
    at = is_empty_here ? at + width_at(text, at) : end;
    last_end = end;
    if (counts) all.push_back(match);
    if (all.size() > kMostValues) throw CallError{"more than 1,000,000 matches"};
  }
  return all;
}

std::string Regex::replace_all(std::string_view text, std::string_view replacement,
                               bool literal) const {
  const Haystack haystack(text);
  std::string out;
  Match match;
  std::size_t at = 0, last_end = 0;
  while (at <= text.size() && find_from(haystack, at, match)) {
    const auto begin = static_cast<std::size_t>(match[0].data() - text.data());
    const std::size_t end = begin + match[0].size();
    out += text.substr(last_end, begin - last_end);
    if (end > last_end || begin == 0) {
      if (literal)
        out += replacement;
      else
        expand(out, *re_, replacement, match);
    }
    check_size(out);
    last_end = end;
    at = std::max(at + width_at(text, at), end);
  }
  return out += text.substr(last_end);
}

bool regex_matches(std::string_view pattern, std::string_view text) {
  return Regex(pattern).matches(text);
}

std::string regex_replace(std::string_view pattern, std::string_view replacement,
                          std::string_view text) {
  return Regex(pattern).replace_all(text, replacement);
}

}  // namespace keybearer::tmpl
