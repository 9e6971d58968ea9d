#pragma once
// The server's side of TLS: certificate, key, and whom it asks for a client certificate. The files
// are read again when one of them changed; a broken new one keeps the old.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "http/deadline.hpp"
#include "http/peer.hpp"
#include "http/stream.hpp"

namespace keybearer::http {

struct TlsServerOptions {
  std::string cert_file, key_file;   // PEM; the chain with the certificate
  std::string client_ca_file;        // who signs client certificates; empty: none is asked for
  std::string crl_file;              // beside it
  bool require_client_cert = false;  // false with a CA: one that is given must be good
  bool tls13_only = false;
  friend bool operator==(const TlsServerOptions&, const TlsServerOptions&) = default;
};

class TlsServerContext {
 public:
  explicit TlsServerContext(TlsServerOptions options);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  // Errors: tls with Reason::tls_files, beginning with the key of the configuration.
  [[nodiscard]] result<> set_up();
  // `peer` gets the client's certificate.
  [[nodiscard]] boost::asio::awaitable<result<std::unique_ptr<Stream>>> handshake(
      boost::asio::ip::tcp::socket socket, Peer& peer, Limit limit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::http
