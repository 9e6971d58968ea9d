#include "lease/token_schedule.hpp"

#include <algorithm>

namespace keybearer::lease {

using namespace std::chrono_literals;

Instant TokenSchedule::due_at(Instant asked) const {
  return asked + due(ttl_, rules_.renew_at, rules_.min_remaining, {kTokenJitter, jitter_});
}

TokenStep TokenSchedule::logged_in(Grant grant, Instant asked, Instant now) {
  ttl_ = max_granted_ = grant.ttl;
  if (grant.ttl == Duration::zero()) return {};
  end_ = asked + grant.ttl;
  // A renewal would cost one of its uses; a new login brings new ones. What ends within a second is
  // over when it is due.
  const auto at = due_at(asked);
  const bool renew = grant.renewable && at < *end_ && !(grant.num_uses > 0 && rules_.relogin);
  return renew ? TokenStep{TokenStep::Do::renew, at} : last_step(now, at);
}

TokenStep TokenSchedule::renewed(Grant grant, Instant asked, Instant now) {
  backoff_.reset();
  const auto before = end_;
  if (grant.ttl == Duration::zero()) {
    if (!before) return {};
    // After a TTL, zero means that less than a second is left, not that there is no end.
    end_ = std::clamp(asked + 1s, std::min(now, *before), *before);
    return last_step(now, now);
  }
  const auto asked_for = std::min(rules_.increment.value_or(max_granted_), max_granted_);
  ttl_ = grant.ttl;
  max_granted_ = std::max(max_granted_, grant.ttl);
  end_ = asked + grant.ttl;

  // Near the maximum TTL a renewal is granted, but gives less than asked. Where there is no other
  // token to be had, only an end that no longer moves is believed: the role's TTL may just have
  // been made shorter. An answer may be a second short.
  const bool less = falls_short(grant.ttl, asked_for) && grant.ttl + 1s < asked_for;
  const bool stuck = before && *end_ <= *before + 1s;
  const auto at = due_at(asked);
  if (!grant.renewable || at >= *end_ || (less && (rules_.relogin || stuck))) {
    return last_step(now, std::min(*end_ - final_window(ttl_), at));
  }
  return {TokenStep::Do::renew, at};
}

TokenStep TokenSchedule::failed(Instant now, double random, std::optional<Duration> retry_after) {
  const auto last = end_.value_or(now) - final_window(ttl_);
  if (now >= last) return last_step(now, now);
  const auto wait = retry_wait(backoff_.next(random, retry_after), *end_ - now);
  return {TokenStep::Do::renew, std::min(last, now + wait)};
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

TokenStep TokenSchedule::configure(TokenRules rules, TokenStep planned, Instant now) {
  rules.relogin = rules.relogin && (rules_.relogin || !ending_);
  rules_ = rules;
  if (!end_) return planned;
  using Do = TokenStep::Do;
  const bool gives_up = planned.what == Do::give_up;
  if (gives_up || (planned.what == Do::login && !rules_.relogin)) return last_step(now, planned.at);
  if (planned.what != Do::renew || backoff_.failures() > 0) return planned;
  const auto at = due_at(*end_ - ttl_);
  return at < *end_ ? TokenStep{Do::renew, std::max(at, now)} : planned;
}

TokenStep TokenSchedule::resume(const Saved& saved, Instant now) {
  end_ = saved.end;
  ttl_ = saved.ttl;
  max_granted_ = saved.max_granted;
  if (!end_) return {};
  if (saved.ending) return last_step(now, saved.due);
  return {TokenStep::Do::renew, saved.due};
}

TokenStep TokenSchedule::last_step(Instant now, Instant login_at) {
  ending_ = true;
  if (rules_.relogin) return {TokenStep::Do::login, login_at};
  const auto end = end_.value_or(now);
  return {TokenStep::Do::give_up, std::max(now, end - std::min(rules_.stop_margin, ttl_ / 2))};
}

}  // namespace keybearer::lease
