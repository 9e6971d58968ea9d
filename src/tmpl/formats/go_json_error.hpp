#pragma once
// What Go's encoding/json says of a text that is not JSON.

#include <string>
#include <string_view>

namespace keybearer::tmpl {

// "invalid character 'x' looking for beginning of value", "unexpected end of JSON input"; "" when
// it is JSON. Go shows the one byte that is wrong, so it is not more than that.
[[nodiscard]] std::string go_json_error(std::string_view text);

}  // namespace keybearer::tmpl
