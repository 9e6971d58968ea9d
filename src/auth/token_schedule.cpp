#include "auth/token_schedule.hpp"

#include <algorithm>

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;

constexpr double kJitter = 0.05;    // of the TTL, only ever earlier
constexpr int kTriesBeforeEnd = 3;  // retries are spaced so that this many still fit
constexpr double kClearlyLess =
    0.9;  // servers count in whole seconds: an answer may be a second short

}  // namespace

Duration due(Duration ttl, double part, Duration min_remaining, double early) {
  const auto by_part = std::chrono::duration_cast<Duration>(ttl * (part - kJitter * early));
  return std::max<Duration>(1s, std::min(by_part, std::max(ttl - min_remaining, ttl / 2)));
}

// No renewal is tried in the last moments of a token.
Duration TokenSchedule::last_call() const {
  return std::min<Duration>(2s, ttl_ / 10);
}

TokenStep TokenSchedule::logged_in(Grant grant, Instant now) {
  ttl_ = usual_ = grant.ttl;
  if (grant.ttl == Duration::zero()) return {};
  end_ = now + grant.ttl;
  const auto at = now + due(grant.ttl, rules_.renew_at, rules_.min_remaining, early_);
  // A renewal would cost one of its uses; a new login brings new ones.
  const bool renew = grant.renewable && !(grant.num_uses > 0 && rules_.relogin);
  return renew ? TokenStep{TokenStep::Do::renew, at} : last_step(now, at);
}

TokenStep TokenSchedule::renewed(Grant grant, Instant now) {
  backoff_.reset();
  const auto before = end_;
  const auto asked = std::min(rules_.increment.value_or(usual_), usual_);
  ttl_ = grant.ttl;
  usual_ = std::max(usual_, grant.ttl);
  end_.reset();
  if (grant.ttl == Duration::zero()) return {};
  end_ = now + grant.ttl;

  // Near the maximum TTL a renewal is granted, but gives less than asked. Where there is no other
  // token to be had, only an end that no longer moves is believed: the role's TTL may just have
  // been made shorter.
  const bool less = grant.ttl < asked * kClearlyLess && grant.ttl + 1s < asked;
  const bool stuck = before && *end_ <= *before + 1s;
  const auto at = now + due(grant.ttl, rules_.renew_at, rules_.min_remaining, early_);
  if (!grant.renewable || (less && (rules_.relogin || stuck))) {
    return last_step(now, std::clamp(*end_ - last_call(), now, at));
  }
  return {TokenStep::Do::renew, at};
}

TokenStep TokenSchedule::failed(Instant now, double random, std::optional<Duration> retry_after) {
  const auto last = end_.value_or(now) - last_call();
  if (now >= last) return last_step(now, now);
  const auto wait =
      std::min(backoff_.next(random), std::max<Duration>((*end_ - now) / kTriesBeforeEnd, 1ms));
  return {TokenStep::Do::renew, std::min(last, now + std::max(wait, retry_after.value_or(0ms)))};
}

// A refusal is final for this token. Its successor is fetched at once, while the old one still
// works.
TokenStep TokenSchedule::refused(Instant now) {
  return last_step(now, now);
}

TokenStep TokenSchedule::login_refused(Instant now) {
  rules_.relogin = false;
  return last_step(now, now);
}

TokenStep TokenSchedule::last_step(Instant now, Instant login_at) {
  ending_ = true;
  if (rules_.relogin) return {TokenStep::Do::login, login_at};
  const auto end = end_.value_or(now);
  return {TokenStep::Do::give_up, std::max(now, end - std::min(rules_.stop_margin, ttl_ / 2))};
}

}  // namespace keybearer::auth
