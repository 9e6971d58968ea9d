#pragma once
// What the template function `sockaddr` works with: the addresses of this machine's network
// interfaces, after go-sockaddr (v1.0.7). Its language is the templates' own, with its functions.
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
  int index = 0, mtu = 0;
  std::string hardware = {};  // "02:42:ac:11:00:02"

  friend bool operator==(const Address&, const Address&) = default;
};
using Addresses = std::vector<Address>;
// "10.1.2.3/24", "::1"; interface and flags are the caller's. nullopt-like: bits -1.
[[nodiscard]] Address parse_address(std::string_view text);

struct Machine {
  Addresses addresses;            // in the order of the interfaces
  std::string default_interface;  // of the default route; may be empty
};
[[nodiscard]] Machine this_machine();

// go-sockaddr's functions. They throw CallError with its texts.
[[nodiscard]] std::string attribute(const Address& a, std::string_view name);
[[nodiscard]] Addresses filtered(const Addresses& all, std::string_view selector,
                                 std::string_view value, bool keep);
[[nodiscard]] Addresses sorted(Addresses all, std::string_view clauses, const Machine& machine);
[[nodiscard]] Addresses unique(const Addresses& all, std::string_view selector);
[[nodiscard]] Addresses calculated(const Addresses& all, std::string_view operation,
                                   std::string_view text);
// As Go prints an address with its interface, and the interface alone.
[[nodiscard]] std::string shown(const Address& a);
[[nodiscard]] std::string shown_interface(const Address& a);

// The template {{ PIPELINE }} (sockaddr_template.cpp). Throws CallError with the reference's text.
[[nodiscard]] std::string evaluate(std::string_view pipeline, const Machine& machine);

}  // namespace keybearer::tmpl::sockaddr
