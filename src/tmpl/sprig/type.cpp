// sprig's defaults.go and reflect.go, with its conversions to text.

#include <algorithm>

#include "json/json.hpp"
#include "tmpl/formats/go_json_error.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/go_json.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/sprig.hpp"

namespace keybearer::tmpl::sprig {
namespace {

Value default_(Evaluation&, Arguments a) {
  return a.size() < 2 || is_empty(a[1]) ? a[0] : a[1];
}
Value empty(Evaluation&, Arguments a) {
  return is_empty(a[0]);
}
Value coalesce(Evaluation&, Arguments a) {
  for (const Value& value : a) {
    if (!is_empty(value)) return value;
  }
  return {};
}
Value all(Evaluation&, Arguments a) {
  return std::ranges::none_of(a, is_empty);
}
Value any(Evaluation&, Arguments a) {
  return !std::ranges::all_of(a, is_empty);
}
Value ternary(Evaluation&, Arguments a) {
  return a[2].as_bool() ? a[0] : a[1];
}

Value type_of(Evaluation&, Arguments a) {
  return type_name(a[0]);
}
Value type_is(Evaluation&, Arguments a) {
  return a[0].as_text() == type_name(a[1]);
}
Value type_is_like(Evaluation&, Arguments a) {
  const std::string wanted(a[0].as_text()), got = type_name(a[1]);
  return wanted == got || "*" + wanted == got;
}
Value kind_of(Evaluation&, Arguments a) {
  return kind_name(a[0]);
}
Value kind_is(Evaluation&, Arguments a) {
  return a[0].as_text() == kind_name(a[1]);
}
Value deep_equal(Evaluation&, Arguments a) {
  return a[0] == a[1];
}
Value deep_copy(Evaluation&, Arguments a) {
  if (a[0].is_nil()) throw CallError{"reflect: call of reflect.Value.Type on zero Value"};
  return a[0].deep_copy();
}

Value to_string(Evaluation&, Arguments a) {
  return strval(a[0]);
}

// --- JSON ---

// encoding/json's own text, without the name of a consul-template function before it.
std::string json_of(const Value& value, bool escape_html, bool pretty) {
  try {
    return go_json("", value, escape_html, pretty);
  } catch (const CallError& error) {
    throw CallError{error.text.starts_with(": ") ? error.text.substr(2) : error.text};
  }
}
Value must_to_json(Evaluation&, Arguments a) {
  return json_of(a[0], true, false);
}
Value must_to_pretty_json(Evaluation&, Arguments a) {
  return json_of(a[0], true, true);
}
Value to_raw_json(Evaluation&, Arguments a) {
  return json_of(a[0], false, false);
}
Value to_json(Evaluation& e, Arguments a) {
  try {
    return must_to_json(e, a);
  } catch (const CallError&) {
    return "";
  }
}
Value to_pretty_json(Evaluation& e, Arguments a) {
  try {
    return must_to_pretty_json(e, a);
  } catch (const CallError&) {
    return "";
  }
}

// Numbers become float64; one that is too great stays nil and is the error, as in Go.
Value with_floats(const Value& value, std::string& error) {
  if (value.type() == Type::number) {
    if (const auto number = parse_float(value.as_text())) return *number;
    if (error.empty())
      error = "json: cannot unmarshal number " + std::string(value.as_text()) +
              " into Go value of type float64";
    return {};
  }
  if (value.is_list()) {
    List items;
    items.reserve(value.capacity());
    for (const Value& item : value.items()) items.push_back(with_floats(item, error));
    return Value::list(std::move(items));
  }
  if (value.is_map()) {
    Value map = Value::map();
    for (const auto& [key, member] : value.entries())
      map.append_sorted(key, with_floats(member, error));
    return map;
  }
  return value;
}
Value parsed_json(std::string_view text, std::string& error) {
  error = go_json_error(text);
  if (!error.empty()) return {};
  const auto parsed = json::parse(text, {.max_depth = kMostParsed, .max_values = kMostItems});
  if (parsed) return with_floats(*parsed, error);
  error = parsed.error().text;
  return {};
}
Value from_json(Evaluation&, Arguments a) {
  std::string error;
  return parsed_json(a[0].as_text(), error);
}
Value must_from_json(Evaluation&, Arguments a) {
  std::string error;
  Value value = parsed_json(a[0].as_text(), error);
  if (!error.empty()) throw CallError{error};
  return value;
}

constexpr Function kFunctions[] = {
    {"sprig_all", all, "a", true},
    {"sprig_any", any, "a", true},
    {"sprig_coalesce", coalesce, "a", true},
    {"sprig_deepCopy", deep_copy, "a"},
    {"sprig_deepEqual", deep_equal, "aa"},
    {"sprig_default", default_, "aa", true},
    {"sprig_empty", empty, "a"},
    {"sprig_fromJson", from_json, "s"},
    {"sprig_kindIs", kind_is, "sa"},
    {"sprig_kindOf", kind_of, "a"},
    {"sprig_mustDeepCopy", deep_copy, "a"},
    {"sprig_mustFromJson", must_from_json, "s"},
    {"sprig_mustToJson", must_to_json, "a"},
    {"sprig_mustToPrettyJson", must_to_pretty_json, "a"},
    {"sprig_mustToRawJson", to_raw_json, "a"},
    {"sprig_ternary", ternary, "aab"},
    {"sprig_toJson", to_json, "a"},
    {"sprig_toPrettyJson", to_pretty_json, "a"},
    {"sprig_toRawJson", to_raw_json, "a"},
    {"sprig_toString", to_string, "a"},
    {"sprig_typeIs", type_is, "sa"},
    {"sprig_typeIsLike", type_is_like, "sa"},
    {"sprig_typeOf", type_of, "a"},
};

}  // namespace

std::span<const Function> type_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
