#pragma once
// The password hash bcrypt, version 2a.
//
// Source: Provos and Mazières, "A Future-Adaptable Password Scheme" (1999); as
// golang.org/x/crypto/bcrypt, a NUL ends the password and is part of the key.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace keybearer::tmpl::sprig {

inline constexpr std::size_t kMostBcryptBytes = 72;  // of a password

// "$2a$COST$" and 53 characters. `cost` from 4 to 31: two to that power rounds.
[[nodiscard]] std::string bcrypt(std::string_view password, int cost,
                                 const std::array<unsigned char, 16>& salt);

}  // namespace keybearer::tmpl::sprig
