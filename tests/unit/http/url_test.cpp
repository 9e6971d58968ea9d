#include <doctest/doctest.h>

#include "http/client.hpp"

using namespace keybearer;
using http::parse_url;

namespace {

std::string text_of(std::string_view text) {
  const auto url = parse_url(text);
  return url ? url->text() : url.error().text;
}

}  // namespace

TEST_CASE("an address is written in one canonical form") {
  CHECK(text_of("http://127.0.0.1:8200") == "http://127.0.0.1:8200");
  CHECK(text_of("https://vault.internal") == "https://vault.internal:443");
  CHECK(text_of("http://vault.internal/") == "http://vault.internal:80");
  CHECK(text_of("https://VAULT.Internal:8200/gateway//") == "https://vault.internal:8200/gateway");
  CHECK(text_of("http://[::1]:8200") == "http://[::1]:8200");
  CHECK(text_of("https://[2001:db8::1]") == "https://[2001:db8::1]:443");
  CHECK(text_of("unix:///run/vault.sock") == "unix:///run/vault.sock");
  CHECK(text_of("HTTPS://vault.internal:8200") == "https://vault.internal:8200");
  CHECK(text_of("Http://h:1") == "http://h:1");
  CHECK(text_of("UNIX:///run/Vault.sock") == "unix:///run/Vault.sock");
  CHECK(parse_url("http://h:1/a/b")->prefix == "/a/b");
  CHECK(parse_url("http://[::1]:8200")->host == "::1");
  CHECK(parse_url("http://[::1]:8200")->authority() == "[::1]:8200");
}

TEST_CASE("a wrong address is refused with the reason, and user info is not repeated") {
  for (const char* text :
       {"", "vault:8200", "ftp://vault", "http://", "http://:8200", "http://h:", "http://h:0",
        "http://h:65536", "http://h:8x", "http://h:-1", "http://[::1", "http://[::1]8200",
        "http://a b", "http://h/?x=1", "http://h/#f", "http://h/a b", "http://h\r\nX: y",
        "unix://relative", "unix://"}) {
    CAPTURE(text);
    const auto url = parse_url(text);
    REQUIRE_FALSE(url);
    CHECK(url.error().kind == ErrorKind::config);
  }
  const auto user = parse_url("https://admin:hunter2@vault:8200");
  REQUIRE_FALSE(user);
  CHECK(user.error().text.find("hunter2") == std::string::npos);
  CHECK_FALSE(parse_url("unix:///" + std::string(107, 'x')));
}

TEST_CASE("only addresses of this machine are loopback, by the whole name") {
  for (const char* text : {"http://127.0.0.1", "http://127.9.9.9", "http://127.1.2.3:8200",
                           "http://localhost", "http://localhost.", "http://[::1]", "unix:///s"}) {
    CAPTURE(text);
    const auto url = parse_url(text);
    CHECK((url && url->is_loopback()));
  }
  for (const char* text :
       {"http://127.evil.example", "http://127.0.0.1.evil.example:80", "http://10.0.0.1",
        "http://vault", "http://localhost.evil.example", "http://localhostx", "http://[::2]",
        "http://user@evil.example", "http://127.0.0.1@evil.example"}) {
    CAPTURE(text);
    const auto url = parse_url(text);
    CHECK_FALSE((url && url->is_loopback()));
  }
}
