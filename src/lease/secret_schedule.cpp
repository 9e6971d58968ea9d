#include "lease/secret_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lease/renewal.hpp"

namespace keybearer::lease {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLeastPause = 20ms;       // whatever is overdue
constexpr Duration kAfterRotation = 10ms;    // clocks differ a little
constexpr Duration kRotationPoll = 105ms;    // while a rotation is due; no closer than 100 ms
constexpr Duration kUsualLateness = 6s;      // servers work their queue off every 5 s
constexpr Duration kRotationPollMax = 16s;   // when it is later than that
constexpr Duration kOutageAtRotation = 10s;  // so long a failed look at a rotation is soon repeated

}  // namespace

// A lease of a second has ended when anything is due by the common rule: renewed at its half.
Duration SecretSchedule::due_after(Duration ttl, double part) const {
  const Duration at = due(ttl, part, rules_.lease.min_remaining, {kLeaseJitter, jitter_});
  return ttl < 2 * kLeastDue ? std::min(at, std::max(ttl / 2, kLeastDue / 2)) : at;
}

Step SecretSchedule::at_interval(Instant now) const {
  if (rules_.interval.never) return {};
  const auto wait =
      std::chrono::duration_cast<Duration>(rules_.interval.every * (1 - kLeaseJitter * jitter_));
  return {lifetime_.kind == Kind::kv2 ? Step::Do::compare : Step::Do::read,
          now + std::clamp<Duration>(wait, 500ms, kMostDue)};
}

// Renewals are over (or never were): new ones while these still live.
Step SecretSchedule::last_read(Duration left, Instant now, Cause cause) const {
  Duration due = due_after(left, rules_.lease.refetch_at);
  // At the end of a life that was longer there is no half of the rest to wait for.
  if (cause == Cause::maximum_life)
    due = std::min(due, std::max(left - rules_.lease.min_remaining, kLeastDue));
  return {Step::Do::read, now + due, cause};
}

// Whether somebody else has revoked a lease is looked up between what is due for it.
Step SecretSchedule::lookup_done(Instant now) {
  const bool held = lifetime_.kind == Kind::dynamic || lifetime_.kind == Kind::non_renewable ||
                    lifetime_.kind == Kind::token;
  if (!rules_.lease.check_interval || !held) return pending_;
  const Instant at = now + std::max(*rules_.lease.check_interval, kLeastDue);
  return at < pending_.at ? Step{Step::Do::lookup, at} : pending_;
}

Step SecretSchedule::answered(Lifetime lifetime, Instant now, std::optional<Instant> asked) {
  const Lifetime before = std::exchange(lifetime_, lifetime);
  backoff_.reset();
  end_.reset();
  answered_once_ = true;
  granted_at_ = asked.value_or(now);
  granted_ = max_granted_ = lifetime.ttl;
  const bool leased = lifetime.kind == Kind::dynamic || lifetime.kind == Kind::non_renewable ||
                      lifetime.kind == Kind::token || lifetime.kind == Kind::certificate;
  if (leased && lifetime.ttl > Duration::zero()) end_ = granted_at_ + lifetime.ttl;
  pending_ = of_lifetime(before, now);
  if (granted_at_ < now) pending_.at = std::max(pending_.at, now + kLeastPause);
  return lookup_done(now);
}

Step SecretSchedule::of_lifetime(const Lifetime& before, Instant now) {
  switch (lifetime_.kind) {
    case Kind::unleased:
    case Kind::kv2:
      return at_interval(now);
    case Kind::written_once:
      return {};
    case Kind::static_role:
      return at_rotation(before, now);
    case Kind::dynamic:
    case Kind::token:
    case Kind::non_renewable:
    case Kind::certificate:
      // A token without end is kept; a lease of no time is none.
      if (granted_ <= Duration::zero())
        return lifetime_.kind == Kind::token ? Step{} : at_interval(now);
      return of_lease(granted_, granted_at_);
  }
  return {};
}

Step SecretSchedule::of_lease(Duration ttl, Instant now) const {
  const bool renewable =
      lifetime_.renewable && (lifetime_.kind == Kind::dynamic || lifetime_.kind == Kind::token);
  if (!renewable) return last_read(ttl, now, Cause::not_renewable);
  const Instant at = now + due_after(ttl, rules_.lease.renew_at);
  // `refetch` means: at renewal's own time, but read again.
  if (rules_.lease.strategy == config::LeaseStrategy::refetch)
    return {Step::Do::read, at, Cause::not_renewable};
  return {Step::Do::renew, at};
}

