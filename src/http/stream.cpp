#include "http/stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <deque>
#include <optional>

#include "base/event.hpp"
#include "http/deadline.hpp"
#include "http/socket_end.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;

std::string reason(const error_code& error) {
  if (error == asio::error::connection_refused) return "connection refused";
  if (error == asio::error::eof) return "the server closed the connection";
  if (error == asio::error::connection_reset || error == asio::error::broken_pipe)
    return "connection reset by the server";
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
  asio::awaitable<result<>> write(std::string_view bytes, std::size_t& written) override {
    error_code error;
    written = co_await asio::async_write(socket_, asio::buffer(bytes),
                                         asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail(ErrorKind::network, reason(error));
    co_return result<>{};
  }
  void close() noexcept override {
    error_code ignored;
    socket_.close(ignored);
  }
  [[nodiscard]] bool is_clean() noexcept override {
    return socket_.is_open() && !is_stale(socket_.native_handle());
  }
  void cancel() noexcept override {
    error_code ignored;
    socket_.cancel(ignored);
  }
  [[nodiscard]] std::size_t write_now(std::span<const std::string_view> parts) noexcept override {
    return socket_.is_open() ? send_now(socket_.native_handle(), parts) : 0;
  }
  [[nodiscard]] PeerState peer_state() noexcept override {
    return socket_.is_open() ? http::peer_state(socket_.native_handle()) : PeerState::gone;
  }
  asio::awaitable<void> end_sending() override {
    shutdown(socket_.native_handle(), SHUT_WR);
    co_return;
  }
  void reset() noexcept override { reset_socket(socket_); }
  asio::awaitable<void> drain() override { return drain_socket(socket_); }

 private:
  Socket socket_;
};

// A full backlog lets even a connection to a unix socket wait.
asio::awaitable<result<std::unique_ptr<Stream>>> connect_unix(std::string path, Limit limit) {
  const auto executor = co_await asio::this_coro::executor;
  asio::local::stream_protocol::socket socket(executor);
  error_code error;
  {
    const Deadline guard(executor, limit.at, socket);
    co_await socket.async_connect(asio::local::stream_protocol::endpoint(path),
                                  asio::redirect_error(asio::use_awaitable, error));
    if (error && guard.passed()) co_return std::unexpected(limit.passed("connecting"));
  }
  if (error) co_return fail(ErrorKind::network, reason(error));
  fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  co_return std::make_unique<PlainStream<asio::local::stream_protocol::socket>>(std::move(socket));
}

// --- the addresses of one host: the first that takes the connection wins (RFC 8305) ---

constexpr Duration kAttemptDelay = 250ms;  // before the next address is tried, too; its section 5

struct Attempt {
  asio::ip::tcp::endpoint endpoint;
  asio::ip::tcp::socket socket;
  std::optional<error_code> ended = {};
};

struct Race {
  std::deque<Attempt> attempts;
  Event one_ended;

  void close() noexcept {
    error_code ignored;
    for (Attempt& attempt : attempts) attempt.socket.close(ignored);
  }
};

void begin(const std::shared_ptr<Race>& race, const asio::any_io_executor& executor,
           asio::ip::tcp::endpoint endpoint) {
  Attempt& attempt =
      race->attempts.emplace_back(Attempt{endpoint, asio::ip::tcp::socket(executor)});
  error_code error;
  attempt.socket.open(endpoint.protocol(), error);
  if (error) {
    attempt.ended = error;
    return;
  }
  fcntl(attempt.socket.native_handle(), F_SETFD, FD_CLOEXEC);
  attempt.socket.async_connect(endpoint, [race, &attempt](const error_code& result) {
    attempt.ended = result;
    race->one_ended.set();
  });
}

// "connection refused", or "ADDRESS: REASON; ADDRESS: REASON".
Error connect_error(const Race& race, Limit limit) {
  const Error too_late = limit.passed("connecting");
  Error error{ErrorKind::timeout, ""};
  for (const Attempt& attempt : race.attempts) {
    if (attempt.ended) error.kind = ErrorKind::network;
    if (!error.text.empty()) error.text += "; ";
    if (race.attempts.size() > 1) error.text += attempt.endpoint.address().to_string() + ": ";
    error.text += attempt.ended ? reason(*attempt.ended) : too_late.text;
  }
  return error;
}

asio::awaitable<result<asio::ip::tcp::socket>> connect_tcp(Addresses addresses, std::uint16_t port,
                                                           Limit limit) {
  const auto executor = co_await asio::this_coro::executor;
  const auto race = std::make_shared<Race>();
  struct Closing {
    Race& race;
    ~Closing() { race.close(); }
  } const closing{*race};  // whoever has not won
  Instant next = Clock::now();
  for (;;) {
    const auto seen = race->one_ended.generation();
    auto& attempts = race->attempts;
    const auto winner = std::ranges::find_if(
        attempts, [](const Attempt& attempt) { return attempt.ended && !*attempt.ended; });
    if (winner != attempts.end()) {
      error_code ignored;
      winner->socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      co_return std::move(winner->socket);
    }
    const bool all_begun = attempts.size() == addresses.size();
    const Instant now = Clock::now();
    if (!all_begun && now < limit.at &&
        (now >= next || (!attempts.empty() && attempts.back().ended))) {
      begin(race, executor, {addresses[attempts.size()], port});
      next = now + kAttemptDelay;
      continue;
    }
    const bool all_ended = std::ranges::all_of(
        attempts, [](const Attempt& attempt) { return attempt.ended.has_value(); });
    if (now >= limit.at || (all_begun && all_ended))
      co_return std::unexpected(connect_error(*race, limit));
    (void)co_await race->one_ended.wait(seen, all_begun ? limit.at : std::min(next, limit.at));
  }
}

}  // namespace

