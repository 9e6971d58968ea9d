// Values to YAML, byte for byte as yaml.v2's encode.go and emitter do it: two blanks of indent,
// lists not indented under their key, plain text where it reads back, folding behind column 80.
//
// Why not libyaml's emitter (0.2.5): given the events and styles of 97 documents that Go wrote, it
// writes 95 of them the same; not a U+2028 in single quotes, nor a text that begins with U+FEFF.
// What chooses styles and orders keys would stay ours, the 180 lines that it spares do no more than
// some 60 of glue, and it can't be broken off in the middle of a long text (T13 of tmpl/work.hpp).

#include <algorithm>
#include <cmath>

#include "base/utf8.hpp"
#include "tmpl/formats/yaml.hpp"
#include "tmpl/formats/yaml_order.hpp"
#include "tmpl/formats/yaml_scalar.hpp"
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
