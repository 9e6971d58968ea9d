#pragma once
// Whose certificate a TLS server must show: one host name or one address. Pure. What may stand there
// is decided here, before OpenSSL sees it: to OpenSSL a leading dot is a wildcard, an address with a
// zone is nothing to check, and an empty name switches the check off.

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace keybearer::http {

struct PeerName {
  std::string text;         // without zone, brackets or a dot at its end; never empty
  bool is_address = false;  // else a host name, which also goes out as SNI
};

// `server_name` (vault.tls_server_name) stands in for the address's host when it is not empty.
// Errors: tls, naming the key.
[[nodiscard]] result<PeerName> peer_name(std::string_view host, std::string_view server_name);

}  // namespace keybearer::http
