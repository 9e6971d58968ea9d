#pragma once
// Go's syntax of regular expressions (regexp/syntax, Perl flags), rewritten for RE2: what Go
// refuses is refused with Go's text, of two errors the first, and what Go takes means the same.

#include <string>
#include <string_view>
#include <vector>

namespace keybearer::tmpl {

struct RegexSyntax {
  std::string pattern;             // for RE2; its groups have no names
  std::vector<std::string> names;  // of each group; the first is the whole, "" has none
};
// Throws CallError: "error parsing regexp: missing closing ]: `[`".
[[nodiscard]] RegexSyntax translated_regex(std::string_view pattern);

}  // namespace keybearer::tmpl
