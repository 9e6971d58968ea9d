#include "base/log.hpp"

#include <doctest/doctest.h>

namespace keybearer::log {
namespace {

std::string line(Format format, std::string_view message, Fields fields) {
  return format_line(format, "T", Level::info, "some.event", message, fields, "app");
}

TEST_CASE("a text line has time, level, message and fields") {
  CHECK(line(Format::text, "token renewed", {{"ttl", "1h"}, {"path", "a b"}}) ==
        "T INFO  token renewed ttl=1h path=\"a b\"\n");
}

TEST_CASE("a JSON line is one object with the event's name") {
  CHECK(line(Format::json, "token \"renewed\"", {{"ttl", "1h"}}) ==
        "{\"time\":\"T\",\"level\":\"info\",\"name\":\"app\",\"event\":\"some.event\","
        "\"message\":\"token \\\"renewed\\\"\",\"ttl\":\"1h\"}\n");
}

TEST_CASE("the journal gets a priority and no time") {
  CHECK(line(Format::journal, "hello", {}) == "<6>hello\n");
}

TEST_CASE("no value can forge a line or an escape sequence") {
  CHECK(line(Format::text, "a", {{"k", "x\nT ERROR forged \x1b[31m"}}) ==
        "T INFO  a k=\"x\\nT ERROR forged \\u001b[31m\"\n");
  CHECK(line(Format::json, "a\nb\x01", {}).find("a\\nb\\u0001") != std::string::npos);
}

}  // namespace
}  // namespace keybearer::log
