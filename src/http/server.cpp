#include "http/server.hpp"

#include <fcntl.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>
#include <cstring>
#include <list>

#include "base/log.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "http/deadline.hpp"
#include "http/request_parser.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol>;

constexpr std::size_t kReadSize = 16 * 1024;
constexpr Duration kAcceptPause{
    100};  // after an accept that failed, such as for lack of descriptors

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

std::string http_date() {
  const time_t now = std::chrono::system_clock::to_time_t(wall_now());
  tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 40> text{};
  strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text.data();
}

Secret bytes_of(const ServerResponse& response, bool head_only, bool keep_alive) {
  Secret out;
  out.reserve(512 + response.body.size());
  const auto add = [&out](std::string_view name, std::string_view value) {
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
  };
  out.append("HTTP/1.1 " + std::to_string(response.status) + " ");
  out.append(reason_phrase(response.status));
  out.append("\r\n");
  add("Date", http_date());
  for (const auto& [name, value] : response.headers) add(name, value);
  if (!keep_alive) add("Connection", "close");
  const bool body_allowed = response.status != 204 && response.status != 304;
  if (body_allowed) {
    if (!response.body.empty()) add("Content-Type", response.content_type);
    add("Content-Length", std::to_string(response.body.size()));
  }
  out.append("\r\n");
  if (body_allowed && !head_only) out.append(response.body.reveal());
  return out;
}

// The address as the kernel takes it. Only loopback: there is no TLS here.
result<Protocol::endpoint> endpoint_of(const Url& url) {
  if (url.scheme == Url::Scheme::unix_socket) {
    return asio::local::stream_protocol::endpoint(url.socket_path);
  }
  error_code error;
  const auto address =
      asio::ip::make_address(url.host == "localhost" ? "127.0.0.1" : url.host, error);
  if (error || !address.is_loopback() || url.scheme != Url::Scheme::http) {
    return fail(ErrorKind::config,
                url.text() + ": listens on loopback addresses only, such as 127.0.0.1:8200");
  }
  return asio::ip::tcp::endpoint(address, static_cast<std::uint16_t>(std::stoul(url.port)));
}

// A socket file that nobody listens on any more is in the way.
void remove_stale_socket(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const asio::local::stream_protocol::endpoint endpoint(path);
  const bool alive = connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0 ||
                     errno != ECONNREFUSED;
  close(fd);
  if (!alive) unlink(path.c_str());
}

}  // namespace

std::string_view ServerRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key.size() == name.size() && strncasecmp(key.data(), name.data(), name.size()) == 0) {
      return value;
    }
  }
  return {};
}

struct Server::Impl {
  struct Connection {
    Protocol::socket socket;
    bool busy = false;  // a request has been read and is not yet answered
  };

  Impl(asio::any_io_executor executor_in, ServerOptions options_in, Handler handler_in)
      : executor(std::move(executor_in)),
        options(std::move(options_in)),
        handler(std::move(handler_in)),
        acceptor(executor),
        tasks(executor) {}

  asio::awaitable<void> accept_all();
  asio::awaitable<void> serve(std::list<Connection>::iterator connection);
  asio::awaitable<bool> serve_one(Connection& connection, std::string& pending);
  asio::awaitable<int> read_request(Connection& connection, std::string& pending,
                                    RequestParser& parser);
  asio::awaitable<bool> answer(Connection& connection, ServerResponse response, bool head_only,
                               bool keep);
  asio::awaitable<ServerResponse> handle(ServerRequest request);

  asio::any_io_executor executor;
  ServerOptions options;
  Handler handler;
  Acceptor acceptor;
  std::list<Connection> connections;
  Event ended;
  TaskGroup tasks;
  bool stopping = false;
};

asio::awaitable<void> Server::Impl::accept_all() {
  while (!stopping) {
    const auto seen = ended.generation();
    if (connections.size() >= static_cast<std::size_t>(options.max_connections)) {
      co_await ended.wait(seen);
      continue;
    }
    error_code error;
    auto socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (stopping) break;
    if (error) {
      co_await sleep_for(kAcceptPause);
      continue;
    }
    fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    if (options.address.scheme == Url::Scheme::http)
      socket.set_option(asio::ip::tcp::no_delay(true), error);
    connections.push_back({std::move(socket)});
    tasks.spawn(serve(std::prev(connections.end())));
  }
}

asio::awaitable<void> Server::Impl::serve(std::list<Connection>::iterator connection) {
  struct Leave {
    Impl* impl;
    std::list<Connection>::iterator connection;
    ~Leave() {
      impl->connections.erase(connection);
      impl->ended.set();
    }
  } leave{this, connection};
  std::string pending;  // bytes of the next request
  while (co_await serve_one(*connection, pending) && !stopping) {
  }
}

