#include "crypto/aead.hpp"

#include <doctest/doctest.h>

#include "crypto/digest.hpp"

namespace keybearer {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

TEST_CASE("AES-256-GCM: the standard's own example (test case 14, one block of zeros)") {
  const std::string key(32, '\0');
  CHECK(aead_seal(key, "", std::string(16, '\0')) ==
        from_hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"));
  CHECK(aead_seal(key, "", "") == from_hex("530f8afbc74536b9a963b4f1c4cb738b"));
}

// RFC 5869, test case 1, first 32 bytes; and test case 3, without salt and info.
TEST_CASE("HKDF-SHA256: the standard's own examples") {
  const std::string key(22, '\x0b');
  CHECK(derive_key(key, from_hex("000102030405060708090a0b0c"), from_hex("f0f1f2f3f4f5f6f7f8f9"))
            .reveal() ==
        from_hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
  CHECK(derive_key(key, "", "").reveal() ==
        from_hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"));
}

TEST_CASE("what is sealed is opened with the same key and associated data only") {
  const std::string key = random_bytes(32), sealed = aead_seal(key, "head", "canary");
  REQUIRE(aead_open(key, "head", sealed));
  CHECK(aead_open(key, "head", sealed)->reveal() == "canary");
  CHECK(!aead_open(key, "heaD", sealed));
  CHECK(!aead_open(random_bytes(32), "head", sealed));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK(!aead_open(key, "head", changed));
    CHECK(!aead_open(key, "head", sealed.substr(0, i)));
  }
}

TEST_CASE("two random texts differ, and comparing tells") {
  CHECK(random_bytes(32) != random_bytes(32));
  CHECK(equal_in_constant_time("abc", "abc"));
  CHECK(!equal_in_constant_time("abc", "abd"));
  CHECK(!equal_in_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace keybearer
