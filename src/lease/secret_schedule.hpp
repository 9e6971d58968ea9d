#pragma once
// When a secret is renewed, read again or compared: a machine per secret, and nothing else. Pure:
// whoever feeds it tells what the server answered and does what it answers, at its time.
//
//     step = schedule.answered(lifetime, now, asked);  // read or written: the value may be another
//     step = schedule.unchanged(now);                  // a comparison found the same
//     step = schedule.renewed(ttl, now, asked);        // a renewal was granted
//     step = schedule.failed(now, random);             // no answer (network, 5xx, 429)
//     step = schedule.refused(now, cause);             // a renewal or a lookup was answered: no
//     step = schedule.lookup_done(now);                // the lease is still there, or unknown
//
// Every lifetime counts from `asked`, when the request was sent (T11). A read that fails before
// there was any value is not its business. Rules: behaviour section 2 and 7.

#include <optional>
#include <string>

#include "base/backoff.hpp"
#include "config/config.hpp"

namespace keybearer::lease {

enum class Kind {
  unleased,       // KV v1 and whatever has no lease: read at the interval, compared by content
  kv2,            // versioned: the metadata's version is compared first
  dynamic,        // a lease that can be renewed
  non_renewable,  // a lease that can't
  static_role,    // rotated by the server at known times
  certificate,    // without a lease, but with an end
  token,          // issued by auth/token/create and the like
  written_once,   // written, nothing to keep alive
};

// What an answer says of its own life.
struct Lifetime {
  Kind kind = Kind::unleased;
  Duration ttl{};  // dynamic, non_renewable, certificate, token: zero is "no end"
  bool renewable = false;
  bool ended = false;  // certificate: before it was issued, by this machine's clock
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

// Why a value is fetched again; for log lines and the reason of a restart.
enum class Cause {
  interval,         // its time to look for changes has come
  maximum_life,     // renewals give less than asked: the lease's maximum is near
  not_renewable,    // replaced in time before its end
  renewal_refused,  // the server answered no
  renewal_failed,   // no renewal came through until the last moments
  revoked,          // somebody else has revoked it
  rotation,         // a static role's time
};

struct Step {
  enum class Do { nothing, read, compare, renew, lookup };
  Do what = Do::nothing;
  Instant at = Instant::max();
  Cause cause = Cause::interval;
};

class SecretSchedule {
 public:
  // What a restart of keybearer needs of it.
  struct Saved {
    Lifetime lifetime;
    std::optional<Instant> end;
    Instant granted_at{};
    Duration granted{}, max_granted{};
    Step pending;
    Instant rotation{};
  };

  // `jitter` in [0, 1): this secret's place in the jitter ranges (leases and intervals: up to 10 %
  // earlier).
  explicit SecretSchedule(ScheduleRules rules, double jitter)
      : rules_(rules), jitter_(jitter), backoff_(rules_.retry) {}

  // `asked`: when the request was sent; not given: now.
  [[nodiscard]] Step answered(Lifetime lifetime, Instant now, std::optional<Instant> asked = {});
  [[nodiscard]] Step unchanged(Instant now);
  [[nodiscard]] Step renewed(Duration ttl, Instant now, std::optional<Instant> asked = {});
  [[nodiscard]] Step failed(Instant now, double random, std::optional<Duration> retry_after = {});
  [[nodiscard]] Step refused(Instant now, Cause cause = Cause::renewal_refused);
  [[nodiscard]] Step lookup_done(Instant now);
  void disable_lookup() { rules_.lease.check_interval.reset(); }
  // Other rules, from a reload: what is planned is planned again by them, without a request.
  [[nodiscard]] Step configure(ScheduleRules rules, Instant now);

  [[nodiscard]] Saved save() const {
    return {lifetime_, end_, granted_at_, granted_, max_granted_, pending_, rotation_};
  }
  // As it was when it was saved, planned by the rules of now, which may be others.
  [[nodiscard]] Step resume(const Saved& saved, Instant now);

  [[nodiscard]] const Lifetime& lifetime() const { return lifetime_; }
  [[nodiscard]] std::optional<Instant> end() const { return end_; }

 private:
  [[nodiscard]] Step at_interval(Instant now) const;
  [[nodiscard]] Step at_rotation(const Lifetime& before, Instant now);
  [[nodiscard]] Step while_rotation_is_late(Instant now);
  [[nodiscard]] Step last_read(Duration left, Instant now, Cause cause) const;
  [[nodiscard]] Step of_lifetime(const Lifetime& before, Instant now);
  [[nodiscard]] Step of_lease(Duration ttl, Instant now) const;
  [[nodiscard]] Step of_renewal(Duration ttl, Instant now);
  [[nodiscard]] Duration due_after(Duration ttl, double part) const;

  ScheduleRules rules_;
  double jitter_;
  Lifetime lifetime_;
  std::optional<Instant> end_;  // of the lease
  Instant granted_at_{};        // when the newest grant was asked for
  Duration granted_{};          // what it was
  Duration max_granted_{};      // the most that was granted
  bool answered_once_ = false;
  Step pending_;  // what failed() repeats; lookups come in between
  Backoff backoff_;
  Instant rotation_{};  // the next one that the server announced
  int late_polls_ = 0;  // of a rotation that is unusually late
};

}  // namespace keybearer::lease