// 0: a whole request; -1: the client went away or stayed silent; else the status to answer.
asio::awaitable<int> Server::Impl::read_request(Connection& connection, std::string& pending,
                                                RequestParser& parser) {
  bool begun = !pending.empty();
  auto limit = Limit::in(begun ? options.request_timeout : options.idle_timeout);
  auto guard = std::make_unique<Deadline<Protocol::socket>>(executor, limit.at, connection.socket);
  while (true) {
    if (!pending.empty()) {
      const auto used = parser.put(pending);
      if (!used) co_return used.error().status;
      pending.erase(0, *used);
      if (parser.done()) co_return 0;
    }
    const std::size_t had = pending.size();
    if (had > options.max_header) co_return 431;
    pending.resize(had + kReadSize);
    error_code error;
    const std::size_t n = co_await connection.socket.async_read_some(
        asio::buffer(pending.data() + had, kReadSize),
        asio::redirect_error(asio::use_awaitable, error));
    pending.resize(had + n);
    if (error) co_return -1;
    if (!begun) {
      begun = true;
      guard = std::make_unique<Deadline<Protocol::socket>>(
          executor, Clock::now() + options.request_timeout, connection.socket);
    }
  }
}

asio::awaitable<bool> Server::Impl::serve_one(Connection& connection, std::string& pending) {
  RequestParser parser(options.max_header, options.max_body);
  const int status = co_await read_request(connection, pending, parser);
  if (status < 0) co_return false;
  connection.busy = true;
  if (status > 0) {
    co_return co_await answer(connection,
                              ServerResponse{.status = status, .body = Secret("{\"errors\":[]}\n")},
                              false, false);
  }
  const bool keep = parser.keep_alive();
  auto request = parser.take();
  const bool head_only = request.method == "HEAD";
  auto response = co_await handle(std::move(request));
  const bool kept = co_await answer(connection, std::move(response), head_only, keep && !stopping);
  connection.busy = false;
  co_return kept;
}

asio::awaitable<ServerResponse> Server::Impl::handle(ServerRequest request) {
  try {
    co_return co_await handler(std::move(request));
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    log::error("listener.bug", "a request could not be answered", {{"reason", error.what()}});
  } catch (const std::exception& error) {
    log::error("listener.bug", "a request could not be answered", {{"reason", error.what()}});
  }
  co_return ServerResponse{.status = 500, .body = Secret("{\"errors\":[\"internal error\"]}\n")};
}

asio::awaitable<bool> Server::Impl::answer(Connection& connection, ServerResponse response,
                                           bool head_only, bool keep) {
  const Secret bytes = bytes_of(response, head_only, keep);
  const Deadline guard(executor, Clock::now() + options.write_timeout, connection.socket);
  error_code error;
  co_await asio::async_write(connection.socket, asio::buffer(bytes.reveal()),
                             asio::redirect_error(asio::use_awaitable, error));
  co_return keep && !error;
}

Server::Server(asio::any_io_executor executor, ServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(options), std::move(handler))) {}

Server::~Server() {
  if (impl_->acceptor.is_open() && impl_->options.address.scheme == Url::Scheme::unix_socket) {
    unlink(impl_->options.address.socket_path.c_str());
  }
}

result<> Server::listen() {
  Url& url = impl_->options.address;
  const auto endpoint = endpoint_of(url);
  if (!endpoint) return std::unexpected(endpoint.error());
  const bool local = url.scheme == Url::Scheme::unix_socket;
  if (local) remove_stale_socket(url.socket_path);

  Acceptor& acceptor = impl_->acceptor;
  error_code error;
  acceptor.open(endpoint->protocol(), error);
  if (!error) fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error && !local) acceptor.set_option(Acceptor::reuse_address(true), error);
  const mode_t mask = local ? umask(0177) : 0;  // the socket's file is 0600 from the start
  if (!error) acceptor.bind(*endpoint, error);
  if (local) umask(mask);
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

const Url& Server::address() const {
  return impl_->options.address;
}

asio::awaitable<void> Server::run() {
  impl_->tasks.spawn(impl_->accept_all());
  co_await impl_->tasks.join();
}

void Server::stop() {
  impl_->stopping = true;
  error_code ignored;
  if (impl_->options.address.scheme == Url::Scheme::unix_socket && impl_->acceptor.is_open()) {
    unlink(impl_->options.address.socket_path.c_str());
  }
  impl_->acceptor.close(ignored);
  impl_->ended.set();
  for (auto& connection : impl_->connections) {
    if (!connection.busy) connection.socket.close(ignored);
  }
}

}  // namespace keybearer::http
