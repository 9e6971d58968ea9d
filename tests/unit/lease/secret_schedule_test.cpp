#include "lease/secret_schedule.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "base/random.hpp"
#include "lease/renewal.hpp"

namespace keybearer::lease {
namespace {

using namespace std::chrono_literals;
using Do = Step::Do;

constexpr Instant t0{1000h};

SecretSchedule made(config::Lease lease = {}, config::Interval interval = {}) {
  return SecretSchedule({std::move(lease), interval, {250ms, 1min}}, 0);
}
Lifetime lease_of(Duration ttl) {
  return {.kind = Kind::dynamic, .ttl = ttl, .renewable = true};
}

TEST_CASE(
    "at the end of its life a lease is replaced min_remaining before, however servers round") {
  const std::pair<Duration, Duration> rows[] = {// what a renewal after 20 of 30 s gives, then
                                                {12s, 2s},
                                                {11s, 1s},
                                                {10500ms, 1s},
                                                {10s, 0s},
                                                {9s, 0s}};
  for (const auto& [left, until] : rows) {
    CAPTURE(left.count());
    SecretSchedule schedule = made({.renew_at = 0.9, .min_remaining = 10s});
    Step step = schedule.answered({.kind = Kind::dynamic, .ttl = 30s, .renewable = true}, t0);
    CHECK(step.what == Step::Do::renew);
    CHECK(step.at == t0 + 20s);
    step = schedule.renewed(left, step.at);
    CHECK(step.what == Step::Do::read);
    CHECK(step.cause == Cause::maximum_life);
    CHECK(step.at == t0 + 20s + until);
  }
}

TEST_CASE("the due time of a refresh, with production numbers") {
  struct {
    Duration ttl;
    double part;
    Duration min_remaining, expected;
  } rows[] = {
      {60s, 0.8, 10s, 48s},
      {60s, 0.9, 10s, 50s},                // the ten seconds' threshold
      {60s, 0.67, 10s, 40200ms},           //
      {3600s, 0.8, 10s, 2880s},            //
      {3600s, 0.67, 10s, 2412s},           //
      {12s, 0.8, 10s, 6s},                 // never in the first half
      {30s, 0.67, 10s, 20s},               //
      {30s, 0.9, 10s, 20s},                //
      {9s, 0.67, 0s, 6030ms},              //
      {10s, 0.8, 0s, 8s},                  //
      {1s, 0.67, 10s, 1s},                 // never at once
      {0s, 0.67, 10s, 1s},                 //
      {-5s, 0.67, 10s, 1s},                //
      {24h * 36500, 0.67, 10s, 24h * 30},  // a century: looked at once a month
  };
  for (const auto& row : rows) {
    CAPTURE(row.ttl.count());
    CAPTURE(row.part);
    CHECK(due(row.ttl, row.part, row.min_remaining, {kLeaseJitter, 0}) == row.expected);
    CHECK(due(row.ttl, row.part, row.min_remaining, {kLeaseJitter, 0.99}) <= row.expected);
  }
}

TEST_CASE("with the defaults every lease from 20 s to a day is renewed at 50 to 67 percent of it") {
  Random random(1);
  const config::Lease lease;
  for (int i = 0; i < 10'000; ++i) {
    const Duration ttl(20'000 +
                       static_cast<Duration::rep>(random.fraction() * (86'400'000 - 20'000)));
    const auto at =
        due(ttl, lease.renew_at, lease.min_remaining, {kLeaseJitter, random.fraction()});
    const double part = static_cast<double>(at.count()) / static_cast<double>(ttl.count());
    REQUIRE(part >= 0.4999);
    REQUIRE(part <= 0.67);
  }
}

TEST_CASE("a lease is renewed for as long as the server gives its usual duration") {
  auto schedule = made();
  Step step = schedule.answered(lease_of(1h), t0);
  Instant now = t0;
  for (int i = 0; i < 20; ++i) {
    REQUIRE(step.what == Do::renew);
    CHECK(step.at == now + 2412s);
    now = step.at;
    step = schedule.renewed(1h, now);
  }
  CHECK(schedule.end() == now + 1h);
}

TEST_CASE("a renewal that gives clearly less is the last: new credentials at 0.8 of what is left") {
  auto schedule = made({.min_remaining = 0s});
  (void)schedule.answered(lease_of(1h), t0);
  const Step step = schedule.renewed(20min, t0 + 40min);
  CHECK(step.what == Do::read);
  CHECK(step.at == t0 + 40min + 16min);
}

TEST_CASE(
    "a renewal that gives the increment asked for is not the last, though the first lease was "
    "longer") {
  auto schedule = made({.increment = 30min});
  (void)schedule.answered(lease_of(1h), t0);
  const Step step = schedule.renewed(30min, t0 + 40min);
  CHECK(step.what == Do::renew);
  CHECK(step.at == t0 + 40min + 1206s);
}

TEST_CASE("a wall of 30 s: renewals up to it, then new credentials while the old live 3 s more") {
  auto schedule = made({.increment = 30min});  // role: 9 s, at most 30 s
  Instant now = t0;
  Step step = schedule.answered(lease_of(9s), now);
  int renewals = 0;
  while (step.what == Do::renew) {
    now = step.at;
    ++renewals;
    step = schedule.renewed(std::chrono::floor<std::chrono::seconds>(t0 + 30s - now), now);
  }
  CHECK(renewals >= 2);
  CHECK(step.what == Do::read);
  CHECK(t0 + 30s - step.at >= 3s);
}

TEST_CASE("a renewal without an answer") {
  auto schedule = made();
  Step step = schedule.answered(lease_of(60s), t0);
  SUBCASE("is tried again inside what is left, with growing pauses") {
    Instant now = step.at;
    Duration before{};
    for (int i = 0; i < 4; ++i) {
      step = schedule.failed(now, 0.5);
      CHECK(step.what == Do::renew);
      CHECK(step.at - now > before);
      before = step.at - now;
      now = step.at;
    }
    step = schedule.renewed(60s, now);  // as if nothing had been
    CHECK(step.what == Do::renew);
    CHECK(step.at == now + 40200ms);
  }
  SUBCASE("leads to new credentials only in the last two seconds") {
    Instant now = step.at;
    for (int tries = 0; step.what == Do::renew; ++tries) {
      REQUIRE(tries < 100);
      step = schedule.failed(now, 0.999);
      if (step.what == Do::renew) {
        CHECK(step.at <= t0 + 58s);
      } else {
        CHECK(step.at >= t0 + 57s);
      }
      now = step.at;
    }
    CHECK(step.what == Do::read);
  }
  SUBCASE("and a Retry-After is obeyed") {
    step = schedule.failed(step.at, 0, 7s);
    CHECK(step.at >= t0 + 40200ms + 7s);
  }
}

TEST_CASE("with a check_interval a lease is looked up between what is due for it") {
  auto schedule = made({.min_remaining = 0s, .check_interval = 15s});
  Step step = schedule.answered(lease_of(60s), t0);  // renewal at 40.2 s
  CHECK((step.what == Do::lookup && step.at == t0 + 15s));
  step = schedule.lookup_done(t0 + 15s);
  CHECK((step.what == Do::lookup && step.at == t0 + 30s));
  step = schedule.lookup_done(t0 + 30s);
  CHECK((step.what == Do::renew && step.at == t0 + 40200ms));
  step = schedule.failed(t0 + 40200ms, 0.5);
  CHECK(step.what == Do::renew);  // an outage is no matter of looking
  step = schedule.renewed(60s, t0 + 41s);
  CHECK((step.what == Do::lookup && step.at == t0 + 56s));
  SUBCASE("gone: new credentials at once") {
    step = schedule.refused(t0 + 56s);
    CHECK((step.what == Do::read && step.at == t0 + 56s));
  }
  SUBCASE("no right to look: only what is due") {
    schedule.disable_lookup();
    step = schedule.lookup_done(t0 + 56s);
    CHECK((step.what == Do::renew && step.at == t0 + 81200ms));
  }
  SUBCASE("what has no lease is never looked up") {
    CHECK(schedule.answered({.kind = Kind::kv2}, t0).what == Do::compare);
  }
  SUBCASE("a token without end is looked up, too") {
    step = schedule.answered({.kind = Kind::token}, t0);
    CHECK((step.what == Do::lookup && step.at == t0 + 15s));
  }
}

TEST_CASE("less than min_remaining is not handed out: new credentials at once") {
  auto schedule = made({.renew_at = 0.9});  // 30 s, which can't be extended
  const Step due = schedule.answered(lease_of(30s), t0);
  CHECK(due.at == t0 + 20s);
  const Step step = schedule.renewed(10s, due.at);
  CHECK(step.what == Do::read);
  CHECK(step.at == due.at);
}

TEST_CASE("a lease of no time is none: the interval counts") {
  auto schedule = made({}, {.every = 10s});
  for (const bool renewable : {true, false}) {
    const Kind kind = renewable ? Kind::dynamic : Kind::non_renewable;
    const Step step = schedule.answered({.kind = kind, .renewable = renewable}, t0);
    CHECK(step.what == Do::read);
    CHECK(step.at == t0 + 10s);
    CHECK_FALSE(schedule.end());
  }
}

TEST_CASE("a renewal that is refused leads to new credentials at once") {
  auto schedule = made();
  (void)schedule.answered(lease_of(1h), t0);
  const Step step = schedule.refused(t0 + 10min);
  CHECK(step.what == Do::read);
  CHECK(step.at == t0 + 10min);
}

TEST_CASE(
    "strategy refetch: never renewed, read again at the renewal's time, by each answer's own "
    "duration") {
  auto schedule =
      made({.strategy = config::LeaseStrategy::refetch, .renew_at = 0.8, .min_remaining = 0s});
  Step step = schedule.answered(lease_of(10s), t0);
  CHECK(step.what == Do::read);
  CHECK(step.at == t0 + 8s);
  step = schedule.answered(lease_of(20s), step.at);
  CHECK(step.at == t0 + 24s);
}

TEST_CASE("what can't be renewed is read again at 0.8 of it") {
  auto schedule = made();
  for (const Kind kind : {Kind::non_renewable, Kind::certificate}) {
    const Step step = schedule.answered({.kind = kind, .ttl = 1h}, t0);
    CHECK(step.what == Do::read);
    CHECK(step.at == t0 + 48min);
    CHECK(schedule.end() == t0 + 1h);
  }
  const Step step = schedule.answered({.kind = Kind::token, .ttl = 20s}, t0);  // a batch token
  CHECK(step.what == Do::read);
  CHECK(step.at == t0 + 10s);
}

TEST_CASE("a minted token is renewed like a lease; one without end is left alone") {
  auto schedule = made();
  CHECK(schedule.answered({.kind = Kind::token, .ttl = 1h, .renewable = true}, t0).what ==
        Do::renew);
  CHECK(schedule.answered({.kind = Kind::token}, t0).what == Do::nothing);
}

TEST_CASE("what was written and has no life is never written again") {
  CHECK(made().answered({.kind = Kind::written_once}, t0).what == Do::nothing);
}

TEST_CASE("without a lease the interval counts") {
  auto schedule = made({}, {.every = 5min});
  CHECK(schedule.answered({.kind = Kind::unleased}, t0).what == Do::read);
  Step step = schedule.answered({.kind = Kind::kv2}, t0);
  CHECK(step.what == Do::compare);
  CHECK(step.at == t0 + 5min);
  step = schedule.unchanged(step.at);
  CHECK(step.what == Do::compare);
  CHECK(step.at == t0 + 10min);

  SUBCASE("up to a tenth earlier") {
    SecretSchedule early({{}, {.every = 5min}, {}}, 0.999);
    step = early.answered({.kind = Kind::kv2}, t0);
    CHECK(step.at < t0 + 5min);
    CHECK(step.at >= t0 + 270s);
  }
  SUBCASE("and `never` means never") {
    auto never = made({}, {.never = true});
    CHECK(never.answered({.kind = Kind::kv2}, t0).what == Do::nothing);
    CHECK(never.answered({.kind = Kind::unleased}, t0).what == Do::nothing);
    CHECK(never.answered(lease_of(1h), t0).what == Do::renew);  // leases go on
  }
  SUBCASE("zero or less is no reason to spin") {
    auto spinning = made({}, {.every = 0s});
    CHECK(spinning.answered({.kind = Kind::unleased}, t0).at >= t0 + 500ms);
  }
}

Lifetime static_role(Duration left, Duration since_epoch, Duration period = 10s) {
  return {.kind = Kind::static_role,
          .to_rotation = left,
          .period = period,
          .rotated = WallTime(since_epoch)};
}

TEST_CASE("every lifetime counts from when the request was sent") {
  auto schedule = made({.min_remaining = 0s});
  Step step = schedule.answered(lease_of(60s), t0 + 20s, t0);
  CHECK(step.at == t0 + 40200ms);
  CHECK(schedule.end() == t0 + 60s);
  step = schedule.renewed(60s, t0 + 70s, t0 + 41s);
  CHECK(step.at == t0 + 81200ms);
  CHECK(schedule.end() == t0 + 101s);
  step = schedule.answered(lease_of(60s), t0 + 170s, t0 + 120s);  // its time is over already
  CHECK(step.what == Do::renew);
  CHECK(step.at > t0 + 170s);
  CHECK(step.at < t0 + 171s);
}

TEST_CASE("why a value is fetched again") {
  struct {
    const char* what;
    Cause cause;
    Step (*step)(SecretSchedule&);
  } rows[] = {
      {"a renewal that gives less", Cause::maximum_life,
       [](SecretSchedule& s) { return s.renewed(20min, t0 + 40min); }},
      {"a renewal that gives too little to hand out", Cause::maximum_life,
       [](SecretSchedule& s) { return s.renewed(5s, t0 + 40min); }},
      {"a renewal that was refused", Cause::renewal_refused,
       [](SecretSchedule& s) { return s.refused(t0 + 40min); }},
      {"somebody else revoked it", Cause::revoked,
       [](SecretSchedule& s) { return s.refused(t0 + 40min, Cause::revoked); }},
      {"no renewal came through", Cause::renewal_failed,
       [](SecretSchedule& s) { return s.failed(t0 + 1h - 1s, 0.5); }},
      {"it can't be renewed", Cause::not_renewable,
       [](SecretSchedule& s) { return s.answered({.kind = Kind::non_renewable, .ttl = 1h}, t0); }},
      {"a static role", Cause::rotation,
       [](SecretSchedule& s) { return s.answered(static_role(7s, 100s), t0); }},
      {"the interval", Cause::interval,
       [](SecretSchedule& s) { return s.answered({.kind = Kind::unleased}, t0); }},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto schedule = made();
    (void)schedule.answered(lease_of(1h), t0);
    const Step step = row.step(schedule);
    CHECK(step.what == Do::read);
    CHECK(step.cause == row.cause);
  }
}

TEST_CASE("other rules: what is planned follows, without a request") {
  auto schedule = made({.min_remaining = 0s}, {.every = 5min});
  const auto with = [](config::Lease lease, config::Interval interval) {
    return ScheduleRules{std::move(lease), interval, {250ms, 1min}};
  };
  SUBCASE("a shorter interval, also one that is over") {
    (void)schedule.answered({.kind = Kind::kv2}, t0);
    Step step = schedule.configure(with({}, {.every = 1min}), t0 + 30s);
    CHECK((step.what == Do::compare && step.at == t0 + 1min));
    step = schedule.configure(with({}, {.every = 10s}), t0 + 30s);
    CHECK(step.at > t0 + 30s);
    CHECK(step.at < t0 + 31s);
    CHECK(schedule.configure(with({}, {.never = true}), t0 + 30s).what == Do::nothing);
    CHECK(schedule.configure(with({}, {.every = 1min}), t0 + 30s).at == t0 + 1min);
  }
  SUBCASE("another part of a lease") {
    (void)schedule.answered(lease_of(100s), t0);
    Step step =
        schedule.configure(with({.renew_at = 0.5, .min_remaining = 0s}, {.every = 5min}), t0 + 10s);
    CHECK((step.what == Do::renew && step.at == t0 + 50s));
    step = schedule.configure(
        with({.strategy = config::LeaseStrategy::refetch, .renew_at = 0.5, .min_remaining = 0s},
             {.every = 5min}),
        t0 + 10s);
    CHECK((step.what == Do::read && step.at == t0 + 50s));
    CHECK(schedule.end() == t0 + 100s);
  }
  SUBCASE("what was written once stays so") {
    (void)schedule.answered({.kind = Kind::written_once}, t0);
    CHECK(schedule.configure(with({}, {.every = 1s}), t0 + 30s).what == Do::nothing);
  }
}

TEST_CASE("no answer: retries grow up to the configured maximum and never come at once") {
  SecretSchedule schedule({{}, {.every = 2s}, {.min = 250ms, .max = 4s}}, 0);
  Instant now = schedule.answered({.kind = Kind::kv2}, t0).at;
  for (int i = 0; i < 30; ++i) {
    const Step step = schedule.failed(now, 0.9);
    CHECK(step.what == Do::compare);
    CHECK(step.at - now >= 125ms);
    CHECK(step.at - now <= 4s);
    now = step.at;
  }
}

}  // namespace
}  // namespace keybearer::lease
