#pragma once
// Message digests, as hexadecimal text but for one. OpenSSL stays behind it.

#include <string>
#include <string_view>

#include "base/secret.hpp"

namespace keybearer {

[[nodiscard]] std::string md5_hex(std::string_view text);
[[nodiscard]] std::string sha1_hex(std::string_view text);
[[nodiscard]] std::string sha256_hex(std::string_view text);
[[nodiscard]] std::string sha256_base64(std::string_view text);  // with padding
[[nodiscard]] std::string sha512_hex(std::string_view text);
[[nodiscard]] std::string hmac_sha256_hex(std::string_view key, std::string_view message);
// The 32 bytes themselves, for a chain of keys.
[[nodiscard]] Secret hmac_sha256(std::string_view key, std::string_view message);

}  // namespace keybearer
