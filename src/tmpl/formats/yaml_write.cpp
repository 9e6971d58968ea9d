// Values to YAML, byte for byte as yaml.v2's encode.go and emitter do it: two blanks of indent,
// lists not indented under their key, plain text where it reads back, folding behind column 80.

#include <algorithm>
#include <cmath>

#include "base/utf8.hpp"
#include "tmpl/formats/yaml.hpp"
#include "tmpl/formats/yaml_order.hpp"
#include "tmpl/funcs/base64.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/time_object.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::yaml {
namespace {

constexpr int kIndent = 2, kWidth = 80;
constexpr std::size_t kLongestKey = 128;  // of keys written as "key: value"

enum class Style : std::uint8_t { plain, single_quoted, double_quoted, literal };

struct Scalar {
  std::string text;
  Style style = Style::plain;
  bool binary = false;  // tagged !!binary, text is base64
};

// What the characters of a scalar allow: the emitter's analysis.
struct Analysis {
  bool multiline = false;
  bool plain = true, single_quoted = true, block = true;
};

std::size_t width(std::string_view s, std::size_t i) {
  return static_cast<unsigned char>(s[i]) < 0x80 ? 1 : decode_rune(s.substr(i)).width;
}
// A letter or digit: it is never anything else.
bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
// How many of them from there on.
std::size_t run_of_letters(std::string_view s, std::size_t i) {
  const std::size_t begin = i;
  while (i < s.size() && is_letter_or_digit(s[i])) ++i;
  return i - begin;
}
bool is_blank(std::string_view s, std::size_t i) {
  return s[i] == ' ' || s[i] == '\t';
}
// CR, LF, NEL, LS, PS.
bool is_break(std::string_view s, std::size_t i) {
  if (static_cast<unsigned char>(s[i]) < 0x80) return s[i] == '\r' || s[i] == '\n';
  const std::string_view rest = s.substr(i);
  return s[i] == '\r' || s[i] == '\n' || rest.starts_with("\xC2\x85") ||
         rest.starts_with("\xE2\x80\xA8") || rest.starts_with("\xE2\x80\xA9");
}
bool is_printable(char32_t c) {
  return c == '\n' || (c >= 0x20 && c <= 0x7E) || (c >= 0xA0 && c <= 0xD7FF) ||
         (c >= 0xE000 && c <= 0xFFFD && c != 0xFEFF);
}

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

// json.Number: an int64 where it is one, else a float64 where it is one, else its text.
Scalar number_scalar(std::string_view text) {
  if (const auto number = parse_int(text, 10)) return {std::to_string(*number)};
  if (const auto number = parse_float(text)) return float_scalar(*number);
  return text_scalar(text);
}

class Emitter {
 public:
  std::string out;

  struct Context {
    bool mapping = false, simple_key = false;
  };
  void node(const Value& value, Context context);
  void finish() { write_indent(); }

 private:
  struct Member {
    Value key;
    const Value* value;
  };
  void scalar(const Scalar& scalar, const Analysis& analysis, Context context);
  void plain_scalar(const Value& value, Context context);
  void object(const Struct& object, Context context);
  void list(const Value& list, Context context);
  void mapping(const std::vector<Member>& members);

  void put(std::string_view text) {
    out += text;
    column_ += static_cast<int>(count_runes(text));
  }
  // A run of letters, or one character; how many bytes it was.
  std::size_t put_piece(std::string_view s, std::size_t i) {
    const std::size_t run = run_of_letters(s, i);
    const std::size_t size = run > 0 ? run : width(s, i);
    out += s.substr(i, size);
    column_ += static_cast<int>(run > 0 ? run : 1);
    spend(size + 5);
    return size;
  }
  void put_break() {
    out += '\n';
    column_ = 0;
  }
  void write_break(std::string_view s, std::size_t& i);
  void write_indent();
  void indicator(std::string_view text, bool need_blank, bool is_blank, bool is_indent);
  void write_flow(std::string_view text, bool quoted, bool may_fold);
  void write_double_quoted(std::string_view text, bool may_fold);
  void write_literal(std::string_view text);

