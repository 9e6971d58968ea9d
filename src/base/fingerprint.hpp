#pragma once
// Values compared without being kept: a 64-bit hash under a key that only this process has, so that
// it tells nothing to who can guess a value. SipHash-2-4 (Aumasson, Bernstein, 2012).

#include <array>
#include <cstdint>
#include <string_view>

namespace keybearer {

using SipKey = std::array<std::uint64_t, 2>;
[[nodiscard]] std::uint64_t siphash(const SipKey& key, std::string_view bytes) noexcept;
[[nodiscard]] SipKey random_sip_key();

// Under this process's own random key.
[[nodiscard]] std::uint64_t fingerprint(std::string_view bytes);

}  // namespace keybearer
