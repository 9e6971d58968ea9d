// T2 to T4, T7, T11 as one table: tokens of every kind live their life against a model of a server,
// and what is common to all lives is checked at each step.

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "lease/token_schedule.hpp"

namespace keybearer::lease {
namespace {

using namespace std::chrono_literals;
using Do = TokenStep::Do;

constexpr Instant t0{1000h};
constexpr Duration kNever{};

// A token as the server has it.
struct Kind {
  const char* name;
  Duration ttl;                    // of a login, and of each renewal without an increment
  Duration max_ttl = kNever;       // system's or role's; kNever: none
  Duration period = kNever;        // renewed forever
  Duration explicit_max = kNever;  // a wall for periodic ones, too
  bool renewable = true;           // false: batch
  int num_uses = 0;
  Duration shorter_from = kNever;  // from then on the role's TTL is a third
  std::optional<Duration> increment = {};
};

struct Server {
  const Kind& kind;
  Instant made = t0;
  Instant end{};

  Grant grant(Instant now, bool renewal) {
    Duration ttl = kind.period != kNever ? kind.period : kind.ttl;
    if (kind.shorter_from != kNever && now - made >= kind.shorter_from) ttl /= 3;
    if (renewal && kind.increment && kind.period == kNever) ttl = *kind.increment;
    for (const Duration wall : {kind.explicit_max, kind.period == kNever ? kind.max_ttl : kNever})
      if (wall != kNever) ttl = std::min<Duration>(ttl, made + wall - now);
    ttl = std::chrono::floor<std::chrono::seconds>(std::max<Duration>(ttl, 0s));
    end = kind.ttl == kNever ? Instant::max() : now + ttl;
    return {.ttl = kind.ttl == kNever ? kNever : ttl,
            .renewable = kind.renewable,
            .num_uses = kind.num_uses};
  }
};

struct Life {
  int renewals = 0;
  Duration first{};    // the first step's time
  Do last = Do::rest;  // the step that ended it
  Duration over{};     // its time
  Duration end{};      // of the token, as the server had it then
};

// Until there is a login to be done, the end, nothing ever, or `limit` renewals.
Life live(const Kind& kind, TokenRules rules, double jitter = 0, int limit = 2000) {
  rules.increment = kind.increment;
  TokenSchedule schedule(rules, jitter);
  Server server{.kind = kind};
  Life life;
  TokenStep step = schedule.logged_in(server.grant(t0, false), t0, t0);
  life.first = step.at == Instant::max() ? Duration::max() : step.at - t0;
  Instant now = t0;
  while (step.what == Do::renew && life.renewals < limit) {
    REQUIRE(step.at > now);         // no request at once after another
    REQUIRE(step.at < server.end);  // and none for a token that is gone
    REQUIRE(schedule.end() == std::optional(server.end));
    now = step.at;
    ++life.renewals;
    step = schedule.renewed(server.grant(now, true), now, now);
  }
  life.last = step.what;
  life.over = step.at == Instant::max() ? Duration::max() : step.at - t0;
  life.end = server.end == Instant::max() ? Duration::max() : server.end - t0;
  return life;
}

constexpr Duration kDay = 24h;

TEST_CASE("T2: the first renewal, for TTLs of one second to 32 days") {
  struct {
    Duration ttl, due;
  } rows[] = {
      {2s, 1s},        {3s, 1500ms},        {5s, 2500ms},
      {10s, 5s},       {12s, 6s},           {19s, 9500ms},
      {20s, 10s},      {30s, 20s},          {45s, 35s},
      {50s, 40s},      {60s, 48s},          {90s, 72s},
      {5min, 4min},    {1h, 48min},         {8h, 384min},
      {kDay, 1152min}, {7 * kDay, 8064min}, {32 * kDay, 36864min},
  };
  for (const auto& [ttl, due] : rows) {
    CAPTURE(ttl.count());
    const Kind kind{.name = "", .ttl = ttl};
    CHECK(live(kind, {}, 0, 1).first == due);
    for (const double jitter : {0.3, 0.999}) {  // earlier, by at most a twentieth
      const Duration at = live(kind, {}, jitter, 1).first;
      CHECK(at <= due);
      CHECK(at >= std::max<Duration>(due * 19 / 20, 1s) - 1ms);
    }
  }
}

TEST_CASE("T7: each kind of token to its end, where a new login may be had and where not") {
  struct {
    Kind kind;
    Do last;       // with relogin; without it: give_up for login
    int at_least;  // renewals
    int at_most;
  } rows[] = {
      {{.name = "without a maximum", .ttl = 1h}, Do::renew, 2000, 2000},
      {{.name = "periodic", .ttl = 30s, .max_ttl = 60s, .period = 30s}, Do::renew, 2000, 2000},
      {{.name = "periodic, explicit maximum", .ttl = 30s, .period = 30s, .explicit_max = 10min},
       Do::login,
       25,
       40},
      {{.name = "root", .ttl = kNever, .renewable = false}, Do::rest, 0, 0},
      {{.name = "batch", .ttl = 1h, .renewable = false}, Do::login, 0, 0},
      {{.name = "batch of two seconds", .ttl = 2s, .renewable = false}, Do::login, 0, 0},
      {{.name = "a second", .ttl = 1s}, Do::login, 0, 0},
      {{.name = "maximum equals TTL", .ttl = 1h, .max_ttl = 1h}, Do::login, 1, 1},
      {{.name = "maximum of a day", .ttl = 1h, .max_ttl = kDay}, Do::login, 28, 33},
      {{.name = "32 days at most", .ttl = 32 * kDay, .max_ttl = 32 * kDay}, Do::login, 1, 1},
      {{.name = "explicit maximum", .ttl = 10min, .explicit_max = 1h}, Do::login, 6, 9},
      {{.name = "shorter renewals", .ttl = 1h, .max_ttl = 10h, .shorter_from = 3h},
       Do::login,
       1,
       60},
      {{.name = "increment", .ttl = 1h, .max_ttl = 10h, .increment = 10min}, Do::login, 50, 90},
      {{.name = "of ten uses", .ttl = 1h, .num_uses = 10}, Do::login, 0, 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.kind.name);
    const Life life = live(row.kind, {});
    CHECK(static_cast<int>(life.last) == static_cast<int>(row.last));
    CHECK(life.renewals >= row.at_least);
    CHECK(life.renewals <= row.at_most);
    if (life.last == Do::login) CHECK(life.over <= life.end);

    const Life alone = live(row.kind, {.relogin = false, .stop_margin = 5s});
    if (row.kind.num_uses > 0) continue;  // renewed: there is no other to be had
    CHECK(static_cast<int>(alone.last) ==
          static_cast<int>(row.last == Do::login ? Do::give_up : row.last));
    if (alone.last != Do::give_up) continue;
    CHECK(alone.over <= alone.end);
    CHECK(alone.over >= std::min(alone.end - 5s, alone.end / 2));
    CHECK(alone.renewals >= life.renewals);  // whoever has no other uses this one up
  }
}

TEST_CASE("T7: the new login comes while the old token lives, with room for tries") {
  for (const Duration ttl : {5s, 12s, 60s, 3600s}) {
    for (const int times : {1, 2, 3, 5, 10, 24}) {
      for (const double jitter : {0.0, 0.5, 0.99}) {
        CAPTURE(ttl.count());
        CAPTURE(times);
        const Kind kind{.name = "", .ttl = ttl, .max_ttl = ttl * times};
        const Life life = live(kind, {}, jitter);
        CHECK(static_cast<int>(life.last) == static_cast<int>(Do::login));
        CHECK(life.over < life.end);
        CHECK(life.end <= ttl * times);
        CHECK(life.renewals <= 3 * times + 3);
      }
    }
  }
}

// The clock goes on while a machine sleeps (CLOCK_BOOTTIME): the step's time is past when it wakes.
TEST_CASE("a suspend of 8 hours, and other jumps: whatever was due is due now, and once") {
  for (const Duration jump : {0s, 1s, 30s, 600s, 3600s, 8 * 3600s, 40 * 24 * 3600s}) {
    for (const Duration ttl : {60s, 3600s, 86400s}) {
      CAPTURE(jump.count());
      CAPTURE(ttl.count());
      const Kind kind{.name = "", .ttl = ttl};
      Server server{.kind = kind};
      TokenSchedule schedule{{}};
      const TokenStep step = schedule.logged_in(server.grant(t0, false), t0, t0);
      const Instant woken = t0 + ttl / 4 + jump;  // it slept while the step's time passed
      const Instant now = std::max(woken, step.at);
      REQUIRE(step.at <= now);
      if (now < server.end) {  // still good: renewed, and from then on as ever
        const TokenStep next = schedule.renewed(server.grant(now, true), now, now);
        CHECK(static_cast<int>(next.what) == static_cast<int>(Do::renew));
        CHECK(next.at > now);
        CHECK(next.at < server.end);
      } else {  // gone: the server says so, and one login is next, at once
        const TokenStep next = schedule.refused(now);
        CHECK(static_cast<int>(next.what) == static_cast<int>(Do::login));
        CHECK(next.at <= now);
        TokenSchedule alone{{.relogin = false, .stop_margin = 5s}};
        (void)alone.logged_in({.ttl = ttl, .renewable = true}, t0, t0);
        const TokenStep last = alone.refused(now);
        CHECK(static_cast<int>(last.what) == static_cast<int>(Do::give_up));
        CHECK(last.at <= now);
      }
    }
  }
}

TEST_CASE("T3: an outage that a suspend hides: after waking, the tries go on until the end") {
  TokenSchedule schedule{{}};
  (void)schedule.logged_in({.ttl = 24h, .renewable = true}, t0, t0);
  Instant now = t0 + 24h * 4 / 5;
  TokenStep step = schedule.failed(now, 0.5);
  now = t0 + 23h;  // slept meanwhile
  int tries = 0;
  for (; step.what == Do::renew && tries < 300; ++tries) {
    now = std::max(now, step.at);
    step = schedule.failed(now, 0.5);
    REQUIRE(step.at >= now);
  }
  CHECK(tries >= 3);
  CHECK(static_cast<int>(step.what) == static_cast<int>(Do::login));
  CHECK(now < t0 + 24h);
}

TEST_CASE("T11: a slow answer shortens the life, and never makes a step in the past a storm") {
  for (const Duration slow : {0s, 1s, 5s, 9s, 11s, 25s}) {
    CAPTURE(slow.count());
    TokenSchedule schedule{{}};
    TokenStep step = schedule.logged_in({.ttl = 10s, .renewable = true}, t0, t0 + slow);
    CHECK(schedule.end() == t0 + 10s);
    CHECK(step.at == t0 + 5s);  // perhaps past: at once, then
    step = schedule.renewed({.ttl = 10s, .renewable = true}, t0 + slow, t0 + 2 * slow);
    CHECK(schedule.end() == t0 + slow + 10s);
    CHECK(step.at <= *schedule.end());
  }
}

TEST_CASE("odd grants: huge, sub-second, and a renewal that gives more than before") {
  TokenSchedule schedule{{}};
  const Duration century = 24h * 366 * 100;
  TokenStep step = schedule.logged_in({.ttl = century, .renewable = true}, t0, t0);
  CHECK(step.at == t0 + 30 * kDay);  // what lives longer is looked at monthly
  step = schedule.renewed({.ttl = 1s, .renewable = true}, step.at, step.at);
  CHECK(static_cast<int>(step.what) == static_cast<int>(Do::login));
  TokenSchedule growing{{}};
  (void)growing.logged_in({.ttl = 60s, .renewable = true}, t0, t0);
  step = growing.renewed({.ttl = 3600s, .renewable = true}, t0 + 48s, t0 + 48s);
  CHECK(static_cast<int>(step.what) == static_cast<int>(Do::renew));
  CHECK(step.at == t0 + 48s + 2880s);
}

}  // namespace
}  // namespace keybearer::lease