  int indent_ = -1, column_ = 0, depth_ = 0;
  bool blank_ = true;  // the last character written was a blank, or an indicator that needs none
  bool indent_only_ = true;  // nothing but indent (and "- ", "? ") on this line so far
};

void Emitter::write_indent() {
  const int indent = std::max(indent_, 0);
  if (!indent_only_ || column_ > indent || (column_ == indent && !blank_)) put_break();
  while (column_ < indent) put(" ");
  blank_ = true;
  indent_only_ = true;
}

void Emitter::indicator(std::string_view text, bool need_blank, bool is_blank, bool is_indent) {
  if (need_blank && !blank_) put(" ");
  put(text);
  blank_ = is_blank;
  indent_only_ = indent_only_ && is_indent;
}

void Emitter::write_break(std::string_view s, std::size_t& i) {
  const std::size_t size = width(s, i);
  out += s.substr(i, size);
  column_ = 0;
  i += size;
}

// Plain or single-quoted.
void Emitter::write_flow(std::string_view s, bool quoted, bool may_fold) {
  if (quoted)
    indicator("'", true, false, false);
  else if (!blank_)
    put(" ");
  bool spaces = false, breaks = false;
  for (std::size_t i = 0; i < s.size();) {
    if (s[i] == ' ') {
      const bool inside = !quoted || (i > 0 && i + 1 < s.size());
      if (may_fold && !spaces && column_ > kWidth && inside && i + 1 < s.size() && s[i + 1] != ' ')
        write_indent();
      else
        put(" ");
      ++i;
      spaces = true;
    } else if (is_break(s, i)) {
      if (!breaks && s[i] == '\n') put_break();
      write_break(s, i);
      indent_only_ = true;
      breaks = true;
    } else {
      if (breaks) write_indent();
      if (quoted && s[i] == '\'') put("'");
      i += put_piece(s, i);
      indent_only_ = false;
      spaces = breaks = false;
    }
  }
  if (quoted) indicator("'", false, false, false);
  blank_ = false;
  indent_only_ = false;
}

std::string escape(char32_t c) {
  constexpr std::pair<char32_t, char> kShort[] = {
      {0, '0'},     {7, 'a'},    {8, 'b'},    {9, 't'},      {10, 'n'},
      {11, 'v'},    {12, 'f'},   {13, 'r'},   {0x1B, 'e'},   {'"', '"'},
      {'\\', '\\'}, {0x85, 'N'}, {0xA0, '_'}, {0x2028, 'L'}, {0x2029, 'P'}};
  for (const auto& [code, letter] : kShort) {
    if (code == c) return {'\\', letter};
  }
  const int digits = c <= 0xFF ? 2 : c <= 0xFFFF ? 4 : 8;
  std::string out = digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    out += "0123456789ABCDEF"[c >> shift & 15];
  return out;
}

void Emitter::write_double_quoted(std::string_view s, bool may_fold) {
  indicator("\"", true, false, false);
  const bool escape_all = s.starts_with("\xEF\xBB\xBF");  // yaml.v2 looks at the text's beginning
  bool spaces = false;
  for (std::size_t i = 0; i < s.size();) {
    const Rune rune = decode_rune(s.substr(i));
    if (!is_printable(rune.code) || escape_all || is_break(s, i) || s[i] == '"' || s[i] == '\\') {
      put(escape(rune.code));
      spaces = false;
    } else if (s[i] == ' ') {
      if (may_fold && !spaces && column_ > kWidth && i > 0 && i + 1 < s.size()) {
        write_indent();
        if (s[i + 1] == ' ') put("\\");
      } else {
        put(" ");
      }
      spaces = true;
    } else {
      i += put_piece(s, i);
      spaces = false;
      continue;
    }
    i += rune.width;
  }
  indicator("\"", false, false, false);
  blank_ = false;
  indent_only_ = false;
}

// How a literal's last newlines are kept: "-" none, "" one, "+" all.
std::string_view chomping(std::string_view s) {
  const auto last = [&s](std::size_t end) {
    std::size_t i = end - 1;
    while ((static_cast<unsigned char>(s[i]) & 0xC0) == 0x80) --i;
    return i;
  };
  if (s.empty()) return "-";
  const std::size_t i = last(s.size());
  if (!is_break(s, i)) return "-";
  return i == 0 || is_break(s, last(i)) ? "+" : "";
}

void Emitter::write_literal(std::string_view s) {
  indicator("|", true, false, false);
  if (s[0] == ' ' || is_break(s, 0)) indicator(std::to_string(kIndent), false, false, false);
  if (const auto hint = chomping(s); !hint.empty()) indicator(hint, false, false, false);
  put_break();
  indent_only_ = true;
  blank_ = true;
  bool breaks = true;
  for (std::size_t i = 0; i < s.size();) {
    if (is_break(s, i)) {
      write_break(s, i);
      indent_only_ = true;
      breaks = true;
      continue;
    }
    if (breaks) write_indent();
    i += put_piece(s, i);
    indent_only_ = false;
    breaks = false;
  }
}

void Emitter::scalar(const Scalar& scalar, const Analysis& analysis, Context context) {
  Style style = scalar.style;
  if (context.simple_key && analysis.multiline) style = Style::double_quoted;
  if (style == Style::plain && (!analysis.plain || (scalar.text.empty() && context.simple_key)))
    style = Style::single_quoted;
  if (style == Style::single_quoted && !analysis.single_quoted) style = Style::double_quoted;
  if (style == Style::literal && (!analysis.block || context.simple_key))
    style = Style::double_quoted;
  if (scalar.binary) {
    if (!blank_) put(" ");
    put("!!binary");
    blank_ = false;
    indent_only_ = false;
  }
  const int outer = indent_;
  indent_ = indent_ < 0 ? kIndent : indent_ + kIndent;
  const bool may_fold = !context.simple_key;
  if (style == Style::double_quoted)
    write_double_quoted(scalar.text, may_fold);
  else if (style == Style::literal)
    write_literal(scalar.text);
  else
    write_flow(scalar.text, style == Style::single_quoted, may_fold);
  indent_ = outer;
}

Scalar scalar_of(const Value& value) {
  switch (value.type()) {
    case Type::nil:
      return {"null"};
    case Type::boolean:
      return {value.as_bool() ? "true" : "false"};
    case Type::integer:
    case Type::int64:
      return {std::to_string(value.as_int())};
    case Type::uint64:
    case Type::byte:
      return {std::to_string(value.as_uint())};
    case Type::float64:
      return float_scalar(value.as_double());
    case Type::number:
      return number_scalar(value.as_text());
    case Type::string:
      return text_scalar(value.as_text());
    default:
      throw CallError{"cannot marshal type: " + type_name(value)};
  }
}

void Emitter::plain_scalar(const Value& value, Context context) {
  const Scalar content = scalar_of(value);
  scalar(content, analyse(content.text), context);
}

// The members of a struct by their names in lower case.
void Emitter::object(const Struct& object, Context context) {
  if (object.is_nil()) return plain_scalar({}, context);
  if (const auto* time = dynamic_cast<const TimeObject*>(&object)) {
    const Scalar text{go_time::format(time->time, go_time::kRfc3339Nano)};
    return scalar(text, analyse(text.text), context);
  }
  if (const auto number = object.number()) {
    if (object.type_name() == "time.Duration")
      return plain_scalar(Value(go_time::duration_string(number->as_int())), context);
    return plain_scalar(*number, context);
  }
  if (object.is_channel())
    throw CallError{"cannot marshal type: " + std::string(object.type_name())};
  if (const auto text = object.in_json(); text && text->type() == Type::string)
    return plain_scalar(*text, context);  // encoding.TextMarshaler
  const auto fields = object.fields();
  std::vector<Member> members;
  for (const auto& field : fields) {
    std::string name(field.name);
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    members.push_back({Value(name), &field.value});
  }
  mapping(members);
}

// Go finds nothing in a map under what does not equal itself.
bool is_nan(const Value& key) {
  return key.type() == Type::float64 && std::isnan(key.as_double());
}

void Emitter::node(const Value& value, Context context) {
  static const Value kNothing;
  const Nested here(depth_, "for YAML");
  check_size(out);
  spend(50);
  if (value.is_list()) {
    list(value, context);
  } else if (value.is_map()) {
    std::vector<Member> members;
    for (const Value::Entry* entry : ordered(value))
      members.push_back({entry->key, is_nan(entry->key) ? &kNothing : &entry->value});
    mapping(members);
  } else if (const Struct* object = as_struct(value)) {
    this->object(*object, context);
  } else {
    plain_scalar(value, context);
  }
}

void Emitter::list(const Value& list, Context context) {
  if (list.items().empty()) {
    indicator("[", true, true, false);
    indicator("]", false, false, false);
    return;
  }
  const int outer = indent_;
  const bool indentless = context.mapping && !indent_only_;
  if (indent_ < 0)
    indent_ = 0;
  else if (!indentless)
    indent_ += kIndent;
  for (const Value& item : list.items()) {
    write_indent();
    indicator("-", true, false, true);
    node(item, {});
  }
  indent_ = outer;
}

void Emitter::mapping(const std::vector<Member>& members) {
  if (members.empty()) {
    indicator("{", true, true, false);
    indicator("}", false, false, false);
    return;
  }
  const int outer = indent_;
  indent_ = indent_ < 0 ? 0 : indent_ + kIndent;
  for (const auto& [key, value] : members) {
    write_indent();
    const Scalar name = scalar_of(key);
    const Analysis analysis = analyse(name.text);
    const std::size_t length = name.text.size() + (name.binary ? 8 : 0);
    if (!analysis.multiline && length <= kLongestKey) {
      scalar(name, analysis, {.mapping = true, .simple_key = true});
      indicator(":", false, false, false);
    } else {
      indicator("?", true, false, true);
      scalar(name, analysis, {.mapping = true});
      write_indent();
      indicator(":", true, false, true);
    }
    node(*value, {.mapping = true});
  }
  indent_ = outer;
}

}  // namespace

std::string write(const Value& value) {
  Emitter emitter;
  emitter.node(value, {});
  emitter.finish();
  return std::move(emitter.out);
}

}  // namespace keybearer::tmpl::yaml
