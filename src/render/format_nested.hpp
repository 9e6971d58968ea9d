#pragma once
// The formats whose readers know escapes for every character: json, yaml, toml, properties. Part of
// render/format.

#include "render/format.hpp"

namespace keybearer::render {

[[nodiscard]] std::string dotted(const std::vector<std::string>& path);  // SECTION.NAME

[[nodiscard]] result<Secret> write_json(const std::vector<FormatEntry>& entries);
[[nodiscard]] result<Secret> write_yaml(const std::vector<FormatEntry>& entries);
[[nodiscard]] result<Secret> write_toml(const std::vector<FormatEntry>& entries);
[[nodiscard]] result<Secret> write_properties(const std::vector<FormatEntry>& entries);

}  // namespace keybearer::render
