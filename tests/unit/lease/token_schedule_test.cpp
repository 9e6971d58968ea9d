#include "lease/token_schedule.hpp"

#include <doctest/doctest.h>

// Rules: T2, T3, T7 (src/RULES.md).
namespace keybearer::lease {
namespace {

using namespace std::chrono_literals;
using Do = TokenStep::Do;

constexpr Instant t0{1000h};
constexpr Grant kHour{.ttl = 1h, .renewable = true};

void check(TokenStep step, Do what, Instant at) {
  CHECK(static_cast<int>(step.what) == static_cast<int>(what));
  CHECK((step.at - t0).count() == (at - t0).count());
}

TEST_CASE("an hour's token is renewed at four fifths, forever") {
  TokenSchedule schedule{{}};
  check(schedule.logged_in(kHour, t0, t0), Do::renew, t0 + 2880s);
  for (auto now = t0 + 2880s; now < t0 + 1000h; now += 2880s) {
    check(schedule.renewed(kHour, now, now), Do::renew, now + 2880s);
  }
  CHECK_FALSE(schedule.ending());
}

TEST_CASE("when to act on something that lives for a time") {
  struct {
    Duration ttl;
    double part;
    Duration expected;
  } rows[] = {
      {3600s, 0.8, 2880s},  {60s, 0.8, 48s}, {60s, 0.9, 50s},  // ten seconds are kept
      {60s, 0.67, 40200ms}, {12s, 0.8, 6s},                    // but never in the first half
      {1s, 0.8, 1s},                                           // and never at once
      {0s, 0.8, 1s},
  };
  for (const auto& [ttl, part, expected] : rows) {
    CAPTURE(ttl.count());
    CHECK(due(ttl, part, 10s, {}) == expected);
    CHECK(due(ttl, part, 10s, {kTokenJitter, 0.99}) <= expected);
    CHECK(due(ttl, part, 10s, {kTokenJitter, 0.99}) >= 1s);
  }
  CHECK(due(10s, 0.8, 0s, {}) == 8s);
}

TEST_CASE(
    "near the maximum TTL a renewal gives less than before: a new login comes when that is due") {
  TokenSchedule schedule{{.min_remaining = 0s}};
  check(schedule.logged_in({.ttl = 20s, .renewable = true}, t0, t0), Do::renew, t0 + 16s);
  check(schedule.renewed({.ttl = 20s, .renewable = true}, t0 + 16s, t0 + 16s), Do::renew, t0 + 32s);
  check(schedule.renewed({.ttl = 12s, .renewable = true}, t0 + 32s, t0 + 32s), Do::login,
        t0 + 41600ms);
  CHECK(schedule.ending());
}

TEST_CASE("other rules hold at once, for what is planned, too") {
  const auto planned = [](TokenSchedule& schedule) { return schedule.logged_in(kHour, t0, t0); };
  {
    TokenSchedule schedule{{}};
    auto step = planned(schedule);
    step = schedule.configure({.renew_at = 0.5}, step, t0 + 10min);
    check(step, Do::renew, t0 + 30min);
    step = schedule.configure({.renew_at = 0.9}, step, t0 + 10min);
    check(step, Do::renew, t0 + 54min);
    check(schedule.configure({.renew_at = 0.1}, step, t0 + 10min), Do::renew, t0 + 10min);  // late
  }
  {  // a try that failed has its own time
    TokenSchedule schedule{{}};
    (void)planned(schedule);
    const auto step = schedule.failed(t0 + 48min, 0.5);
    check(schedule.configure({.renew_at = 0.5}, step, t0 + 48min), Do::renew, step.at);
  }
  {  // a login that is planned and is not wanted any more; and the time that a stop needs
    TokenSchedule schedule{{}};
    (void)planned(schedule);
    auto step = schedule.refused(t0 + 48min);
    check(step, Do::login, t0 + 48min);
    step = schedule.configure({.relogin = false, .stop_margin = 1min}, step, t0 + 48min);
    check(step, Do::give_up, t0 + 59min);
    step = schedule.configure({.relogin = false, .stop_margin = 5min}, step, t0 + 48min);
    check(step, Do::give_up, t0 + 55min);
    // What has been given up is not begun again: nobody knows whether its credentials are good.
    check(schedule.configure({}, step, t0 + 48min), Do::give_up, t0 + 1h);
  }
  {  // without an end there is nothing to plan
    TokenSchedule schedule{{}};
    const auto step = schedule.logged_in({}, t0, t0);
    check(schedule.configure({.renew_at = 0.5}, step, t0 + 1h), Do::rest, Instant::max());
  }
}

TEST_CASE("an answer that is one second short is the usual one: servers count in whole seconds") {
  TokenSchedule schedule{{.min_remaining = 0s}};
  (void)schedule.logged_in({.ttl = 5s, .renewable = true}, t0, t0);
  check(schedule.renewed({.ttl = 4s, .renewable = true}, t0 + 4s, t0 + 4s), Do::renew, t0 + 7200ms);
}

TEST_CASE("where no new login is allowed, only an end that no longer moves is believed") {
  TokenSchedule schedule{{.relogin = false}};
  check(schedule.logged_in(kHour, t0, t0), Do::renew, t0 + 48min);
  // The role's TTL was made shorter: the token goes on living by the new one.
  check(schedule.renewed({.ttl = 30min, .renewable = true}, t0 + 48min, t0 + 48min), Do::renew,
        t0 + 72min);
  check(schedule.renewed({.ttl = 30min, .renewable = true}, t0 + 72min, t0 + 72min), Do::renew,
        t0 + 96min);
  // The maximum TTL is near.
  check(schedule.renewed({.ttl = 6min, .renewable = true}, t0 + 96min, t0 + 96min), Do::give_up,
        t0 + 102min);
}

TEST_CASE("a short increment that is granted in full is no sign of an end") {
  TokenSchedule schedule{{.increment = 10min}};
  (void)schedule.logged_in(kHour, t0, t0);
  check(schedule.renewed({.ttl = 10min, .renewable = true}, t0 + 48min, t0 + 48min), Do::renew,
        t0 + 56min);
}

TEST_CASE(
    "a periodic token gives its period, whatever increment is asked for: it is renewed forever") {
  TokenSchedule schedule{{.min_remaining = 0s, .increment = 1h}};
  (void)schedule.logged_in({.ttl = 10s, .renewable = true}, t0, t0);
  for (int i = 1; i < 100; ++i) {
    check(schedule.renewed({.ttl = 10s, .renewable = true}, t0 + i * 8s, t0 + i * 8s), Do::renew,
          t0 + (i + 1) * 8s);
  }
}

TEST_CASE("an outage is waited out with growing pauses, and tries still fit before the end") {
  TokenSchedule schedule{{}};
  (void)schedule.logged_in({.ttl = 60s, .renewable = true}, t0, t0);
  check(schedule.failed(t0 + 48s, 1), Do::renew, t0 + 49s);
  check(schedule.failed(t0 + 49s, 1), Do::renew, t0 + 51s);
  check(schedule.failed(t0 + 51s, 1), Do::renew, t0 + 54s);  // not 55: a third of what is left
  check(schedule.failed(t0 + 54s, 1), Do::renew, t0 + 56s);
  check(schedule.failed(t0 + 57s, 1), Do::renew, t0 + 58s);  // the last call
  check(schedule.failed(t0 + 58s, 1), Do::login, t0 + 58s);
}

TEST_CASE("the server's Retry-After is obeyed as far as three tries before the end allow") {
  TokenSchedule schedule{{}};
  (void)schedule.logged_in({.ttl = 60s, .renewable = true}, t0, t0);
  check(schedule.failed(t0 + 48s, 0, 3s), Do::renew, t0 + 51s);
  check(schedule.failed(t0 + 51s, 0, 60s), Do::renew, t0 + 54s);  // three tries still fit
}

TEST_CASE("a success after an outage starts the pauses again") {
  TokenSchedule schedule{{}};
  (void)schedule.logged_in(kHour, t0, t0);
  for (int i = 0; i < 8; ++i) (void)schedule.failed(t0 + 48min, 0);
  (void)schedule.renewed(kHour, t0 + 50min, t0 + 50min);
  check(schedule.failed(t0 + 98min, 1), Do::renew, t0 + 98min + 1s);
}

TEST_CASE("an outage that lasts is met with few requests: none is ever repeated at once") {
  TokenSchedule schedule{{}};
  (void)schedule.logged_in(kHour, t0, t0);
  auto now = t0 + 48min;
  int tries = 0;
  for (;; ++tries) {
    const auto step = schedule.failed(now, 0);
    if (step.what != Do::renew) break;
    REQUIRE(step.at > now);
    now = step.at;
  }
  CHECK(tries < 40);
  CHECK(tries > 5);
  CHECK(now >= t0 + 1h - 3s);
  CHECK(now < t0 + 1h);
}

TEST_CASE("a refused renewal") {
  SUBCASE("leads to one login, at once") {
    TokenSchedule schedule{{}};
    (void)schedule.logged_in({.ttl = 60s, .renewable = true}, t0, t0);
    check(schedule.refused(t0 + 48s), Do::login, t0 + 48s);
  }
  SUBCASE("is the end when no login is allowed: as late as the child's stop permits") {
    TokenSchedule schedule{{.relogin = false, .stop_margin = 5s}};
    (void)schedule.logged_in({.ttl = 60s, .renewable = true}, t0, t0);
    check(schedule.refused(t0 + 48s), Do::give_up, t0 + 55s);
  }
  SUBCASE("is the end when the login is refused, too (a spent secret_id)") {
    TokenSchedule schedule{{}};
    (void)schedule.logged_in({.ttl = 60s, .renewable = true}, t0, t0);
    (void)schedule.refused(t0 + 48s);
    check(schedule.login_refused(t0 + 49s), Do::give_up, t0 + 60s);
  }
}

TEST_CASE("a stop that takes longer than the token lives does not end the first half of its life") {
  TokenSchedule schedule{{.relogin = false, .stop_margin = 30s}};
  check(schedule.logged_in({.ttl = 20s, .renewable = false}, t0, t0), Do::give_up, t0 + 10s);
}

TEST_CASE("a batch token can't be renewed: the next login comes when it is due") {
  TokenSchedule schedule{{}};
  check(schedule.logged_in({.ttl = 1h, .renewable = false}, t0, t0), Do::login, t0 + 48min);
  CHECK(schedule.end() == t0 + 1h);
  CHECK(schedule.ending());
}

TEST_CASE("a token without end is left alone") {
  TokenSchedule schedule{{}};
  check(schedule.logged_in({.ttl = 0s, .renewable = false}, t0, t0), Do::rest, Instant::max());
  CHECK_FALSE(schedule.end());
  CHECK_FALSE(schedule.ending());
}

TEST_CASE("a use-limited token is not spent on renewals where a login gives new uses") {
  TokenSchedule with_login{{}};
  check(with_login.logged_in({.ttl = 1h, .renewable = true, .num_uses = 5}, t0, t0), Do::login,
        t0 + 48min);
  TokenSchedule without{{.relogin = false}};
  check(without.logged_in({.ttl = 1h, .renewable = true, .num_uses = 5}, t0, t0), Do::renew,
        t0 + 48min);
}

TEST_CASE("a renewal that makes the token not renewable is its last") {
  TokenSchedule schedule{{}};
  (void)schedule.logged_in(kHour, t0, t0);
  check(schedule.renewed({.ttl = 1h, .renewable = false}, t0 + 48min, t0 + 48min), Do::login,
        t0 + 96min);
}

TEST_CASE("a token of a second is not renewed: it is over when that is due") {
  TokenSchedule schedule{{}};
  check(schedule.logged_in({.ttl = 1s, .renewable = true}, t0, t0), Do::login, t0 + 1s);
  TokenSchedule kept{{.relogin = false}};
  check(kept.logged_in({.ttl = 1s, .renewable = true}, t0, t0), Do::give_up, t0 + 1s);
}

TEST_CASE("a lifetime counts from the request, not from its answer") {
  TokenSchedule schedule{{}};
  check(schedule.logged_in({.ttl = 10s, .renewable = true}, t0, t0 + 6s), Do::renew, t0 + 5s);
  CHECK(schedule.end() == t0 + 10s);
  check(schedule.renewed({.ttl = 10s, .renewable = true}, t0 + 7s, t0 + 9s), Do::renew, t0 + 12s);
  CHECK(schedule.end() == t0 + 17s);
}

TEST_CASE(
    "after a TTL, zero says that less than a second is left; without one, that there is none") {
  TokenSchedule schedule{{}};
  (void)schedule.logged_in({.ttl = 60s, .renewable = true}, t0, t0);
  check(schedule.renewed({.ttl = 0s, .renewable = true}, t0 + 48s, t0 + 48s), Do::login, t0 + 48s);
  CHECK(schedule.ending());
  CHECK(schedule.end() == t0 + 49s);
  TokenSchedule kept{{.relogin = false}};
  (void)kept.logged_in({.ttl = 60s, .renewable = true}, t0, t0);
  check(kept.renewed({.ttl = 0s, .renewable = true}, t0 + 59500ms, t0 + 59600ms), Do::give_up,
        t0 + 60s);
  TokenSchedule endless{{}};
  (void)endless.logged_in({}, t0, t0);
  check(endless.renewed({}, t0 + 1h, t0 + 1h), Do::rest, Instant::max());
}

// T3, for every TTL: no wait is near zero, and three tries or more come before the end.
TEST_CASE("whatever the TTL, at least three renewals are tried before the end") {
  for (const Duration ttl : {2s, 3s, 5s, 10s, 12s, 30s, 60s, 300s, 3600s, 86400s}) {
    for (const double random : {0.0, 0.5, 0.999}) {
      for (const std::optional<Duration> retry_after :
           {std::optional<Duration>(), std::optional<Duration>(1h)}) {
        CAPTURE(ttl.count());
        CAPTURE(random);
        TokenSchedule schedule{{}};
        auto step = schedule.logged_in({.ttl = ttl, .renewable = true}, t0, t0);
        int tries = 0;
        while (step.what == Do::renew && tries < 300) {
          ++tries;
          const auto now = step.at;
          step = schedule.failed(now, random, retry_after);
          if (step.what == Do::renew && step.at < t0 + ttl - final_window(ttl))
            CHECK(step.at - now >= std::min<Duration>(500ms, ttl / 40));
        }
        CHECK(tries >= 3);
        CHECK(tries < (ttl > 1h ? 200 : 60));
        CHECK(step.at <= t0 + ttl);
      }
    }
  }
}

TEST_CASE("jitter makes a renewal earlier by at most a twentieth") {
  TokenSchedule schedule{{}, 0.5};
  check(schedule.logged_in(kHour, t0, t0), Do::renew, t0 + 2808s);
}

}  // namespace
}  // namespace keybearer::lease
