#include "http/redirect.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace keybearer;
using namespace keybearer::http;

namespace {

const std::vector<Url> kServers = {*parse_url("https://a:8200"), *parse_url("https://b:8200"),
                                   *parse_url("http://c:8200")};

std::string where(int status, std::string_view method, std::string_view location,
                  std::size_t from = 0) {
  const auto to = follow(status, method, location, kServers, from);
  return to ? std::to_string(to->address) + " " + to->target : to.error().text;
}

}  // namespace

TEST_CASE("a redirect is followed within the origin and to the other configured addresses") {
  CHECK(where(307, "GET", "/v1/x?list=true") == "0 /v1/x?list=true");
  CHECK(where(307, "PUT", "https://a:8200/v1/x") == "0 /v1/x");
  CHECK(where(308, "POST", "https://B:8200/v1/x") == "1 /v1/x");
  CHECK(where(302, "GET", "https://b:8200") == "1 /");
  CHECK(where(307, "GET", "https://a:8200/v1/x", 2) == "0 /v1/x");
}

TEST_CASE("a redirect to anywhere else is refused: the token would go there") {
  for (const char* location :
       {"https://evil:8200/v1/x", "https://a:8201/v1/x", "https://a/v1/x", "//evil/v1/x",
        "https://a:8200@evil/v1/x", "https://a:8200.evil/v1/x", "v1/x", "", "javascript:x"}) {
    CAPTURE(location);
    CHECK_FALSE(follow(307, "GET", location, kServers, 0));
  }
}

TEST_CASE("a redirect from https to http is refused, also to a configured address") {
  CHECK(where(307, "GET", "http://c:8200/v1/x").find("refused") != std::string::npos);
  CHECK(where(307, "GET", "http://c:8200/v1/x", 2) == "2 /v1/x");
}

TEST_CASE("only reads follow 301 and 302") {
  CHECK(where(301, "GET", "/v1/x") == "0 /v1/x");
  CHECK_FALSE(follow(301, "PUT", "/v1/x", kServers, 0));
  CHECK_FALSE(follow(302, "POST", "/v1/x", kServers, 0));
}
