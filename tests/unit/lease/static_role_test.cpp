// Static roles: read right after the rotation that the server announces, and from then on in short
// steps until it has happened.

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "lease/secret_schedule.hpp"

namespace keybearer::lease {
namespace {

using namespace std::chrono_literals;
using Do = Step::Do;

constexpr Instant t0{1000h};

SecretSchedule made(config::Lease lease = {}, config::Interval interval = {}) {
  return SecretSchedule({std::move(lease), interval, {250ms, 1min}}, 0);
}
Lifetime static_role(Duration left, Duration since_epoch, Duration period = 10s) {
  return {.kind = Kind::static_role,
          .to_rotation = left,
          .period = period,
          .rotated = WallTime(since_epoch)};
}

TEST_CASE("a static role is read right after its rotation") {
  auto schedule = made();
  Step step = schedule.answered(static_role(7s, 100s), t0);
  CHECK(step.what == Do::read);
  CHECK(step.at > t0 + 7s);
  CHECK(step.at <= t0 + 7100ms);

  SUBCASE("and every 100 ms while the server is late, ever more rarely only after 6 s") {
    std::vector<Instant> reads{step.at};
    while (reads.back() < t0 + 5min) {
      const Instant now = reads.back();
      step = schedule.answered(static_role(std::max(Duration(0), t0 + 7s - now), 100s), now);
      CHECK(step.at > now);
      if (now < t0 + 13s) CHECK(step.at - now <= 105ms);
      CHECK(step.at - now <= 16s);
      reads.push_back(step.at);
    }
    CHECK(reads.size() < 60 + 30);
  }
  SUBCASE("a slow answer does not stretch the steps") {
    step = schedule.answered(static_role(0s, 100s), t0 + 7080ms, t0 + 7010ms);
    CHECK(step.at == t0 + 7115ms);
    step = schedule.answered(static_role(0s, 100s), t0 + 7400ms, t0 + 7115ms);
    CHECK(step.at == t0 + 7420ms);  // but never at once
  }
  SUBCASE("a look that gets no answer then is soon repeated") {
    Instant now = step.at;
    for (int i = 0; i < 10; ++i) {
      step = schedule.failed(now, 0.99);
      CHECK(step.at - now <= 250ms);
      now = step.at;
    }
    for (int i = 0; i < 30; ++i) now = schedule.failed(now, 0.5).at;
    CHECK(schedule.failed(now, 0.5).at - now > 5s);  // and an outage is no reason to hammer
  }
  SUBCASE("a rotation that was lost in an outage is not taken for lateness") {
    step = schedule.answered(static_role(9s, 120s), t0 + 18s);  // 20 s after the last one
    CHECK(step.at <= t0 + 27100ms);
    CHECK(step.cause == Cause::rotation);
  }
  SUBCASE("a rotation forced by somebody else is the new plan") {
    step = schedule.answered(static_role(10s, 103s), t0 + 3s);
    CHECK(step.at >= t0 + 13s);
    CHECK(step.at <= t0 + 13100ms);
  }
}

TEST_CASE("a static role is also read at the interval, for rotations that others force") {
  auto schedule = made({}, {.every = 3s});
  const Step step = schedule.answered(static_role(1h, 100s, 1h), t0);
  CHECK(step.at == t0 + 3s);
  auto never = made({}, {.never = true});
  CHECK(never.answered(static_role(7s, 100s), t0).at <= t0 + 7100ms);
}

TEST_CASE(
    "a static role that does not tell its last rotation is not hammered at the end of its count") {
  auto schedule = made();
  Instant now = t0;
  int reads = 0;
  for (; now < t0 + 30s; ++reads) {
    now = schedule.answered({.kind = Kind::static_role, .to_rotation = 0s}, now).at;
  }
  CHECK(reads <= 30);
}

TEST_CASE("a static role with impossible times is read once a second, no faster") {
  const WallTime day{std::chrono::hours(24 * 20000)};
  const struct {
    const char* name;
    Duration to_rotation, period;
    Duration moves;  // of its last rotation, from answer to answer
  } rows[] = {
      {"rotated with each read", 0s, 0s, 1s},    {"the same, with a period", 0s, 10s, 1s},
      {"less than nothing", -5s, 10s, 1s},       {"ever just before it", 50ms, 10s, 1s},
      {"times that go backwards", 0s, 10s, -1s},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    auto schedule = made();
    Instant now = t0;
    int reads = 0;
    for (; now < t0 + 60s; ++reads) {
      const Step step = schedule.answered({.kind = Kind::static_role,
                                           .to_rotation = row.to_rotation,
                                           .period = row.period,
                                           .rotated = day + reads * row.moves},
                                          now);
      if (reads > 0) CHECK(step.at - now >= 1s);
      now = step.at;
    }
    CHECK(reads <= 62);
  }
}

}  // namespace
}  // namespace keybearer::lease
