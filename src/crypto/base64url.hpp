#pragma once
// base64 of the URL alphabet without padding, as JWTs are written. Pure.
//
// Source: RFC 4648 section 5, RFC 7515 section 2.

#include <optional>
#include <string>
#include <string_view>

namespace keybearer {

[[nodiscard]] std::string base64url(std::string_view bytes);
// Nothing where `text` has another character (padding too), a length that none has, or bits behind
// the last byte.
[[nodiscard]] std::optional<std::string> base64url_decoded(std::string_view text);

}  // namespace keybearer
