#pragma once
// An HTTP/1.1 server on TCP, TLS or a unix socket: one coroutine per connection, one handler for
// all requests, bodies streamed both ways.
//
//     Server server(executor, {.address = *parse_url("http://127.0.0.1:0")}, handler);
//     if (auto ok = server.listen(); !ok) ...
//     co_await server.run();          // until stop() or cancelled; then no connection is left
//
// A handler gets an Exchange: it reads the body as far as it wants, and answers with respond() (all
// at once) or begin(), write()..., finish(). whole_bodies() makes one of a function from request to
// response. What the parser refuses (message.hpp), what is too slow or too large is answered 400,
// 408, 413 or 431 with {"errors": [...]}, and the connection ends. When all places are taken, the
// connection that has been without a request for longest gives way; where all are busy, the new one
// is answered 503. RFC 9110, 9112.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "http/message.hpp"
#include "http/peer.hpp"
#include "http/server_stats.hpp"
#include "http/stream.hpp"
#include "http/tls_server.hpp"
#include "http/url.hpp"

namespace keybearer::http {

struct ServerRequest {
  std::string method;
  std::string target;  // as it came: path and query, escaped
  Headers headers = {};
  Secret body = {};

  // The first header of that name (no case), or "".
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

struct ServerResponse {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers = {};
  Secret body = {};  // not sent with 204, nor in answer to HEAD
};
// "Name: value\r\n" of each; none that would break out of its line.
[[nodiscard]] std::string header_lines(const Headers& headers);
// {"errors":["TEXT"]}, as Vault says it.
[[nodiscard]] ServerResponse error_response(int status, std::string_view text);

struct ResponseHead {
  int status = 200;
  Headers headers = {};                      // with Content-Type; without framing and Connection
  std::optional<std::uint64_t> length = {};  // none: chunked, or until the connection ends (1.0)
};

struct ServerLimits {
  HeadLimits head = {};
  std::size_t max_body = 32u << 20;  // of read_all() and whole_bodies()
  int max_connections = 256;
  Duration header_timeout = std::chrono::seconds(10);    // from the head's first byte to its last
  Duration idle_timeout = std::chrono::seconds(90);      // between requests
  Duration progress_timeout = std::chrono::seconds(30);  // of a body that does not move, either way
};

class Connection;

// One request and its answer. Lives in the connection's coroutine, as long as the handler runs.
class Exchange {
 public:
  explicit Exchange(Connection& connection, RequestHead head)
      : head_(std::move(head)), connection_(connection) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  [[nodiscard]] const RequestHead& head() const { return head_; }
  [[nodiscard]] const Peer& peer() const;
  // The connection is TLS, or a unix socket: nobody on the way reads along.
  [[nodiscard]] bool is_private() const;

  // The next piece of the body, good until the next call; empty: its end. Error.status: 400, 408;
  // the client has gone: network.
  [[nodiscard]] boost::asio::awaitable<result<std::string_view>> read();
  // What is left of it. Also 413.
  [[nodiscard]] boost::asio::awaitable<result<Secret>> read_all(std::size_t limit);

  // The whole answer, of parts that lie ready: nothing is copied and nobody waits, unless the client
  // takes less than all at once; then the rest goes out after the handler. `lines`: of the head.
  void answer(int status, std::span<const std::string_view> lines,
              std::span<const std::string_view> body);
  void answer(ServerResponse response);
  // The whole answer. Errors: the client has gone or takes nothing.
  [[nodiscard]] boost::asio::awaitable<result<>> respond(ServerResponse response);
  [[nodiscard]] boost::asio::awaitable<result<>> begin(ResponseHead head);
  [[nodiscard]] boost::asio::awaitable<result<>> write(std::string_view piece);
  // An answer that was begun and not finished ends such that the client knows: it was cut.
  [[nodiscard]] boost::asio::awaitable<result<>> finish();
  [[nodiscard]] bool begun() const { return begun_; }
  [[nodiscard]] int status() const { return status_; }

  // Runs a task, cancelled when the client leaves: then false.
  [[nodiscard]] boost::asio::awaitable<bool> unless_client_leaves(
      boost::asio::awaitable<void> task);
  // After begin() with 101: the connection itself, and what the client has sent already.
  [[nodiscard]] Stream& tunnel();
  [[nodiscard]] std::string take_unread();
  // Lives as long as the exchange.
  void hold(std::shared_ptr<const void> what) { held_ = std::move(what); }
  // The connection ends with this answer.
  void close_after() { head_.keep_alive = false; }

 private:
  friend class Connection;
  void begin_whole(int status);

  RequestHead head_;
  std::shared_ptr<const void> held_ = {};
  Connection& connection_;
  bool begun_ = false, finished_ = false, chunked_ = false, tunnelled_ = false;
  bool bodyless_ = false;  // the answer has no body, whatever is written
  int status_ = 0;
  std::optional<std::uint64_t> left_ = {};  // of a body with a length
};

// Owns nothing of the exchange; an exception is answered 500. May answer at once, with
// Exchange::answer(), and return an empty awaitable.
using Handler = std::function<boost::asio::awaitable<void>(Exchange&)>;
using WholeHandler = std::function<boost::asio::awaitable<ServerResponse>(ServerRequest)>;
[[nodiscard]] Handler whole_bodies(WholeHandler handler, std::size_t max_body = 32u << 20);

struct ServerOptions {
  Url address;  // http (port 0: any that is free) or a unix socket
  bool loopback_only = true;
  SocketOwner socket = {};                          // of a unix socket
  std::shared_ptr<TlsServerContext> tls = nullptr;  // over TCP
  ServerLimits limits = {};
};

class Server {
 public:
  Server(boost::asio::any_io_executor executor, ServerOptions options, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Errors: config (not a loopback address, not a socket in the way), io (address in use, a live
  // socket, no such directory).
  [[nodiscard]] result<> listen();
  // Where it listens, with the port that it got.
  [[nodiscard]] const Url& address() const;
  [[nodiscard]] boost::asio::awaitable<void> run();
  // For connections and requests from now on.
  void configure(ServerLimits limits, std::shared_ptr<TlsServerContext> tls, Handler handler);
  // False: the socket's file was removed, or is somebody else's by now.
  [[nodiscard]] bool can_be_reached() const;
  // Mode and owner of the socket's file, from now on.
  [[nodiscard]] result<> set_socket_owner(const SocketOwner& owner);
  // No new connections and requests; requests in progress are still answered.
  void stop();
  [[nodiscard]] const ServerStats& stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::http
