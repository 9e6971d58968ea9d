#include "base/clock.hpp"

#include <doctest/doctest.h>

#include "base/random.hpp"

namespace keybearer {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a frozen clock stands still until it is moved") {
  Clock::freeze(Instant(1h));
  CHECK(Clock::now() == Instant(1h));
  Clock::freeze(Clock::now() + 24h);
  CHECK(Clock::now() == Instant(25h));
  Clock::thaw();
  CHECK_FALSE(Clock::frozen());
}

TEST_CASE(
    "a long wait looks at the clock again and again, because the machine may have slept "
    "meanwhile") {
  Clock::thaw();
  CHECK(ClockWaits::to_wait_duration(Duration(24h)) == 10s);
  CHECK(ClockWaits::to_wait_duration(Duration(50ms)) == 50ms);
  CHECK(ClockWaits::to_wait_duration(Duration(-5s)) == 0ms);
}

TEST_CASE("fractions lie in [0, 1)") {
  Random random(7);
  for (int i = 0; i < 1000; ++i) {
    const double f = random.fraction();
    CHECK(f >= 0);
    CHECK(f < 1);
  }
}

}  // namespace
}  // namespace keybearer
