#pragma once
// Message digests, as hexadecimal text. OpenSSL stays behind it.

#include <string>
#include <string_view>

namespace keybearer {

[[nodiscard]] std::string md5_hex(std::string_view text);
[[nodiscard]] std::string sha1_hex(std::string_view text);
[[nodiscard]] std::string sha256_hex(std::string_view text);
[[nodiscard]] std::string sha512_hex(std::string_view text);
[[nodiscard]] std::string hmac_sha256_hex(std::string_view key, std::string_view message);

}  // namespace keybearer
