#include "base/timer.hpp"

#include <doctest/doctest.h>
#include <time.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

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

TEST_CASE("a wait that is over is no wait") {
  Clock::thaw();
  CHECK(ClockWaits::to_wait_duration(Duration(24h)) == 24h);
  CHECK(ClockWaits::to_wait_duration(Duration(-5s)) == 0ms);
}

TEST_CASE("a wait forever can be counted in microseconds") {
  Clock::thaw();
  const auto longest = ClockWaits::to_wait_duration(Instant::max());
  CHECK(longest >= 24h);
  CHECK(longest < Duration::max() / 1000);
}

TEST_CASE("the kernel's timer underneath goes on while the machine sleeps") {
  boost::asio::io_context context;
  Timer timer(context, Clock::now() + 1h);
  timer.async_wait([](auto) {});
  std::vector<std::string> clocks;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream info(entry.path());
    for (std::string line; std::getline(info, line);)
      if (line.starts_with("clockid:")) clocks.push_back(line);
  }
  CHECK(clocks == std::vector<std::string>{"clockid: " + std::to_string(CLOCK_BOOTTIME)});
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
