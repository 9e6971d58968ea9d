#include "http/listen.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstring>

#include "base/fd.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Endpoint = asio::generic::stream_protocol::endpoint;

result<Endpoint> tcp_endpoint(const Url& url, bool loopback_only) {
  error_code error;
  const auto address =
      asio::ip::make_address(url.host == "localhost" ? "127.0.0.1" : url.host, error);
  if (url.scheme == Url::Scheme::https || error)
    return fail(ErrorKind::config, url.text() + ": expected an IP address and a port");
  if (loopback_only && !address.is_loopback()) {
    return fail(ErrorKind::config,
                url.text() + ": listens on loopback addresses only, such as 127.0.0.1:8200");
  }
  return asio::ip::tcp::endpoint(address, static_cast<std::uint16_t>(std::stoul(url.port)));
}

// Who begins to listen looks, binds and listens alone in its directory: between bind(2) and listen(2)
// a socket looks like one that was left behind. It takes microseconds: a lock that is held
// longer is somebody else's, and not waited for.
UniqueFd lock_directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string above = slash == path.npos ? "." : path.substr(0, std::max(slash, 1UL));
  UniqueFd directory(open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int tries = 20'000; directory && flock(directory.get(), LOCK_EX | LOCK_NB) != 0 && tries > 0;
       --tries)
    sched_yield();
  return directory;
}

// A socket that nobody listens on any more goes out of the way; anything else stays.
result<> make_way(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode))
    return fail(ErrorKind::config,
                path + ": there is something that is not a socket; not replaced");
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const asio::local::stream_protocol::endpoint endpoint(path);
  const bool alive = connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0 ||
                     errno != ECONNREFUSED;
  close(fd);
  if (alive) return fail(ErrorKind::io, path + ": address in use: another process listens on it");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(ErrorKind::io, path, errno);
  return {};
}

}  // namespace

bool SocketFile::is_there() const noexcept {
  struct stat info{};
  return !path.empty() && lstat(path.c_str(), &info) == 0 && info.st_dev == device &&
         info.st_ino == inode;
}

void SocketFile::remove() noexcept {
  if (is_there()) unlink(path.c_str());
  path.clear();
}

result<> set_owner(const std::string& path, const SocketOwner& owner, SocketFile& file) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) return fail_errno(ErrorKind::io, path, errno);
  file = {path, info.st_dev, info.st_ino};
  const auto none = static_cast<uid_t>(-1);
  if ((owner.uid || owner.gid) &&
      lchown(path.c_str(), owner.uid.value_or(none), owner.gid.value_or(none)) != 0)
    return fail_errno(ErrorKind::io, path + ": owner", errno);
  if (chmod(path.c_str(), owner.mode) != 0)
    return fail_errno(ErrorKind::io, path + ": mode", errno);
  return {};
}

result<> listen_on(Acceptor& acceptor, Url& url, bool loopback_only, const SocketOwner& owner,
                   SocketFile& file) {
  const bool local = url.scheme == Url::Scheme::unix_socket;
  Endpoint endpoint;
  UniqueFd lock;
  if (local) {
    try {
      endpoint = asio::local::stream_protocol::endpoint(url.socket_path);
    } catch (const std::exception&) {  // sun_path has 108 bytes
      return fail(ErrorKind::config, url.socket_path + ": too long for a socket's path");
    }
    lock = lock_directory_of(url.socket_path);
    if (auto free = make_way(url.socket_path); !free) return free;
  } else {
    auto tcp = tcp_endpoint(url, loopback_only);
    if (!tcp) return std::unexpected(tcp.error());
    endpoint = *tcp;
  }
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error && !local) acceptor.set_option(Acceptor::reuse_address(true), error);
  // The file is made with the socket's own mode (unix(7)): at no time wider than it may be.
  if (!error && local) fchmod(acceptor.native_handle(), 0600);
  if (!error) acceptor.bind(endpoint, error);
  // Nobody can connect before listen().
  if (!error && local) {
    if (auto owned = set_owner(url.socket_path, owner, file); !owned) {
      acceptor.close(error);
      file.remove();
      return std::unexpected(owned.error());
    }
  }
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    error_code ignored;
    acceptor.close(ignored);
    return fail(ErrorKind::io, "listen on " + url.text() + ": " + error.message());
  }
  if (!local) {
    const auto bound = acceptor.local_endpoint(error);
    asio::ip::tcp::endpoint tcp;
    std::memcpy(tcp.data(), bound.data(), bound.size());
    tcp.resize(bound.size());
    url.port = std::to_string(tcp.port());
  }
  return {};
}

}  // namespace keybearer::http
