#pragma once
// Classes of characters by the names that Go's regular expressions know (1.26), as members of RE2's
// bracket expressions.

#include <optional>
#include <string>
#include <string_view>

namespace keybearer::tmpl {

// The members of a bracket expression that stand for all of a general category or a script.
struct RegexClass {
  std::string members;
  bool others = false;  // stand for all others
};

// "Letter", "lu", "Greek"; `negative`: what is not in it; `fold`: letters of either case. Nothing:
// there is no such class.
[[nodiscard]] std::optional<RegexClass> regex_class(std::string_view name, bool negative,
                                                    bool fold);
// All that is in none of `body`, as members themselves.
[[nodiscard]] std::string other_members(const RegexClass& body);

// \x{41}, and \x{41}-\x{5A}.
[[nodiscard]] std::string regex_code_point(char32_t c);
[[nodiscard]] std::string regex_range(char32_t first, char32_t last);

}  // namespace keybearer::tmpl
