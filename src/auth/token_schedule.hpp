#pragma once
// When to renew a token, when to log in again, and when to give up. Pure: no clock, no I/O; the
// caller does what the step says at its time (auth_loop) and reports what came of it. One schedule
// is the life of one token.
//
//     step = schedule.logged_in({.ttl = 1h, .renewable = true}, now);
//     step = schedule.renewed({.ttl = 1h, .renewable = true}, now);
//     step = schedule.failed(now, random);     // a renewal got no answer: network, 5xx, 429
//     step = schedule.refused(now);            // a renewal was answered: no
//     step = schedule.login_refused(now);      // a login before the token's end was answered: no
//
// Source: rules T1-T4, T7; Vault HTTP API, `auth.lease_duration` (seconds, 0 = never expires),
// `auth.renewable` and `auth.num_uses` (0 = no limit).

#include <optional>

#include "base/backoff.hpp"
#include "base/time.hpp"

namespace keybearer::auth {

// What the server grants at a login or a renewal.
struct Grant {
  Duration ttl{};  // zero: never expires
  bool renewable = false;
  int num_uses = 0;  // zero: no limit
};

struct TokenRules {
  double renew_at = 0.8;  // part of the TTL, in (0, 1)
  Duration min_remaining = std::chrono::seconds(10);
  std::optional<Duration> increment = {};  // asked for at renewals
  bool relogin = true;                     // may a new token be had by logging in again?
  Duration stop_margin{};  // giving up comes this much before the end, but not in the first half
};

// What to do next, and when: never in the past. `give_up`: the token ends and there will be no
// other. `rest`: nothing, ever.
struct TokenStep {
  enum class Do { renew, login, give_up, rest };
  Do what = Do::rest;
  Instant at = Instant::max();
};

class TokenSchedule {
 public:
  // `early` in [0, 1): where in its range this instance's jitter lies; fixed, so that plans are
  // repeatable.
  explicit TokenSchedule(TokenRules rules, double early = 0) : rules_(rules), early_(early) {}

  [[nodiscard]] TokenStep logged_in(Grant grant, Instant now);
  [[nodiscard]] TokenStep renewed(Grant grant, Instant now);
  [[nodiscard]] TokenStep failed(Instant now, double random,
                                 std::optional<Duration> retry_after = {});
  [[nodiscard]] TokenStep refused(Instant now);
  [[nodiscard]] TokenStep login_refused(Instant now);

  [[nodiscard]] bool ending() const { return ending_; }  // it can't be renewed any further
  [[nodiscard]] std::optional<Instant> end() const { return end_; }  // nullopt: never

 private:
  [[nodiscard]] TokenStep last_step(Instant now, Instant login_at);
  [[nodiscard]] Duration last_call() const;

  TokenRules rules_;
  double early_;
  std::optional<Instant> end_;
  Duration ttl_{};    // of the last answer
  Duration usual_{};  // the most that was ever granted
  bool ending_ = false;
  Backoff backoff_{{.min = std::chrono::seconds(1), .max = std::chrono::minutes(5)}};
};

// The moment to act on something that lives for `ttl`: after `part` of it or when `min_remaining`
// is left, whichever comes first, but not in its first half. At least 1 s from now. Jitter makes
// the first term up to 5 % earlier.
[[nodiscard]] Duration due(Duration ttl, double part, Duration min_remaining, double early);

}  // namespace keybearer::auth