std::unique_ptr<Stream> make_plain_stream(asio::generic::stream_protocol::socket socket) {
  return std::make_unique<PlainStream<asio::generic::stream_protocol::socket>>(std::move(socket));
}

PeerState peer_state(int fd) noexcept {
  pollfd entry{fd, POLLRDHUP, 0};
  if (poll(&entry, 1, 0) <= 0) return PeerState::there;
  if ((entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) return PeerState::gone;
  int domain = 0;
  socklen_t size = sizeof domain;
  const bool local =
      getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
  return local ? PeerState::there : PeerState::unsure;
}

std::size_t send_now(int fd, std::span<const std::string_view> parts) noexcept {
  std::array<iovec, 8> pieces{};
  std::size_t count = 0;
  for (const std::string_view part : parts) {
    if (part.empty()) continue;
    if (count == pieces.size()) break;
    pieces[count++] = {const_cast<char*>(part.data()), part.size()};
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  const ssize_t n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

bool is_stale(int fd) noexcept {
  char byte = 0;
  const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

namespace {

asio::awaitable<result<asio::ip::tcp::socket>> connect_host(const Url& url, Resolver& resolver,
                                                            Limit limit) {
  auto addresses = co_await resolver.addresses(url.host, limit);
  if (!addresses) {
    addresses.error().reason = Reason::no_such_host;
    co_return std::unexpected(std::move(addresses).error());
  }
  std::uint16_t port = 0;
  std::from_chars(url.port.data(), url.port.data() + url.port.size(), port);
  auto socket = co_await connect_tcp(*std::move(addresses), port, limit);
  if (!socket) co_return socket;
  error_code error;
  const auto peer = socket->remote_endpoint(error);
  if (!error) resolver.remember_working(url.host, peer.address());
  co_return socket;
}

// Asks the proxy at the other end for a tunnel to the server (RFC 9110 section 9.3.6).
asio::awaitable<result<>> open_tunnel(asio::ip::tcp::socket& socket, const Proxy& proxy,
                                      const Url& server, Limit limit) {
  constexpr std::size_t kMostHead = 8192;
  const Deadline guard(co_await asio::this_coro::executor, limit.at, socket);
  Secret request("CONNECT " + server.authority() + " HTTP/1.1\r\nHost: " + server.authority() +
                 "\r\n");
  if (proxy.authorization != nullptr) {
    request.append("Proxy-Authorization: ");
    request.append(proxy.authorization->reveal());
    request.append("\r\n");
  }
  request.append("\r\n");
  const auto view = request.reveal();
  error_code error;
  co_await asio::async_write(socket, asio::buffer(view),
                             asio::redirect_error(asio::use_awaitable, error));
  std::string head(kMostHead, '\0');
  std::size_t filled = 0;
  while (!error && filled < kMostHead &&
         std::string_view(head.data(), filled).find("\r\n\r\n") == std::string_view::npos) {
    filled +=
        co_await socket.async_read_some(asio::buffer(head.data() + filled, kMostHead - filled),
                                        asio::redirect_error(asio::use_awaitable, error));
  }
  if (guard.passed())
    co_return std::unexpected(limit.passed("waiting for the proxy " + proxy.text()));
  head.resize(filled);
  if (error && head.empty()) {
    co_return std::unexpected(Error{.kind = ErrorKind::network,
                                    .text = "the proxy " + proxy.text() + ": " + reason(error),
                                    .reason = Reason::proxy});
  }
  co_return tunnel_is_open(head, proxy, server);
}

}  // namespace

asio::awaitable<result<std::unique_ptr<Stream>>> connect(Url url, const Proxy* proxy,
                                                         Resolver& resolver, TlsContext& tls,
                                                         Limit limit) {
  if (url.scheme == Url::Scheme::unix_socket)
    co_return co_await connect_unix(url.socket_path, limit);
  auto socket = co_await connect_host(proxy != nullptr ? proxy->url : url, resolver, limit);
  if (!socket) {
    if (proxy != nullptr) {
      socket.error() = std::move(socket.error()).within("the proxy " + proxy->text());
      socket.error().reason = Reason::proxy;
    }
    co_return std::unexpected(std::move(socket).error());
  }
  if (url.scheme != Url::Scheme::https)
    co_return std::make_unique<PlainStream<asio::ip::tcp::socket>>(*std::move(socket));
  if (proxy != nullptr) {
    if (auto open = co_await open_tunnel(*socket, *proxy, url, limit); !open)
      co_return std::unexpected(std::move(open).error());
  }
  auto stream = co_await tls.handshake(*std::move(socket), url.host, limit);
  if (!stream && proxy != nullptr)
    stream.error() = std::move(stream.error()).within("through the proxy " + proxy->text());
  co_return stream;
}

}  // namespace keybearer::http
