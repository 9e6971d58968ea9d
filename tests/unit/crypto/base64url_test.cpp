#include "crypto/base64url.hpp"

#include <doctest/doctest.h>

#include <random>

namespace keybearer {
namespace {

TEST_CASE(
    "base64url: the examples of RFC 4648 section 10 and RFC 7515 appendix C, without padding") {
  const std::pair<std::string, const char*> rows[] = {
      {"", ""},
      {"f", "Zg"},
      {"fo", "Zm8"},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg"},
      {"fooba", "Zm9vYmE"},
      {"foobar", "Zm9vYmFy"},
      {"\x03\xec\xff\xe0\xc1", "A-z_4ME"},
  };
  for (const auto& [bytes, text] : rows) {
    CHECK(base64url(bytes) == text);
    CHECK(base64url_decoded(text) == bytes);
  }
}

TEST_CASE("base64url: what is not exactly it is refused") {
  for (const auto* text : {"A", "Zg==", "Zm9v\n", "Zm+v", "Zm/v", "Z g", "Zh", "Zm9", "AAAAA"})
    CHECK_FALSE(base64url_decoded(text));
}

TEST_CASE("base64url: any bytes come back") {
  std::mt19937 random(7);
  for (std::size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    CHECK(base64url_decoded(base64url(bytes)) == bytes);
  }
}

}  // namespace
}  // namespace keybearer
