#include "crypto/rsa.hpp"

#include <doctest/doctest.h>

#include "crypto/base64url.hpp"
#include "keys.hpp"

namespace keybearer {
namespace {

// RFC 7515 A.2.
constexpr std::string_view kSigned =
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
    "Q";
constexpr std::string_view kSignature =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O"
    "8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARN"
    "PvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ"
    "1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

TEST_CASE("RS256 as in the standard's example, from both forms of a key in PEM") {
  for (const auto* pem : {test::kPkcs8, test::kPkcs1}) {
    const auto signature = sign_rs256(pem, kSigned);
    REQUIRE(signature);
    CHECK(base64url(*signature) == kSignature);
  }
}

TEST_CASE("a key that can't sign is refused with the reason, and nothing of it is repeated") {
  struct {
    std::string pem;
    const char* says;
  } rows[] = {
      {"", "not a private key"},
      {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a private key"},
      {std::string(test::kPkcs8).substr(0, 400), "not a private key"},
      {std::string("\0\xff", 2), "not a private key"},
      {test::kShortKey, "less than 2048 bits"},
      {test::kEcKey, "not an RSA key"},
      {test::kLockedKey, "pass phrase"},
  };
  for (const auto& [pem, says] : rows) {
    CAPTURE(says);
    const auto signature = sign_rs256(pem, "x");
    REQUIRE_FALSE(signature);
    CHECK(signature.error().kind == ErrorKind::config);
    CHECK(signature.error().text.contains(says));
    CHECK(signature.error().text.size() < 80);
  }
}

}  // namespace
}  // namespace keybearer
