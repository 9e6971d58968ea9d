#include "tmpl/hide.hpp"

#include <doctest/doctest.h>

namespace keybearer::tmpl {
namespace {

std::string hidden(std::string text, const std::string& value) {
  const Value values[] = {Value(value)};
  return without_values(std::move(text), values);
}

TEST_CASE("a value is not repeated, however it is quoted, and no quoted part of it is") {
  CHECK(hidden("bad hunter22!", "hunter22") == "bad [value]!");
  CHECK(hidden(R"(bad "hun\nter22")", "hun\nter22") == R"(bad "[value]")");
  CHECK(hidden(R"(cannot parse as "ter2")", "hunter22") == R"(cannot parse as "[value]")");
  // As package time quotes.
  CHECK(hidden(R"(as "\x0ahunter")", "x\nhunter22") == R"(as "[value]")");
  CHECK(hidden(R"(as "a\"b\\c22")", "xa\"b\\c22") == R"(as "[value]")");
  CHECK(hidden(R"(as "\xed\x95\x9c")", "한글") == R"(as "[value]")");
  CHECK(hidden("abc: too short to hide", "abc") == "abc: too short to hide");
}

}  // namespace
}  // namespace keybearer::tmpl
