#include "http/server.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <list>

#include "base/log.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "http/connection.hpp"
#include "http/listen.hpp"
#include "json/json.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

constexpr Duration kAcceptPause{100};  // after an accept that failed: no descriptors, for example

std::string address_text(const asio::generic::stream_protocol::endpoint& endpoint) {
  asio::ip::tcp::endpoint tcp;
  std::memcpy(tcp.data(), endpoint.data(), endpoint.size());
  tcp.resize(endpoint.size());
  auto address = tcp.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  return address.to_string();
}

Peer peer_of(Socket& socket, bool local) {
  Peer peer;
  if (local) {
    ucred who{};
    socklen_t size = sizeof who;
    const int fd = socket.native_handle();
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return peer;
    std::vector<gid_t> groups(64);
    socklen_t bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) != 0) bytes = 0;
    groups.resize(bytes / sizeof(gid_t));
    peer.credentials = {who.uid, who.gid, who.pid, std::move(groups)};
    return peer;
  }
  error_code error;
  const auto remote = socket.remote_endpoint(error);
  if (!error) peer.address = address_text(remote);
  const auto here = socket.local_endpoint(error);
  if (!error) peer.reached = address_text(here);
  return peer;
}

// No coroutine for who can't be served: the answer fits into the socket's buffer, or is lost.
void turn_away(Socket& socket) noexcept {
  constexpr std::string_view kAnswer =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nX-Keybearer-Error: limit\r\n"
      "Content-Type: application/json\r\nContent-Length: 63\r\nConnection: close\r\n\r\n"
      "{\"errors\":[\"keybearer: too many connections to this listener\"]}";
  (void)send(socket.native_handle(), kAnswer.data(), kAnswer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(socket.native_handle(), SHUT_WR);
}

}  // namespace

std::string Peer::text() const {
  std::string text;
  if (credentials) {
    text = "uid:" + std::to_string(credentials->uid) + " pid:" + std::to_string(credentials->pid);
  } else {
    text = address;
  }
  if (certificate) text += " CN=" + certificate->common_name;
  return text;
}

std::string_view ServerRequest::header(std::string_view name) const {
  const std::string* value = find_header(headers, name);
  return value != nullptr ? std::string_view(*value) : std::string_view{};
}

ServerResponse error_response(int status, std::string_view text) {
  return {.status = status, .body = Secret("{\"errors\":[" + json::quote(text) + "]}\n")};
}

struct Server::Impl {
  struct Place {
    std::unique_ptr<Connection> connection = {};  // null: in its TLS handshake
  };
  // Replaced as a whole; requests under way keep the one they began with.
  struct Settings {
    ServerLimits limits;
    std::shared_ptr<TlsServerContext> tls;
    Handler handler;
  };

  Impl(asio::any_io_executor executor_in, ServerOptions o, Handler handler)
      : executor(std::move(executor_in)),
        address(std::move(o.address)),
        loopback_only(o.loopback_only),
        owner(o.socket),
        settings(std::make_shared<const Settings>(
            Settings{o.limits, std::move(o.tls), std::move(handler)})),
        acceptor(executor),
        deadlines(executor),
        tasks(executor) {}

  [[nodiscard]] bool local() const { return address.scheme == Url::Scheme::unix_socket; }
  awaitable<void> accept_all();
  awaitable<void> serve(Socket socket);
  // By the settings of when the request came, not of when the connection began to wait for it.
  awaitable<void> handle(Exchange& exchange) {
    exchange.hold(settings);
    return settings->handler(exchange);
  }
  [[nodiscard]] bool make_room();

  asio::any_io_executor executor;
  Url address;
  bool loopback_only;
  SocketOwner owner;
  SocketFile file;
  std::shared_ptr<const Settings> settings;
  Acceptor acceptor;
  Deadlines deadlines;
  std::list<Place> places;
  ServerStats stats;
  TaskGroup tasks;
  bool stopping = false;
  Handler on_request = [this](Exchange& exchange) { return handle(exchange); };
};

