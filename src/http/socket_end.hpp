#pragma once
// How connections end: dropping what still comes, a reset. Internal to http/.

#include <sys/socket.h>

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace keybearer::http {

template <class Socket>
boost::asio::awaitable<void> drain_socket(Socket& socket) {
  std::array<char, 4096> dropped{};
  boost::system::error_code error;
  while (!error) {
    co_await socket.async_read_some(boost::asio::buffer(dropped),
                                    boost::asio::redirect_error(boost::asio::use_awaitable, error));
  }
}

template <class Socket>
void reset_socket(Socket& socket) noexcept {
  const linger at_once{1, 0};  // the close then sends a reset
  if (socket.is_open())
    setsockopt(socket.native_handle(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  boost::system::error_code ignored;
  socket.close(ignored);
}

}  // namespace keybearer::http
