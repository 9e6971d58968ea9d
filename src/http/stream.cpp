#include "http/stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>

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
  [[nodiscard]] int fd() noexcept override {
    return socket_.is_open() ? socket_.native_handle() : -1;
  }

 private:
  Socket socket_;
};

asio::awaitable<result<std::unique_ptr<Stream>>> connect_unix(std::string path) {
  asio::local::stream_protocol::socket socket(co_await asio::this_coro::executor);
  error_code error;
  co_await socket.async_connect(asio::local::stream_protocol::endpoint(path),
                                asio::redirect_error(asio::use_awaitable, error));
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

bool is_stale(int fd) noexcept {
  char byte = 0;
  const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

asio::awaitable<result<std::unique_ptr<Stream>>> connect(Url url, Resolver& resolver,
                                                         TlsContext& tls, Limit limit) {
  if (url.scheme == Url::Scheme::unix_socket) co_return co_await connect_unix(url.socket_path);

  auto addresses = co_await resolver.addresses(url.host, limit);
  if (!addresses) {
    addresses.error().reason = Reason::no_such_host;
    co_return std::unexpected(std::move(addresses).error());
  }
  std::uint16_t port = 0;
  std::from_chars(url.port.data(), url.port.data() + url.port.size(), port);
  auto socket = co_await connect_tcp(*std::move(addresses), port, limit);
  if (!socket) co_return std::unexpected(std::move(socket).error());
  error_code error;
  const auto peer = socket->remote_endpoint(error);
  if (!error) resolver.remember_working(url.host, peer.address());
  if (url.scheme == Url::Scheme::https) {
    co_return co_await tls.handshake(*std::move(socket), url.host, limit);
  }
  co_return std::make_unique<PlainStream<asio::ip::tcp::socket>>(*std::move(socket));
}

}  // namespace keybearer::http
