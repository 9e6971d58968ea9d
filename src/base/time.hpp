#pragma once
// The time that leases, timers and back-offs run on: CLOCK_BOOTTIME in milliseconds, which goes on
// while the machine sleeps, so that a lease is known to have ended when it wakes up
// (clock_gettime(2)).
//
// Every timer uses it. Tests freeze it and move it by hand; no test sleeps.

#include <chrono>

namespace keybearer {

using Duration = std::chrono::milliseconds;

struct Clock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock, duration>;
  static constexpr bool is_steady = true;

  [[nodiscard]] static time_point now() noexcept;

  // For tests: from now on the time is `at`, until freeze() or thaw() is called again.
  static void freeze(time_point at) noexcept;
  static void thaw() noexcept;
  [[nodiscard]] static bool frozen() noexcept;
};

using Instant = Clock::time_point;

// Wall time, for certificates, log lines and the server's time stamps; never for waiting.
using WallTime = std::chrono::system_clock::time_point;
[[nodiscard]] WallTime wall_now() noexcept;

}  // namespace keybearer
