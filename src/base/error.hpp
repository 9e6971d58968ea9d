#pragma once
// One error value: a kind, where callers act differently, and a sentence for people.
//
// The sentence grows outward ("template app.env: secret kv/data/db: 403 permission denied") and
// never holds a response body or a secret. Expected failures travel as result<T>; exceptions mean a
// bug, a start-up error or cancellation.

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.hpp"

namespace keybearer {

enum class ErrorKind {
  config,     // the configuration or a file it names is wrong: 78
  denied,     // answered: not permitted (403; 400 at a login)
  not_found,  // answered: not there (404), or a key that is not in the secret
  refused,    // answered: any other no (other 4xx): asking again will not help
  throttled,  // 429; retry_after may tell when
  sealed,     // 503 sealed or standby, 472, 473
  server,     // other 5xx
  network,    // no connection: refused, reset, name not found
  tls,        // the handshake failed; the text names the check
  timeout,    // connect or total deadline
  bad_reply,  // an answer that is not what the API promises: too large, not JSON, cut off
  render,     // a template can't be rendered
  io,         // a file can't be read or written
  spawn,      // the program can't be started
  cancelled,
};

struct Error {
  ErrorKind kind;
  std::string text;
  std::optional<Duration> retry_after = {};  // what the server asked for
  int status = 0;                            // the HTTP status, when there was an answer

  // The same error one level further out: "WHERE: text".
  [[nodiscard]] Error within(std::string_view where) && {
    text.insert(0, std::string(where) + ": ");
    return std::move(*this);
  }
};

// No usable answer came (or the server said "later"): the outage kinds of behaviour.md section 5,
// retried with back-off.
[[nodiscard]] constexpr bool is_outage(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::throttled:
    case ErrorKind::sealed:
    case ErrorKind::server:
    case ErrorKind::network:
    case ErrorKind::tls:
    case ErrorKind::timeout:
    case ErrorKind::bad_reply:
      return true;
    default:
      return false;
  }
}

template <class T = void>
using result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string text) {
  return std::unexpected(Error{kind, std::move(text)});
}

// "TEXT: No such file or directory", from errno. The only place where errno becomes an Error.
[[nodiscard]] std::unexpected<Error> fail_errno(ErrorKind kind, std::string_view text,
                                                int error_number);

}  // namespace keybearer
