#include "secrets/secret_schedule.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace keybearer::secrets {
namespace {

using namespace std::chrono_literals;

constexpr double kJitter = 0.1;  // of the first term, only ever earlier
constexpr Duration kFloor = 1s;
constexpr Duration kCeiling = 24h * 30;  // what lives longer is looked at once a month
constexpr double kClearlyLess =
    0.9;  // a renewal that grants less than this part of the usual is the last
constexpr int kTriesBeforeEnd = 3;  // retries are spaced so that this many still fit
constexpr Duration kAfterRotation =
    30ms;  // clocks differ a little, and the server needs to store it
// While a rotation is late. A server looks for due rotations every few seconds (Vault: five), and
// usually at the second: in short steps at first, then so that a path is never asked more than nine
// times in eight seconds.
constexpr Duration kPolls[] = {150ms,  150ms,  150ms,  150ms, 150ms, 800ms,
                               1800ms, 2100ms, 2700ms, 4s,    8s,    16s};
constexpr Duration kLateAtMost =
    1500ms;  // what is later than that was no tick of the server, but a lost rotation

}  // namespace

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::plain:
      return "plain";
    case Kind::kv2:
      return "kv";
    case Kind::dynamic:
      return "dynamic";
    case Kind::fixed_lease:
      return "leased";
    case Kind::static_role:
      return "static-role";
    case Kind::certificate:
      return "cert";
    case Kind::token:
      return "token";
    case Kind::once:
      return "write";
  }
  return "";
}

Duration due(Duration ttl, double part, Duration min_remaining, double early) {
  const auto by_part = std::chrono::duration_cast<Duration>(ttl * (part * (1 - kJitter * early)));
  return std::clamp(std::min(by_part, std::max(ttl - min_remaining, ttl / 2)), kFloor, kCeiling);
}

Step SecretSchedule::at_interval(Instant now) const {
  if (rules_.interval.never) return {};
  const auto wait =
      std::chrono::duration_cast<Duration>(rules_.interval.every * (1 - kJitter * early_));
  return {life_.kind == Kind::kv2 ? Step::Do::compare : Step::Do::read,
          now + std::clamp<Duration>(wait, 500ms, kCeiling)};
}

// Renewals are over (or never were): new ones while these still live.
Step SecretSchedule::last_read(Duration left, Instant now) const {
  return {Step::Do::read,
          now + due(left, rules_.lease.refetch_at, rules_.lease.min_remaining, early_)};
}

// Whether somebody else has revoked a lease is looked up between what is due for it.
Step SecretSchedule::looked(Instant now) {
  const bool held =
      life_.kind == Kind::dynamic || life_.kind == Kind::fixed_lease || life_.kind == Kind::token;
  if (!rules_.lease.check_interval || !held) return pending_;
  const Instant at = now + std::max(*rules_.lease.check_interval, kFloor);
  return at < pending_.at ? Step{Step::Do::look, at} : pending_;
}

Step SecretSchedule::answered(Life life, Instant now) {
  const Life before = std::exchange(life_, life);
  backoff_.reset();
  end_.reset();
  usual_ = life.ttl;
  const bool leased = life.kind == Kind::dynamic || life.kind == Kind::fixed_lease ||
                      life.kind == Kind::token || life.kind == Kind::certificate;
  if (leased && life.ttl > Duration::zero()) end_ = now + life.ttl;
  pending_ = of_life(before, now);
  return looked(now);
}

