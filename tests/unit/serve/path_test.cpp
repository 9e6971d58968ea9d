#include "serve/path.hpp"

#include <doctest/doctest.h>

#include <optional>

using namespace keybearer;
using serve::parse_target;
using serve::query_value;

// Points 10 and 51 of the check-list: one reading of a path, and no second one.
TEST_CASE("dot segments, double and encoded slashes, NUL and broken escapes are refused with 400") {
  for (const char* row : {"/v1/app/../other",
                          "/v1/app/%2e%2e/other",
                          "/v1/app/.%2E/other",
                          "/v1/app/%2e./other",
                          "/v1/app/./x",
                          "/v1/app/%2e/x",
                          "/v1/app/..",
                          "/v1/app/.",
                          "/..",
                          "/v1//x",
                          "//v1/x",
                          "/v1/x//",
                          "/v1/a%2Fb",
                          "/v1/a%2fb",
                          "/v1/app%2f..%2fother",
                          "/v1/a%5cb",
                          "/v1/a%5Cb",
                          "/v1/a%00b",
                          "/v1/a%0ab",
                          "/v1/a%0d%0ab",
                          "/v1/a%1fb",
                          "/v1/a%7fb",
                          "/v1/a%",
                          "/v1/a%2",
                          "/v1/a%zz",
                          "/v1/a%c0%ae",
                          "/v1/%ff",
                          "/v1/%ed%a0%80",
                          "v1/x",
                          "*",
                          "",
                          "http://",
                          "http:///v1"}) {
    CAPTURE(row);
    const auto target = parse_target(row);
    REQUIRE_FALSE(target);
    CHECK(target.error().status == 400);
    CHECK(target.error().text.starts_with("bad path: "));
  }
}

TEST_CASE("what goes upstream is what came; rules see it decoded once") {
  const struct {
    const char *target, *path, *raw, *query;
  } rows[] = {
      {"/v1/kv/data/app", "/v1/kv/data/app", "/v1/kv/data/app", ""},
      {"/v1/a%20b?z=1&a=%2f..&a=+", "/v1/a b", "/v1/a%20b?z=1&a=%2f..&a=+", "z=1&a=%2f..&a=+"},
      {"/v1/a%252fb", "/v1/a%2fb", "/v1/a%252fb", ""},
      {"/v1/caf%C3%A9/", "/v1/caf\xc3\xa9/", "/v1/caf%C3%A9/", ""},
      {"/v1/...", "/v1/...", "/v1/...", ""},
      {"/v1/.hidden", "/v1/.hidden", "/v1/.hidden", ""},
      {"/", "/", "/", ""},
      {"http://h:1/v1/x?y", "/v1/x", "/v1/x?y", "y"},
      {"http://h:1", "/", "/", ""},
      {"/v1/x?http://h", "/v1/x", "/v1/x?http://h", "http://h"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.target);
    const auto target = parse_target(row.target);
    REQUIRE(target);
    CHECK(target->path == row.path);
    CHECK(target->raw == row.raw);
    CHECK(target->query == row.query);
  }
  CHECK(parse_target("http://h:1/x")->authority == "h:1");
  CHECK(parse_target("/v1/x/")->trimmed() == "v1/x");
}

TEST_CASE("parameters are read as Vault reads them") {
  CHECK(query_value("list=true", "list") == "true");
  CHECK(query_value("a=1&li%73t=tr%75e", "list") == "true");
  CHECK(query_value("list", "list") == "");
  CHECK(query_value("list=a+b&list=c", "list") == "a b");
  CHECK_FALSE(query_value("xlist=1", "list").has_value());
  // Go passes over what it can't read, and the next one counts.
  for (const char* query : {"list=%zz&list=true", "list=%&list=true", "list=a;b&list=true",
                            "list=true;&list=true", "list;=x&list=true", "%zz=1&list=true"})
    CHECK(query_value(query, "list") == "true");
  CHECK(query_value("list=&list=true", "list") == "");
  CHECK_FALSE(query_value("list=%zz", "list").has_value());
  CHECK_FALSE(query_value("", "list").has_value());
}

TEST_CASE("no token, accessor or lease of a path is in the log") {
  const std::pair<const char*, const char*> rows[] = {
      {"/v1/kv/data/app", "/v1/kv/data/app"},
      {"/v1/kv/data/renew/app", "/v1/kv/data/renew/app"},
      {"/v1/auth/token/revoke/hvs.x", "/v1/auth/token/revoke/..."},
      {"/v1/ns/auth/token/lookup-accessor/abc", "/v1/ns/auth/token/lookup-accessor/..."},
      {"/v1/sys/leases/revoke/database/creds/a/b", "/v1/sys/leases/revoke/..."},
      {"/v1/sys/leases/revoke", "/v1/sys/leases/revoke"},
      {"/v1/x/hvs.0123456789012345678901234/y", "/v1/x/.../y"},
      {"/", "/"},
      {"", ""},
  };
  for (const auto& [path, shown] : rows) CHECK(serve::shown_path(path) == shown);
}
