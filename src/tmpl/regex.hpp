#pragma once
// Go's regular expressions by RE2, which stays behind regex.cpp. A pattern that is not valid throws
// CallError.

#include <string>
#include <string_view>

namespace keybearer::tmpl {

[[nodiscard]] bool regex_matches(std::string_view pattern, std::string_view text);
// regexp.ReplaceAllString: $1, ${name}, $$ in `replacement`.
[[nodiscard]] std::string regex_replace(std::string_view pattern, std::string_view replacement,
                                        std::string_view text);

}  // namespace keybearer::tmpl
