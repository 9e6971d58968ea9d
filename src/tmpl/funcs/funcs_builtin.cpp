// Go's own: text/template/funcs.go.

#include <cmath>

#include "base/bytes.hpp"
#include "base/utf8.hpp"
#include "tmpl/exec.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

enum class Basic { invalid, boolean, complex, integer, floating, string, uinteger };

Basic basic_kind(const Value& value) {
  switch (value.type()) {
    case Type::boolean:
      return Basic::boolean;
    case Type::integer:
    case Type::int64:
      return Basic::integer;
    case Type::uint64:
    case Type::byte:
      return Basic::uinteger;
    case Type::float64:
      return Basic::floating;
    case Type::complex128:
      return Basic::complex;
    case Type::number:
    case Type::string:
      return Basic::string;
    default:
      return Basic::invalid;
  }
}

[[noreturn]] void incompatible(const Value& a, const Value& b) {
  throw CallError{"incompatible types for comparison: " + type_name(a) + " and " + type_name(b)};
}

// reflect.Kind of what has no basic kind.
enum class Kind : std::uint8_t { list, map, structure, pointer, channel };
Kind kind_of(const Value& value) {
  if (value.is_list()) return Kind::list;
  if (value.is_map()) return Kind::map;
  const Struct& object = *as_struct(value);
  return object.is_channel() ? Kind::channel : is_pointer(object) ? Kind::pointer : Kind::structure;
}
bool is_nil_reference(const Value& value) {
  const Struct* object = as_struct(value);
  return value.is_nil() || (object != nullptr && object->is_nil()) ||
         ((value.is_list() || value.is_map()) && value.is_nil_of());
}

// Neither has a basic kind.
bool equal_references(const Evaluation& e, const Value& a, const Value& b) {
  if (!a.is_nil() && !b.is_nil() && kind_of(a) != kind_of(b)) {
    throw CallError{"non-comparable types " + e.shown(a, sprintf("%s", {&a, 1})) + ": " +
                    type_name(a) + ", " + type_name(b) + ": " + e.shown(b, sprint({&b, 1}))};
  }
  if (is_nil_reference(a) || is_nil_reference(b)) return is_nil_reference(a) == is_nil_reference(b);
  const Struct* object = as_struct(b);
  if (object == nullptr || !object->comparable())
    throw CallError{"non-comparable type " + e.shown(b, sprintf("%s", {&b, 1})) + ": " +
                    type_name(b)};
  return type_name(a) == type_name(b) && as_struct(a)->equals(*object);
}

bool equal(const Evaluation& e, const Value& left, const Value& right) {
  const Value a = plain(left), b = plain(right);
  const Basic ka = basic_kind(a), kb = basic_kind(b);
  if (ka != kb) {
    if (ka == Basic::integer && kb == Basic::uinteger)
      return a.as_int() >= 0 && static_cast<std::uint64_t>(a.as_int()) == b.as_uint();
    if (ka == Basic::uinteger && kb == Basic::integer) return equal(e, b, a);
    if (a.is_nil() || b.is_nil()) return false;
    incompatible(left, right);
  }
  switch (ka) {
    case Basic::boolean:
      return a.as_bool() == b.as_bool();
    case Basic::complex:
      return a.as_complex() == b.as_complex();
    case Basic::floating:
      return a.as_double() == b.as_double();
    case Basic::integer:
      return a.as_int() == b.as_int();
    case Basic::uinteger:
      return a.as_uint() == b.as_uint();
    case Basic::string:
      return a.as_text() == b.as_text();
    case Basic::invalid:
      break;
  }
  return equal_references(e, left, right);
}

bool less(const Value& left, const Value& right) {
  const Value a = plain(left), b = plain(right);
  const Basic ka = basic_kind(a), kb = basic_kind(b);
  if (a.is_nil() || b.is_nil() || ka == Basic::invalid)
    throw CallError{"invalid type for comparison"};
  if (kb == Basic::invalid) throw CallError{"invalid type for comparison"};
  if (ka != kb) {
    if (ka == Basic::integer && kb == Basic::uinteger)
      return a.as_int() < 0 || static_cast<std::uint64_t>(a.as_int()) < b.as_uint();
    if (ka == Basic::uinteger && kb == Basic::integer)
      return b.as_int() >= 0 && a.as_uint() < static_cast<std::uint64_t>(b.as_int());
    incompatible(left, right);
  }
  switch (ka) {
    case Basic::floating:
      return a.as_double() < b.as_double();
    case Basic::integer:
      return a.as_int() < b.as_int();
    case Basic::uinteger:
      return a.as_uint() < b.as_uint();
    case Basic::string:
      return a.as_text() < b.as_text();
    default:
      throw CallError{"invalid type for comparison"};
  }
}

