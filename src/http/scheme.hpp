#pragma once
// The beginning of an address.

#include <string_view>

namespace keybearer::http {

// Takes "https://" off the text, in whatever case it is written (RFC 3986 section 3.1); false: it does
// not begin so.
[[nodiscard]] bool take_scheme(std::string_view& text, std::string_view scheme);

}  // namespace keybearer::http
