#include "auth/auth_fsm.hpp"

#include <algorithm>
#include <utility>

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;
using config::OnRenewFailure;
using Do = lease::TokenStep::Do;

constexpr int kFirstLoginTries = 3;       // servers lock a role after 5 wrong logins
constexpr Duration kWatchInterval = 10s;  // of files that may bring a new token
constexpr Duration kWatchClosely = 1s;    // when only new credentials can help

}  // namespace

// Rows: states; columns: due, new_credentials, granted, refused, unanswered, renewed,
// renewal_refused, renewal_denied, renewal_unanswered, token_good, token_invalid, reconfigured,
// stop, resumed. What comes of an earlier step, after its state was left, is ignored.
#define FSM(handler) &AuthFsm::handler
const AuthFsm::Handler AuthFsm::kTable[kStates][kAuthEvents] = {
    // starting
    {FSM(start_due), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(forget), FSM(stop), FSM(resume)},
    // logging_in
    {FSM(ignore), FSM(ignore), FSM(adopt), FSM(start_refused), FSM(start_unanswered), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(remember), FSM(stop),
     FSM(ignore)},
    // holding
    {FSM(holding_due), FSM(take_new), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(invalid), FSM(take_new), FSM(stop),
     FSM(ignore)},
    // renewing
    {FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(renewed),
     FSM(renewal_refused), FSM(renewal_denied), FSM(renewal_unanswered), FSM(ignore), FSM(invalid),
     FSM(remember), FSM(stop), FSM(ignore)},
    // verifying
    {FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(renewal_refused), FSM(invalid), FSM(remember), FSM(stop),
     FSM(ignore)},
    // adopting
    {FSM(ignore), FSM(ignore), FSM(adopt), FSM(new_refused), FSM(new_unanswered), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(invalid_in_login), FSM(remember),
     FSM(stop), FSM(ignore)},
    // ending
    {FSM(ending_due), FSM(take_new), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(invalid), FSM(take_new), FSM(stop),
     FSM(ignore)},
    // replacing
    {FSM(ignore), FSM(ignore), FSM(adopt), FSM(replacement_refused), FSM(replacement_unanswered),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(invalid_in_login),
     FSM(remember), FSM(stop), FSM(ignore)},
    // without_token
    {FSM(without_due), FSM(without_new), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(forget), FSM(stop),
     FSM(ignore)},
    // relogging
    {FSM(ignore), FSM(ignore), FSM(adopt), FSM(relogin_refused), FSM(relogin_unanswered),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(remember),
     FSM(stop), FSM(ignore)},
    // lost
    {FSM(ignore), FSM(without_new), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(without_new), FSM(stop), FSM(ignore)},
    // ended
    {FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore),
     FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(ignore), FSM(stop), FSM(ignore)},
};
#undef FSM

AuthFsm::AuthFsm(AuthRules rules, MethodTraits traits, double jitter, Instant now)
    : rules_(rules),
      traits_(traits),
      jitter_(jitter),
      began_(now),
      after_failure_(rules.backoff),
      after_loss_(rules.backoff),
      after_news_(rules.backoff) {}

std::vector<Action> AuthFsm::handle(const AuthEvent& event) {
  actions_.clear();
  const Handler handler =
      kTable[static_cast<std::size_t>(state_)][static_cast<std::size_t>(event.kind)];
  (this->*handler)(event);
  return std::exchange(actions_, {});
}

void AuthFsm::configure(AuthRules rules, MethodTraits traits, Instant now) {
  rules_ = rules;
  traits_ = traits;
  for (Backoff* each : {&after_failure_, &after_loss_, &after_news_})
    each->configure(rules.backoff);
  step_ = schedule_.configure(token_rules(true), step_, now);
}

// A start from defaults or from the last good values does not hang on the login: what it still
// waits for is the agent's to say.
Instant AuthFsm::start_deadline() const {
  const config::Outage& outage = rules_.start.outage;
  const bool waits = outage.on_start == config::Outage::OnStart::wait ||
                     outage.on_start == config::Outage::OnStart::fail;
  return waits && outage.start_timeout ? began_ + *outage.start_timeout : Instant::max();
}

