// What an answer costs in memory, whatever its shape (rules: R8). ThreadSanitizer has operators of its
// own in the place of ours.
#if !__has_feature(thread_sanitizer)

#include <doctest/doctest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "base/redactor.hpp"
#include "json/json.hpp"

namespace {

// As glibc takes it: eight bytes more, in sixteens, 32 at least.
std::size_t cost(std::size_t bytes) {
  return bytes <= 24 ? 32 : (bytes + 8 + 15) / 16 * 16;
}

std::size_t live = 0, most = 0;

void* counted(std::size_t bytes) {
  void* const p = std::malloc(bytes == 0 ? 1 : bytes);
  if (p == nullptr) throw std::bad_alloc();
  live += cost(malloc_usable_size(p));
  most = std::max(most, live);
  return p;
}
void uncounted(void* p) noexcept {
  if (p != nullptr) live -= cost(malloc_usable_size(p));
  std::free(p);
}

}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes);
}
void* operator new[](std::size_t bytes) {
  return counted(bytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {  // of std::stable_sort
  return counted(bytes);
}
void operator delete(void* p, const std::nothrow_t&) noexcept {
  uncounted(p);
}
void operator delete(void* p) noexcept {
  uncounted(p);
}
void operator delete[](void* p) noexcept {
  uncounted(p);
}
void operator delete(void* p, std::size_t) noexcept {
  uncounted(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  uncounted(p);
}

namespace keybearer::json {
namespace {

using Part = std::function<std::string(std::size_t)>;  // of a text, by its number

struct Shape {
  std::string name;
  std::string begin, end;
  Part part;
};

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

Part same(const std::string& text) {
  return [text](std::size_t) { return text; };
}

// Each as the items of a list, the members of an object, and below one key.
std::vector<Shape> shapes() {
  std::vector<std::pair<std::string, Part>> parts = {
      {"deep lists", same(repeated("[", 100) + repeated("]", 100))},
      {"deep lists with an end", same(repeated("[", 60) + "1" + repeated("]", 60))},
      {"deep objects", same(repeated("{\"\":", 60) + "{}" + repeated("}", 60))},
      {"both", same(repeated("[{\"a\":", 30) + "[]" + repeated("}]", 30))},
      {"three digits", [](std::size_t i) { return std::to_string(100 + i * 7 % 900); }},
      {"ten digits", [](std::size_t i) { return std::to_string(1'000'000'000 + i); }},
      {"words", [](std::size_t i) { return "\"w" + std::to_string(i) + "\""; }},
      {"objects of one key",
       [](std::size_t i) { return "{\"k" + std::to_string(i % 50) + "\":\"v\"}"; }},
  };
  for (const char* text : {"1",
                           "0",
                           "-1",
                           "10",
                           "1.5",
                           "null",
                           "true",
                           "\"\"",
                           "\"a\"",
                           "\"ab\"",
                           "\"abc\"",
                           "[]",
                           "{}",
                           "[[]]",
                           "[[],[]]",
                           "[{}]",
                           "[1]",
                           "[1,2]",
                           "[\"a\"]",
                           "{\"\":1}",
                           "{\"a\":1}",
                           "{\"a\":{}}",
                           "{\"a\":[]}",
                           "{\"b\":1,\"a\":2}",
                           "{\"a\":1,\"a\":1}",
                           "1e999",
                           "0e0",
                           "1e9",
                           "\"\xff\"",
                           "\"\\udc00\"",
                           "\"\\u0000\"",
                           "\"\\n\\n\"",
                           "\"\xff\xff\xff\xff\""})
    parts.emplace_back(text, same(text));
  std::vector<Shape> all;
  for (const auto& [name, part] : parts) {
    all.push_back({name + " in a list", "[", "]", part});
    all.push_back({name + " below a key", "{\"data\":{\"a\":[", "]}}", part});
    all.push_back({name + " as members", "{", "}",
                   [part](std::size_t i) { return "\"" + std::to_string(i) + "\":" + part(i); }});
    all.push_back({name + " as the same member", "{", "}",
                   [part](std::size_t i) { return "\"\":" + part(i); }});
  }
  return all;
}

std::string text_of(const Shape& shape, std::size_t size) {
  std::string out = shape.begin;
  for (std::size_t i = 0; out.size() < size; ++i) {
    if (i != 0) out += ',';
    out += shape.part(i);
  }
  return out + shape.end;
}

std::string random_text(std::mt19937& random, int depth) {
  static constexpr const char* kLeaves[] = {"1",    "22",   "333",    "\"\"", "\"x\"",
                                            "null", "true", "\"yz\"", "1e9",  "\"longer text\""};
  if (depth == 0 || random() % 4 == 0) return kLeaves[random() % std::size(kLeaves)];
  const bool list = random() % 2 == 0;
  std::string out = list ? "[" : "{";
  const unsigned count = random() % 6;
  for (unsigned i = 0; i < count; ++i) {
    if (i != 0) out += ',';
    if (!list)
      out += "\"" + std::string(random() % 3, static_cast<char>('a' + random() % 26)) + "\":";
    out += random_text(random, depth - 1);
  }
  return out + (list ? "]" : "}");
}

// The text itself included: it is there while it is read.
double times_its_text(const std::string& text) {
  const std::size_t before = live;
  most = live;
  {
    const auto value = parse(text);
    REQUIRE(value);
  }
  CHECK(live == before);
  return static_cast<double>(most - before + text.size()) / static_cast<double>(text.size());
}

constexpr double kMostTimes = 12;

TEST_CASE("an answer of any shape costs at most twelve times its text") {
  std::string worst;
  double most_times = 0;
  for (const Shape& shape : shapes()) {
    for (const std::size_t size : {4'000, 70'000, 700'000}) {
      const double times = times_its_text(text_of(shape, size));
      INFO(shape.name << ", " << size << " bytes");
      CHECK(times <= kMostTimes);
      if (times > most_times) {
        most_times = times;
        worst = shape.name;
      }
    }
  }
  MESSAGE("most: " << most_times << " times, " << worst);
}

TEST_CASE("an answer of mixed small values costs at most twelve times its text") {
  std::mt19937 random(11);
  for (int round = 0; round < 100; ++round) {
    std::string text = "[";
    const std::size_t size = 4'000 + random() % 60'000;
    while (text.size() < size) text += (text.size() > 1 ? "," : "") + random_text(random, 8);
    text += "]";
    INFO("round " << round << ", " << text.size() << " bytes");
    CHECK(times_its_text(text) <= kMostTimes);
  }
}

// What a text costs after it was read: nothing of the parser's is left.
TEST_CASE("of an answer that is kept only what it holds is kept") {
  for (const char* text :
       {"{\"a\":1}", "{\"data\":{\"data\":{\"user\":\"u\",\"password\":\"p\"}}}"}) {
    const std::size_t before = live;
    const auto value = parse(text);
    REQUIRE(value);
    CHECK(live - before <= 300);
  }
}

TEST_CASE("what the redactor takes does not grow with the values that came and went") {
  Redactor redactor;
  std::size_t early = 0;
  for (int i = 0; i < 40'000; ++i) {
    const std::string value = "value-" + std::to_string(100'000 + i);
    const std::string_view values[] = {value};
    redactor.set("secret " + std::to_string(i % 20), values);
    if (i == 4'000) early = live;
  }
  CHECK(live <= early + 20'000);
}

TEST_CASE("a list or a map of an answer that is changed moves out, and all see it") {
  auto value = *parse("{\"m\":{\"b\":1},\"l\":[1,2,[3]],\"e\":{},\"n\":[]}");
  Value map = *value.find("m");
  map.set("a", "x");
  CHECK(map.erase(Value("b")));
  CHECK(write(value) == R"({"e":{},"l":[1,2,[3]],"m":{"a":"x"},"n":[]})");
  Value list = *value.find("l");
  list.own_items().push_back(Value("y"));
  CHECK(write(value) == R"({"e":{},"l":[1,2,[3],"y"],"m":{"a":"x"},"n":[]})");
  Value copy = value.deep_copy();
  Value(*copy.find("e")).set("k", Value(1));
  Value(*copy.find("n")).own_items().push_back(Value(true));
  CHECK(write(copy) == R"({"e":{"k":1},"l":[1,2,[3],"y"],"m":{"a":"x"},"n":[true]})");
  CHECK(value.find("m")->is_same(map));
  value = Value();
  CHECK(write(map) == R"({"a":"x"})");
}

TEST_CASE("parts of an answer outlive it, in any order") {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<Value> kept;
    {
      std::string text = "[";
      for (int i = 0; i < 400; ++i) text += (i != 0 ? "," : "") + random_text(random, 4);
      const auto value = parse(text + "]");
      REQUIRE(value);
      for (const Value& item : value->items())
        if (random() % 3 == 0) kept.push_back(item);
    }
    std::shuffle(kept.begin(), kept.end(), random);
    std::vector<std::string> texts;
    for (const Value& value : kept) texts.push_back(write(value));
    while (!kept.empty()) {
      CHECK(write(kept.back()) == texts.back());
      kept.pop_back();
      texts.pop_back();
    }
  }
}

}  // namespace
}  // namespace keybearer::json

#endif
