#pragma once
// TOML's syntax errors in words of what people meant. Pure; shows no value, which may be a secret.
// Internal to config/.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keybearer::config {

// A file's text, and where its lines begin: a thousand values are found without reading it again.
class SourceText {
 public:
  explicit SourceText(std::string text);
  // From the byte at `line` and `column` (from 1, in characters) on; nullopt: there is none.
  [[nodiscard]] std::optional<std::string_view> from(std::uint32_t line,
                                                     std::uint32_t column) const;

 private:
  std::string text_;
  std::vector<std::size_t> lines_;
};

// The byte at `column` (from 1, in characters) of `line`; nullopt: there is none.
[[nodiscard]] std::optional<std::size_t> offset_in_line(std::string_view line,
                                                        std::uint32_t column);
// `description`: the parser's own words of what is wrong there.
[[nodiscard]] std::string explain_syntax_error(std::string_view text, std::uint32_t line,
                                               std::uint32_t column, std::string_view description);

}  // namespace keybearer::config