// The longest waiting gives way; who has a request under way stays.
bool Server::Impl::make_room() {
  if (tasks.live() <= static_cast<std::size_t>(settings->limits.max_connections)) return true;
  Place* longest = nullptr;
  for (Place& place : places) {
    if (place.connection == nullptr || place.connection->busy() || place.connection->stopped())
      continue;
    if (longest == nullptr ||
        place.connection->waiting_since() < longest->connection->waiting_since())
      longest = &place;
  }
  if (longest == nullptr) return false;
  ++stats.connections_evicted;
  longest->connection->stop();
  return true;
}

awaitable<void> Server::Impl::accept_all() {
  while (!stopping) {
    error_code error;
    auto socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (stopping) break;
    if (error) {
      co_await sleep_for(kAcceptPause);
      continue;
    }
    fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    ++stats.connections;
    if (!make_room()) {
      ++stats.connections_refused;
      turn_away(socket);
      continue;
    }
    if (!local()) socket.set_option(asio::ip::tcp::no_delay(true), error);
    tasks.spawn(serve(std::move(socket)));
  }
}

awaitable<void> Server::Impl::serve(Socket socket) {
  const auto place = places.emplace(places.end());
  struct Leave {
    Impl* impl;
    std::list<Place>::iterator place;
    ~Leave() {
      --impl->stats.open;
      impl->places.erase(place);
    }
  } const leave{this, place};
  ++stats.open;
  Peer peer = peer_of(socket, local());
  if (local() && !peer.credentials) co_return;
  std::unique_ptr<Stream> stream;
  const auto tls = settings->tls;
  if (tls != nullptr && !local()) {
    error_code error;
    const auto protocol = peer.address.contains(':') ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
    const int fd = socket.release(error);
    auto made = co_await tls->handshake(asio::ip::tcp::socket(executor, protocol, fd), peer,
                                        Limit::in(settings->limits.header_timeout));
    if (!made) {
      ++stats.tls_failures;
      log::debug("listener.tls_failed", made.error().text, {{"peer", peer.text()}});
      co_return;
    }
    stream = *std::move(made);
  } else {
    stream = make_plain_stream(std::move(socket));
  }
  place->connection = std::make_unique<Connection>(std::move(stream), std::move(peer),
                                                   local() || tls != nullptr, stats, deadlines);
  while (!stopping) {
    if (!co_await place->connection->serve_one(settings->limits, on_request)) break;
  }
}

Server::Server(asio::any_io_executor executor, ServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(options), std::move(handler))) {}

Server::~Server() {
  impl_->file.remove();
}

result<> Server::listen() {
  return listen_on(impl_->acceptor, impl_->address, impl_->loopback_only, impl_->owner,
                   impl_->file);
}

const Url& Server::address() const {
  return impl_->address;
}

awaitable<void> Server::run() {
  impl_->tasks.spawn(impl_->accept_all());
  co_await impl_->tasks.join();
  impl_->deadlines.rest();
}

void Server::configure(ServerLimits limits, std::shared_ptr<TlsServerContext> tls,
                       Handler handler) {
  impl_->settings = std::make_shared<const Impl::Settings>(
      Impl::Settings{limits, std::move(tls), std::move(handler)});
}

bool Server::can_be_reached() const {
  return !impl_->local() || impl_->file.is_there();
}

result<> Server::set_socket_owner(const SocketOwner& owner) {
  if (!impl_->local() || owner == impl_->owner) return {};
  if (!impl_->file.is_there())
    return fail(ErrorKind::io, impl_->address.socket_path + ": is not our socket any more");
  if (auto set = set_owner(impl_->address.socket_path, owner, impl_->file); !set) return set;
  impl_->owner = owner;
  return {};
}

void Server::stop() {
  impl_->stopping = true;
  error_code ignored;
  impl_->file.remove();
  impl_->acceptor.close(ignored);
  for (auto& place : impl_->places) {
    if (place.connection != nullptr) place.connection->stop();
  }
}

const ServerStats& Server::stats() const {
  return impl_->stats;
}

}  // namespace keybearer::http
