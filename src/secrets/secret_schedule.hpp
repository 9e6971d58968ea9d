#pragma once
// When a secret is renewed, read anew or compared: a machine per secret, and nothing else. Pure:
// whoever feeds it tells what the server answered and does what it answers, at its time.
//
//     step = schedule.answered(life, now);  // read or written: the value may be another
//     step = schedule.unchanged(now);       // a comparison found the same
//     step = schedule.renewed(ttl, now);    // a renewal was granted
//     step = schedule.failed(now, random);  // no answer (network, 5xx, 429): the value stays
//     step = schedule.refused(now);         // a renewal or a look-up was answered: no
//     step = schedule.looked(now);          // the lease is still there, or nobody can say
//
// Rules: behaviour.md section 2 and 7. A read that fails before there was any value is not its
// business.

#include <optional>
#include <string>

#include "base/backoff.hpp"
#include "config/config.hpp"

namespace keybearer::secrets {

enum class Kind {
  plain,        // KV v1 and whatever has no lease: read at the interval, compared by content
  kv2,          // versioned: the metadata's version is compared first
  dynamic,      // a lease that can be renewed
  fixed_lease,  // a lease that can't
  static_role,  // rotated by the server at known times
  certificate,  // without a lease, but with an end
  token,        // a issued_token token
  once,         // written, nothing to keep alive
};
[[nodiscard]] std::string_view kind_name(Kind kind);

// What an answer says of its own life.
struct Life {
  Kind kind = Kind::plain;
  Duration ttl{};  // dynamic, fixed_lease, certificate, token: zero is "no end"
  bool renewable = false;
  // static_role:
  Duration to_rotation{};                // until the server means to rotate; may be negative
  Duration period{};                     // zero: not told
  std::optional<WallTime> rotated = {};  // when the server rotated last
};

struct ScheduleRules {
  config::Lease lease;
  config::Interval interval;
  BackoffBounds retry;
};

struct Step {
  enum class Do { rest, read, compare, renew, look };
  Do what = Do::rest;
  Instant at = Instant::max();
};

class SecretSchedule {
 public:
  // `early` in [0, 1): this secret's place in the jitter ranges (leases and intervals: up to 10 %
  // earlier).
  explicit SecretSchedule(ScheduleRules rules, double early)
      : rules_(rules), early_(early), backoff_(rules_.retry) {}

  [[nodiscard]] Step answered(Life life, Instant now);
  [[nodiscard]] Step unchanged(Instant now);
  [[nodiscard]] Step renewed(Duration ttl, Instant now);
  [[nodiscard]] Step failed(Instant now, double random, std::optional<Duration> retry_after = {});
  [[nodiscard]] Step refused(Instant now);
  [[nodiscard]] Step looked(Instant now);
  void disable_lookup() { rules_.lease.check_interval.reset(); }

  [[nodiscard]] const Life& life() const { return life_; }
  [[nodiscard]] std::optional<Instant> end() const { return end_; }

 private:
  [[nodiscard]] Step at_interval(Instant now) const;
  [[nodiscard]] Step at_rotation(const Life& before, Instant now);
  [[nodiscard]] Step last_read(Duration left, Instant now) const;
  [[nodiscard]] Step of_life(const Life& before, Instant now);
  [[nodiscard]] Step of_renewal(Duration ttl, Instant now);

  ScheduleRules rules_;
  double early_;
  Life life_;
  std::optional<Instant> end_;  // of the lease
  Duration usual_{};            // the most that was granted
  Step pending_;                // what failed() repeats; looks come in between
  Backoff backoff_;
  Instant rotation_{};   // the next one that the server announced
  Duration lateness_{};  // of the server's last rotation
  int polls_ = 0;        // since a rotation was due
};

// The moment to act on something that lives for `ttl`: min(part x TTL x (1 - 0.1 x early), max(TTL
// - min_remaining, TTL / 2)), at least 1 s, at most 30 days.
[[nodiscard]] Duration due(Duration ttl, double part, Duration min_remaining, double early);

}  // namespace keybearer::secrets
