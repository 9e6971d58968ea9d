#pragma once
// Lists and maps that hold each other: none may hold itself, and none may be so deep that what
// walks it needs more than our stack. (Go's own stack overflows on the first.)

#include <cstddef>
#include <string>

#include "json/value.hpp"

namespace keybearer::tmpl {

inline constexpr int kMostNested = 1'000;   // lists and maps in each other, when made here
inline constexpr int kMostParsed = 10'000;  // the same in a text that is parsed, as in Go
inline constexpr std::size_t kMostItems = 4'000'000;  // of one list, and of all in a parsed text
inline constexpr std::size_t kMostText = 64u << 20;   // bytes of a text, and of an output
inline constexpr std::int64_t kMostLive = 1 << 30;    // of all texts that are alive at once

// Throws CallError when what walks lists and maps in each other is at such a depth that our stack is
// used up. `what` says what can't be done.
void check_depth(int depth, const char* what);

// One level more while it lives.
class Nested {
 public:
  Nested(int& depth, const char* what) : depth_(depth) { check_depth(depth_ + 1, what), ++depth_; }
  ~Nested() { --depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  int& depth_;
};

// Throws CallError when a text that grows is too large.
void check_size(const std::string& text);

// Throws CallError when `value` may not become a member of `into`.
void check_nesting(const Value& into, const Value& value);
// The same for a list or map that is new.
void check_nesting(const Value& value);

}  // namespace keybearer::tmpl
