#pragma once
// One error value: a kind, where callers act differently, and a sentence for people.
//
// The sentence grows outward ("template app.env: secret kv/data/db: 403 permission denied") and
// never holds a response body or a secret. Expected failures travel as result<T>; exceptions mean a
// bug, a start-up error or cancellation.

#include <cstdint>
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

// What exactly went wrong, where callers act or advise differently within one kind. Texts are for
// people and may change; whoever decides looks at this.
enum class Reason : std::uint8_t {
  none,
  no_mount,           // no secrets engine or auth method at this path
  no_namespace,       // the namespace is not there
  missing_version,    // the version of a KV v2 secret was deleted or destroyed
  missing_key,        // the secret has no such key
  wrong_kv_version,   // a KV v2 mount was asked as if it were version 1
  foreign_response,   // a gateway or something else answered in the server's place
  no_such_host,       // its name has no address; nothing was sent
  lost_answer,        // a write went out and its answer did not come: it may have been done
  held_back,          // not sent: the request budget had no room within the time limit
  no_token_in_reply,  // a login was answered 2xx, without a token
  mfa_required,       // a login wants a second factor
  wrong_identity,     // a login gave another identity than auto_auth.verify_identity wants
  invalid_role_id,
  invalid_secret_id,
  renewal_refused,   // the token or lease lives on to its end and is not renewed any more
  tls_files,         // a CA or client certificate file can't be used
  tls_certificate,   // the server's certificate was not accepted
  tls_mismatch,      // one side speaks http, the other https
  proxy,             // the forward proxy, not the server, failed or refused
  credentials_away,  // who gives a login its credentials (metadata service, STS), not the server
};

struct Error {
  ErrorKind kind;
  std::string text;
  std::optional<Duration> retry_after = {};  // what the server asked for
  int status = 0;                            // the HTTP status, when there was an answer
  Reason reason = Reason::none;

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