Value eq(Evaluation& e, Arguments a) {
  if (a.size() < 2) throw CallError{"missing argument for comparison"};
  for (std::size_t i = 1; i < a.size(); ++i) {
    if (equal(e, a[0], a[i])) return true;
  }
  return false;
}
Value ne(Evaluation& e, Arguments a) {
  return !equal(e, a[0], a[1]);
}
Value lt(Evaluation&, Arguments a) {
  return less(a[0], a[1]);
}
Value le(Evaluation& e, Arguments a) {
  return less(a[0], a[1]) || equal(e, a[0], a[1]);
}
Value gt(Evaluation& e, Arguments a) {
  return !(less(a[0], a[1]) || equal(e, a[0], a[1]));
}
Value ge(Evaluation&, Arguments a) {
  return !less(a[0], a[1]);
}
Value not_(Evaluation&, Arguments a) {
  return !truth(a[0]);
}

// What len, index and slice look at: behind a pointer there is a struct of this name.
std::string pointee_name(const Value& value) {
  std::string name = type_name(value);
  return name.starts_with('*') ? name.substr(1) : name;
}
bool is_nil_pointer(const Value& value) {
  const Struct* object = as_struct(value);
  return object != nullptr && object->is_nil();
}

Value len(Evaluation& e, Arguments a) {
  if (a[0].is_nil() && !e.nil_argument())
    throw CallError{"reflect: call of reflect.Value.Type on zero Value"};
  if (a[0].is_nil() || is_nil_pointer(a[0])) throw CallError{"len of nil pointer"};
  if (const Struct* object = as_struct(a[0]); object != nullptr && object->is_channel())
    return 0;  // without a buffer
  if (a[0].is_text() || a[0].is_list() || a[0].is_map())
    return Value::integer(static_cast<std::int64_t>(a[0].size()));
  throw CallError{"len of type " + pointee_name(a[0])};
}

std::size_t index_of(const Value& given, std::size_t size) {
  const Value index = plain(given);
  std::int64_t i = 0;
  switch (index.type()) {
    case Type::integer:
    case Type::int64:
      i = index.as_int();
      break;
    case Type::uint64:
    case Type::byte:
      i = static_cast<std::int64_t>(index.as_uint());
      break;
    case Type::nil:
      throw CallError{"cannot index slice/array with nil"};
    default:
      throw CallError{"cannot index slice/array with type " + type_name(index)};
  }
  if (i < 0 || static_cast<std::uint64_t>(i) > size)
    throw CallError{"index out of range: " + std::to_string(i)};
  return static_cast<std::size_t>(i);
}

// Of the maps that there are.
bool can_be_key(const Value& value) {
  return value.type() != Type::object && value.type() != Type::complex128 &&
         value.type() != Type::number &&
         !(value.type() == Type::float64 && std::isnan(value.as_double()));
}

Value index(Evaluation&, Arguments a) {
  if (a[0].is_nil()) throw CallError{"index of untyped nil"};
  Value item = a[0];
  for (std::size_t n = 1; n < a.size(); ++n) {
    const Value& i = a[n];
    if (item.is_list() || item.is_text()) {
      const std::size_t at = index_of(i, item.size());
      if (at >= item.size())
        throw CallError{item.is_list() ? "reflect: slice index out of range"
                                       : "reflect: string index out of range"};
      item = item.is_list() ? Value(item.items()[at])
                            : Value::byte(static_cast<unsigned char>(item.as_text()[at]));
    } else if (item.is_map()) {
      const bool any_key = item.type() == Type::any_map;
      if (i.is_nil() && !any_key) throw CallError{"value is nil; should be of type string"};
      if (!any_key && i.type() != Type::string)
        throw CallError{"value has type " + type_name(i) + "; should be string"};
      if (any_key && (i.is_list() || i.is_map()))
        throw CallError{"runtime error: hash of unhashable type " + type_name(i)};
      const Value* found = can_be_key(i) ? item.find_key(i) : nullptr;
      item = found != nullptr                  ? Value(*found)
             : item.type() == Type::string_map ? Value("")
                                               : Value();
    } else if (item.is_nil() || is_nil_pointer(item)) {
      throw CallError{"index of nil pointer"};
    } else {
      throw CallError{"can't index item of type " + pointee_name(item)};
    }
  }
  return item;
}