// Right after the rotation that the server announced, and from then on in short steps until it has
// happened.
Step SecretSchedule::at_rotation(const Lifetime& before, Instant now) {
  const Step regular = at_interval(now);
  const bool known = before.kind == Kind::static_role && before.rotated && lifetime_.rotated;
  if (known && *lifetime_.rotated == *before.rotated && granted_at_ >= rotation_)
    return while_rotation_is_late(now);
  late_polls_ = 0;
  rotation_ = granted_at_ + std::clamp(lifetime_.to_rotation, Duration::zero(), kMostDue);
  // Right after a rotation the next is a period away: who says otherwise tells no usable time.
  const bool moved = known && *lifetime_.rotated != *before.rotated;
  const bool usable = lifetime_.rotated && !(moved && lifetime_.to_rotation < kLeastDue);
  const Duration least = usable ? kRotationPoll : kLeastDue;
  const Instant at = std::max(rotation_ + kAfterRotation, granted_at_ + least);
  return {Step::Do::read, std::min(at, regular.at), Cause::rotation};
}

Step SecretSchedule::while_rotation_is_late(Instant now) {
  Duration wait = kRotationPoll;
  if (granted_at_ - rotation_ >= kUsualLateness) {
    const auto grown = std::chrono::duration_cast<Duration>(kRotationPoll *
                                                            std::exp2(std::min(++late_polls_, 10)));
    wait = std::min(grown, kRotationPollMax);
  }
  return {Step::Do::read, std::min(granted_at_ + wait, at_interval(now).at), Cause::rotation};
}

Step SecretSchedule::unchanged(Instant now) {
  backoff_.reset();
  granted_at_ = now;
  return pending_ = at_interval(now);
}

Step SecretSchedule::renewed(Duration ttl, Instant now, std::optional<Instant> asked) {
  backoff_.reset();
  if (ttl <= Duration::zero()) return refused(now);
  granted_at_ = asked.value_or(now);
  granted_ = ttl;
  end_ = granted_at_ + ttl;
  pending_ = of_renewal(ttl, granted_at_);
  if (granted_at_ < now) pending_.at = std::max(pending_.at, now + kLeastPause);
  return lookup_done(now);
}

Step SecretSchedule::of_renewal(Duration ttl, Instant now) {
  Duration expected = max_granted_;
  if (rules_.lease.increment) expected = std::min(*rules_.lease.increment, max_granted_);
  const bool last = falls_short(ttl, expected);
  max_granted_ = std::max(max_granted_, ttl);
  if (!last) return of_lease(ttl, now);
  // Less than `min_remaining` is not handed out if it can be helped.
  if (ttl <= rules_.lease.min_remaining) return {Step::Do::read, now, Cause::maximum_life};
  return last_read(ttl, now, Cause::maximum_life);
}

Step SecretSchedule::failed(Instant now, double random, std::optional<Duration> retry_after) {
  Duration wait = backoff_.next(random, retry_after);
  if (end_ && *end_ > now)
    wait = std::min(wait, std::max<Duration>((*end_ - now) / kTriesBeforeEnd, kLeastDue));
  if (pending_.cause == Cause::rotation && now >= rotation_ && now < rotation_ + kOutageAtRotation)
    wait = std::min<Duration>(wait, 250ms);
  wait = std::max(wait, retry_after.value_or(Duration::zero()));
  // In the last moments a renewal that does not come through is worth less than new ones.
  const bool over = pending_.what == Step::Do::renew &&
                    (!end_ || now + wait >= *end_ - final_window(max_granted_));
  if (over) return pending_ = {Step::Do::read, now + wait, Cause::renewal_failed};
  pending_.at = now + wait;
  return pending_;
}

Step SecretSchedule::refused(Instant now, Cause cause) {
  backoff_.reset();
  return pending_ = {Step::Do::read, now, cause};
}

Step SecretSchedule::configure(ScheduleRules rules, Instant now) {
  rules_ = rules;
  backoff_ = Backoff(rules_.retry);
  if (!answered_once_) return {Step::Do::read, now};
  const Instant earliest = now + kLeastPause;
  const bool leased = end_.has_value();
  if (leased && pending_.cause != Cause::maximum_life) {
    pending_ = of_lease(granted_, granted_at_);
  } else if (leased) {
    pending_ = last_read(granted_, granted_at_, Cause::maximum_life);
  } else if (lifetime_.kind == Kind::static_role) {
    pending_.at = std::min(rotation_ + kAfterRotation, at_interval(granted_at_).at);
  } else if (pending_.what != Step::Do::nothing || lifetime_.kind == Kind::kv2 ||
             lifetime_.kind == Kind::unleased) {
    pending_ = at_interval(granted_at_);
  }
  pending_.at = std::max(pending_.at, earliest);
  return lookup_done(now);
}

Step SecretSchedule::resume(const Saved& saved, Instant now) {
  lifetime_ = saved.lifetime;
  end_ = saved.end;
  granted_at_ = saved.granted_at;
  granted_ = saved.granted;
  max_granted_ = saved.max_granted;
  pending_ = saved.pending;
  rotation_ = saved.rotation;
  answered_once_ = true;
  return configure(rules_, now);
}

}  // namespace keybearer::lease
