#pragma once
// May a redirect be followed, and to where. Pure.
//
// The token must not leave the configured servers: only the same origin or another configured
// address, and never from https to http (behaviour.md section 6). RFC 9110 section 15.4: 307 and
// 308 keep the method; 301 and 302 are followed for GET only.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "http/client.hpp"

namespace keybearer::http {

struct RedirectTarget {
  std::size_t address;  // index into the configured addresses
  std::string target;   // path and query on that server
};

[[nodiscard]] result<RedirectTarget> follow(int status, std::string_view method,
                                            std::string_view location,
                                            std::span<const Url> addresses, std::size_t from);

[[nodiscard]] constexpr bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 307 || status == 308;
}

}  // namespace keybearer::http
