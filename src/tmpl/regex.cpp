#include "tmpl/regex.hpp"

#include <re2/re2.h>

#include <vector>

#include "tmpl/funcs.hpp"
#include "tmpl/utf8.hpp"

namespace keybearer::tmpl {
namespace {

struct Regex {
  explicit Regex(std::string_view pattern)
      : re(re2::StringPiece(pattern.data(), pattern.size()), RE2::Quiet) {
    if (!re.ok()) throw CallError{"error parsing regexp: " + re.error()};
  }
  RE2 re;
};

// Go's Expand: the longest sequence of letters, digits and underscores is the name.
std::string expanded(const RE2& re, std::string_view replacement,
                     const std::vector<re2::StringPiece>& groups) {
  std::string out;
  for (std::size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] != '$' || i + 1 == replacement.size()) {
      out += replacement[i];
      continue;
    }
    if (replacement[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const bool braced = replacement[i + 1] == '{';
    std::size_t begin = i + (braced ? 2 : 1), end = begin;
    while (end < replacement.size() && static_cast<unsigned char>(replacement[end]) < 0x80 &&
           is_alphanumeric(static_cast<unsigned char>(replacement[end])))
      ++end;
    const std::string name(replacement.substr(begin, end - begin));
    if (name.empty() || (braced && (end >= replacement.size() || replacement[end] != '}'))) {
      out += '$';
      continue;
    }
    std::size_t group = groups.size();
    if (name.find_first_not_of("0123456789") == std::string::npos && name.size() < 6) {
      group = std::stoul(name);
    } else if (const auto at = re.NamedCapturingGroups().find(name);
               at != re.NamedCapturingGroups().end()) {
      group = static_cast<std::size_t>(at->second);
    }
    if (group < groups.size())
      out.append(groups[group].data() == nullptr ? "" : groups[group].data(), groups[group].size());
    i = end - (braced ? 0 : 1);
  }
  return out;
}

}  // namespace

bool regex_matches(std::string_view pattern, std::string_view text) {
  const Regex regex(pattern);
  return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), regex.re);
}

std::string regex_replace(std::string_view pattern, std::string_view replacement,
                          std::string_view text) {
  const Regex regex(pattern);
  const re2::StringPiece input(text.data(), text.size());
  std::vector<re2::StringPiece> groups(
      static_cast<std::size_t>(regex.re.NumberOfCapturingGroups()) + 1);
  std::string out;
  std::size_t at = 0, copied = 0;
  std::size_t last_end = std::string_view::npos;
  while (at <= text.size() && regex.re.Match(input, at, text.size(), RE2::UNANCHORED, groups.data(),
                                             static_cast<int>(groups.size()))) {
    const auto begin = static_cast<std::size_t>(groups[0].data() - text.data());
    const std::size_t end = begin + groups[0].size();
    out += text.substr(copied, begin - copied);
    if (end > begin || begin != last_end)
      out += expanded(regex.re, replacement, groups);  // no empty match right after one
    copied = last_end = end;
    at = end > begin ? end : end + (end < text.size() ? decode_rune(text.substr(end)).width : 1);
  }
  return out + std::string(text.substr(std::min(copied, text.size())));
}

}  // namespace keybearer::tmpl
