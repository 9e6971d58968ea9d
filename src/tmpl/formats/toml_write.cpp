// BurntSushi/toml's encode.go: plain values before tables, two blanks of indent for each level.

#include "tmpl/formats/toml_write.hpp"

#include <algorithm>
#include <cmath>

#include "json/json.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/time_object.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::toml {
namespace {

enum class Kind : std::uint8_t { none, plain, array, table, tables };

const TimeObject* as_time(const Value& value) {
  return value.type() == Type::object ? dynamic_cast<const TimeObject*>(value.as_object().get())
                                      : nullptr;
}

// nil, a nil list or map, a nil pointer: nothing is written for these.
bool is_nil(const Value& value) {
  const Struct* object = as_struct(value);
  return value.is_nil() || value.is_nil_of() || (object != nullptr && object->is_nil());
}

bool is_channel(const Value& value) {
  const Struct* object = as_struct(value);
  return object != nullptr && object->is_channel();
}

// Of a type with a text of its own (encoding.TextMarshaler).
std::optional<std::string> own_text(const Value& value) {
  const Struct* object = as_struct(value);
  const auto text = object != nullptr ? object->in_json() : std::nullopt;
  if (!text || text->type() != Type::string) return std::nullopt;
  return std::string(text->as_text());
}

Kind kind_of(const Value& value);

// A list of tables only. A nil in it is an error.
bool is_tables(const Value& list) {
  bool all = list.size() != 0;
  for (const Value& item : list.items()) {
    const Kind kind = kind_of(item);
    if (kind == Kind::none) throw CallError{"toTOML: toml: cannot encode array with nil element"};
    all = all && kind == Kind::table;
  }
  return all;
}

Kind kind_of(const Value& value) {
  if (is_nil(value)) return Kind::none;
  if (value.is_list()) return is_tables(value) ? Kind::tables : Kind::array;
  if (value.is_map()) return Kind::table;
  if (is_channel(value)) throw CallError{"toTOML: unsupported type: chan"};
  if (own_text(value)) return Kind::plain;
  if (const Struct* object = as_struct(value))
    return as_time(value) != nullptr || object->number() ? Kind::plain : Kind::table;
  if (value.type() == Type::complex128 || value.type() == Type::object)
    throw CallError{"toTOML: unsupported type: " + type_name(value)};
  return Kind::plain;
}

bool is_table(const Value& value) {
  const Kind kind = kind_of(value);
  return kind == Kind::table || kind == Kind::tables;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    constexpr std::string_view kShort = "\"\\\b\t\n\f\r", kLetters = "\"\\btnfr";
    const auto at = kShort.find(c);
    if (at != std::string_view::npos) {
      out += {'\\', kLetters[at]};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += {kHex[c >> 4], kHex[c & 15]};
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string key_part(std::string_view key) {
  const bool bare = !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return bare ? std::string(key) : quoted(key);
}

std::string float_text(double value) {
  const char* sign = std::signbit(value) ? "-" : "";
  if (std::isnan(value)) return std::string(sign) + "nan";
  if (std::isinf(value)) return std::string(sign) + "inf";
  std::string out = format_float(value, 'f', -1);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

std::string number_text(std::string_view text) {
  if (text.empty()) return "0";
  if (const auto number = parse_int(text, 10)) return std::to_string(*number);
  if (const auto number = parse_float(text)) return float_text(*number);
  throw CallError{"toTOML: unable to convert \"[masked]\" to int64 or float64"};
}

using Key = std::vector<std::string>;

class Encoder {
 public:
  std::string out;
  void encode(const Key& key, const Value& value);

 private:
  // The members of a map or the fields of a struct that a table shows.
  struct Member {
    std::string name;
    Value value;
  };
  void element(const Value& value);
  void object_element(const Struct& object, const Value& value);
  void key_value(const Key& key, const Value& value, bool is_inline);
  void table(const Key& key, const Value& value);
  void tables(const Key& key, const Value& list);
  void members(const Key& key, const Value& value);
  void inline_map(const Value& map);
  void inline_struct(const Struct& object);
  int depth_ = 0;
  void newline() {
    if (!out.empty()) out += '\n';
  }
  static void indent(std::string& into, const Key& key) { into.append((key.size() - 1) * 2, ' '); }
};

std::string path(const Key& key) {
  std::string out;
  for (const std::string& part : key) out += (out.empty() ? "" : ".") + key_part(part);
  return out;
}

void Encoder::encode(const Key& key, const Value& value) {
  const Nested here(depth_, "for TOML");
  if (key.size() > kMostNested) throw CallError{"lists and maps are nested too deeply for TOML"};
  spend(50 + key.size());
  if (value.type() == Type::complex128 || (value.type() == Type::object && !as_struct(value)))
    throw CallError{"toTOML: unsupported type for key '" + path(key) + "': " + type_name(value)};
  if (is_channel(value))
    throw CallError{"toTOML: unsupported type for key '" + path(key) + "': chan"};
  if (value.is_list()) {
    if (kind_of(value) == Kind::tables)
      tables(key, value);
    else
      key_value(key, value, false);
    return;
  }
  if (is_nil(value)) return;
  if (kind_of(value) == Kind::table)
    table(key, value);
  else
    key_value(key, value, false);
}

void Encoder::key_value(const Key& key, const Value& value, bool is_inline) {
  if (key.empty()) return element(value);
  indent(out, key);
  out += key_part(key.back()) + " = ";
  element(value);
  if (!is_inline) newline();
}

void Encoder::element(const Value& value) {
  const Nested here(depth_, "for TOML");
  check_size(out);
  spend(30);
  if (json::append_literal(out, value)) return;
  switch (value.type()) {
    case Type::float64:
      out += float_text(value.as_double());
      break;
    case Type::number:
      out += number_text(value.as_text());
      break;
    case Type::string:
      out += quoted(value.as_text());
      break;
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists: {
      out += '[';
      bool first = true;
      for (const Value& item : value.items()) {
        if (!std::exchange(first, false)) out += ", ";
        element(item);
      }
      out += ']';
      break;
    }
    case Type::map:
    case Type::string_map:
    case Type::any_map:
      inline_map(value);
      break;
    default:
      if (const Struct* object = as_struct(value)) return object_element(*object, value);
      throw CallError{"toTOML: unexpected type: " + type_name(value)};
  }
}

void Encoder::object_element(const Struct& object, const Value& value) {
  if (const auto text = own_text(value)) {
    out += quoted(*text);
  } else if (const TimeObject* time = as_time(value)) {
    out += go_time::format(time->time, go_time::kRfc3339Nano);
  } else if (const auto number = object.number()) {
    if (object.type_name() == "time.Duration")
      out += quoted(go_time::duration_string(number->as_int()));
    else
      out += std::to_string(number->as_int());
  } else {
    inline_struct(object);
  }
}

void Encoder::table(const Key& key, const Value& value) {
  if (key.size() == 1) newline();
  if (!key.empty()) {
    indent(out, key);
    out += "[" + path(key) + "]";
    newline();
  }
  members(key, value);
}

void Encoder::tables(const Key& key, const Value& list) {
  if (key.empty()) throw CallError{"toTOML: toml: top-level values must be Go maps or structs"};
  for (const Value& item : list.items()) {
    newline();
    indent(out, key);
    out += "[[" + path(key) + "]]";
    newline();
    members(key, item);
  }
}

void check_keys(const Value& map) {
  if (map.type() == Type::any_map)
    throw CallError{"toTOML: toml: cannot encode a map with non-string key type"};
}

void Encoder::members(const Key& key, const Value& value) {
  std::vector<Member> all;
  if (const Struct* object = as_struct(value)) {
    for (auto& [name, member] : object->fields()) all.push_back({std::string(name), member});
  } else {
    check_keys(value);
    for (const auto& [name, member] : value.entries())
      all.push_back({std::string(name.as_text()), member});
  }
  // Tables come last: what follows a table's header belongs to it.
  std::vector<const Member*> plain, nested;
  for (const Member& member : all) (is_table(member.value) ? nested : plain).push_back(&member);
  const auto write = [&](const Member& member) {
    if (is_nil(member.value)) return;
    Key longer = key;
    longer.push_back(member.name);
    encode(longer, member.value);
  };
  for (const Member* member : plain) write(*member);
  for (const Member* member : nested) write(*member);
}

// {a = 1, b = 2}; a nil member leaves its comma, as there.
void Encoder::inline_map(const Value& map) {
  check_keys(map);
  std::vector<const Value::Entry*> plain, nested;
  for (const Value::Entry& entry : map.entries())
    (is_table(entry.value) ? nested : plain).push_back(&entry);
  const auto write = [this](const std::vector<const Value::Entry*>& entries, bool more) {
    for (const Value::Entry* entry : entries) {
      if (is_nil(entry->value)) continue;
      key_value({std::string(entry->key.as_text())}, entry->value, true);
      if (more || entry != entries.back()) out += ", ";
    }
  };
  out += '{';
  write(plain, !nested.empty());
  write(nested, false);
  out += '}';
}

void Encoder::inline_struct(const Struct& object) {
  const auto fields = object.fields();
  out += '{';
  for (const bool nested : {false, true}) {
    for (const auto& field : fields) {
      if (is_table(field.value) != nested || is_nil(field.value)) continue;
      key_value({std::string(field.name)}, field.value, true);
      if (&field != &fields.back()) out += ", ";
    }
  }
  out += '}';
}

}  // namespace

std::string write(const Value& value) {
  if (value.is_nil()) throw CallError{"reflect: call of reflect.Value.Type on zero Value"};
  Encoder encoder;
  encoder.encode({}, value);
  return std::move(encoder.out);
}

}  // namespace keybearer::tmpl::toml
