#pragma once
// A connected byte stream: TCP, TLS over TCP, or a unix socket. OpenSSL stays behind tls.cpp.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "http/client.hpp"
#include "http/deadline.hpp"
#include "http/resolver.hpp"

namespace keybearer::http {

enum class PeerState {
  there,
  unsure,  // it sends no more; whether it still reads, only a write will tell
  gone,
};

class Stream {
 public:
  virtual ~Stream() = default;
  // 0: the peer ended the connection in an orderly way. Errors: network.
  [[nodiscard]] virtual boost::asio::awaitable<result<std::size_t>> read_some(char* data,
                                                                              std::size_t size) = 0;
  // `written`: how many bytes may have reached the peer, also after an error.
  [[nodiscard]] virtual boost::asio::awaitable<result<>> write(std::string_view bytes,
                                                               std::size_t& written) = 0;
  // Ends whatever is in progress; also what a deadline does.
  virtual void close() noexcept = 0;
  // What is in progress ends with an error, and the connection stays open.
  virtual void cancel() noexcept = 0;
  // As many bytes as go out without waiting, of all parts in their order; 0 where there is a layer
  // above the socket. What is wrong with the connection write() tells.
  [[nodiscard]] virtual std::size_t write_now(std::span<const std::string_view> parts) noexcept {
    (void)parts;
    return 0;
  }
  // What can be told of the peer without reading or writing.
  [[nodiscard]] virtual PeerState peer_state() noexcept = 0;
  // Tells the peer that no more comes. A TLS peer may take its time to answer.
  [[nodiscard]] virtual boost::asio::awaitable<void> end_sending() = 0;
  // Reads what still comes, and drops it, until the peer closes.
  [[nodiscard]] virtual boost::asio::awaitable<void> drain() = 0;
  // Closes such that the peer learns that what it has is not the whole.
  virtual void reset() noexcept = 0;
  // Open, and nothing unread lies on it: neither in the socket nor in a layer above. Only then may
  // another answer be read from it.
  [[nodiscard]] virtual bool is_clean() noexcept = 0;
};

// Has the peer closed it, or sent something that nobody asked for? Then it can't be used again.
[[nodiscard]] bool is_stale(int fd) noexcept;

// Over a TCP or unix socket that is connected.
[[nodiscard]] std::unique_ptr<Stream> make_plain_stream(
    boost::asio::generic::stream_protocol::socket socket);
// Of a socket without a layer above. Who closes a unix socket's sending side only, is known to read.
[[nodiscard]] PeerState peer_state(int fd) noexcept;
// Stream::write_now() of a socket.
[[nodiscard]] std::size_t send_now(int fd, std::span<const std::string_view> parts) noexcept;

// To the first address of the host that takes the connection; through `proxy` unless it is null
// (https by CONNECT; http requests then need the absolute form). Errors: network, timeout, tls;
// those of the proxy name it.
class TlsContext;
[[nodiscard]] boost::asio::awaitable<result<std::unique_ptr<Stream>>> connect(
    Url url, const Proxy* proxy, Resolver& resolver, TlsContext& tls, Limit limit);

// The TLS settings, set up when first used and again when one of their files changed.
class TlsContext {
 public:
  explicit TlsContext(const ClientOptions& options);
  ~TlsContext();
  [[nodiscard]] boost::asio::awaitable<result<std::unique_ptr<Stream>>> handshake(
      boost::asio::ip::tcp::socket socket, std::string host, Limit limit);
  [[nodiscard]] result<> set_up();  // now, and not at the first use

 private:
  friend result<> check_tls_files(const ClientOptions& options);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::http
