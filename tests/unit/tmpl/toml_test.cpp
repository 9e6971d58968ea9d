#include "tmpl/formats/toml_write.hpp"

#include <doctest/doctest.h>

#include "json/json.hpp"
#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl {
namespace {

std::string written(std::string_view json) {
  try {
    return toml::write(*json::parse(json));
  } catch (const CallError& error) {
    return error.text;
  }
}

TEST_CASE("values come before tables, tables are indented by their depth") {
  CHECK(written(R"({"z":{"y":1,"x":{"w":2}},"a":[{"b":1},{"c":{}}],"n":1})") ==
        "n = 1\n\n[[a]]\n  b = 1\n\n[[a]]\n  [a.c]\n\n[z]\n  y = 1\n  [z.x]\n    w = 2\n");
}

TEST_CASE("keys and texts are quoted where they must be") {
  CHECK(written(R"({"a.b":"\"\\\u0001\u007f\n","":1})") ==
        "\"\" = 1\n\"a.b\" = \"\\\"\\\\\\u0001\\u007f\\n\"\n");
}

TEST_CASE("floats have a point and their shortest digits") {
  CHECK(written(R"({"a":1e2,"b":0.10,"c":12345678901234567890,"d":1e21,"e":5})") ==
        "a = 100.0\nb = 0.1\nc = 12345678901234567000.0\nd = 1000000000000000000000.0\ne = 5\n");
}

TEST_CASE("nothing is written for null; in a list it is an error") {
  CHECK(written(R"({"a":null,"b":[{"x":null,"y":1},2]})") == "b = [{y = 1}, 2]\n");
  CHECK(written(R"({"a":[null]})") == "toTOML: toml: cannot encode array with nil element");
}

TEST_CASE("what TOML can't hold") {
  CHECK(written("[{}]") == "toTOML: toml: top-level values must be Go maps or structs");
  CHECK(written("1e400") == "toTOML: unable to convert \"[masked]\" to int64 or float64");
}

}  // namespace
}  // namespace keybearer::tmpl
