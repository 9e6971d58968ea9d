// consul-template's functions on JSON, base64, lists and maps: template/funcs.go,
// template/scratch.go.

#include <algorithm>
#include <cmath>

#include "json/json.hpp"
#include "tmpl/exec.hpp"
#include "tmpl/formats/go_json_error.hpp"
#include "tmpl/funcs/base64.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/go_json.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/sprig/sprig.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

Value decoded(const char* function, const Value& text, bool url) {
  const auto bytes = base64_decoded(text.as_text(), url);
  if (!bytes)
    throw CallError{std::string(function) + ": illegal base64 data at input byte " +
                    std::to_string(bytes.error())};
  return Value(*bytes);
}

Value base64_encode(Evaluation&, Arguments a) {
  return base64(a[0].as_text());
}
Value base64_decode(Evaluation&, Arguments a) {
  return decoded("base64Decode", a[0], false);
}
Value base64_url_encode(Evaluation&, Arguments a) {
  return base64(a[0].as_text(), true);
}
Value base64_url_decode(Evaluation&, Arguments a) {
  return decoded("base64URLDecode", a[0], true);
}

// parseJSON's numbers are float64: the text form of an answer's numbers is not kept.
Value with_floats(const Evaluation& e, const Value& value) {
  spend(20);
  if (value.type() == Type::number) {
    const auto number = parse_float(value.as_text());
    if (!number)
      throw CallError{"json: cannot unmarshal number " +
                      e.shown(value, std::string(value.as_text())) +
                      " into Go value of type float64"};
    return *number;
  }
  if (value.is_list()) {
    List items;
    items.reserve(value.capacity());
    for (const Value& item : value.items()) items.push_back(with_floats(e, item));
    return Value::list(std::move(items));
  }
  if (value.is_map()) {
    Value map = Value::map();
    for (const auto& [key, member] : value.entries())
      map.append_sorted(key, with_floats(e, member));
    return map;
  }
  return value;
}

Value parse_json(Evaluation& e, Arguments a) {
  if (a[0].as_text().empty()) return Value::map();
  spend(4 * a[0].size());
  const auto parsed =
      json::parse(a[0].as_text(), {.max_depth = kMostParsed, .max_values = kMostItems});
  if (!parsed) {
    const std::string complaint = go_json_error(a[0].as_text());
    throw CallError{complaint.empty() ? parsed.error().text : complaint};
  }
  return with_floats(e, *parsed);
}
Value to_json(Evaluation&, Arguments a) {
  return go_json("toJSON", a[0], true, false);
}
Value to_json_pretty(Evaluation&, Arguments a) {
  return go_json("toJSONPretty", a[0], true, true);
}
Value to_unescaped_json(Evaluation&, Arguments a) {
  return go_json("toUnescapedJSON", a[0], false, false);
}
Value to_unescaped_json_pretty(Evaluation&, Arguments a) {
  return go_json("toUnescapedJSONPretty", a[0], false, true);
}

// consul-template's `in`: a list's elements of the same kind, or a part of a text of the same type.
bool holds(const Value& list, const Value& value) {
  const auto same_text = [&value](const Value& text) {
    if (value.is_nil()) throw CallError{"reflect: call of reflect.Value.Type on zero Value"};
    return value.type() == text.type();
  };
  if (list.is_text())
    return same_text(list) && list.as_text().find(value.as_text()) != std::string_view::npos;
  if (!list.is_list()) return false;
  const Value wanted = plain(value);
  return std::ranges::any_of(list.items(), [&](const Value& element) {
    spend(10);
    const Value item = plain(element);
    const auto is_int = [](const Value& v) {
      return v.type() == Type::integer || v.type() == Type::int64;
    };
    if (is_int(item)) return is_int(wanted) && wanted.as_int() == item.as_int();
    if (item.type() == Type::float64)
      return wanted.type() == Type::float64 && wanted.as_double() == item.as_double();
    return item.is_text() && same_text(item) && value.as_text() == item.as_text();
  });
}
Value in(Evaluation&, Arguments a) {
  return holds(a[0], a[1]);
}
Value contains(Evaluation&, Arguments a) {
  return holds(a[1], a[0]);
}
Value contains_all(Evaluation&, Arguments a) {
  return std::ranges::all_of(a[0].items(), [&](const Value& v) { return holds(a[1], v); });
}
Value contains_any(Evaluation&, Arguments a) {
  return std::ranges::any_of(a[0].items(), [&](const Value& v) { return holds(a[1], v); });
}
Value contains_none(Evaluation&, Arguments a) {
  return std::ranges::none_of(a[0].items(), [&](const Value& v) { return holds(a[1], v); });
}
Value contains_not_all(Evaluation&, Arguments a) {
  return !std::ranges::all_of(a[0].items(), [&](const Value& v) { return holds(a[1], v); });
}

void explode(const Evaluation& e, Value& into, std::string_view key, const Value& value,
             std::string_view outer, int depth = 1) {
  if (depth > kMostNested) throw CallError{"explodeMap: a key has too many parts"};
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) {
    if (!key.empty()) into.set(key, value);
    return;
  }
  const std::string_view head = key.substr(0, slash);
  const Value* found = into.find(head);
  Value inner = found != nullptr ? *found : Value::map();
  if (inner.type() != Type::map)
    throw CallError{"explodeMap: not a map: " + quote(outer) + ": " + quote(head) +
                    " already has value " + e.shown(inner, sprintf("%q", {&inner, 1}))};
  if (found == nullptr) into.set(head, inner);
  explode(e, inner, key.substr(slash + 1), value, key, depth + 1);
}
Value explode_map(Evaluation& e, Arguments a) {
  Value out = Value::map();
  for (const auto& [key, value] : a[0].entries())
    explode(e, out, key.as_text(), value, key.as_text());
  return out;
}

