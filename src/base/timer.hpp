#pragma once
// Timers and sleeps on Clock (base/time.hpp). Frozen in tests: then only what is due by the frozen time runs.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>

#include "base/time.hpp"

namespace keybearer {

struct ClockWaits {
  static Duration to_wait_duration(const Duration& left);
  static Duration to_wait_duration(const Instant& at) {
    return to_wait_duration(at - Clock::now());
  }
};

using Timer = boost::asio::basic_waitable_timer<Clock, ClockWaits>;

// Throws boost::system::system_error(operation_aborted) when cancelled.
[[nodiscard]] boost::asio::awaitable<void> sleep_until(Instant at);
[[nodiscard]] boost::asio::awaitable<void> sleep_for(Duration time);

}  // namespace keybearer
