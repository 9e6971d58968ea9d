#pragma once
// The one helper that every OpenSSL call of a connection goes through: what fails becomes an error,
// and the connection is not used. Internal to http/.

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace keybearer::http {

// OpenSSL's reasons of this thread, the first one as text; the queue is empty afterwards.
[[nodiscard]] std::string openssl_reason();

// Error kind tls: "WHAT: REASON".
[[nodiscard]] inline result<> checked(bool done, std::string_view what,
                                      Reason reason = Reason::none) {
  if (done) return {};
  return std::unexpected(Error{.kind = ErrorKind::tls,
                               .text = std::string(what) + ": " + openssl_reason(),
                               .reason = reason});
}

}  // namespace keybearer::http
