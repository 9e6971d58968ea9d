#pragma once
// How sprig's functions read an argument of any kind: Go's reflection, cast's conversions.
//
// Source: github.com/spf13/cast v1.7.0 (ToInt64E, ToFloat64E), sprig's strval and strslice.

#include <cstdint>
#include <string>
#include <string_view>

#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl::sprig {

// What Go says of reflect.TypeOf(nil).Kind() and its like.
inline constexpr const char* kNilDereference =
    "runtime error: invalid memory address or nil pointer dereference";

// cast.ToInt64 and cast.ToInt: what is no number is 0; text is read with its base prefix.
[[nodiscard]] std::int64_t to_int64(const Value& value);
// cast.ToFloat64: what is no number is 0.
[[nodiscard]] double to_float64(const Value& value);
// int64(f) as amd64 does it: what does not fit is the least int64.
[[nodiscard]] std::int64_t truncated(double number);

// sprig's strval: text as it is, everything else as %v prints it; nil is "<nil>".
[[nodiscard]] std::string strval(const Value& value);
// sprig's strslice: a []string; nil elements are left out, one value is a list of one.
[[nodiscard]] Value strslice(const Value& value);

// A list with the room that Go's append leaves it.
[[nodiscard]] Value appended(List items, Type type = Type::list);

// reflect.ValueOf(value).Kind().String(); of nil "invalid".
[[nodiscard]] std::string_view kind_name(const Value& value);
// The elements of any list; else throws CallError(complaint + kind).
[[nodiscard]] std::span<const Value> elements(const Value& value, std::string_view complaint);
// sprig's `empty`: the zero value of its kind.
[[nodiscard]] bool is_empty(const Value& value);

// What one call may make at most: a template must not take the machine's memory.
inline constexpr std::size_t kMostElements = 4'000'000;
inline constexpr std::size_t kMostBytes = 64u << 20;

}  // namespace keybearer::tmpl::sprig
