// sprig's dict.go. Maps are references: set, unset and merge change the one they are given.

#include <algorithm>

#include "tmpl/go/format.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/sprig.hpp"

namespace keybearer::tmpl::sprig {
namespace {

constexpr const char* kNilMap = "assignment to entry in nil map";

Value dict(Evaluation&, Arguments a) {
  Value out = Value::map();
  for (const Value& value : a) check_nesting(value);
  for (std::size_t i = 0; i < a.size(); i += 2)
    out.set(strval(a[i]), i + 1 < a.size() ? a[i + 1] : Value(""));
  return out;
}
Value get(Evaluation&, Arguments a) {
  const Value* found = a[0].find(a[1].as_text());
  return found != nullptr ? *found : Value("");
}
Value set(Evaluation&, Arguments a) {
  if (a[0].is_nil_of()) throw CallError{kNilMap};
  check_nesting(a[0], a[2]);
  a[0].set(a[1].as_text(), a[2]);
  return a[0];
}
Value unset(Evaluation&, Arguments a) {
  if (!a[0].is_nil_of()) a[0].erase(a[1]);
  return a[0];
}
Value has_key(Evaluation&, Arguments a) {
  return a[0].find(a[1].as_text()) != nullptr;
}
// Go's order is chance; ours is sorted.
Value keys(Evaluation&, Arguments a) {
  List out;
  for (const Value& map : a) {
    for (const auto& entry : map.entries()) out.push_back(entry.key);
  }
  return appended(std::move(out), Type::strings);
}
Value values(Evaluation&, Arguments a) {
  List out;
  for (const auto& entry : a[0].entries()) out.push_back(entry.value);
  return appended(std::move(out));
}
Value pluck(Evaluation&, Arguments a) {
  List out;
  for (const Value& map : a.subspan(1)) {
    if (const Value* found = map.find(a[0].as_text())) out.push_back(*found);
  }
  return appended(std::move(out));
}
Value pick(Evaluation&, Arguments a) {
  Value out = Value::map();
  for (const Value& key : a.subspan(1)) {
    if (const Value* found = a[0].find(key.as_text())) out.set_key(key, *found);
  }
  return out;
}
Value omit(Evaluation&, Arguments a) {
  Value out = Value::map();
  const auto left_out = a.subspan(1);
  for (const auto& [key, value] : a[0].entries()) {
    if (std::ranges::find(left_out, key) == left_out.end()) out.append_sorted(key, value);
  }
  return out;
}

// Go's text for a failed type assertion.
[[noreturn]] void not_a(const char* wanted, const Value& value) {
  const std::string got = value.is_nil() ? "nil" : type_name(value);
  throw CallError{"interface conversion: interface {} is " + got + ", not " + wanted};
}
Value dig(Evaluation&, Arguments a) {
  if (a.size() < 3) throw CallError{"dig needs at least three arguments"};
  Value at = a.back();
  const auto is_map = [](const Value& value) { return value.type() == Type::map; };
  if (!is_map(at)) not_a("map[string]interface {}", at);
  const auto path = a.first(a.size() - 2);
  for (const Value& key : path) {
    if (key.type() != Type::string) not_a("string", key);
  }
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (!is_map(at)) not_a("map[string]interface {}", at);
    const Value* found = at.find(path[i].as_text());
    if (found == nullptr) return a[a.size() - 2];
    at = Value(*found);
  }
  return at;
}

// --- merge: dario.cat/mergo v1.0.2, deepMerge over maps ---

bool is_struct_like(const Value& value) {
  return value.is_map() || value.type() == Type::object;
}

// A map, or a pointer, of `from` against what `into` has under that key.
void merge_inner(const Value* present, const Value& value, bool overwrite) {
  if (present == nullptr || !present->is_map() || !value.is_map()) return;
  if (present->is_nil_of()) return;
  Value inner = *present;
  merge_maps(inner, value, overwrite);
}

// As reflect.Value.SetMapIndex: a map[string]string takes strings only.
void put(Value& into, const Value& key, const Value& value, const Value& from) {
  if (into.type() == Type::string_map && from.type() != Type::string_map) {
    throw CallError{"reflect.Value.SetMapIndex: value of type " +
                    (value.is_list() ? type_name(value) : "interface {}") +
                    " is not assignable to type string"};
  }
  check_nesting(into, value);
  into.set_key(key, value);
}

}  // namespace

void merge_maps(Value& into, const Value& from, bool overwrite) {
  if (into.is_nil_of()) into = Value::map(into.type());
  if (from.type() == Type::any_map && into.type() != Type::any_map && from.size() != 0)
    throw CallError{
        "reflect.Value.MapIndex: value of type interface {} is not assignable to type string"};
  // A copy of references: both may be the same map.
  const std::vector<Value::Entry> entries(from.entries().begin(), from.entries().end());
  for (const auto& [key, value] : entries) {
    const Value* present = into.find_key(key);
    if (value.is_nil()) {
      if (overwrite) put(into, key, value, from);
      continue;
    }
    if (is_struct_like(value)) merge_inner(present, value, overwrite);
    const bool filled = present != nullptr && !is_empty(*present);
    if (value.is_list()) {
      // A list never replaces part of another: all of it, or nothing.
      if (!filled || overwrite) put(into, key, value, from);
      continue;
    }
    if (filled && value.is_map() && present->is_map()) continue;
    if (overwrite || !filled) put(into, key, value, from);
  }
}

namespace {

Value merge_all(Arguments a, bool overwrite) {
  Value into = a[0];
  for (const Value& from : a.subspan(1)) merge_maps(into, from, overwrite);
  return into;
}
Value merge(Evaluation&, Arguments a) {
  return merge_all(a, false);
}
Value merge_overwrite(Evaluation&, Arguments a) {
  return merge_all(a, true);
}

constexpr Function kFunctions[] = {
    {"sprig_dict", dict, "a", true},
    {"sprig_dig", dig, "a", true},
    {"sprig_get", get, "Ms"},
    {"sprig_hasKey", has_key, "Ms"},
    {"sprig_keys", keys, "M", true},
    {"sprig_merge", merge, "MM", true, true},
    {"sprig_mergeOverwrite", merge_overwrite, "MM", true, true},
    {"sprig_mustMerge", merge, "MM", true, true},
    {"sprig_mustMergeOverwrite", merge_overwrite, "MM", true, true},
    {"sprig_omit", omit, "Ms", true},
    {"sprig_pick", pick, "Ms", true},
    {"sprig_pluck", pluck, "sM", true},
    {"sprig_set", set, "Msa", false, true},
    {"sprig_unset", unset, "Ms", false, true},
    {"sprig_values", values, "M"},
};

}  // namespace

std::span<const Function> dict_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
