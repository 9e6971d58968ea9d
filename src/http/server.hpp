#pragma once
// A small HTTP/1.1 server on loopback TCP or a unix socket: one coroutine per connection, one
// handler for all requests.
//
//     Server server(executor, {.address = *parse_url("http://127.0.0.1:0")}, handler);
//     if (auto ok = server.listen(); !ok) ...
//     co_await server.run();          // until stop() or cancelled; then no connection is left
//
// Limits guard against clients that are broken, slow or greedy: what is over one is answered 400,
// 408, 413 or 431, or just closed. RFC 9112.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "http/client.hpp"

namespace keybearer::http {

struct ServerRequest {
  std::string method;
  std::string target;  // as it came: path and query, escaped
  std::vector<std::pair<std::string, std::string>> headers = {};
  Secret body = {};

  // The first header of that name (no case), or "".
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

struct ServerResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  Secret body = {};  // not sent with 204, nor in answer to HEAD
};

struct ServerOptions {
  Url address;  // http with a loopback address (port 0: any that is free), or a unix socket
  std::size_t max_header = 16 * 1024;
  std::size_t max_body = 32u << 20;
  int max_connections = 256;                            // more wait in the kernel's queue
  Duration request_timeout = std::chrono::seconds(30);  // from its first byte to its last
  Duration idle_timeout = std::chrono::seconds(90);     // between requests
  Duration write_timeout = std::chrono::seconds(30);    // of one answer
};

class Server {
 public:
  // An exception of the handler is answered 500.
  using Handler = std::function<boost::asio::awaitable<ServerResponse>(ServerRequest)>;

  Server(boost::asio::any_io_executor executor, ServerOptions options, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Errors: config (not a loopback address), io (address in use, no such folder). A unix socket is
  // made 0600; a stale one is replaced.
  [[nodiscard]] result<> listen();
  // Where it listens, with the port that it got.
  [[nodiscard]] const Url& address() const;
  [[nodiscard]] boost::asio::awaitable<void> run();
  // No new connections and requests; requests in progress are still answered.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::http
