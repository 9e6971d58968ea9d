#pragma once
// What Go's net/netip says of a text that should be an IP address.

#include <string>
#include <string_view>

namespace keybearer::tmpl {

// Go's error of netip.ParseAddr; empty: `text` is an address, with its zone ("fe80::1%en0").
[[nodiscard]] std::string ip_error(std::string_view text);

}  // namespace keybearer::tmpl
