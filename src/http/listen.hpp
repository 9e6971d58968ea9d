#pragma once
// Listening sockets. Internal to http/.

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <string>

#include "base/error.hpp"
#include "http/peer.hpp"
#include "http/url.hpp"

namespace keybearer::http {

using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

// Which file a unix socket is, so that none but it is removed.
struct SocketFile {
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;
  [[nodiscard]] bool is_there() const noexcept;  // and not somebody else's by now
  void remove() noexcept;                        // once
};

// `url.port` gets the port that the system gave. Errors: config (neither loopback nor allowed,
// something that is no socket in the way), io.
[[nodiscard]] result<> listen_on(Acceptor& acceptor, Url& url, bool loopback_only,
                                 const SocketOwner& owner, SocketFile& file);

// Error kind io. `file` gets which file it is.
[[nodiscard]] result<> set_owner(const std::string& path, const SocketOwner& owner,
                                 SocketFile& file);

}  // namespace keybearer::http
