#include <doctest/doctest.h>

#include <random>

#include "tmpl/formats/yaml.hpp"
#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl {
namespace {

// What is read, or the error.
std::string error_of(std::string_view text) {
  try {
    (void)yaml::read(text);
    return "";
  } catch (const CallError& error) {
    return error.text;
  }
}

std::string written(const Value& value) {
  return yaml::write(value);
}

Value map_of(std::initializer_list<std::pair<const char*, Value>> members) {
  Value map = Value::map();
  for (const auto& [key, value] : members) map.set(key, value);
  return map;
}

TEST_CASE("scalars are those of YAML 1.1") {
  const auto resolves_to = [](std::string_view text, const Value& want) {
    CAPTURE(text);
    CHECK(yaml::resolve({}, text).value == want);
  };
  resolves_to("yes", true);
  resolves_to("Off", false);
  resolves_to("~", {});
  resolves_to("010", Value::integer(8));
  resolves_to("08", Value(8.0));
  resolves_to("0o17", Value::integer(15));
  resolves_to("0b-101", Value::integer(-5));
  resolves_to("1_000", Value::integer(1000));
  resolves_to("18446744073709551615", Value::uint64(18446744073709551615u));
  resolves_to("1e3", Value(1000.0));
  resolves_to("12:30", "12:30");
  resolves_to("2024-02-29", "2024-02-29");
  resolves_to("1e400", "1e400");
  resolves_to("<<", "<<");
}

TEST_CASE("merge keys: of a list the first wins, what comes later overrides") {
  const Value doc = yaml::read("b: &b {x: 1, z: 0}\nc:\n  <<: [{x: 2}, *b]\n  z: 9\n");
  const Value& merged = *doc.find("c");
  CHECK(*merged.find("x") == Value::integer(2));
  CHECK(*merged.find("z") == Value::integer(9));
  CHECK(error_of("<<: 5") == "yaml: map merge requires map or sequence of maps as the value");
}

TEST_CASE("an alias is a copy of its own") {
  Value doc = yaml::read("a: &a [1]\nb: *a\n");
  Value first = *doc.find("a");
  first.own_items().push_back("x");
  CHECK(doc.find("b")->size() == 1);
}

TEST_CASE("hostile documents are errors") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  CHECK(error_of(bomb) == "yaml: document contains excessive aliasing");
  CHECK(error_of("&a [*a]") == "yaml: anchor '[masked]' value contains itself");
  CHECK(error_of(std::string(20'000, '[')).find("exceeded max depth") != std::string::npos);
  CHECK(error_of(std::string(5'000, '[') + std::string(5'000, ']')).empty());
  CHECK(error_of(std::string(9'999, '[') + "&a 1, *a" + std::string(9'999, ']')) ==
        "yaml: exceeded max depth of 4000");
  CHECK(error_of("%YAML 1.2\n---\na") == "yaml: found incompatible YAML document");
  CHECK(error_of("a: \xFF") == "yaml: invalid leading UTF-8 octet");
  CHECK(error_of("a: [") == "yaml: line 1: did not find expected node content");
  CHECK(error_of("x:\n\tz: 1").starts_with("yaml: line 2: found character"));
}

TEST_CASE("no error holds a value") {
  for (const char* text : {"!!int hunter2", "*hunter2", "{hunter2: 1}: 2", "? [hunter2]\n: 1",
                           "a: !!binary hunter2!"}) {
    CAPTURE(text);
    const std::string error = error_of(text);
    CHECK(error.starts_with("yaml: "));
    CHECK(error.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("keys are ordered as people count; lists are not indented") {
  CHECK(written(map_of({{"item10", 1}, {"item9", 2}, {"_x", 3}, {"Z", 4}, {"a", 5}})) ==
        "_x: 3\nZ: 4\na: 5\nitem9: 2\nitem10: 1\n");
  CHECK(written(map_of({{"l", Value::list({1, map_of({{"y", Value::list({})}})})}})) ==
        "l:\n- 1\n- \"y\": []\n");
}

TEST_CASE("text that would read as something else is quoted, long text is folded") {
  CHECK(written("yes") == "\"yes\"\n");
  CHECK(written("12:30") == "\"12:30\"\n");
  CHECK(written("a: b") == "'a: b'\n");
  CHECK(written("tab\t") == "\"tab\\t\"\n");
  CHECK(written("a\nb\n\n") == "|+\n  a\n  b\n\n");
  CHECK(written(" a\nb") == "|2-\n   a\n  b\n");
  CHECK(written("a\xFF") == "!!binary Yf8=\n");
  CHECK(written("\xF0\x9F\x94\xA5") == "\"\\U0001F525\"\n");
  std::string words;
  for (int i = 0; i < 30; ++i) words += "word ";
  words += "end";
  CHECK(written(words).find("word\n  word") != std::string::npos);
  CHECK(written(Value::number("0.10")) == "0.1\n");
}

// A text of awkward pieces.
std::string awkward(std::mt19937& random) {
  constexpr const char* kPieces[] = {"a",
                                     " ",
                                     "  ",
                                     "\n",
                                     "\n\n",
                                     "\t",
                                     ":",
                                     ": ",
                                     "#",
                                     " #",
                                     "-",
                                     "- ",
                                     "?",
                                     "[",
                                     "]",
                                     "{",
                                     "}",
                                     ",",
                                     "&a",
                                     "*a",
                                     "!",
                                     "!!str",
                                     "|",
                                     ">",
                                     "'",
                                     "\"",
                                     "%",
                                     "@",
                                     "`",
                                     "yes",
                                     "null",
                                     "~",
                                     "0x1F",
                                     "010",
                                     "1e3",
                                     ".inf",
                                     "<<",
                                     "---",
                                     "...",
                                     "\\",
                                     "\r",
                                     "\x01",
                                     "\x7F",
                                     "é",
                                     "\u2028",
                                     "\uFEFF",
                                     "한",
                                     "🔥",
                                     "\u0085",
                                     "=",
                                     "1:30",
                                     "2024-01-01",
                                     "word word word word word word word word word word word"};
  std::string out;
  const auto pieces = random() % 7;
  for (unsigned i = 0; i < pieces; ++i) out += kPieces[random() % std::size(kPieces)];
  return out;
}

TEST_CASE("what is written reads back") {
  std::mt19937 random(20240229);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = awkward(random), key = awkward(random);
    if (key == "<<") continue;  // yaml.v2 writes it plain: a merge key
    Value map = Value::map(Type::any_map);
    map.set(key, Value::list({Value(text)}));
    const std::string document = written(map);
    CAPTURE(document);
    const Value back = yaml::read(document);
    REQUIRE(back == map);
  }
}

}  // namespace
}  // namespace keybearer::tmpl
