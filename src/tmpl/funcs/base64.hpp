#pragma once
// Go's encoding/base64: the standard and the URL alphabet, padded.

#include <expected>
#include <string>
#include <string_view>

namespace keybearer::tmpl {

[[nodiscard]] std::string base64(std::string_view bytes, bool url = false);
// CR and LF are passed over. The error is the offset of the first byte that is wrong.
[[nodiscard]] std::expected<std::string, std::size_t> base64_decoded(std::string_view text,
                                                                     bool url = false);

}  // namespace keybearer::tmpl