// What a list of this type has behind its end, where Go's has room for more.
Value fresh_element(Type list) {
  switch (list) {
    case Type::strings:
      return "";
    case Type::ints:
      return 0;
    case Type::lists:
      return Value::nil_of(Type::list);
    default:
      return {};
  }
}

// The part may reach into the room that Go's list has (but not into what was cut off before).
Value list_part(const Value& list, std::size_t begin, std::size_t end) {
  List part;
  part.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i)
    part.push_back(i < list.size() ? list.items()[i] : fresh_element(list.type()));
  return Value::list(list.type(), std::move(part));
}

Value slice(Evaluation& e, Arguments a) {
  const Value& item = a[0];
  if (item.is_nil()) throw CallError{"slice of untyped nil"};
  if (a.size() > 4) throw CallError{"too many slice indexes: " + std::to_string(a.size() - 1)};
  if (!item.is_text() && !item.is_list())
    throw CallError{is_nil_pointer(item) ? "slice of nil pointer"
                                         : "can't slice item of type " + pointee_name(item)};
  if (item.is_text() && a.size() == 4) throw CallError{"cannot 3-index slice a string"};
  const std::size_t room = item.is_list() ? item.capacity() : item.size();
  std::size_t bounds[3] = {0, item.size(), room};
  for (std::size_t n = 1; n < a.size(); ++n) {
    if (e.interface_argument(n)) throw CallError{"cannot index slice/array with type interface {}"};
    bounds[n - 1] = index_of(a[n], room);
  }
  if (bounds[0] > bounds[1]) {
    throw CallError{"invalid slice index: " + std::to_string(bounds[0]) + " > " +
                    std::to_string(bounds[1])};
  }
  if (bounds[1] > bounds[2]) {
    throw CallError{"invalid slice index: " + std::to_string(bounds[1]) + " > " +
                    std::to_string(bounds[2])};
  }
  if (item.is_text()) {
    const std::string_view part = item.as_text().substr(bounds[0], bounds[1] - bounds[0]);
    return item.type() == Type::number ? Value::number(part) : Value(part);
  }
  return list_part(item, bounds[0], bounds[1]);
}

Value call(Evaluation& e, Arguments a) {
  if (a.empty() || a[0].is_nil()) throw CallError{"call of nil"};
  throw CallError{"non-function " + e.called() + " of type " + type_name(a[0])};
}

Value print(Evaluation&, Arguments a) {
  return sprint(a);
}
Value println(Evaluation&, Arguments a) {
  return sprintln(a);
}
Value printf(Evaluation&, Arguments a) {
  return sprintf(a[0].as_text(), a.subspan(1));
}

// The arguments as one text, as Go's escapers see them.
Value text_of(Arguments a) {
  if (a.size() == 1 && a[0].type() == Type::string) return a[0];
  for (Value& value : a) {
    if (value.is_nil()) value = Value("<no value>");
  }
  return sprint(a, true);
}

constexpr char kHexDigits[] = "0123456789ABCDEF";
constexpr auto kNoOther = [](std::string_view, char*&) { return std::size_t{1}; };

Value html(Evaluation&, Arguments a) {
  static constexpr Escapes kTable = escapes([](unsigned char c) -> std::optional<Escape> {
    switch (c) {
      case '\0':
        return escape_of("\xEF\xBF\xBD");
      case '"':
        return escape_of("&#34;");
      case '\'':
        return escape_of("&#39;");
      case '&':
        return escape_of("&amp;");
      case '<':
        return escape_of("&lt;");
      case '>':
        return escape_of("&gt;");
      default:
        return std::nullopt;
    }
  });
  constexpr auto kSpecial = [](unsigned char c) {
    return (c == '\0') | (c == '"') | (c == '&') | (c == '\'') | (c == '<') | (c == '>');
  };
  const Value whole = text_of(a);
  const std::string_view text = whole.as_text();
  const std::size_t plain = run_without(text, kSpecial);
  spend(plain);
  if (plain == text.size()) return whole;
  Output out(text.size() + text.size() / 8);
  append_escaped(out, text, kTable, kSpecial, kNoOther, keybearer::tmpl::spend);
  return out.take();
}

