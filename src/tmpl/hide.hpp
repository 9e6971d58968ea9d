#pragma once
// What a function says when it fails often repeats what it was given (Go's texts do). Once a
// template has read a secret, that may be one.

#include <span>
#include <string>

#include "json/value.hpp"

namespace keybearer::tmpl {

// `text` with [value] for every text in `values`, however it is quoted, and for every quoted part
// of one. Texts shorter than four bytes stay: they say nothing, and are part of other words.
[[nodiscard]] std::string without_values(std::string text, std::span<const Value> values);

}  // namespace keybearer::tmpl