Value merge_map(Evaluation&, Arguments a) {
  if (a.size() > 2)  // an option that is nil is called all the same
    throw CallError{"runtime error: invalid memory address or nil pointer dereference"};
  sprig::merge_maps(a[0], a[1], false);
  return a[0];
}
Value merge_map_with_override(Evaluation&, Arguments a) {
  sprig::merge_maps(a[0], a[1], true);
  return a[0];
}

// --- scratch: a store for one evaluation; setters give "" ---

Value scratch_key(Evaluation& e, Arguments a) {
  return e.scratch.contains(std::string(a[0].as_text()));
}
Value scratch_get(Evaluation& e, Arguments a) {
  const auto at = e.scratch.find(std::string(a[0].as_text()));
  return at == e.scratch.end() ? Value() : at->second;
}
Value scratch_set(Evaluation& e, Arguments a) {
  e.scratch[std::string(a[0].as_text())] = a[1];
  return "";
}
Value scratch_set_x(Evaluation& e, Arguments a) {
  e.scratch.try_emplace(std::string(a[0].as_text()), a[1]);
  return "";
}
Value& scratch_map(Evaluation& e, const Value& name) {
  const std::string key(name.as_text());
  Value& map = e.scratch.try_emplace(key, Value::map()).first->second;
  if (map.type() != Type::map) throw CallError{quote(key) + " is not a map"};
  return map;
}
Value scratch_map_set(Evaluation& e, Arguments a) {
  check_nesting(a[2]);
  scratch_map(e, a[0]).set(a[1].as_text(), a[2]);
  return "";
}
Value scratch_map_set_x(Evaluation& e, Arguments a) {
  Value& map = scratch_map(e, a[0]);
  if (map.find(a[1].as_text()) == nullptr) map.set(a[1].as_text(), a[2]);
  return "";
}
Value scratch_map_values(Evaluation& e, Arguments a) {
  const std::string key(a[0].as_text());
  const auto at = e.scratch.find(key);
  if (at == e.scratch.end() || at->second.type() != Type::map) return Value::nil_of(Type::list);
  List values;
  for (const auto& [name, value] : at->second.entries()) values.push_back(value);
  return Value::list(std::move(values));
}

constexpr Function kScratch[] = {
    {"Get", scratch_get, "s"},
    {"Key", scratch_key, "s"},
    {"MapSet", scratch_map_set, "ssa"},
    {"MapSetX", scratch_map_set_x, "ssa"},
    {"MapValues", scratch_map_values, "s"},
    {"Set", scratch_set, "sa"},
    {"SetX", scratch_set_x, "sa"},
};

class Scratch final : public Struct {
 public:
  explicit Scratch(const std::map<std::string, Value>& values) : values_(values) {}
  [[nodiscard]] std::string_view type_name() const override { return "*template.Scratch"; }
  [[nodiscard]] bool equals(const Object&) const override { return true; }  // there is one
  [[nodiscard]] std::optional<Value> field(std::string_view) const override { return std::nullopt; }
  [[nodiscard]] bool hides(std::string_view name) const override {
    return name == "once" || name == "values";
  }
  [[nodiscard]] const Function* method(std::string_view name) const override {
    const auto at = std::ranges::find(kScratch, name, &Function::name);
    return at == std::end(kScratch) ? nullptr : at;
  }
  void print(std::string& out) const override {  // Go's locks, then the values
    Value map = Value::map();
    for (const auto& [name, value] : values_) map.append_sorted(Value(name), value);
    out += "{{{} {{} 0} {{} {0 0}}} {{{} {0 0}} 0 0 {{} 0} {{} 0}} ";
    append_value(out, map);
    out += '}';
  }

 private:
  const std::map<std::string, Value>& values_;  // of the evaluation, which outlives its values
};

Value scratch(Evaluation& e, Arguments) {
  return Value::object(std::make_shared<Scratch>(e.scratch));
}

constexpr Function kFunctions[] = {
    {"base64Decode", base64_decode, "s"},
    {"base64Encode", base64_encode, "s"},
    {"base64URLDecode", base64_url_decode, "s"},
    {"base64URLEncode", base64_url_encode, "s"},
    {"contains", contains, "aa"},
    {"containsAll", contains_all, "Aa"},
    {"containsAny", contains_any, "Aa"},
    {"containsNone", contains_none, "Aa"},
    {"containsNotAll", contains_not_all, "Aa"},
    {"explodeMap", explode_map, "M", false, true},
    {"in", in, "aa"},
    {"mergeMap", merge_map, "MMF", true, true},
    {"mergeMapWithOverride", merge_map_with_override, "MM", false, true},
    {"parseJSON", parse_json, "s"},
    {"scratch", scratch, "", false, true},  // its MapSet
    {"toJSON", to_json, "a"},
    {"toJSONPretty", to_json_pretty, "a"},
    {"toUnescapedJSON", to_unescaped_json, "a"},
    {"toUnescapedJSONPretty", to_unescaped_json_pretty, "a"},
};

}  // namespace

std::span<const Function> data_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl
