// sprig's list.go: every function takes a list of any type and gives a list of its own. The must*
// forms return what the others panic with: the same text for a template.

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "json/capacity.hpp"
#include "json/sort.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/sprig.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::sprig {
namespace {

Value list(Evaluation&, Arguments a) {
  for (const Value& value : a) check_nesting(value);
  return Value::list(List(a.begin(), a.end()));
}

Value push(Evaluation&, Arguments a) {
  check_nesting(a[1]);
  const auto all = elements(a[0], "Cannot push on type ");
  List out;
  out.reserve(go_grown(all.size(), all.size() + 1));
  out.assign(all.begin(), all.end());
  out.push_back(a[1]);
  return Value::list(std::move(out));
}
Value prepend(Evaluation&, Arguments a) {
  check_nesting(a[1]);
  const auto all = elements(a[0], "Cannot prepend on type ");
  List out;
  out.reserve(all.empty() ? 1 : go_grown(1, all.size() + 1));
  out.push_back(a[1]);
  out.insert(out.end(), all.begin(), all.end());
  return Value::list(std::move(out));
}
Value concat(Evaluation&, Arguments a) {
  List out;
  for (const Value& one : a) {
    if (!one.is_nil() && !one.is_list())
      throw CallError{"Cannot concat type " + std::string(kind_name(one)) + " as list"};
    const auto more = elements(one, "");
    out.insert(out.end(), more.begin(), more.end());
  }
  return out.empty() ? Value::nil_of(Type::list) : appended(std::move(out));
}

Value first(Evaluation&, Arguments a) {
  const auto all = elements(a[0], "Cannot find first on type ");
  return all.empty() ? Value() : all.front();
}
Value last(Evaluation&, Arguments a) {
  const auto all = elements(a[0], "Cannot find last on type ");
  return all.empty() ? Value() : all.back();
}
Value rest(Evaluation&, Arguments a) {
  const auto all = elements(a[0], "Cannot find rest on type ");
  if (all.empty()) return Value::nil_of(Type::list);
  return Value::list(List(all.begin() + 1, all.end()));
}
Value initial(Evaluation&, Arguments a) {
  const auto all = elements(a[0], "Cannot find initial on type ");
  if (all.empty()) return Value::nil_of(Type::list);
  return Value::list(List(all.begin(), all.end() - 1));
}
Value reverse(Evaluation&, Arguments a) {
  const auto all = elements(a[0], "Cannot find reverse on type ");
  return Value::list(List(all.rbegin(), all.rend()));
}

Value compact(Evaluation&, Arguments a) {
  List out;
  for (const Value& item : elements(a[0], "Cannot compact on type ")) {
    if (!is_empty(item)) out.push_back(item);
  }
  return appended(std::move(out));
}
bool holds(std::span<const Value> list, const Value& value) {
  return std::ranges::any_of(list, [&value](const Value& item) {
    spend(10 + (item.type() == value.type() ? std::min(item.size(), value.size()) : 0));
    return item == value;
  });
}
// Equal values have equal numbers; of what holds others its size is enough.
std::size_t hash_of(const Value& value) {
  const auto type = static_cast<std::size_t>(value.type());
  if (value.is_text()) return std::hash<std::string_view>()(value.as_text()) * 31 + type;
  if (value.is_list() || value.is_map()) {
    std::size_t hash = value.size() * 31 + type;
    if (value.is_list() && value.size() != 0) hash ^= hash_of(value.items().front()) << 1;
    if (value.is_map() && value.size() != 0) hash ^= hash_of(value.entries().front().value) << 1;
    return hash;
  }
  if (value.type() == Type::float64)
    return std::hash<double>()(value.as_double() + 0.0) * 31 + type;  // -0 is 0
  if (value.type() <= Type::byte) return std::hash<std::int64_t>()(value.as_int()) * 31 + type;
  return type;
}
Value uniq(Evaluation&, Arguments a) {
  List out;
  std::unordered_multimap<std::size_t, std::size_t> places;  // of those in `out`, by hash
  for (const Value& item : elements(a[0], "Cannot find uniq on type ")) {
    const std::size_t hash = hash_of(item);
    const auto [begin, end] = places.equal_range(hash);
    bool is_new = true;
    for (auto at = begin; at != end && is_new; ++at) {
      spend(20 + item.size());
      is_new = out[at->second] != item;
    }
    spend(100 + item.size());
    if (!is_new) continue;
    places.emplace(hash, out.size());
    out.push_back(item);
  }
  return appended(std::move(out));
}
Value without(Evaluation&, Arguments a) {
  List out;
  for (const Value& item : elements(a[0], "Cannot find without on type ")) {
    if (!holds(a.subspan(1), item)) out.push_back(item);
  }
  return appended(std::move(out));
}
Value has(Evaluation&, Arguments a) {
  return !a[1].is_nil() && holds(elements(a[1], "Cannot find has on type "), a[0]);
}

// The zero value of an element.
Value zero_of(Type type) {
  return type == Type::strings ? Value("")
         : type == Type::ints  ? Value::integer(0)
         : type == Type::lists ? Value::nil_of(Type::list)
                               : Value();
}
// Of the list's own type, as a Go slice of a slice is: it may reach into the room behind the end.
Value slice(Evaluation&, Arguments a) {
  const auto all = elements(a[0], "list should be type of slice or array but ");
  if (all.empty()) return {};
  const auto size = static_cast<std::int64_t>(all.size());
  const auto room = static_cast<std::int64_t>(a[0].capacity());
  const std::int64_t start = a.size() > 1 ? to_int64(a[1]) : 0;
  const std::int64_t end = a.size() > 2 ? to_int64(a[2]) : size;
  if (start < 0 || end < start || end > room)
    throw CallError{"reflect.Value.Slice: slice index out of bounds"};
  List out;
  out.reserve(static_cast<std::size_t>(room - start));
  out.assign(all.begin() + std::min(start, size), all.begin() + std::min(end, size));
  out.resize(static_cast<std::size_t>(end - start), zero_of(a[0].type()));
  return Value::list(a[0].type(), std::move(out));
}

// Go's own arithmetic in floating point: it decides what a size below 1 does.
Value chunk(Evaluation&, Arguments a) {
  const auto all = elements(a[1], "Cannot chunk type ");
  const std::int64_t size = a[0].as_int();
  const auto length = static_cast<double>(all.size());
  const std::int64_t chunks = truncated(std::floor((length - 1) / static_cast<double>(size)) + 1);
  if (chunks < 0) throw CallError{"runtime error: makeslice: len out of range"};
  List out;
  out.reserve(std::min(static_cast<std::size_t>(chunks), all.size()));
  std::size_t at = 0;
  for (std::int64_t i = 0; i < chunks; ++i) {
    std::int64_t count = size;
    if (i == chunks - 1) {
      count = truncated(std::floor(std::fmod(length, static_cast<double>(size))));
      if (count == 0) count = size;
    }
    if (count < 0) throw CallError{"runtime error: makeslice: len out of range"};
    if (at + static_cast<std::size_t>(count) > all.size())
      throw CallError{"reflect: slice index out of range"};
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at);
    out.push_back(Value::list(List(begin, begin + count)));
    at += static_cast<std::size_t>(count);
  }
  return Value::list(Type::lists, std::move(out));
}

void sort_texts(List& list) {
  const std::vector<std::uint32_t> order =
      sorted_order(list.size(), [&list](std::size_t i) { return list[i].as_text(); }, spend);
  List out;
  out.reserve(list.capacity());
  for (const std::uint32_t i : order) out.push_back(std::move(list[i]));
  list = std::move(out);
}

// A []string is sorted in place, as Go does; everything else gives a new list.
Value sort_alpha(Evaluation&, Arguments a) {
  if (!a[0].is_list()) return Value::strings({Value(strval(a[0]))});
  Value out = strslice(a[0]);
  if (!out.is_nil_of()) sort_texts(out.own_items());
  return out;
}
Value join(Evaluation&, Arguments a) {
  const Value parts = strslice(a[1]);
  return joined(parts.items(), a[0].as_text());
}
Value to_strings(Evaluation&, Arguments a) {
  return strslice(a[0]);
}

constexpr Function kFunctions[] = {
    {"sprig_append", push, "aa"},
    {"sprig_chunk", chunk, "ia"},
    {"sprig_compact", compact, "a"},
    {"sprig_concat", concat, "a", true},
    {"sprig_first", first, "a"},
    {"sprig_has", has, "aa"},
    {"sprig_initial", initial, "a"},
    {"sprig_join", join, "sa"},
    {"sprig_last", last, "a"},
    {"sprig_list", list, "a", true},
    {"sprig_mustAppend", push, "aa"},
    {"sprig_mustChunk", chunk, "ia"},
    {"sprig_mustCompact", compact, "a"},
    {"sprig_mustFirst", first, "a"},
    {"sprig_mustHas", has, "aa"},
    {"sprig_mustInitial", initial, "a"},
    {"sprig_mustLast", last, "a"},
    {"sprig_mustPrepend", prepend, "aa"},
    {"sprig_mustPush", push, "aa"},
    {"sprig_mustRest", rest, "a"},
    {"sprig_mustReverse", reverse, "a"},
    {"sprig_mustSlice", slice, "aa", true},
    {"sprig_mustUniq", uniq, "a"},
    {"sprig_mustWithout", without, "aa", true},
    {"sprig_prepend", prepend, "aa"},
    {"sprig_push", push, "aa"},
    {"sprig_rest", rest, "a"},
    {"sprig_reverse", reverse, "a"},
    {"sprig_slice", slice, "aa", true},
    {"sprig_sortAlpha", sort_alpha, "a", false, true},
    {"sprig_toStrings", to_strings, "a"},
    {"sprig_tuple", list, "a", true},
    {"sprig_uniq", uniq, "a"},
    {"sprig_without", without, "aa", true},
};

}  // namespace

std::span<const Function> list_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
