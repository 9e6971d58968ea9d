#pragma once
// Vault's policies: text to rules, and what rules allow on a path. Pure.
//
// Source: Vault documentation "Policies": the rule that matches best decides alone; the same path
// in several policies adds up; deny wins. Templated policies are not supported.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace keybearer::devvault {

using Capabilities = std::set<std::string, std::less<>>;

struct Policy {
  std::string text;
  std::map<std::string, Capabilities> paths;  // by pattern, with * at the end and + for a segment
};

// HCL or JSON. Error kind config.
[[nodiscard]] result<Policy> parse_policy(std::string_view text);

// What the best matching rule of these policies allows; {"deny"} when nothing does.
[[nodiscard]] Capabilities capabilities_on(const std::vector<const Policy*>& policies,
                                           std::string_view path);

// May anything below this mount ("secret/") be touched?
[[nodiscard]] bool touches_mount(const std::vector<const Policy*>& policies,
                                 std::string_view mount);

// What every Vault server has in the beginning, as far as this server knows the paths.
[[nodiscard]] std::string_view default_policy();

}  // namespace keybearer::devvault