std::optional<lease::TokenSchedule::Saved> AuthFsm::save() const {
  if (!has_token_) return std::nullopt;
  return schedule_.save(step_.at);
}

AuthFsm::Wait AuthFsm::wait() const {
  const Instant retry = pending_ ? next_login_ : Instant::max();
  const Duration regular = traits_.watches_credentials ? kWatchInterval : 0ms;
  const bool hopeful = traits_.changeable && relogin_allowed();
  const Duration closely = hopeful ? kWatchClosely : 0ms;
  switch (state_) {
    case State::starting:
      return {std::min(next_login_, start_deadline())};
    case State::holding:
      return {std::min(step_.at, retry), refused_ ? closely : regular};
    case State::ending: {
      const bool login = step_.what == Do::login;
      const Instant at = login ? std::max(step_.at, next_login_) : step_.at;
      return {std::min({at, retry, schedule_.end().value_or(Instant::max())}),
              !login || refused_ ? closely : regular};
    }
    case State::without_token:
      return {next_login_, refused_ ? closely : 0ms};
    case State::lost:
      return {Instant::max(), traits_.owns_token ? 0ms : closely};
    default:
      return {};
  }
}

// --- what the handlers share -------------------------------------------------------------------

bool AuthFsm::relogin_allowed() const {
  return rules_.on_renew_failure == OnRenewFailure::relogin || !traits_.owns_token;
}

bool AuthFsm::may_login(const AuthEvent& event) const {
  if (!relogin_allowed() || !event.content) return false;
  const auto outcome = attempts_.of(*event.content);
  if (!outcome || *outcome == Attempts::Outcome::unanswered) return true;
  return *outcome == Attempts::Outcome::accepted && event.reusable;
}

lease::TokenRules AuthFsm::token_rules(bool reusable) const {
  const bool keep = rules_.on_renew_failure == OnRenewFailure::keep;
  return {.renew_at = rules_.renew_at,
          .min_remaining = rules_.min_remaining,
          .increment = rules_.increment,
          .relogin = rules_.on_renew_failure == OnRenewFailure::relogin && reusable,
          .stop_margin = keep ? 0ms : rules_.stop_margin};
}

// The next login comes later after each failure, and never earlier than was decided before (T10).
void AuthFsm::postpone(const AuthEvent& event) {
  auto asked_for = event.retry_after;
  if (asked_for) asked_for = std::min(*asked_for, rules_.backoff.max);
  next_login_ = std::max(next_login_, event.now + after_failure_.next(event.random, asked_for));
  next_news_ = Instant::max();
}

void AuthFsm::record_refusal(const AuthEvent& event) {
  refused_ = true;
  postpone(event);
  if (!event.sent) return;
  // Contents that are new each time, and refused each time, have a back-off of their own.
  if (news_pause_ == 0ms || attempts_.untried(*event.sent))
    news_pause_ = after_news_.next(event.random);
  next_news_ = event.now + news_pause_;
  attempts_.record(*event.sent,
                   is_final(event) ? Attempts::Outcome::refused : Attempts::Outcome::unanswered);
}

bool AuthFsm::is_final(const AuthEvent& event) const {
  return event.for_good || (traits_.refusal_is_final && !event.may_pass);
}

// A new content that waits is tried once its time has come, unless it is another meanwhile.
bool AuthFsm::takes_pending(const AuthEvent& event) {
  if (!pending_ || event.now < next_login_) return false;
  pending_ = false;
  if (!event.content) return false;
  const auto outcome = attempts_.of(*event.content);
  return !outcome || *outcome == Attempts::Outcome::unanswered;
}

void AuthFsm::finish(End end) {
  end_ = end;
  state_ = State::ended;
}

void AuthFsm::drop_token() {
  if (std::exchange(has_token_, false)) say(Action::drop_token);
}

void AuthFsm::back() {
  state_ = schedule_.ending() ? State::ending : State::holding;
}

void AuthFsm::follow(lease::TokenStep step) {
  const bool was_ending = state_ == State::ending || state_ == State::replacing;
  step_ = step;
  back();
  if (state_ == State::ending && !was_ending && step.what == Do::give_up) say(Action::log_ending);
}