Step SecretSchedule::of_life(const Life& before, Instant now) {
  const bool refetch = rules_.lease.strategy == config::LeaseStrategy::refetch;
  const auto at_renewal = [&] {
    return now + due(life_.ttl, rules_.lease.renew_at, rules_.lease.min_remaining, early_);
  };
  switch (life_.kind) {
    case Kind::plain:
    case Kind::kv2:
      return at_interval(now);
    case Kind::once:
      return {};
    case Kind::static_role:
      return at_rotation(before, now);
    case Kind::dynamic:
    case Kind::token:
      // A token without end is kept; a lease of no time is none.
      if (life_.ttl <= Duration::zero())
        return life_.kind == Kind::token ? Step{} : at_interval(now);
      if (life_.renewable && !refetch) return {Step::Do::renew, at_renewal()};
      [[fallthrough]];
    case Kind::fixed_lease:
    case Kind::certificate:
      if (life_.ttl <= Duration::zero()) return at_interval(now);
      // `refetch` means: renewal's own time, but read anew.
      if (life_.renewable && refetch) return {Step::Do::read, at_renewal()};
      return last_read(life_.ttl, now);
  }
  return {};
}

// Right after the rotation that the server announced. It may be late: then it is asked for again,
// and the lateness is remembered.
Step SecretSchedule::at_rotation(const Life& before, Instant now) {
  const Step regular = at_interval(now);
  const bool known = before.kind == Kind::static_role && before.rotated && life_.rotated;
  if (known && *life_.rotated == *before.rotated && now >= rotation_) {
    const auto last = static_cast<int>(std::size(kPolls)) - 1;
    const Duration wait = kPolls[std::min(polls_++, last)];
    return {Step::Do::read, std::min(now + wait, regular.at)};
  }
  if (known && *life_.rotated > *before.rotated && life_.period > Duration::zero()) {
    const auto late =
        std::chrono::duration_cast<Duration>(*life_.rotated - *before.rotated) - life_.period;
    if (late > -kLateAtMost && late < kLateAtMost) lateness_ = std::max(late, Duration::zero());
  }
  polls_ = 0;
  rotation_ = now + std::clamp(life_.to_rotation, Duration::zero(), kCeiling);
  const Duration least = life_.rotated ? kPolls[0] : kFloor;
  return {Step::Do::read,
          std::min(std::max(rotation_ + lateness_ + kAfterRotation, now + least), regular.at)};
}

Step SecretSchedule::unchanged(Instant now) {
  backoff_.reset();
  return pending_ = at_interval(now);
}

Step SecretSchedule::renewed(Duration ttl, Instant now) {
  backoff_.reset();
  if (ttl <= Duration::zero()) return refused(now);
  end_ = now + ttl;
  pending_ = of_renewal(ttl, now);
  return looked(now);
}

Step SecretSchedule::of_renewal(Duration ttl, Instant now) {
  Duration expected = usual_;
  if (rules_.lease.increment) expected = std::min(*rules_.lease.increment, usual_);
  const bool last =
      static_cast<double>(ttl.count()) < kClearlyLess * static_cast<double>(expected.count());
  usual_ = std::max(usual_, ttl);
  // Less than `min_remaining` is not handed out if it can be helped.
  if (last) return ttl <= rules_.lease.min_remaining ? refused(now) : last_read(ttl, now);
  return {Step::Do::renew,
          now + due(ttl, rules_.lease.renew_at, rules_.lease.min_remaining, early_)};
}

Step SecretSchedule::failed(Instant now, double random, std::optional<Duration> retry_after) {
  Duration wait = backoff_.next(random, retry_after);
  if (end_ && *end_ > now)
    wait = std::min(wait, std::max<Duration>((*end_ - now) / kTriesBeforeEnd, kFloor));
  wait = std::max(wait, retry_after.value_or(Duration::zero()));
  // In the last moments a renewal that does not come through is worth less than new ones.
  const Duration last_call = std::min<Duration>(2s, usual_ / 10);
  const bool over = pending_.what == Step::Do::renew && (!end_ || now + wait >= *end_ - last_call);
  return pending_ = {over ? Step::Do::read : pending_.what, now + wait};
}

Step SecretSchedule::refused(Instant now) {
  backoff_.reset();
  return pending_ = {Step::Do::read, now};
}

}  // namespace keybearer::secrets
