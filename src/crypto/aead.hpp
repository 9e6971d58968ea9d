#pragma once
// Authenticated encryption with AES-256-GCM (NIST SP 800-38D), and the keys for it. OpenSSL stays
// behind it.
//
// Every sealing has a key of its own, derived from the given one and a fresh random salt (HKDF,
// RFC 5869): no pair of key and nonce is ever used twice, however often a file is sealed.

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.hpp"

namespace keybearer {

inline constexpr std::size_t kAeadKeySize = 32;
inline constexpr std::size_t kAeadTagSize = 16;

// From the system's generator; an exception when it gives none.
[[nodiscard]] std::string random_bytes(std::size_t count);

// 32 bytes of HKDF-SHA256.
[[nodiscard]] Secret derive_key(std::string_view key, std::string_view salt, std::string_view info);

// In a time that depends on the sizes only.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

// Ciphertext and tag. `key`: kAeadKeySize bytes, for this one sealing only.
[[nodiscard]] std::string aead_seal(std::string_view key, std::string_view associated,
                                    std::string_view plaintext);
// nullopt: not what was sealed with this key and these associated data.
[[nodiscard]] std::optional<Secret> aead_open(std::string_view key, std::string_view associated,
                                              std::string_view sealed);

}  // namespace keybearer
