#pragma once
// Go's fmt: Sprint, Sprintln, Sprintf with all verbs and flags over every kind of value. Mirrors
// fmt/print.go.

#include <span>
#include <string>
#include <string_view>

#include "json/value.hpp"

namespace keybearer::tmpl {

void append_value(std::string& out, const Value& value);  // %v
// The same as an action prints it: a pointer to a struct as the struct.
void append_printed(std::string& out, const Value& value);
[[nodiscard]] std::string sprint(std::span<const Value> values, bool follow_pointers = false);
[[nodiscard]] std::string sprintln(std::span<const Value> values);
[[nodiscard]] std::string sprintf(std::string_view format, std::span<const Value> values);

// reflect.Kind.String of the kinds that have one Go type each, from bool to complex128; "" of others.
[[nodiscard]] std::string_view basic_kind(Type type);
// reflect.Type.String: "map[string]interface {}"; of nil "<nil>".
[[nodiscard]] std::string type_name(const Value& value);

}  // namespace keybearer::tmpl
