#pragma once
// Go's encoding/json, for template functions: sorted keys, HTML characters escaped unless asked
// otherwise, floats as Go prints them. What JSON can't hold throws CallError("FUNCTION: json:
// unsupported type: ...").

#include <string>

#include "json/value.hpp"

namespace keybearer::tmpl {

[[nodiscard]] std::string go_json(const char* function, const Value& value, bool escape_html,
                                  bool pretty);

}  // namespace keybearer::tmpl
