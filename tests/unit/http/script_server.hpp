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

  void answer(int status, const std::string& body, const std::string& headers = {}) {
    scripts.push_back({"HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
                       "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body});
  }
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
      if (end != std::string::npos && pending.size() >= end + 4 + body) {
        requests.push_back(pending.substr(0, end + 4 + body));
        pending.erase(0, end + 4 + body);
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

  Loop& loop_;
  asio::ip::tcp::acceptor acceptor_;
  std::list<asio::ip::tcp::socket> sockets_;
  TaskGroup tasks_;
};

}  // namespace keybearer::test
