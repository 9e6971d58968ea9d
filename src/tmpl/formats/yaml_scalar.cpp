#include "tmpl/formats/yaml_scalar.hpp"

#include <algorithm>
#include <cmath>

#include "tmpl/formats/yaml.hpp"
#include "tmpl/funcs/base64.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::yaml {
namespace {

bool valid_utf8(std::string_view text) {
  spend(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const Rune rune = decode_rune(text.substr(i));
    if (!rune.valid()) return false;
    i += rune.width;
  }
  return true;
}

// In lines of 70 characters; each with a newline when there are several.
std::string base64_lines(std::string_view text) {
  constexpr std::size_t kLine = 70;
  const std::string code = base64(text);
  const bool several = code.size() / kLine > 0;
  std::string out;
  for (std::size_t i = 0; i < code.size(); i += kLine) {
    out += code.substr(i, kLine);
    if (several) out += '\n';
  }
  return out;
}

// [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?: a number to readers of YAML 1.1.
bool is_sexagesimal(std::string_view s) {
  const auto digit = [&s](char last) { return !s.empty() && s[0] >= '0' && s[0] <= last; };
  const auto run = [&s] {
    s.remove_prefix(std::min(s.find_first_not_of("0123456789_"), s.size()));
  };
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  if (!digit('9')) return false;
  run();
  if (!s.starts_with(':')) return false;
  while (s.starts_with(':')) {
    s.remove_prefix(1);
    if (!digit('9')) return false;
    const bool two = s.size() > 1 && s[0] <= '5' && s[1] >= '0' && s[1] <= '9';
    s.remove_prefix(two ? 2 : 1);
  }
  if (s.starts_with('.')) {
    s.remove_prefix(1);
    run();
  }
  return s.empty();
}

}  // namespace

Analysis analyse(std::string_view text) {
  Analysis out;
  if (text.empty()) {
    out.block = false;
    return out;
  }
  bool indicators = text.starts_with("---") || text.starts_with("...");
  bool special = false, leading = false, trailing_space = false, trailing_break = false;
  bool break_space = false, space_break = false, previous_space = false, previous_break = false;
  bool after_blank = true;
  for (std::size_t i = 0; i < text.size(); i += width(text, i)) {
    spend(8);
    if (const std::size_t run = run_of_letters(text, i); run > 1) {
      spend(run);
      i += run - 1;
      previous_space = previous_break = after_blank = false;
      if (i + 1 == text.size()) break;
      continue;
    }
    const std::size_t next = i + width(text, i);
    const bool before_blank = next >= text.size() || is_blank(text, next);
    const char c = text[i];
    if (i == 0) {
      constexpr std::string_view kIndicators = "#,[]{}&*!|>'\"%@`";
      indicators = indicators || kIndicators.find(c) != std::string_view::npos ||
                   ((c == '?' || c == ':' || c == '-') && before_blank);
    } else {
      indicators = indicators || (c == ':' && before_blank) || (c == '#' && after_blank);
    }
    special = special || !is_printable(decode_rune(text.substr(i)).code);
    const bool space = c == ' ', breaks = is_break(text, i);
    leading = leading || (i == 0 && (space || breaks));
    trailing_space = trailing_space || (space && next == text.size());
    trailing_break = trailing_break || (breaks && next == text.size());
    break_space = break_space || (space && previous_break);
    space_break = space_break || (breaks && previous_space);
    out.multiline = out.multiline || breaks;
    previous_space = space;
    previous_break = breaks;
    after_blank = is_blank(text, i) || breaks || c == '\0';
  }
  out.plain = !indicators && !out.multiline && !leading && !trailing_space && !trailing_break &&
              !special && !break_space && !space_break;
  out.single_quoted = !break_space && !space_break && !special;
  out.block = !trailing_space && !space_break && !special;
  return out;
}

Scalar text_scalar(std::string_view text) {
  Scalar out{std::string(text)};
  bool plain = true;
  if (!valid_utf8(text)) {
    out.binary = true;
    out.text = base64_lines(text);
  } else {
    plain = resolve({}, text).kind == Resolved::Kind::text && !is_sexagesimal(text);
  }
  if (out.text.find('\n') != std::string::npos)
    out.style = Style::literal;
  else if (!plain)
    out.style = Style::double_quoted;
  return out;
}

Scalar float_scalar(double value) {
  if (std::isnan(value)) return {".nan"};
  if (std::isinf(value)) return {value > 0 ? ".inf" : "-.inf"};
  return {format_float(value, 'g', -1)};
}

Scalar number_scalar(std::string_view text) {
  if (const auto number = parse_int(text, 10)) return {std::to_string(*number)};
  if (const auto number = parse_float(text)) return float_scalar(*number);
  return text_scalar(text);
}

}  // namespace keybearer::tmpl::yaml
