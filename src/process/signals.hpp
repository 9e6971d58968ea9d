#pragma once
// Signals as events: blocked, and read from a signalfd(2), so that no handler ever interrupts
// anything. A blocked signal is kept until it is read, also one that would be ignored by default.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <vector>

namespace keybearer {

// What others left to us and the system would end us by: blocked signals are let in, and writing to
// nobody (SIGPIPE) or beyond a limit (SIGXFSZ) is an error of write(2). At the start of main().
void reset_signal_state() noexcept;

class Signals {
 public:
  // Blocked for good, in this thread and those that it starts: what comes after the last read is
  // nobody's. Programs that we start have none blocked (process/spawn). Throws
  // boost::system::system_error when there is no descriptor left.
  Signals(const boost::asio::any_io_executor& executor, const std::vector<int>& signals);

  [[nodiscard]] boost::asio::awaitable<int> next();

 private:
  boost::asio::posix::stream_descriptor events_;
};

// Whether SIGTERM, SIGINT or SIGQUIT is there and not read yet: for what computes for long without
// letting others run. Always false before there are Signals, when these end the process.
[[nodiscard]] bool stop_signal_pending() noexcept;

}  // namespace keybearer
