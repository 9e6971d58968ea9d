#include "base/clock.hpp"

#include <time.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

namespace keybearer {
namespace {

constexpr Duration kLongestWait = std::chrono::hours(24);

std::optional<Instant> frozen_at;

}  // namespace

Instant Clock::now() noexcept {
  if (frozen_at) return *frozen_at;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::seconds(now.tv_sec) +
                                                      std::chrono::nanoseconds(now.tv_nsec)));
}

void Clock::freeze(Instant at) noexcept {
  frozen_at = at;
}
void Clock::thaw() noexcept {
  frozen_at.reset();
}
bool Clock::frozen() noexcept {
  return frozen_at.has_value();
}

WallTime wall_now() noexcept {
  // In tests the wall's clock goes with the frozen one, so that time stamps of servers fit.
  if (frozen_at) return WallTime(std::chrono::hours(24 * 365 * 56) + frozen_at->time_since_epoch());
  return std::chrono::system_clock::now();
}

Duration ClockWaits::to_wait_duration(const Duration& left) {
  if (Clock::frozen())
    return Duration::zero();  // tests poll: only what the frozen time says is due runs
  // Asio counts in microseconds, of which "for ever" has too many.
  return std::clamp<Duration>(left, Duration::zero(), kLongestWait);
}

boost::asio::awaitable<void> sleep_until(Instant at) {
  Timer timer(co_await boost::asio::this_coro::executor, at);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

boost::asio::awaitable<void> sleep_for(Duration time) {
  return sleep_until(Clock::now() + time);
}

}  // namespace keybearer