// What is not ASCII and is not to be seen.
std::size_t js_other(std::string_view text, char*& to) {
  const Rune rune = decode_rune(text);
  if (is_print(rune.code)) {
    to = put(to, text.substr(0, rune.width));
    return rune.width;
  }
  to = put(to, "\\u");  // four digits at least
  for (int shift = rune.code > 0xFFFFF ? 20 : rune.code > 0xFFFF ? 16 : 12; shift >= 0; shift -= 4)
    *to++ = kHexDigits[rune.code >> shift & 15];
  return rune.width;
}

Value js(Evaluation&, Arguments a) {
  static constexpr Escapes kTable = escapes([](unsigned char c) -> std::optional<Escape> {
    if (c >= 0x80) return Escape{};
    if (c == '\\') return escape_of("\\\\");
    if (c == '\'') return escape_of("\\'");
    if (c == '"') return escape_of("\\\"");
    if (c >= ' ' && c != '<' && c != '>' && c != '&' && c != '=') return std::nullopt;
    const char code[] = {'\\', 'u', '0', '0', kHexDigits[c >> 4], kHexDigits[c & 15]};
    return escape_of({code, sizeof(code)});
  });
  const Value whole = text_of(a);
  const std::string_view text = whole.as_text();
  Output out(text.size() + text.size() / 8);
  append_escaped(
      out, text, kTable,
      [](unsigned char c) {
        return (c >= 0x80) | (c < ' ') | (c == '\\') | (c == '\'') | (c == '"') | (c == '<') |
               (c == '=') | (c == '>') | (c == '&');
      },
      js_other, keybearer::tmpl::spend);
  return out.take();
}

Value urlquery(Evaluation&, Arguments a) {
  static constexpr auto kIsPlain = [](unsigned char c) {
    return (static_cast<unsigned char>((c | 0x20) - 'a') < 26) |
           (static_cast<unsigned char>(c - '0') < 10) | (c == '-') | (c == '_') | (c == '.') |
           (c == '~');
  };
  static constexpr Escapes kTable = escapes([](unsigned char c) -> std::optional<Escape> {
    if (kIsPlain(c)) return std::nullopt;
    if (c == ' ') return escape_of("+");
    const char code[] = {'%', kHexDigits[c >> 4], kHexDigits[c & 15]};
    return escape_of({code, sizeof(code)});
  });
  const Value whole = text_of(a);
  const std::string_view text = whole.as_text();
  const std::size_t plain = run_without(text, [](unsigned char c) { return !kIsPlain(c); });
  spend(plain);
  if (plain == text.size()) return whole;
  Output out(text.size() + text.size() / 8);
  append_escaped(
      out, text, kTable, [](unsigned char c) { return !kIsPlain(c); }, kNoOther,
      keybearer::tmpl::spend);
  return out.take();
}

constexpr Function kFunctions[] = {
    {"and", nullptr, "aa", true, false, Function::Special::and_},
    {"call", call, "aa", true, false, Function::Special::call},
    {"eq", eq, "aa", true},
    {"ge", ge, "aa"},
    {"gt", gt, "aa"},
    {"html", html, "a", true},
    {"index", index, "aa", true},
    {"js", js, "a", true},
    {"le", le, "aa"},
    {"len", len, "a"},
    {"lt", lt, "aa"},
    {"ne", ne, "aa"},
    {"not", not_, "a"},
    {"or", nullptr, "aa", true, false, Function::Special::or_},
    {"print", print, "a", true},
    {"printf", printf, "sa", true},
    {"println", println, "a", true},
    {"slice", slice, "aa", true},
    {"urlquery", urlquery, "a", true},
};

}  // namespace

std::span<const Function> builtin_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl
