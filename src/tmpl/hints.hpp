#pragma once
// What somebody probably meant, for the errors that people meet: said in a line of its own below
// Go's text. Pure.

#include <cstddef>
#include <string>
#include <string_view>

namespace keybearer::tmpl {

// Where an error is in a template's text.
struct ErrorSite {
  std::string_view error;  // Go's text
  std::string_view text;   // the template's
  std::size_t pos = 0;
  std::string_view left = "{{", right = "}}";
};

// Empty: no idea.
[[nodiscard]] std::string hint_for(const ErrorSite& site);

// The names of functions that are near to one that is not there: `"toJSON"`, or `"base64Decode" or
// "base64Encode"`; empty: none is.
[[nodiscard]] std::string nearest_functions(std::string_view name);

}  // namespace keybearer::tmpl
