#pragma once
// How connections end: waiting for the peer to go, dropping what still comes, a reset. Internal to
// http/.

#include <sys/socket.h>

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/timer.hpp"
#include "http/stream.hpp"

namespace keybearer::http {

// With bytes unread on the socket the system tells nothing more: then it is looked at this often.
inline constexpr Duration kPeerPoll = std::chrono::milliseconds(200);

template <class Socket>
boost::asio::awaitable<void> wait_until_left(Socket& socket) {
  while (socket.is_open() && !peer_has_left(socket.native_handle())) {
    boost::system::error_code error;
    co_await socket.async_wait(Socket::wait_read,
                               boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (error) co_return;  // cancelled after nearly every request: an exception would cost as much
    if (!peer_has_left(socket.native_handle())) co_await sleep_for(kPeerPoll);
  }
}

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
