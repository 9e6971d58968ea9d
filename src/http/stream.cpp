#include "http/stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <vector>

#include "http/deadline.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

std::string reason(const error_code& error) {
  if (error == asio::error::connection_refused) return "connection refused";
  if (error == asio::error::eof) return "the server closed the connection";
  if (error == asio::error::connection_reset || error == asio::error::broken_pipe)
    return "connection reset by the server";
  if (error == asio::error::host_not_found || error == asio::error::host_not_found_try_again)
    return "name not found";
  std::string text = error.message();
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

template <class Socket>
class PlainStream final : public Stream {
 public:
  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {}

  asio::awaitable<result<std::size_t>> read_some(char* data, std::size_t size) override {
    error_code error;
    const std::size_t n = co_await socket_.async_read_some(
        asio::buffer(data, size), asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::eof) co_return 0;
    if (error) co_return fail(ErrorKind::network, reason(error));
    co_return n;
  }
  asio::awaitable<result<>> write(std::string_view bytes) override {
    error_code error;
    co_await asio::async_write(socket_, asio::buffer(bytes),
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail(ErrorKind::network, reason(error));
    co_return result<>{};
  }
  void close() noexcept override {
    error_code ignored;
    socket_.close(ignored);
  }
  [[nodiscard]] int fd() noexcept override {
    return socket_.is_open() ? socket_.native_handle() : -1;
  }

 private:
  Socket socket_;
};

using Endpoints = std::vector<asio::ip::tcp::endpoint>;

// Addresses without the resolver (which needs a thread), when the host is a literal or localhost.
Endpoints literal_endpoints(const Url& url) {
  std::uint16_t port = 0;
  std::from_chars(url.port.data(), url.port.data() + url.port.size(), port);
  if (url.host == "localhost") {
    return {{asio::ip::address_v4::loopback(), port}, {asio::ip::address_v6::loopback(), port}};
  }
  error_code error;
  const auto address = asio::ip::make_address(url.host, error);
  if (error) return {};
  return {{address, port}};
}

asio::awaitable<result<Endpoints>> resolve(Url url, Limit limit) {
  Endpoints endpoints = literal_endpoints(url);
  if (!endpoints.empty()) co_return endpoints;

  struct Resolver {
    asio::ip::tcp::resolver resolver;
    void close() { resolver.cancel(); }
  } lookup{asio::ip::tcp::resolver(co_await asio::this_coro::executor)};
  const Deadline guard(co_await asio::this_coro::executor, limit.at, lookup);
  error_code error;
  const auto found = co_await lookup.resolver.async_resolve(
      url.host, url.port, asio::redirect_error(asio::use_awaitable, error));
  if (guard.passed()) co_return std::unexpected(limit.passed("looking up the name"));
  if (error) co_return fail(ErrorKind::network, reason(error));
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  co_return endpoints;
}

asio::awaitable<result<std::unique_ptr<Stream>>> connect_unix(std::string path) {
  asio::local::stream_protocol::socket socket(co_await asio::this_coro::executor);
  error_code error;
  co_await socket.async_connect(asio::local::stream_protocol::endpoint(path),
                                asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fail(ErrorKind::network, reason(error));
  fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  co_return std::make_unique<PlainStream<asio::local::stream_protocol::socket>>(std::move(socket));
}

asio::awaitable<result<asio::ip::tcp::socket>> connect_tcp(asio::ip::tcp::endpoint endpoint,
                                                           Limit limit) {
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  error_code error;
  socket.open(endpoint.protocol(), error);
  if (error) co_return fail(ErrorKind::network, reason(error));
  fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  {
    const Deadline guard(co_await asio::this_coro::executor, limit.at, socket);
    co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (guard.passed()) co_return std::unexpected(limit.passed("connecting"));
  }
  if (error) co_return fail(ErrorKind::network, reason(error));
  socket.set_option(asio::ip::tcp::no_delay(true), error);
  co_return socket;
}

}  // namespace

bool is_stale(int fd) noexcept {
  char byte = 0;
  const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

asio::awaitable<result<std::unique_ptr<Stream>>> connect(Url url, TlsContext& tls, Limit limit) {
  if (url.scheme == Url::Scheme::unix_socket) co_return co_await connect_unix(url.socket_path);

  const auto endpoints = co_await resolve(url, limit);
  if (!endpoints) co_return std::unexpected(endpoints.error());
  Error last{ErrorKind::network, "name not found"};
  for (std::size_t i = 0; i < endpoints->size(); ++i) {
    // An address that swallows packets leaves time for the others.
    const Instant now = Clock::now();
    const Instant turn = now + (limit.at - now) / static_cast<int>(endpoints->size() - i);
    auto socket = co_await connect_tcp((*endpoints)[i], Limit{turn, limit.whole});
    if (!socket) {
      last = std::move(socket.error());
      continue;
    }
    if (url.scheme == Url::Scheme::https) {
      co_return co_await tls.handshake(std::move(*socket), url.host, limit);
    }
    co_return std::make_unique<PlainStream<asio::ip::tcp::socket>>(std::move(*socket));
  }
  co_return std::unexpected(std::move(last));
}

}  // namespace keybearer::http
