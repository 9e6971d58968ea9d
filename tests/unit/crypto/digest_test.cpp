#include "crypto/digest.hpp"

#include <doctest/doctest.h>

namespace keybearer {
namespace {

// RFC 1321 A.5; FIPS 180-4's "abc"; RFC 4231, test case 2.
TEST_CASE("digests of the standards' own examples") {
  CHECK(md5_hex("abc") == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(sha1_hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha512_hex("abc").starts_with("ddaf35a193617abacc417349ae204131"));
  CHECK(hmac_sha256_hex("Jefe", "what do ya want for nothing?") ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

}  // namespace
}  // namespace keybearer
