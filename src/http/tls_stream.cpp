#include "http/tls_stream.hpp"

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "http/socket_end.hpp"

namespace keybearer::http {

namespace asio = boost::asio;
using boost::system::error_code;

Error tls_error(std::string text, Reason reason) {
  return {.kind = ErrorKind::tls, .text = std::move(text), .reason = reason};
}

std::string_view tls_refusal(int reason) {
  switch (reason) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return "the server asks for a client certificate, or for TLS settings that we don't have: "
             "set "
             "vault.client_cert and client_key (VAULT_CLIENT_CERT, VAULT_CLIENT_KEY)";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return "the server does not accept the client certificate: renew vault.client_cert, or have "
             "its "
             "authority added on the server";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
      return "the server speaks no TLS version that is allowed (vault.tls_min_version)";
    default:
      return {};
  }
}

int tls_reason(const error_code& error) {
  return error.category() == asio::error::get_ssl_category()
             ? ERR_GET_REASON(static_cast<unsigned long>(error.value()))
             : 0;
}

namespace {

class TlsStream final : public Stream {
 public:
  TlsStream(std::shared_ptr<asio::ssl::context> context, TlsSocket socket, InForce in_force)
      : context_(std::move(context)), socket_(std::move(socket)), in_force_(std::move(in_force)) {}

  asio::awaitable<result<std::size_t>> read_some(char* data, std::size_t size) override {
    error_code error;
    const std::size_t n = co_await socket_.async_read_some(
        asio::buffer(data, size), asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::eof) co_return 0;
    if (error) co_return broken(error);
    co_return n;
  }
  asio::awaitable<result<>> write(std::string_view bytes, std::size_t& written) override {
    error_code error;
    written = co_await asio::async_write(socket_, asio::buffer(bytes),
                                         asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return broken(error);
    co_return result<>{};
  }
  void close() noexcept override {
    error_code ignored;
    socket_.next_layer().close(ignored);
  }
  // A record that came with the last answer lies in OpenSSL's buffers, not in the socket's.
  // A certificate of ours that was replaced shows on the next request.
  [[nodiscard]] bool is_clean() noexcept override {
    if (in_force_ && !in_force_(*context_)) return false;
    SSL* const ssl = socket_.native_handle();
    return socket_.next_layer().is_open() && SSL_has_pending(ssl) == 0 &&
           BIO_pending(SSL_get_rbio(ssl)) == 0 && !is_stale(socket_.next_layer().native_handle());
  }
  void cancel() noexcept override {
    error_code ignored;
    socket_.next_layer().cancel(ignored);
  }
  // TLS is ended both ways at once.
  [[nodiscard]] PeerState peer_state() noexcept override {
    if (!socket_.next_layer().is_open()) return PeerState::gone;
    const PeerState below = http::peer_state(socket_.next_layer().native_handle());
    return below == PeerState::there ? below : PeerState::gone;
  }
  // The peer is told of the end by TLS, too: without it, it could not tell a cut from the end.
  asio::awaitable<void> end_sending() override {
    error_code ignored;
    co_await socket_.async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
    ERR_clear_error();
    shutdown(socket_.next_layer().native_handle(), SHUT_WR);
  }
  void reset() noexcept override { reset_socket(socket_.next_layer()); }
  asio::awaitable<void> drain() override { return drain_socket(socket_.next_layer()); }

 private:
  static std::unexpected<Error> broken(const error_code& error) {
    if (const auto refusal = tls_refusal(tls_reason(error)); !refusal.empty())
      return std::unexpected(tls_error(std::string(refusal), Reason::tls_files));
    return fail(ErrorKind::network, "the TLS connection broke: " + error.message());
  }

  std::shared_ptr<asio::ssl::context> context_;  // outlives the socket
  TlsSocket socket_;
  InForce in_force_;
};

}  // namespace

std::unique_ptr<Stream> make_tls_stream(std::shared_ptr<asio::ssl::context> context,
                                        TlsSocket socket, InForce in_force) {
  return std::make_unique<TlsStream>(std::move(context), std::move(socket), std::move(in_force));
}

FileStamp stamp_of(const std::string& path) {
  struct stat info{};
  if (path.empty() || stat(path.c_str(), &info) != 0) return {};
  return {info.st_mtim, info.st_ino, info.st_size};
}

}  // namespace keybearer::http