// The token has gone or is about to, and there will be no other.
void AuthFsm::lose(const AuthEvent&) {
  const End why = has_token_ ? End::token_ended : End::token_invalid;
  say(Action::log_lost);
  if (rules_.on_renew_failure == OnRenewFailure::keep) {
    drop_token();
    end_ = why;
    state_ = State::lost;
  } else {
    finish(why);
  }
  say(Action::alarm_lost);
}

void AuthFsm::ignore(const AuthEvent&) {}

// Another method is taken by the next login; what the old credentials gave says nothing of it.
void AuthFsm::forget(const AuthEvent&) {
  attempts_.forget();
}

void AuthFsm::remember(const AuthEvent&) {
  attempts_.forget();
  pending_again_ = true;
}

void AuthFsm::stop(const AuthEvent&) {
  if (state_ != State::ended) finish(End::stopped);
}

// --- the start ---------------------------------------------------------------------------------

void AuthFsm::start_due(const AuthEvent& event) {
  if (event.now >= start_deadline()) return finish(End::start_timeout);
  if (event.now >= next_login_) state_ = State::logging_in;
}

void AuthFsm::resume(const AuthEvent& event) {
  obtained_ = event.now;
  has_token_ = true;
  schedule_ = lease::TokenSchedule(token_rules(event.reusable && event.content), jitter_);
  state_ = State::holding;
  follow(schedule_.resume(*event.saved, event.now));
}

void AuthFsm::start_refused(const AuthEvent& event) {
  if (event.sent) attempts_.record(*event.sent, Attempts::Outcome::refused);
  postpone(event);
  ++failures_;
  ++refusals_;
  const bool untried = event.content && attempts_.untried(*event.content);
  const bool over = refusals_ >= kFirstLoginTries ||
                    next_login_ - began_ > rules_.start.start_grace || rules_.start.once ||
                    rules_.exit_on_err || event.for_good || !(event.reusable || untried);
  if (over) return finish(End::start_failed);
  say(Action::log_failed);
  state_ = State::starting;
}

void AuthFsm::start_unanswered(const AuthEvent& event) {
  postpone(event);
  ++failures_;
  const bool over = event.missing ||
                    rules_.start.outage.on_start == config::Outage::OnStart::fail ||
                    (rules_.start.once && failures_ > rules_.start.num_retries);
  if (over) return finish(End::start_failed);
  say(Action::log_failed);
  state_ = State::starting;
}

// --- a token's life ----------------------------------------------------------------------------

void AuthFsm::adopt(const AuthEvent& event) {
  if (event.sent) attempts_.record(*event.sent, Attempts::Outcome::accepted);
  after_failure_.reset();
  after_news_.reset();
  news_pause_ = 0ms;
  next_news_ = Instant::max();
  next_login_ = std::max(next_login_, event.now + after_loss_.next(event.random));
  obtained_ = event.now;
  pending_ = std::exchange(pending_again_, false);
  refused_ = false;
  say(Action::adopt);
  has_token_ = true;
  schedule_ = lease::TokenSchedule(token_rules(event.reusable), jitter_);
  state_ = State::holding;
  follow(schedule_.logged_in(event.grant, event.asked, event.now));
}

void AuthFsm::holding_due(const AuthEvent& event) {
  if (takes_pending(event)) {
    state_ = State::adopting;
  } else if (event.now >= step_.at) {
    state_ = State::renewing;
  }
}

void AuthFsm::take_new(const AuthEvent& event) {
  if (event.kind == AuthEvent::Kind::reconfigured) {
    attempts_.forget();
  } else if (!relogin_allowed()) {
    return;
  }
  if (event.now < next_news()) {
    pending_ = true;
    return;
  }
  pending_ = false;
  const bool by_login = state_ == State::ending && traits_.owns_token;
  state_ = by_login ? State::replacing : State::adopting;
}

void AuthFsm::invalid(const AuthEvent& event) {
  if (const auto end = schedule_.end(); end && event.now >= *end) after_loss_.reset();
  drop_token();
  pending_ = pending_again_ = false;
  if (!may_login(event)) return lose(event);
  say(Action::log_invalid);
  state_ = State::without_token;
}

