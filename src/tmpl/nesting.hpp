#pragma once
// Lists and maps that hold each other: none may hold itself, and none may be so deep that what
// walks it needs more than our stack. (Go's own stack overflows on the first.)

#include "json/value.hpp"

namespace keybearer::tmpl {

inline constexpr int kMostNested = 1'000;  // lists and maps in each other

// Throws CallError when `value` may not become a member of `into`.
void check_nesting(const Value& into, const Value& value);
// The same for a list or map that is new.
void check_nesting(const Value& value);

}  // namespace keybearer::tmpl
