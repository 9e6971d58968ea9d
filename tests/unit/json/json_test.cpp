#include "json/json.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>

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

namespace keybearer {
namespace {

// Against std::map, with keys in every order; looked at as a whole only now and then.
TEST_CASE("a map holds what was set, in whatever order, and iterates sorted") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Value map = Value::map();
    std::map<std::string, int> expected;
    const int steps = static_cast<int>(random() % 300);
    for (int i = 0; i < steps; ++i) {
      const std::string key = std::to_string(round % 3 == 0 ? i : static_cast<int>(random() % 200));
      switch (random() % 10) {
        case 0:
          CHECK(map.erase(key) == (expected.erase(key) > 0));
          break;
        case 1:
          CHECK((map.find(key) != nullptr) == expected.contains(key));
          CHECK(map.size() == expected.size());
          break;
        case 2:
          if (random() % 8 == 0) (void)map.entries();
          break;
        default:
          map.set(key, Value(i));
          expected[key] = i;
      }
    }
    for (const auto& [key, number] : expected) {
      REQUIRE(map.find(key) != nullptr);
      CHECK(map.find(key)->as_int() == number);
    }
    REQUIRE(map.entries().size() == expected.size());
    auto at = expected.begin();
    for (const auto& [key, value] : map.entries()) {
      CHECK(key.as_text() == at->first);
      CHECK(value.as_int() == (at++)->second);
    }
  }
}

TEST_CASE(
    "building a map takes n log n, in falling, rising and mixed order, also when it is read on the "
    "way") {
  constexpr int kMany = 200'000;  // quadratic: minutes
  for (const int order : {0, 1, 2}) {
    Value map = Value::map();
    for (int i = 0; i < kMany; ++i) {
      const int n = order == 0 ? i : order == 1 ? kMany - i : (i * 7919) % kMany;
      map.set(std::to_string(1'000'000 + n), Value(i));
      if (i % 2 == 0) CHECK(map.find("1000000") == map.find_key(Value("1000000")));
    }
    CHECK(map.entries().size() == kMany);
  }
}

}  // namespace
}  // namespace keybearer

namespace keybearer::json {
namespace {

std::string many(const std::string& one, int count, const std::string& rest = {}) {
  std::string out = "[" + one;
  for (int i = 1; i < count; ++i) out += "," + one;
  return out + rest + "]";
}

TEST_CASE(
    "numbers beyond a double keep their text, however many, and what looks like them does too") {
  const std::string digits(400, '7');
  for (const std::string number :
       {"1e999", "-1E+999", "0e0", "1e-999", "12.5e308", "1e99999999999"}) {
    const auto value = parse(many(number, 3));
    REQUIRE(value);
    for (const Value& item : value->items()) CHECK(item.as_text() == number);
  }
  const auto mixed = parse("[0e0,1e999,\"0e0\",0e0," + digits + ",\"1e999\\\"\",1]");
  REQUIRE(mixed);
  CHECK(write(*mixed) == "[0e0,1e999,\"0e0\",0e0," + digits + ",\"1e999\\\"\",1]");
  CHECK(parse("{\"a\xff\":1e999,\"b\":\"\\udc00\",\"c\":0e0}")->find("c")->as_text() == "0e0");
  for (const char* wrong : {"[01e999]", "[1e999x]", "[1e]", "[1.e999]", "[-]", "[1e999", "1e999 2"})
    CHECK_FALSE(parse(wrong));
}

TEST_CASE("a hundred thousand huge numbers are one pass") {
  CHECK(parse(many("1e999", 100'000))->items().size() == 100'000);
  CHECK(parse(many("1e999", 100'000, ",\"" + std::string(1'000'000, 'x') + "\""))->items().size() ==
        100'001);
}

}  // namespace
}  // namespace keybearer::json
