#pragma once
// A rule of listener.allow. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace keybearer::config {

// "GET secret/data/app/*": methods, or *, and a path below /v1/. `+` is one segment, `*` at the end
// the rest, as in Vault's policies. POST and PUT are the same; HEAD counts as GET.
struct RequestPattern {
  std::string method;  // "*": any
  std::string path;
  std::string text;  // as it was written
};
// Error kind config: what is wrong with it.
[[nodiscard]] result<std::vector<RequestPattern>> parse_pattern(std::string_view text);

}  // namespace keybearer::config
