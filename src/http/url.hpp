#pragma once
// The address of a server.

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace keybearer::http {

// http://host:port, https://host:port or unix:///path. A path in an http address is kept as a
// prefix.
struct Url {
  enum class Scheme { http, https, unix_socket };
  Scheme scheme = Scheme::https;
  std::string host;  // no brackets around IPv6
  std::string port;
  std::string prefix;       // "" or "/gateway", no slash at its end
  std::string socket_path;  // unix only

  [[nodiscard]] std::string text() const;       // canonical, for people
  [[nodiscard]] std::string authority() const;  // "host:port", as the Host header has it
  [[nodiscard]] bool is_loopback() const;       // 127.0.0.0/8, ::1, localhost, or a unix socket
  friend bool operator==(const Url&, const Url&) = default;
};
// Error kind config: what is wrong with it, without repeating user info.
[[nodiscard]] result<Url> parse_url(std::string_view text);

}  // namespace keybearer::http
