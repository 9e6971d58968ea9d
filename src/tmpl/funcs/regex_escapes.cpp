// Escapes and brackets of a pattern.
#include "tmpl/funcs/regex_parser.hpp"

#include <algorithm>

namespace keybearer::tmpl {
namespace {

bool is_octal(char c) {
  return c >= '0' && c <= '7';
}
int hex_value(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  return c >= 'A' && c <= 'F' ? static_cast<int>(c - 'A') + 10 : -1;
}
constexpr std::string_view kPosix[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                       "digit", "graph", "lower", "print", "punct",
                                       "space", "upper", "word",  "xdigit"};

}  // namespace

void RegexParser::backslash() {
  const char letter = rest_.size() > 1 ? rest_[1] : '\0';
  switch (letter) {
    case 'A':
    case 'b':
    case 'B':
    case 'z':
    case 'd':
    case 'D':
    case 's':
    case 'S':
    case 'w':
    case 'W':
      atom(rest_.substr(0, 2));
      rest_.remove_prefix(2);
      return;
    case 'C':
      refuse("invalid escape sequence", "\\C");
    case 'Q': {
      const auto end = std::min(rest_.find("\\E", 2), rest_.size());
      std::string_view text = rest_.substr(2, end - 2);
      rest_.remove_prefix(std::min(end + 2, rest_.size()));
      while (!text.empty()) literal(take_rune(text));
      return;
    }
    case 'p':
    case 'P': {
      const RegexClass body = *unicode_class(rest_);
      push({});
      out_ += body.members.empty() ? "[^" + regex_range(0, 0x10FFFF)
                                   : (body.others ? "[^" : "[") + body.members;
      out_ += ']';
      return;
    }
    default:
      return literal(escape(rest_));
  }
}

// Go's parseEscape; `text` begins with the backslash, which is taken off with what follows.
char32_t RegexParser::escape(std::string_view& text) const {
  std::string_view rest = text.substr(1);
  if (rest.empty()) refuse("trailing backslash at end of expression", "");
  const char32_t c = take_rune(rest);
  constexpr std::pair<char, char> kShort[] = {{'a', '\a'}, {'f', '\f'}, {'n', '\n'},
                                              {'r', '\r'}, {'t', '\t'}, {'v', '\v'}};
  const auto* one = std::ranges::find(
      kShort, c, [](const auto& pair) { return static_cast<char32_t>(pair.first); });
  char32_t code = c;
  if (one != std::end(kShort)) {
    code = static_cast<unsigned char>(one->second);
  } else if (c == 'x') {
    code = hex_escape(text, rest);
  } else if (c == '0' || (c >= '1' && c <= '7' && !rest.empty() && is_octal(rest[0]))) {
    code = c - '0';
    for (int i = 1; i < 3 && !rest.empty() && is_octal(rest[0]); ++i) {
      code = code * 8 + static_cast<char32_t>(rest[0] - '0');
      rest.remove_prefix(1);
    }
  } else if (c >= 0x80 || is_ascii_alnum(c)) {
    refuse("invalid escape sequence", text.substr(0, text.size() - rest.size()));
  }
  text = rest;
  return code;
}

// Behind "\x".
char32_t RegexParser::hex_escape(std::string_view text, std::string_view& rest) {
  const auto invalid = [&] {
    refuse("invalid escape sequence", text.substr(0, text.size() - rest.size()));
  };
  if (rest.empty()) invalid();
  char32_t c = take_rune(rest);
  if (c != '{') {
    const int high = hex_value(c), low = hex_value(take_rune(rest));
    if (high < 0 || low < 0) invalid();
    return static_cast<char32_t>(high * 16 + low);
  }
  char32_t code = 0;
  for (int digits = 0;; ++digits) {
    if (rest.empty()) invalid();
    c = take_rune(rest);
    if (c == '}') {
      if (digits == 0) invalid();
      return code;
    }
    const int digit = hex_value(c);
    if (digit < 0) invalid();
    code = code * 16 + static_cast<char32_t>(digit);
    if (code > 0x10FFFF) invalid();
  }
}

// \pL, \P{^Greek}; taken off `text`. Nothing: it does not begin so.
std::optional<RegexClass> RegexParser::unicode_class(std::string_view& text) const {
  if (!text.starts_with("\\p") && !text.starts_with("\\P")) return std::nullopt;
  bool negative = text[1] == 'P';
  std::string_view rest = text.substr(2), name;
  const char32_t c = take_rune(rest);
  if (c != '{') {
    name = text.substr(2, text.size() - 2 - rest.size());
  } else {
    const auto end = text.find('}');
    if (end == std::string_view::npos) {
      check_utf8(text);
      refuse("invalid character class range", text);
    }
    name = text.substr(3, end - 3);
    rest = text.substr(end + 1);
    check_utf8(name);
  }
  const std::string_view shown = text.substr(0, text.size() - rest.size());
  if (name.starts_with('^')) {
    negative = !negative;
    name.remove_prefix(1);
  }
  auto body = regex_class(name, negative, fold_);
  if (!body) refuse("invalid character class range", shown);
  text = rest;
  return body;
}

// --- brackets ---

char32_t RegexParser::class_char(std::string_view& text) const {
  if (text.empty()) refuse("missing closing ]", rest_);
  return text[0] == '\\' ? escape(text) : take_rune(text);
}

// [:alpha:] and [:^alpha:].
bool RegexParser::named_class(std::string_view& text, std::string& members) {
  if (text.size() <= 2 || !text.starts_with("[:")) return false;
  const auto end = text.find(":]", 2);
  if (end == std::string_view::npos) return false;
  std::string_view name = text.substr(2, end - 2);
  if (name.starts_with('^')) name.remove_prefix(1);
  if (std::ranges::find(kPosix, name) == std::end(kPosix))
    refuse("invalid character class range", text.substr(0, end + 2));
  members += text.substr(0, end + 2);
  text.remove_prefix(end + 2);
  return true;
}

void RegexParser::bracket() {
  std::string_view text = rest_.substr(1);
  const bool negative = text.starts_with('^');
  if (negative) text.remove_prefix(1);
  std::string members;
  for (bool first = true; text.empty() || text[0] != ']' || first; first = false) {
    if (named_class(text, members)) continue;
    if (const auto body = unicode_class(text)) {
      members += body->others ? other_members(*body) : body->members;
      continue;
    }
    if (text.size() >= 2 && text[0] == '\\' &&
        std::string_view("dDsSwW").find(text[1]) != std::string_view::npos) {
      members += text.substr(0, 2);
      text.remove_prefix(2);
      continue;
    }
    const std::string_view begin = text;
    const char32_t low = class_char(text);
    char32_t high = low;
    if (text.size() >= 2 && text[0] == '-' && text[1] != ']') {
      text.remove_prefix(1);
      high = class_char(text);
      if (high < low)
        refuse("invalid character class range", begin.substr(0, begin.size() - text.size()));
    }
    members += regex_range(low, high);
  }
  text.remove_prefix(1);
  push({});
  if (members.empty())
    out_ += (negative ? "[" : "[^") + regex_range(0, 0x10FFFF) + "]";
  else
    out_ += (negative ? "[^" : "[") + members + "]";
  rest_ = text;
}

}  // namespace keybearer::tmpl
