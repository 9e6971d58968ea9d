#pragma once
// The sealed form of a state: a header that anybody may read and nobody may change, and what only
// the key opens. Pure.
//
//   8   "KBSTATE\n"
//   2   version of the format, big-endian;  2  zero
//   32  salt: the file's own key is HKDF-SHA256(key, salt), used once
//   32  key commitment: HMAC-SHA256(key, "keybearer state: key"); the file opens with no other key
//   4   length of the binding, and the binding: instance, addresses of the server, namespace
//   8   length of the rest: AES-256-GCM ciphertext and tag; the header is its associated data
//
// Source: NIST SP 800-38D; RFC 5869.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.hpp"

namespace keybearer::state {

inline constexpr std::uint16_t kVersion = 1;

// Whose state it is. It is of another instance when the name or the namespace is another, and of
// another server when no address is common.
struct Binding {
  std::string instance;
  std::vector<std::string> addresses;
  std::string vault_namespace;
  friend bool operator==(const Binding&, const Binding&) = default;
};

enum class Reason : std::uint8_t {
  not_a_state,  // something else
  truncated,    // a part of it is missing
  older,        // of an older format
  newer,        // of a newer keybearer
  other_key,    // sealed with another key
  tampered,     // changed after it was sealed
  foreign,      // of another instance or server
  malformed,    // sealed by the key, but not understood
  replayed,     // older than the newest that was written
  readable,     // others can read or own the file
  unreadable,   // the file can't be read
};

struct Refusal {
  Reason reason;
  std::string text;  // for people
};
// "tampered", "other-key" ...
[[nodiscard]] std::string_view name_of(Reason reason);

// `key`: 32 bytes.
[[nodiscard]] std::string seal(std::string_view key, const Binding& binding,
                               std::string_view plaintext);
[[nodiscard]] std::expected<Secret, Refusal> unseal(std::string_view key, const Binding& binding,
                                                    std::string_view file);

// What says how new a state at least is, kept in a file of its own: a number, and its HMAC.
[[nodiscard]] std::string seal_counter(std::string_view key, std::uint64_t counter);
[[nodiscard]] std::expected<std::uint64_t, Refusal> unseal_counter(std::string_view key,
                                                                   std::string_view file);

}  // namespace keybearer::state
