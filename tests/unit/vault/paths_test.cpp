#include "vault/paths.hpp"

#include <doctest/doctest.h>

namespace keybearer::vault {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a path becomes a request target in which nothing of it can act as more than a path") {
  struct {
    std::string_view path, query, expected;
  } rows[] = {
      {"secret/data/app", "", "/v1/secret/data/app"},
      {"/secret/data/app", "", "/v1/secret/data/app"},
      {"secret/data/a b", "version=2", "/v1/secret/data/a%20b?version=2"},
      {"secret/data/a?b#c%41", "", "/v1/secret/data/a%3Fb%23c%2541"},
      {"secret/data/x\r\nHost: evil", "", "/v1/secret/data/x%0D%0AHost:%20evil"},
      {"secret/data/\xC3\xBC", "", "/v1/secret/data/%C3%BC"},
      {"secret/data/a", "version=2 HTTP/1.1\r\n", "/v1/secret/data/a?version=2%20HTTP/1.1%0D%0A"},
      {"secret/..a/...", "", "/v1/secret/..a/..."},
      {"secret/metadata/", "list=true", "/v1/secret/metadata/?list=true"},
  };
  for (const auto& [path, query, expected] : rows) CHECK(target(path, query).value() == expected);
}

TEST_CASE("a path that would climb out of its mount is refused") {
  for (const auto path : {"secret/../sys/seal", "..", "a/.", "./a", "secret/data/..", "", "///"}) {
    CAPTURE(path);
    REQUIRE_FALSE(target(path));
    CHECK(target(path).error().kind == ErrorKind::refused);
  }
}

TEST_CASE("values can't add a member to a body") {
  CHECK(json_object({{"role_id", "a\",\"x\":\"y"}, {"secret_id", "line\nbreak"}}).reveal() ==
        R"({"role_id":"a\",\"x\":\"y","secret_id":"line\nbreak"})");
  CHECK(json_object({}).reveal() == "{}");
}

TEST_CASE("an increment is never rounded down to nothing") {
  CHECK(seconds_text(10min) == "600s");
  CHECK(seconds_text(1ms) == "1s");
}

TEST_CASE("a path lies in a mount by whole parts") {
  CHECK(is_under_mount("secret/data/app", "secret/"));
  CHECK(is_under_mount("team/kv/a", "team/kv/"));
  CHECK(is_under_mount("secret", "secret/"));
  CHECK_FALSE(is_under_mount("secrets/data/app", "secret/"));
}

TEST_CASE("a mount is named from the namespace on that was asked in") {
  CHECK(within_namespace("team-a/sub/kv/", "team-a") == "sub/kv/");
  CHECK(within_namespace("team-a/sub/kv/", "/team-a/sub/") == "kv/");
  CHECK(within_namespace("kv/", "team-a") == "kv/");
  CHECK(within_namespace("team-abc/kv/", "team-a") == "team-abc/kv/");
  CHECK(within_namespace("kv/", "") == "kv/");
}

}  // namespace
}  // namespace keybearer::vault