void AuthFsm::invalid_in_login(const AuthEvent&) {
  drop_token();
  say(Action::log_invalid);
  state_ = State::relogging;
}

void AuthFsm::renewed(const AuthEvent& event) {
  after_loss_.reset();  // it served its time
  pending_ = pending_ || std::exchange(pending_again_, false);
  say(Action::log_renewed);
  follow(schedule_.renewed(event.grant, event.asked, event.now));
}

void AuthFsm::renewal_denied(const AuthEvent&) {
  state_ = State::verifying;
}

void AuthFsm::renewal_refused(const AuthEvent& event) {
  pending_ = pending_ || std::exchange(pending_again_, false);
  say(Action::log_renewal_refused);
  follow(schedule_.refused(event.now));
}

void AuthFsm::renewal_unanswered(const AuthEvent& event) {
  pending_ = pending_ || std::exchange(pending_again_, false);
  follow(schedule_.failed(event.now, event.random, event.retry_after));
  say(Action::log_renewal_failed);
}

void AuthFsm::new_refused(const AuthEvent& event) {
  record_refusal(event);
  pending_ = std::exchange(pending_again_, false);
  say(Action::log_refused_kept);
  say(Action::alarm_refused);
  back();
}

void AuthFsm::new_unanswered(const AuthEvent& event) {
  postpone(event);
  if (event.sent) attempts_.record(*event.sent, Attempts::Outcome::unanswered);
  pending_ = std::exchange(pending_again_, false) || !event.missing;
  say(Action::log_failed);
  back();
}

void AuthFsm::ending_due(const AuthEvent& event) {
  const auto end = schedule_.end();
  if (takes_pending(event)) {
    state_ = traits_.owns_token ? State::replacing : State::adopting;
    return;
  }
  if (step_.what == Do::give_up) {
    if (event.now >= step_.at) lose(event);
    return;
  }
  if (event.now - obtained_ >= schedule_.ttl() / 4) after_loss_.reset();
  if (event.now >= step_.at && !may_login(event)) {  // spent, or refused already
    step_ = schedule_.login_refused(event.now);
    if (step_.what == Do::give_up) say(Action::log_ending);
  } else if (event.now >= std::max(step_.at, next_login_)) {
    state_ = State::replacing;
  } else if (end && event.now >= *end) {
    drop_token();
    state_ = State::without_token;
  }
}

void AuthFsm::replacement_refused(const AuthEvent& event) {
  record_refusal(event);
  pending_ = std::exchange(pending_again_, false);
  say(Action::log_refused);
  say(Action::alarm_refused);
  state_ = State::ending;
  step_ = is_final(event) ? schedule_.login_refused(event.now)
                          : lease::TokenStep{Do::login, next_login_};
}

void AuthFsm::replacement_unanswered(const AuthEvent& event) {
  postpone(event);
  if (event.sent) attempts_.record(*event.sent, Attempts::Outcome::unanswered);
  pending_ = pending_again_ = false;
  say(Action::log_failed);
  state_ = State::ending;
  step_ = {Do::login, next_login_};
}

// --- without a token ---------------------------------------------------------------------------

void AuthFsm::without_due(const AuthEvent& event) {
  if (event.now < next_login_) return;
  if (!may_login(event)) return lose(event);
  state_ = State::relogging;
}

void AuthFsm::without_new(const AuthEvent& event) {
  if (event.kind == AuthEvent::Kind::reconfigured) attempts_.forget();
  end_ = End::none;
  state_ = event.now >= next_news() ? State::relogging : State::without_token;
}

void AuthFsm::relogin_refused(const AuthEvent& event) {
  record_refusal(event);
  pending_again_ = false;
  say(Action::log_refused);
  say(Action::alarm_refused);
  if (!may_login(event)) return lose(event);
  state_ = State::without_token;
}

void AuthFsm::relogin_unanswered(const AuthEvent& event) {
  postpone(event);
  if (event.sent) attempts_.record(*event.sent, Attempts::Outcome::unanswered);
  pending_again_ = false;
  say(Action::log_failed);
  state_ = State::without_token;
}

}  // namespace keybearer::auth
