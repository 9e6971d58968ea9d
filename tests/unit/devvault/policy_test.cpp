#include "devvault/policy.hpp"

#include <doctest/doctest.h>

using namespace keybearer;
using namespace keybearer::devvault;

namespace {

std::string on(const std::string& text, std::string_view path) {
  const Policy policy = parse_policy(text).value();
  std::string out;
  for (const auto& name : capabilities_on({&policy}, path)) out += (out.empty() ? "" : " ") + name;
  return out;
}

}  // namespace

TEST_CASE("a rule holds for its path, its prefix or its segments") {
  const std::string text = R"(
    # comment
    path "secret/exact" { capabilities = ["read"] }
    path "secret/deep/*" { capabilities = ["list", "read"] } // comment
    path "secret/+/config" { /* comment */ capabilities = ["update"], allowed_parameters = { "a" = ["b"] } }
  )";
  CHECK(on(text, "secret/exact") == "read");
  CHECK(on(text, "secret/exactly") == "deny");
  CHECK(on(text, "secret/deep/a/b") == "list read");
  CHECK(on(text, "secret/x/config") == "update");
  CHECK(on(text, "secret/x/y/config") == "deny");
  CHECK(on(text, "secret//config") == "deny");
}

TEST_CASE("the best match alone decides") {
  const std::string text = R"(
    path "a/*" { capabilities = ["read"] }
    path "a/b/*" { capabilities = ["update"] }
    path "a/b/c" { capabilities = ["deny", "read"] }
    path "a/+/d" { capabilities = ["list"] }
  )";
  CHECK(on(text, "a/x") == "read");
  CHECK(on(text, "a/b/x") == "update");
  CHECK(on(text, "a/b/c") == "deny");
  CHECK(on(text, "a/x/d") == "list");
  CHECK(on(text, "a/b/d") == "update");
}

TEST_CASE("policies add up on the same path, and deny wins") {
  const Policy one = parse_policy(R"(path "a" { capabilities = ["read"] })").value();
  const Policy two = parse_policy(R"({"path":{"a":{"capabilities":["list"]}}})").value();
  const Policy no = parse_policy(R"(path "a" { capabilities = ["deny"] })").value();
  CHECK(capabilities_on({&one, &two}, "a") == Capabilities{"read", "list"});
  CHECK(capabilities_on({&one, &two, &no}, "a") == Capabilities{"deny"});
  CHECK(capabilities_on({}, "a") == Capabilities{"deny"});
}

TEST_CASE("what is no policy is refused") {
  for (const char* text :
       {"path \"a\"", "path \"a\" {", "path a { }", "path \"a\" { capabilities = [\"fly\"] }",
        "path \"a\" { capabilities = \"read\" }", "nonsense", "{", "path \"a\" { x = [ }"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_policy(text));
  }
  CHECK(parse_policy(""));
}

TEST_CASE("a mount is touched by what is below it and by what covers it") {
  const Policy policy = parse_policy(R"(path "secret/data/a" { capabilities = ["read"] }
                                        path "data*" { capabilities = ["read"] }
                                        path "no/*" { capabilities = ["deny"] })")
                            .value();
  CHECK(touches_mount({&policy}, "secret/"));
  CHECK(touches_mount({&policy}, "database/"));
  CHECK_FALSE(touches_mount({&policy}, "no/"));
  CHECK_FALSE(touches_mount({&policy}, "kv/"));
}
