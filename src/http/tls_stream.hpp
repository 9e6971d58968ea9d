#pragma once
// A TLS connection after its handshake as a Stream, for both sides. Internal to http/.

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/stream.hpp"

namespace keybearer::http {

using TlsSocket = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

// Whether connections with our certificate may go on under these settings: not once there is
// another.
using InForce = std::function<bool(const boost::asio::ssl::context& context)>;

// `context` outlives the socket. `in_force` may be empty: there is no certificate of ours.
[[nodiscard]] std::unique_ptr<Stream> make_tls_stream(
    std::shared_ptr<boost::asio::ssl::context> context, TlsSocket socket, InForce in_force = {});

[[nodiscard]] Error tls_error(std::string text, Reason reason = Reason::none);
// OpenSSL's reason code of an error, or 0.
[[nodiscard]] int tls_reason(const boost::system::error_code& error);
// What a server thinks of our side, as its alert says; "": it was none of that.
[[nodiscard]] std::string_view tls_refusal(int reason);

// What tells one content of a file from another.
struct FileStamp {
  timespec changed{};
  ino_t inode = 0;
  off_t size = 0;
  friend bool operator==(const FileStamp& a, const FileStamp& b) {
    return a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec &&
           a.inode == b.inode && a.size == b.size;
  }
};
[[nodiscard]] FileStamp stamp_of(const std::string& path);

}  // namespace keybearer::http
