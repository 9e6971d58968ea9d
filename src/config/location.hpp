#pragma once
// Where a part of the configuration is declared: typed, so that nobody parses texts to find out.
// Pure values; lines and columns count from 1, columns in characters, as editors do.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace keybearer::config {

struct SourceLocation {
  enum class Kind : std::uint8_t {
    unset,     // a default, or the configuration as a whole
    file,      // name: its path; line 0: the file as a whole
    variable,  // of the environment; name: the variable
    flag,      // the command line
  };
  Kind kind = Kind::unset;
  std::string name = {};
  std::uint32_t line = 0, column = 0;

  [[nodiscard]] static SourceLocation in_file(std::string path, std::uint32_t line = 0,
                                              std::uint32_t column = 0);
  [[nodiscard]] static SourceLocation of_variable(std::string name);
  [[nodiscard]] static SourceLocation of_flag();
  [[nodiscard]] bool is_set() const { return kind != Kind::unset; }
  // "agent.toml:12:1", "environment VAULT_ADDR", "command line", "default".
  [[nodiscard]] std::string text() const;
};

// The location as a member of a configuration struct. Where something is declared is no part of its
// value: a table that moves down a line has not changed (config::diff), so all compare equal.
struct DeclaredAt : SourceLocation {
  DeclaredAt() = default;
  DeclaredAt(SourceLocation location) : SourceLocation(std::move(location)) {}
  friend bool operator==(const DeclaredAt&, const DeclaredAt&) { return true; }
};

// Where each character of a text that stands in a configuration file is declared there: a TOML
// string drops its first line break, has escapes and folds lines. Cheap to copy.
class TextMap {
 public:
  TextMap() = default;
  // `source`: the file from the string's opening quote on; `text`: what it means, decoded.
  TextMap(const SourceLocation& quote, std::string_view source, std::string_view text);

  [[nodiscard]] bool empty() const { return anchors_ == nullptr; }
  // Of the byte at `column` (from 0) of the text's line `line` (from 1).
  [[nodiscard]] SourceLocation at(std::string_view text, std::size_t line,
                                  std::size_t column) const;
  friend bool operator==(const TextMap&, const TextMap&) { return true; }  // as DeclaredAt

 private:
  // From `offset` on, text and file go side by side until the next anchor.
  struct Anchor {
    std::size_t offset;
    std::uint32_t line, column;
  };
  std::string file_;
  std::shared_ptr<const std::vector<Anchor>> anchors_;
};

}  // namespace keybearer::config
