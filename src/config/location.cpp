#include "config/location.hpp"

#include <algorithm>

#include "base/utf8.hpp"
#include "config/scalars.hpp"

namespace keybearer::config {

SourceLocation SourceLocation::in_file(std::string path, std::uint32_t line, std::uint32_t column) {
  return {Kind::file, std::move(path), line, column};
}

SourceLocation SourceLocation::of_variable(std::string name) {
  return {Kind::variable, std::move(name)};
}

SourceLocation SourceLocation::of_flag() {
  return {Kind::flag};
}

std::string SourceLocation::text() const {
  switch (kind) {
    case Kind::file:
      if (line == 0) return escaped(name);
      return escaped(name) + ":" + std::to_string(line) + ":" + std::to_string(column);
    case Kind::variable:
      return "environment " + escaped(name);
    case Kind::flag:
      return "command line";
    default:
      return "default";
  }
}

namespace {

// Walks the characters of a file's text, counting lines and columns.
class Cursor {
 public:
  Cursor(std::string_view source, std::uint32_t line, std::uint32_t column)
      : rest_(source), line_(line), column_(column) {}
  [[nodiscard]] bool done() const { return rest_.empty(); }
  [[nodiscard]] bool at(std::string_view text) const { return rest_.starts_with(text); }
  [[nodiscard]] char byte() const { return rest_.front(); }
  [[nodiscard]] std::uint32_t line() const { return line_; }
  [[nodiscard]] std::uint32_t column() const { return column_; }
  [[nodiscard]] std::string_view character() const {
    return rest_.substr(0, std::min<std::size_t>(decode_rune(rest_).width, rest_.size()));
  }
  void skip() {
    if (rest_.front() == '\n') {
      ++line_;
      column_ = 1;
    } else {
      ++column_;
    }
    rest_.remove_prefix(character().size());
  }
  void skip(std::size_t characters) {
    for (; characters > 0 && !done(); --characters) skip();
  }

 private:
  std::string_view rest_;
  std::uint32_t line_, column_;
};

// The length in characters of the escape at the cursor, 1 for none.
std::size_t escape_length(const Cursor& cursor) {
  if (cursor.at("\\u")) return 6;
  if (cursor.at("\\U")) return 10;
  return 2;
}

}  // namespace

TextMap::TextMap(const SourceLocation& quote, std::string_view source, std::string_view text)
    : file_(quote.name) {
  const bool literal = source.starts_with('\'');
  const bool many_lines = source.starts_with("'''") || source.starts_with("\"\"\"");
  if (!literal && !source.starts_with('"')) return;
  Cursor cursor(source, quote.line, quote.column);
  cursor.skip(many_lines ? 3 : 1);
  if (many_lines && cursor.at("\r\n")) cursor.skip();
  if (many_lines && cursor.at("\n")) cursor.skip();
  auto anchors = std::make_shared<std::vector<Anchor>>();
  std::size_t offset = 0;
  const auto anchor = [&] { anchors->push_back({offset, cursor.line(), cursor.column()}); };
  anchor();
  while (offset < text.size() && !cursor.done()) {
    if (!literal && cursor.at("\\")) {
      Cursor after = cursor;
      after.skip();
      while (!after.done() && (after.byte() == ' ' || after.byte() == '\t')) after.skip();
      if (after.at("\n") ||
          after.at("\r\n")) {  // the line goes on: blanks at its start are dropped
        cursor = after;
        while (!cursor.done() && std::string_view(" \t\r\n").contains(cursor.byte())) cursor.skip();
      } else {
        cursor.skip(escape_length(cursor));
        offset += decode_rune(text.substr(offset)).width;
      }
      anchor();
      continue;
    }
    if (cursor.at("\r\n") && text[offset] != '\r') cursor.skip();
    const bool line_end = cursor.at("\n");
    offset += cursor.character().size();
    cursor.skip();
    if (line_end) anchor();
  }
  anchors_ = std::move(anchors);
}

SourceLocation TextMap::at(std::string_view text, std::size_t line, std::size_t column) const {
  if (empty()) return {};
  std::size_t offset = 0;
  for (; line > 1; --line) {
    const auto newline = text.find('\n', offset);
    if (newline == std::string_view::npos) return {};
    offset = newline + 1;
  }
  offset = std::min(offset + column, text.size());
  const auto next = std::ranges::upper_bound(*anchors_, offset, {}, &Anchor::offset);
  const Anchor& anchor = *std::prev(next);  // the first is at 0
  const auto beyond = count_runes(text.substr(anchor.offset, offset - anchor.offset));
  return SourceLocation::in_file(file_, anchor.line,
                                 anchor.column + static_cast<std::uint32_t>(beyond));
}

}  // namespace keybearer::config
