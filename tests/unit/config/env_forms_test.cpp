// The forms of a value of [env]: each that is good, and what is said of each that is not.

#include <doctest/doctest.h>

#include "fixture.hpp"

namespace keybearer::config {
namespace {

TEST_CASE_FIXTURE(Fixture, "a value is a text, a file, or a secret's key; one of them") {
  input.offline = true;
  const std::string source = write("source", "x");
  const struct {
    std::string value, said;
  } rows[] = {
      {"'text'", ""},
      {"{ contents = 'text' }", ""},
      {"{ source = '" + source + "' }", ""},
      {"{ secret = 'kv/a', key = 'k' }", ""},
      {"{ }", "one of contents, source, or secret and key is required"},
      {"{ contents = 'x', source = '" + source + "' }", "exclude each other"},
      {"{ contents = 'x', secret = 'kv/a', key = 'k' }", "exclude each other"},
      {"{ source = '" + source + "', secret = 'kv/a', key = 'k' }", "exclude each other"},
      {"{ key = 'k' }", "secret = \"PATH\" is missing"},
      {"{ contents = 'x', key = 'k' }", "secret = \"PATH\" is missing"},
      {"{ secret = 'kv/a' }", "go together; key = \"KEY\" is missing"},
      {"{ secret = 'kv/a#' }", "go together; key = \"KEY\" is missing"},
      {"{ secret = '#k' }", "go together; key = \"KEY\" is missing"},
      {"{ secret = '#' }", "go together; key = \"KEY\" is missing"},
      {"{ secret = 'a#k' }", "go together; write { secret = \"a\", key = \"k\" }"},
      {"{ secret = 'a#b#k' }", "go together; write { secret = \"a#b\", key = \"k\" }"},
      {"5", "expected template text, or a table"},
      {"'vault:kv/a#k'", ""},
      {"'vault:a#k'", ""},
      {"'vault:#k'", "a reference without a key"},
      {"'vault:kv/a#'", "a reference without a key"},
      {"'vault:kv/a'", "a reference without a key"},
      {"'vault:{{ x }}'", ""},
      {"'a/b#k'", "a plain text that looks like PATH#KEY"},
      {"'/b#k'", ""},
      {"'a/#k'", ""},
      {"'a/b#'", ""},
      {"'ab#k'", ""},
      {"'a/b#k/l'", ""},
      {"\"a/b#k\\n\"", ""},
      {"\"a/b\\t#k\"", ""},
      {"\"a/b\\r#k\"", ""},
      {"'a/b #k'", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.value);
    const std::string said = problems("[env]\nA = " + row.value + "\n");
    CHECK(said.empty() == row.said.empty());
    CHECK(said.contains(row.said));
  }
}

TEST_CASE_FIXTURE(Fixture, "where a value of [env] comes from is shown, and not its text") {
  input.offline = true;
  const std::string source = write("source", "x");
  const auto loaded = load("[env]\nA = 'text'\nB = { source = '" + source +
                           "' }\nC = { secret = 'kv/a', key = 'k' }\nD = 'vault:kv/b#l'\n");
  REQUIRE(loaded);
  std::map<std::string, std::string> shown;
  for (const Origin& each : loaded->origins) shown[each.key] = each.value;
  CHECK(shown["env.A"] == "(template text)");
  CHECK(shown["env.B"] == "(" + source + ")");
  CHECK(shown["env.C"] == "kv/a#k");
  CHECK(shown["env.D"] == "kv/b#l");
}

}  // namespace
}  // namespace keybearer::config
