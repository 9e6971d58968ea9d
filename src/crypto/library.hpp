#pragma once
// The crypto library that is linked.

#include <string>

namespace keybearer::crypto {

[[nodiscard]] std::string openssl_version();  // "3.0.15"

}  // namespace keybearer::crypto
