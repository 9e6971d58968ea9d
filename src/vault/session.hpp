#pragma once
// The one door to the server: the HTTP client, the token, the namespace and the request budget
// behind it. vault::Client (the typed API) and the proxy send through the same session.
//
// Every request on the wire takes one unit of the budget when it goes out (also another try on
// another address, a redirect, a repeat on a new connection) and gives it back when it did not.
// `control` comes before `secrets` and `proxy`. A 429 and the server's own 503 with Retry-After
// close for all, at most for `max_retry_after`; what a gateway asks for concerns its request alone
// (Error.retry_after). Rules: S1, S4.
//
// One executor, one thread. Must outlive its sends.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "config/config.hpp"
#include "http/client.hpp"
#include "http/stream_client.hpp"
#include "vault/budget.hpp"

namespace keybearer::vault {

using Token = std::shared_ptr<const Secret>;

struct SessionOptions {
  std::string vault_namespace = {};
  config::Budget budget = {};
  std::size_t secrets = 0;  // that the configuration names; the budget's defaults follow from it
  Duration max_retry_after = std::chrono::minutes(1);  // vault.retry.max_backoff
};

struct SessionStats {
  std::uint64_t sent[kTrafficClasses] = {};  // requests on the wire, by class
  std::uint64_t held_back = 0;               // that had to wait for the budget or for the server
  std::uint64_t answered = 0, failed = 0;
  std::uint64_t succeeded = 0, refused = 0, erred = 0;  // of the answered: 2xx and 3xx, 4xx, 5xx
  std::optional<Instant> reachable_since;               // unset: the last request got no answer
  std::optional<Instant> answered_at;                   // when the last answer came
  std::string error;                                    // of the last request without one
};

// An answer that is still coming, and the client that its connection belongs to.
struct StreamAnswer {
  std::shared_ptr<http::Client> client;
  std::unique_ptr<http::Incoming> incoming;
};

class Session {
 public:
  Session(std::unique_ptr<http::Client> http, SessionOptions options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Another [vault], at a reload: for requests from now on. What was spent of the budget stays spent.
  void configure(std::unique_ptr<http::Client> http, SessionOptions options);

  // The token of all requests from now on; null: none. Ends waits that the server asked for.
  void set_token(Token token);
  [[nodiscard]] const Token& token() const;
  [[nodiscard]] const std::string& vault_namespace() const;
  [[nodiscard]] const http::Url& address() const;

  // Answers of any status; errors of http::Client, and timeout with Reason::held_back. Waits for
  // its turn first, which does not count against the request's own time limit. What the server
  // asked for with Retry-After holds it back until `latest` only: the last moment of a lease or
  // token. Not sent at all by `give_up_at`: an error.
  [[nodiscard]] boost::asio::awaitable<result<http::Response>> send(
      http::Request request, Traffic traffic, Instant latest = Instant::max(),
      Instant give_up_at = Instant::max());

  // The same for what is passed through in pieces. What the server asked for with Retry-After is its
  // client's business: it neither holds such requests back nor does their answer close for others.
  [[nodiscard]] boost::asio::awaitable<result<StreamAnswer>> open(
      http::StreamRequest request, Traffic traffic, Instant give_up_at = Instant::max());

  // Somebody wants an answer now (rotate, HUP, a new token): waits that the server asked for end.
  // The budget still holds.
  void reopen();
  // The defaults of the budget follow the number of secrets until they are fixed.
  void grow_budget(std::size_t secrets);
  void fix_budget();

  [[nodiscard]] const SessionStats& stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

[[nodiscard]] SessionOptions session_options(const config::Config& config);

}  // namespace keybearer::vault
