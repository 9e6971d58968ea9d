#include "base/fingerprint.hpp"

#include <doctest/doctest.h>

#include <string>

namespace keybearer {
namespace {

TEST_CASE("siphash answers the authors' test vectors") {
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string bytes;
  for (char c = 0; c < 15; ++c) bytes.push_back(c);
  CHECK(siphash(key, "") == 0x726fdb47dd0e0e31);
  CHECK(siphash(key, bytes.substr(0, 1)) == 0x74f839c593dc67fd);
  CHECK(siphash(key, bytes.substr(0, 8)) == 0x93f5f5799a932462);
  CHECK(siphash(key, bytes) == 0xa129ca6149be45e5);
}

TEST_CASE("fingerprints tell values apart, and are stable within the process") {
  CHECK(fingerprint("a") == fingerprint("a"));
  CHECK(fingerprint("a") != fingerprint("b"));
  CHECK(fingerprint("") != fingerprint(std::string(1, '\0')));
}

}  // namespace
}  // namespace keybearer
