#pragma once
// Signatures of an RSA key in PEM (PKCS#8 or PKCS#1), as service accounts of clouds have one.
//
// Source: RFC 7518 section 3.3 (RS256: RSASSA-PKCS1-v1_5 with SHA-256).

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace keybearer {

// The signature's bytes. Error kind config, without any part of the key: not a private key, one with
// a pass phrase (never asked for), not RSA, or shorter than 2048 bits.
[[nodiscard]] result<std::string> sign_rs256(std::string_view pem, std::string_view message);

}  // namespace keybearer
