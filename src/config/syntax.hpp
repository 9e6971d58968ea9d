#pragma once
// TOML's syntax errors in words of what people meant. Pure; shows no value, which may be a secret.
// Internal to config/.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keybearer::config {

// The byte at `line` and `column` (from 1, in characters); nullopt: there is none.
[[nodiscard]] std::optional<std::size_t> offset_of(std::string_view text, std::uint32_t line,
                                                   std::uint32_t column);
// `description`: the parser's own words of what is wrong there.
[[nodiscard]] std::string explain_syntax_error(std::string_view text, std::uint32_t line,
                                               std::uint32_t column, std::string_view description);

}  // namespace keybearer::config
