#include "json/json.hpp"

#include <doctest/doctest.h>

namespace keybearer::json {
namespace {

TEST_CASE("numbers keep their text, however strange") {
  const auto value = parse(R"({"a":0.10,"b":1E+2,"c":12345678901234567890,"d":1e400,"e":-0})");
  REQUIRE(value.has_value());
  CHECK(value->find("a")->type() == Type::number);
  CHECK(text_at(*value, "a") == "0.10");
  CHECK(text_at(*value, "d") == "1e400");
  CHECK(write(*value) == R"({"a":0.10,"b":1E+2,"c":12345678901234567890,"d":1e400,"e":-0})");
}

TEST_CASE("members come sorted, and of a key that comes twice the last wins") {
  const auto value = parse(R"({"b":1,"a":[true,null,"x"],"b":2})");
  REQUIRE(value.has_value());
  CHECK(write(*value) == R"({"a":[true,null,"x"],"b":2})");
  CHECK(int_at(*value, "b") == 2);
  CHECK(int_at(*value, "a", 7) == 7);
  CHECK(value_at(*value, "absent").is_nil());
}

TEST_CASE("deep, large and broken input is an error without a piece of the input") {
  const std::string deep(2'000'000, '[');
  for (const std::string& text : {deep, std::string("{\"secret\":"), std::string("\"hunter2"),
                                  std::string("[1,]"), std::string("{}x"), std::string()}) {
    const auto value = parse(text);
    REQUIRE_FALSE(value.has_value());
    CHECK(value.error().kind == ErrorKind::bad_reply);
    CHECK(value.error().text.find("hunter") == std::string::npos);
  }
  CHECK_FALSE(parse("[1,2,3]", {.max_values = 3}).has_value());
}

TEST_CASE("a byte that is no UTF-8 becomes U+FFFD, as in Go") {
  const auto value = parse("\"a\xff\"");
  REQUIRE(value.has_value());
  CHECK(value->as_text() == "a\uFFFD");
}

TEST_CASE("half of a surrogate pair becomes U+FFFD; a NUL is no end") {
  CHECK(json::parse(R"("a\udc00b")")->as_text() == "a\uFFFDb");
  CHECK(json::parse(R"("\ud83d")")->as_text() == "\uFFFD");
  CHECK(json::parse(R"("\ud83d\ude00")")->as_text() == "\U0001F600");
  CHECK(json::parse(R"("\\udc00")")->as_text() == "\\udc00");
  CHECK_FALSE(json::parse(std::string_view("1\0", 2)));
}

TEST_CASE("text goes out escaped") {
  CHECK(quote("a\"\\\n\x01"
              "é") == "\"a\\\"\\\\\\n\\u0001é\"");
}

}  // namespace
}  // namespace keybearer::json

namespace keybearer {
namespace {

TEST_CASE("copies share, deep copies do not") {
  Value map = Value::map();
  map.set("a", Value(1));
  Value shared = map;
  Value copy = map.deep_copy();
  shared.set("b", "x");
  CHECK(map.size() == 2);
  CHECK(copy.size() == 1);
  CHECK(map == shared);
  CHECK_FALSE(map == copy);
  CHECK(map.erase("b"));
  CHECK(map == copy);
}

TEST_CASE("kinds are kept apart") {
  CHECK_FALSE(Value(1) == Value::int64(1));
  CHECK_FALSE(Value("1") == Value::number("1"));
  CHECK(Value::list({Value(1), Value("a")}) == Value::list({Value(1), Value("a")}));
}

TEST_CASE("keys of any kind are sorted as Go prints maps") {
  Value map = Value::map(Type::any_map);
  map.set_key(Value("b"), Value(1));
  map.set_key(Value(10), Value(2));
  map.set_key(Value("a"), Value(3));
  map.set_key(Value(9), Value(4));
  std::string order;
  for (const auto& [key, value] : map.entries()) order += std::to_string(value.as_int());
  CHECK(order == "3142");  // texts first: the reference's order of the types
  CHECK(map.find_key(Value(10))->as_int() == 2);
  CHECK(map.find("a")->as_int() == 3);
}

}  // namespace
}  // namespace keybearer
