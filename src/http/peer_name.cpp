#include "http/peer_name.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace keybearer::http {
namespace {

bool is_address(const std::string& text) {
  boost::system::error_code error;
  boost::asio::ip::make_address(text, error);
  return !error;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// What is wrong with a host name; "": nothing.
std::string_view fault_of(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > 253) return "it is longer than 253 characters";
  if (name.starts_with('.')) return "a dot at its start";
  if (name.ends_with('.')) return "a dot at its end";
  while (!name.empty()) {
    const auto label = name.substr(0, name.find('.'));
    if (label.empty()) return "two dots in a row";
    if (label.size() > 63) return "a part of it is longer than 63 characters";
    if (!std::ranges::all_of(label, is_name_character))
      return "only letters, digits, - and _ between dots, without port or wildcard";
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  return {};
}

}  // namespace

result<PeerName> peer_name(std::string_view host, std::string_view server_name) {
  const bool given = !server_name.empty();
  std::string text(given ? server_name : host);
  if (const auto zone = text.find('%');
      zone != std::string::npos && is_address(text.substr(0, zone))) {
    text.resize(zone);
  }
  if (is_address(text)) return PeerName{.text = std::move(text), .is_address = true};
  // "vault.example." is the same host, written in full.
  if (!given && text.size() > 1 && text.ends_with('.')) text.pop_back();
  if (const auto fault = fault_of(text); !fault.empty()) {
    std::string shown = text;
    std::ranges::replace_if(shown, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    return fail(ErrorKind::tls,
                (given ? "vault.tls_server_name \"" : "vault.address: host \"") + shown +
                    "\" can't be looked for in a certificate: " + std::string(fault));
  }
  return PeerName{.text = std::move(text)};
}

}  // namespace keybearer::http
