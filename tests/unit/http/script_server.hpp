#pragma once
// A server on loopback that answers with the very bytes it was told, one script per request, and
// records what came. For tests of the client.

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/task_group.hpp"
#include "http/client.hpp"

namespace keybearer::test {

namespace asio = boost::asio;

// Runs coroutines with the real clock, for real sockets; each must end within seconds.
class Loop {
 public:
  asio::io_context context{1};

  template <class T>
  T run(asio::awaitable<T> task) {
    std::optional<T> value;
    std::exception_ptr failure;
    bool done = false;
    asio::co_spawn(context, std::move(task), [&](std::exception_ptr f, T v) {
      failure = f;
      value = std::move(v);
      done = true;
    });
    context.restart();
    while (!done && context.run_one_for(std::chrono::seconds(5)) != 0) {
    }
    REQUIRE_MESSAGE(done, "it hangs");
    if (failure) std::rethrow_exception(failure);
    return std::move(*value);
  }
};

class ScriptServer {
 public:
  struct Script {
    std::string bytes;
    bool close = false;  // after the bytes; else the connection stays open
  };

  explicit ScriptServer(Loop& loop)
      : loop_(loop),
        acceptor_(loop.context, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        tasks_(loop.context.get_executor()) {
    tasks_.spawn(accept_all());
  }
  ~ScriptServer() {
    loop_.run([](TaskGroup& tasks) -> asio::awaitable<bool> {
      tasks.cancel();
      co_await tasks.join();
      co_return true;
    }(tasks_));
  }

  std::deque<Script> scripts;  // none left: the connection is closed without an answer
  std::vector<std::string> requests;
  int connections = 0;
  std::function<void()> on_request;  // before the answer
  std::string tunnel_to;             // a port: CONNECT is answered 200, and bytes go there and back

  void answer(int status, const std::string& body, const std::string& headers = {}) {
    scripts.push_back({"HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
                       "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body});
  }
  // More bytes, to who connected last.
  void send(std::string_view bytes) { asio::write(sockets_.back(), asio::buffer(bytes)); }
  [[nodiscard]] std::string address() const {
    return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }
  [[nodiscard]] http::Url url() const { return http::parse_url(address()).value(); }

 private:
  asio::awaitable<void> accept_all() {
    for (;;) {
      sockets_.push_back(co_await acceptor_.async_accept(asio::use_awaitable));
      ++connections;
      tasks_.spawn(serve(sockets_.back()));
    }
  }
  asio::awaitable<void> serve(asio::ip::tcp::socket& socket) {
    boost::system::error_code error;
    std::string pending;
    while (!error) {
      const auto end = pending.find("\r\n\r\n");
      const auto length = pending.find("Content-Length: ");
      const std::size_t body = length < end ? std::stoul(pending.substr(length + 16)) : 0;
      std::size_t whole = end == std::string::npos ? end : end + 4 + body;
      if (pending.find("Transfer-Encoding: chunked") < end) {
        const auto last = pending.find("\r\n0\r\n\r\n");
        whole = last == std::string::npos ? last : last + 7;
      }
      if (pending.size() >= whole) {
        requests.push_back(pending.substr(0, whole));
        pending.erase(0, whole);
        if (on_request) on_request();
        if (!tunnel_to.empty()) co_return co_await tunnel(socket);
        if (scripts.empty()) break;
        const Script script = scripts.front();
        scripts.pop_front();
        co_await asio::async_write(socket, asio::buffer(script.bytes),
                                   asio::redirect_error(asio::use_awaitable, error));
        if (script.close) break;
        continue;
      }
      std::string more(4096, '\0');
      more.resize(co_await socket.async_read_some(
          asio::buffer(more), asio::redirect_error(asio::use_awaitable, error)));
      pending += more;
    }
    socket.close(error);
  }

  static asio::awaitable<void> pump(asio::ip::tcp::socket& from, asio::ip::tcp::socket& to) {
    boost::system::error_code error;
    std::string bytes(4096, '\0');
    while (!error) {
      const std::size_t n = co_await from.async_read_some(
          asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
      if (n > 0)
        co_await asio::async_write(to, asio::buffer(bytes.data(), n),
                                   asio::redirect_error(asio::use_awaitable, error));
    }
    from.close(error);
    to.close(error);
  }
  asio::awaitable<void> tunnel(asio::ip::tcp::socket& client) {
    const auto port = static_cast<std::uint16_t>(std::stoi(tunnel_to));
    auto& server = sockets_.emplace_back(loop_.context);
    co_await server.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
    co_await asio::async_write(
        client, asio::buffer(std::string_view("HTTP/1.1 200 Connection established\r\n\r\n")),
        asio::use_awaitable);
    tasks_.spawn(pump(server, client));
    co_await pump(client, server);
  }

  Loop& loop_;
  asio::ip::tcp::acceptor acceptor_;
  std::list<asio::ip::tcp::socket> sockets_;
  TaskGroup tasks_;
};

}  // namespace keybearer::test
