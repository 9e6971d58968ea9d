#pragma once
// Addresses for sockaddr's functions (go-sockaddr's ipv4addr.go and ipv6addr.go).

#include <string>
#include <string_view>
#include <vector>

#include "tmpl/funcs/sockaddr.hpp"

namespace keybearer::tmpl::sockaddr {

[[nodiscard]] std::size_t width(const Address& a);  // bits
[[nodiscard]] bool within(const Address& address, const Address& network);
// "10.1.2.3", "fe80::1"; the second with "/24" but for a host's own.
[[nodiscard]] std::string text_of(const Address& a);
[[nodiscard]] std::string with_mask(const Address& a);

// The network's first address, its last, or its mask.
enum class Fill : std::uint8_t { network, broadcast, mask };
[[nodiscard]] Address filled(const Address& a, Fill fill);

// As one number, and back.
__extension__ using Wide = unsigned __int128;
[[nodiscard]] Wide number_of(const Address& a);
[[nodiscard]] Address with_number(Address a, Wide number);
[[nodiscard]] Address moved(const Address& a, std::int64_t by);

[[nodiscard]] std::string lower(std::string_view text);  // ASCII
[[nodiscard]] std::vector<std::string> parts(std::string_view text, char separator);

// Stable; there are a handful of addresses.
template <class T, class Less>
void insertion_sort(std::vector<T>& all, Less less) {
  for (std::size_t i = 1; i < all.size(); ++i) {
    for (std::size_t k = i; k > 0 && less(all[k], all[k - 1]); --k) std::swap(all[k], all[k - 1]);
  }
}

}  // namespace keybearer::tmpl::sockaddr
