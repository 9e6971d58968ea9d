#include "base/time.hpp"

#include <time.h>

#include <optional>

namespace keybearer {
namespace {

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

}  // namespace keybearer
