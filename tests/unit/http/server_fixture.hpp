#pragma once
// A server on loopback with a handler, and a client that sends bytes and gives back what came.

#include "http/server.hpp"
#include "script_server.hpp"

namespace keybearer::test {

using namespace std::chrono_literals;

inline http::Url any_port() {
  http::Url url = *http::parse_url("http://127.0.0.1:1");
  url.port = "0";
  return url;
}

struct ServerFixture {
  Loop loop;
  http::Server server;
  bool ended = false;

  ServerFixture(http::ServerOptions options, http::Handler handler)
      : server(loop.context.get_executor(), std::move(options), std::move(handler)) {
    REQUIRE(server.listen());
    asio::co_spawn(loop.context, server.run(), [this](std::exception_ptr) { ended = true; });
  }
  ~ServerFixture() {
    server.stop();
    while (!ended && loop.context.run_one_for(5s) != 0) {
    }
  }

  // Sends the bytes and reads until the server closes, or all of `until` has come.
  std::string talk(std::string bytes, std::string until = "\r\n\r\nnever") {
    return loop.run(exchange(std::move(bytes), std::move(until)));
  }
  asio::awaitable<std::string> exchange(std::string bytes, std::string until) {
    asio::ip::tcp::socket socket(loop.context);
    const auto port = static_cast<std::uint16_t>(std::stoul(server.address().port));
    co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
    co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
    std::string got;
    boost::system::error_code error;
    while (!error && got.find(until) == std::string::npos) {
      std::string more(65536, '\0');
      more.resize(co_await socket.async_read_some(
          asio::buffer(more), asio::redirect_error(asio::use_awaitable, error)));
      got += more;
    }
    co_return got;
  }
};

}  // namespace keybearer::test
