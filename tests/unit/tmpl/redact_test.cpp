#include "tmpl/redact.hpp"

#include <doctest/doctest.h>

namespace keybearer::tmpl {
namespace {

std::string hidden(const std::string& text, const std::string& value) {
  const Value values[] = {Value(value)};
  return without_values(text, values);
}

TEST_CASE("a value is not repeated, however it is quoted, and no quoted part of it is") {
  CHECK(hidden("bad hunter22!", "hunter22") == "bad [masked]!");
  CHECK(hidden(R"(bad "hun\nter22")", "hun\nter22") == R"(bad "[masked]")");
  CHECK(hidden(R"(cannot parse as "ter2")", "hunter22") == R"(cannot parse as "[masked]")");
  // As package time quotes.
  CHECK(hidden(R"(as "\x0ahunter")", "x\nhunter22") == R"(as "[masked]")");
  CHECK(hidden(R"(as "a\"b\\c22")", "xa\"b\\c22") == R"(as "[masked]")");
  CHECK(hidden(R"(as "\xed\x95\x9c")", "한글") == R"(as "[masked]")");
  CHECK(hidden("abc: too short to hide", "abc") == "abc: too short to hide");
}

TEST_CASE("numbers are values, too") {
  const Value values[] = {Value::integer(48151), Value::number("1234567"), Value(2.5)};
  CHECK(without_values("index out of range: 48151, of 1234567.", values) ==
        "index out of range: [masked], of [masked].");
  CHECK(without_values("148151 is another", values) == "148151 is another");
}

}  // namespace
}  // namespace keybearer::tmpl
