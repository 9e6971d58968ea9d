#pragma once
// When to renew a token, when to log in again, and when to give up. Pure: no clock, no I/O; the
// caller does what the step says at its time (auth_loop) and reports what came of it. One schedule
// is the life of one token.
//
//     step = schedule.logged_in({.ttl = 1h, .renewable = true}, asked, now);
//     step = schedule.renewed({.ttl = 1h, .renewable = true}, asked, now);
//     step = schedule.failed(now, random);     // a renewal got no answer: network, 5xx, 429
//     step = schedule.refused(now);            // a renewal was answered: no
//     step = schedule.login_refused(now);      // a login before the token's end was answered: no
//
// `asked` is the moment at which the request was sent: lifetimes count from it (T11).
//
// Source: rules T1-T4, T7, T11; Vault HTTP API, `auth.lease_duration` (seconds, 0 = never expires),
// `auth.renewable` and `auth.num_uses` (0 = no limit).

#include <optional>

#include "base/backoff.hpp"
#include "base/time.hpp"
#include "lease/renewal.hpp"

namespace keybearer::lease {

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

// What to do next, and when; a time that has passed means: now. `give_up`: the token ends and there
// will be no other. `rest`: nothing, ever.
struct TokenStep {
  enum class Do { renew, login, give_up, rest };
  Do what = Do::rest;
  Instant at = Instant::max();
};

class TokenSchedule {
 public:
  // `jitter` in [0, 1): where in its range this instance lies; fixed, so that plans are repeatable.
  explicit TokenSchedule(TokenRules rules, double jitter = 0) : rules_(rules), jitter_(jitter) {}

  [[nodiscard]] TokenStep logged_in(Grant grant, Instant asked, Instant now);
  [[nodiscard]] TokenStep renewed(Grant grant, Instant asked, Instant now);
  [[nodiscard]] TokenStep failed(Instant now, double random,
                                 std::optional<Duration> retry_after = {});
  [[nodiscard]] TokenStep refused(Instant now);
  [[nodiscard]] TokenStep login_refused(Instant now);
  // Other rules, at a reload, and what they make of the step that is planned. What the token is good
  // for stays known.
  [[nodiscard]] TokenStep configure(TokenRules rules, TokenStep planned, Instant now);

  // What a restart of keybearer needs of it.
  struct Saved {
    std::optional<Instant> end;
    Duration ttl{}, max_granted{};
    bool ending = false;
    Instant due = Instant::max();  // of the step that was planned
  };
  [[nodiscard]] Saved save(Instant due) const { return {end_, ttl_, max_granted_, ending_, due}; }
  // As it was when it was saved.
  [[nodiscard]] TokenStep resume(const Saved& saved, Instant now);

  [[nodiscard]] bool ending() const { return ending_; }  // it can't be renewed any further
  [[nodiscard]] std::optional<Instant> end() const { return end_; }  // nullopt: never
  [[nodiscard]] Duration ttl() const { return ttl_; }                // of the last answer

 private:
  [[nodiscard]] Instant due_at(Instant asked) const;
  [[nodiscard]] TokenStep last_step(Instant now, Instant login_at);

  TokenRules rules_;
  double jitter_;
  std::optional<Instant> end_;
  Duration ttl_{};
  Duration max_granted_{};
  bool ending_ = false;
  Backoff backoff_{{.min = std::chrono::seconds(1), .max = std::chrono::minutes(5)}};
};

}  // namespace keybearer::lease
