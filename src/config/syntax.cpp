#include "config/syntax.hpp"

#include <algorithm>

#include "base/utf8.hpp"

namespace keybearer::config {
namespace {

std::string_view without_blanks(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

std::string_view line_of(std::string_view text, std::uint32_t number) {
  for (; number > 1; --number) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

std::string_view leading_word(std::string_view line) {
  return line.substr(
      0, static_cast<std::size_t>(std::ranges::find_if_not(line, is_bare) - line.begin()));
}

// `vault {`, `method "approle" {`, `template {`: a block of HCL.
bool opens_hcl_block(std::string_view line) {
  line = without_blanks(line);
  const std::string_view word = leading_word(line);
  if (word.empty()) return false;
  line = without_blanks(line.substr(word.size()));
  if (line.starts_with('"')) {
    const auto end = line.find('"', 1);
    if (end == std::string_view::npos) return false;
    line = without_blanks(line.substr(end + 1));
  }
  return line.starts_with('{');
}

std::string_view first_line_of_content(std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = without_blanks(text.substr(0, end));
    if (!line.empty() && !line.starts_with('#') && !line.starts_with("//")) return line;
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return {};
}

// Another format, told by its first line or by the line that is wrong.
std::string_view other_format(std::string_view text, std::string_view line) {
  const std::string_view first = first_line_of_content(text);
  if (first.starts_with('{')) return "this looks like JSON";
  if (opens_hcl_block(first) || opens_hcl_block(line)) {
    return "this looks like the HCL of Vault Agent or consul-template; `vault { address = \"...\" "
           "}` is `[vault]` and, below it, `address = \"...\"` here";
  }
  const std::string_view word = leading_word(without_blanks(line));
  const std::string_view after = without_blanks(line).substr(word.size());
  if (first == "---" || (!word.empty() && (after == ":" || after.starts_with(": "))))
    return "this looks like YAML; in TOML it is [table] and key = \"value\"";
  return {};
}

// Of "cannot redefine existing table 'vault'".
std::string_view name_in_quotes(std::string_view description) {
  const auto begin = description.find('\'');
  const auto end = description.rfind('\'');
  return begin == std::string_view::npos || end <= begin + 1
             ? std::string_view{}
             : description.substr(begin + 1, end - begin - 1);
}

// Where what is defined again was defined first: "; first at 1:1".
std::string first_definition(std::string_view text, std::uint32_t line, std::string_view name) {
  const bool header = without_blanks(line_of(text, line)).starts_with('[');
  std::uint32_t table_begins = 1;  // of the table that `line` stands in
  for (std::uint32_t i = line - (line > 1 ? 1 : 0); i > 1 && table_begins == 1; --i)
    if (without_blanks(line_of(text, i)).starts_with('[')) table_begins = i;
  for (std::uint32_t i = header ? 1 : table_begins; i < line; ++i) {
    const std::string_view whole = line_of(text, i);
    std::string_view content = without_blanks(whole);
    while (header && content.starts_with('[')) content.remove_prefix(1);
    if (!content.starts_with(name)) continue;
    const std::string_view after = without_blanks(content.substr(name.size()));
    if (after.empty() || after[0] == '=' || after[0] == '.' || after[0] == ']') {
      const auto column = count_runes(whole.substr(0, whole.find_first_not_of(" \t"))) + 1;
      return "; first at " + std::to_string(i) + ":" + std::to_string(column);
    }
  }
  return {};
}

// What stands after "=", as far as it can be shown: its first character decides.
std::string_view about_value(std::string_view line) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos) return {};
  const std::string_view value = without_blanks(line.substr(equals + 1));
  if (value.empty() || value.starts_with('#')) return "a value is missing after =";
  const Rune first = decode_rune(value);
  if (first.code == U'\u201c' || first.code == U'\u201d' || first.code == U'\u201e' ||
      first.code == U'\u2018' || first.code == U'\u2019')
    return "typographic quotes; expected \"...\" or '...'";
  if (value.starts_with("<<")) return "HCL's <<EOT is '''...''' here";
  if (value.starts_with("True") || value.starts_with("False") || value.starts_with("TRUE") ||
      value.starts_with("FALSE"))
    return "expected true or false, in small letters";
  if (value.starts_with('"') || value.starts_with('\'') || value.starts_with('[') ||
      value.starts_with('{'))
    return {};
  return "a text needs quotes: \"...\"";
}

// After a closed quote, more of the same line: quotes inside the text.
bool text_ended_early(std::string_view line, std::uint32_t column) {
  const auto at = offset_in_line(line, column);
  if (!at || *at == 0) return false;
  const char before = line[*at - 1];
  return (before == '"' || before == '\'') && line.find('=') < *at;
}

std::string meaning(std::string_view text, std::uint32_t line_number, std::uint32_t column,
                    std::string_view description) {
  const std::string_view line = line_of(text, line_number);
  const std::string_view content = without_blanks(line);
  if (description.contains("cannot redefine existing")) {
    const std::string_view name = name_in_quotes(description);
    const auto leaf = name.rfind('.');
    std::string first = first_definition(text, line_number, name);
    if (first.empty() && leaf != std::string_view::npos)
      first = first_definition(text, line_number, name.substr(leaf + 1));
    return std::string(description.substr(description.find("cannot"))) + first;
  }
  if (const auto other = other_format(text, line); !other.empty()) return std::string(other);
  if (description.contains("expected a comment or whitespace")) {
    if (content.starts_with('['))
      return "a [table] stands alone on its line; put the key on the next";
    if (text_ended_early(line, column))
      return "the text ended at the quote before this; a text with quotes in it stands between "
             "''' and '''";
  }
  if (description.contains("zero")) return "a file mode is a string: \"0644\"";
  if (description.contains("escape sequence"))
    return "a backslash in \"...\" begins an escape: write \\\\, or the text between ' and '";
  if (description.contains("string") && description.contains("control character"))
    return "the text is not ended on its line; a text of several lines stands between ''' and '''";
  if (description.contains("string") && description.contains("end-of-file"))
    return "a text that is never ended";
  if (description.contains("inline table"))
    return "a table in { } stands on one line and ends without a comma; or write a [table]";
  if (description.contains("key-value pair: expected '='")) return "expected key = value";
  if (description.contains("parsing value") || description.contains("parsing boolean") ||
      description.contains("integer") || description.contains("float") ||
      description.contains("expected value"))
    return std::string(about_value(line));
  if (description.contains("root table"))
    return "expected a key or a [table]; a name with other letters needs quotes";
  return {};
}

}  // namespace

SourceText::SourceText(std::string text) : text_(std::move(text)) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  lines_.push_back(text_.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n', end + 1))
    lines_.push_back(end + 1);
}

std::optional<std::string_view> SourceText::from(std::uint32_t line, std::uint32_t column) const {
  if (line == 0 || line > lines_.size()) return std::nullopt;
  const std::string_view rest = std::string_view(text_).substr(lines_[line - 1]);
  const auto at = offset_in_line(rest, column);
  return at ? std::optional(rest.substr(*at)) : std::nullopt;
}

std::optional<std::size_t> offset_in_line(std::string_view line, std::uint32_t column) {
  std::size_t at = 0;
  for (; column > 1; --column) {
    if (at >= line.size()) return std::nullopt;
    at += decode_rune(line.substr(at)).width;
  }
  return at <= line.size() ? std::optional(at) : std::nullopt;
}

std::string explain_syntax_error(std::string_view text, std::uint32_t line, std::uint32_t column,
                                 std::string_view description) {
  const std::string ours = meaning(text, line, column, description);
  if (ours.empty()) return "not valid TOML: " + std::string(description);
  if (description.ends_with(ours.substr(0, ours.find(';')))) return "not valid TOML: " + ours;
  return "not valid TOML: " + ours + " (" + std::string(description) + ")";
}

}  // namespace keybearer::config
