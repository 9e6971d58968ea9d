#pragma once
// HTTP/1.1 as the rest of the program sees it: a request in, a response or an error out. One of the
// two virtual seams; the real client is http::make_client(), tests use a fake that records what was
// asked (tests/support/fake_http.hpp).

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "http/proxy.hpp"
#include "http/url.hpp"

namespace keybearer::http {

// Whoever counts requests stands here: the client asks before each one that goes out (the first, on
// another address, a redirect, again on a new connection).
class Gate {
 public:
  virtual ~Gate() = default;
  // Returns when the request may go out, at the latest at `latest` with an error (timeout).
  [[nodiscard]] virtual boost::asio::awaitable<result<>> enter(Instant latest) = 0;
  // The request that was let through did not go out after all.
  virtual void give_back() noexcept = 0;
};

struct Request {
  std::string method;  // GET, POST, PUT, LIST ...
  std::string target;  // "/v1/secret/data/app?list=true", already escaped
  std::vector<std::pair<std::string, std::string>> headers = {};  // nothing secret
  std::vector<std::pair<std::string, std::shared_ptr<const Secret>>> secret_headers = {};
  std::shared_ptr<const Secret> token = {};  // sent as X-Vault-Token, only to a configured server
  Secret body = {};
  std::string content_type = "application/json";  // of a body that is not empty
  std::string wanted_header = {};                 // of the answer, kept in Response::wanted_header
  std::optional<Duration> timeout = {};           // total, where it is shorter than the client's
  bool repeatable = false;                        // beyond GET, HEAD and LIST: twice does no harm
  Gate* gate = nullptr;                           // none: uncounted. Must outlive send()
};

// May it be sent again by itself after bytes of it went out? (S3)
[[nodiscard]] inline bool is_repeatable(const Request& request) {
  return request.repeatable || request.method == "GET" || request.method == "HEAD" ||
         request.method == "LIST";
}

struct Response {
  int status = 0;
  std::optional<Duration> retry_after;  // seconds or an HTTP date, RFC 9110 section 10.2.3
  std::string content_type;
  Secret body;
  Instant asked{};                 // when the request went out: lifetimes count from then (T11)
  std::string wanted_header = {};  // what Request::wanted_header named; "": not there
  std::string via = {};            // the forward proxy that it came through, for people
};

class Client {
 public:
  virtual ~Client() = default;
  // An answer of any status is a Response; an Error says why there was none (network, tls, timeout,
  // bad_reply); Reason::lost_answer: the request can't be repeated, and may have been carried out.
  // Cancelling the coroutine closes the connection in use.
  [[nodiscard]] virtual boost::asio::awaitable<result<Response>> send(Request request) = 0;
  // The address that the next request goes to first.
  [[nodiscard]] virtual const Url& address() const = 0;
};

struct ClientOptions {
  std::vector<Url>
      addresses;  // at least one; the one that answered last is kept, the others are tried in order
  std::string ca_cert, ca_path, client_cert,
      client_key;           // files (PEM); empty: the system's CAs, no client certificate
  std::string ca_cert_pem;  // VAULT_CACERT_BYTES: PEM itself, where there is no ca_cert
  std::string tls_server_name;
  ProxyOptions proxy = {};
  bool tls13_only = false;
  bool tls_skip_verify = false;
  std::vector<std::string> tls_pin_sha256 = {};  // of the server's key (SPKI), base64; empty: any
  Duration connect_timeout = std::chrono::seconds(5);  // name look-up, TCP and TLS together
  Duration timeout =
      std::chrono::seconds(30);  // one request in total, waiting for a connection included
  std::size_t max_response_size = 10u << 20;
  bool redirects = true;    // false: an answer that redirects is an answer as others
  int max_connections = 8;  // to one server
  std::vector<std::pair<std::string, std::string>> headers = {};  // on every request
  std::string user_agent = "keybearer/" KEYBEARER_VERSION;
};

// Can the CA and client certificate files be used? Error kind tls, with the key of the
// configuration and the path.
[[nodiscard]] result<> check_tls_files(const ClientOptions& options);

// Keeps connections alive and reuses them (a reused one that turns out to be closed is retried once
// on a new one, if the request is repeatable or none of it was written). What is left of the time
// limit is shared by the addresses left; after an outage of one the next request begins with the
// next (S5). Redirects (307, 308; 301, 302 for GET): at most one, to the same origin or another
// configured address, never from https to http; the token goes nowhere else. TLS is set up at the
// first https request, not before. Sockets are close-on-exec. Answers of standby and sealed servers
// (412, 429, 472, 473, 503 at every address) come back as they are after one round over all addresses.
[[nodiscard]] std::unique_ptr<Client> make_client(boost::asio::any_io_executor executor,
                                                  ClientOptions options);

}  // namespace keybearer::http
