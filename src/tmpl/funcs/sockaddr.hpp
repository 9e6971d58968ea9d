#pragma once
// The small language of the template function `sockaddr`: pipelines over the addresses of this
// machine's network interfaces, after go-sockaddr's template package (v1.0.7).
//
//     GetPrivateIP
//     GetAllInterfaces | include "name" "^eth" | sort "size" | limit 1 | attr "address"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace keybearer::tmpl::sockaddr {

struct Address {
  std::string interface;
  unsigned flags = 0;  // IFF_*
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes = {};  // the first 4 of IPv4
  int bits = 32;                            // of the network's mask

  friend bool operator==(const Address&, const Address&) = default;
};
// "10.1.2.3/24", "::1"; interface and flags are the caller's. nullopt-like: bits -1.
[[nodiscard]] Address parse_address(std::string_view text);

struct Machine {
  std::vector<Address> addresses;  // in the order of the interfaces
  std::string default_interface;   // of the default route; may be empty
};
[[nodiscard]] Machine this_machine();

// Throws CallError: what is not understood or not supported names what is.
[[nodiscard]] std::string evaluate(std::string_view pipeline, const Machine& machine);

}  // namespace keybearer::tmpl::sockaddr
