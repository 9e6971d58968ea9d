#pragma once
// JSON text to Value and back. RapidJSON stays behind json.cpp.

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "json/value.hpp"

namespace keybearer::json {

struct Limits {
  std::size_t max_depth = 128;
  std::size_t max_values = 1'000'000;
};

// Numbers become json.Number with their text kept; objects become map, arrays list; a key that
// comes twice: the last wins; a byte that is not UTF-8 becomes U+FFFD: as in Go. Iterative, so that
// deep input is an error (bad_reply) and never a stack overflow. The error has the byte offset and
// no piece of the text.
[[nodiscard]] result<Value> parse(std::string_view text, Limits limits = {});

// Compact JSON with keys sorted. Numbers as they are; json.Number text is not checked. Only what
// JSON can hold (not complex128, any_map with other than string keys, object): null instead.
[[nodiscard]] std::string write(const Value& value);

// A boolean or a whole number as JSON, YAML and TOML spell it. False: it is of another type, and
// nothing was appended.
bool append_literal(std::string& out, const Value& value);

// "text" with quotes and escapes.
[[nodiscard]] std::string quote(std::string_view text);

}  // namespace keybearer::json
