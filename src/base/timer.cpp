#include "base/timer.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace keybearer {
namespace {

constexpr Duration kLongest = std::chrono::hours(24);  // Asio counts it in microseconds

}  // namespace

Duration ClockWaits::to_wait_duration(const Duration& left) {
  if (Clock::frozen())
    return Duration::zero();  // tests poll: only what the frozen time says is due runs
  return std::clamp(left, Duration::zero(), kLongest);
}

boost::asio::awaitable<void> sleep_until(Instant at) {
  Timer timer(co_await boost::asio::this_coro::executor, at);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

boost::asio::awaitable<void> sleep_for(Duration time) {
  return sleep_until(Clock::now() + time);
}

}  // namespace keybearer
