#pragma once
// What a function says when it fails often repeats what it was given (Go's texts do), and parts of
// it, which no list of values has. Rule: section 6 "One redactor", R5.

#include <span>
#include <string>

#include "json/value.hpp"

namespace keybearer::tmpl {

// `text` without every text and number in `values`, however it is quoted, and every quoted part of
// one. What is shorter than Redactor::kShortest stays: it says nothing, and is part of other words.
[[nodiscard]] std::string without_values(std::string_view text, std::span<const Value> values);

}  // namespace keybearer::tmpl
