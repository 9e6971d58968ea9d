#include "secrets/watcher.hpp"

#include <boost/asio/this_coro.hpp>

#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "base/timer.hpp"
#include "secrets/accept.hpp"
#include "secrets/file_watcher.hpp"
#include "secrets/resume.hpp"
#include "secrets/watcher_class.hpp"

namespace keybearer::secrets {

namespace asio = boost::asio;
using asio::awaitable;
using lease::Step;
using State = Status::State;

namespace {

bool same_token(const vault::Token& a, const vault::Token& b) {
  return a == b || (a && b && *a == *b);
}

}  // namespace

awaitable<void> Watcher::run() {
  Step step = s_.resumed ? confirm() : Step{Step::Do::read, Clock::now()};
  LoopGuard guard(co_await boost::asio::this_coro::executor, "watcher");
  while (!s_.dropped) {
    guard.round();
    const auto seen = s_.wakeup.generation();
    if (context_.client.token() && has_wakeup()) step = on_wakeup(step);
    s_.status.next_action = step.what;
    s_.status.next_at = step.what == Step::Do::nothing ? std::nullopt : std::optional(step.at);
    report_expiry();
    check_age();
    const Wait wait = wait_for(step);
    if (wait != Wait::none) {
      s_.ticket.give_back();
      const Instant due = wait == Wait::until_due ? step.at : Instant::max();
      (void)co_await s_.wakeup.wait(seen, std::min({due, expiry_at(), stale_at(s_)}));
      continue;
    }
    // What keeps a lease alive does not wait for reads.
    const bool urgent = step.what == Step::Do::renew;
    if (!urgent && !context_.limit.try_acquire(s_.ticket)) {
      (void)co_await s_.wakeup.wait(seen, std::min(expiry_at(), stale_at(s_)));
      continue;
    }
    step = co_await execute(step);
    s_.ticket.give_back();
  }
}

Watcher::Wait Watcher::wait_for(const Step& step) const {
  if (!context_.client.token()) return Wait::until_woken;  // logging in: nothing can be asked
  if (!wanted_ && is_change_check(step) && context_.callbacks.token_is_limited())
    return Wait::until_woken;
  return step.at > Clock::now() ? Wait::until_due : Wait::none;
}

bool Watcher::has_wakeup() const {
  const Wakeups& w = s_.wakeups;
  return w.token_changed || w.refresh || w.look || w.missing_key || w.reconfigured;
}

// A token that is new makes leases of the old one end with it; a refresh asks for the value now.
Step Watcher::on_wakeup(Step step) {
  const Wakeups w = std::exchange(s_.wakeups, {});
  if (w.reconfigured) {
    const config::Retry& retry = context_.settings.retry;
    backoff_.configure({retry.min_backoff, retry.max_backoff});
    const Step planned = s_.schedule.configure(schedule_rules(s_.rule, retry), Clock::now());
    if (s_.status.fetched && s_.status.state == State::fresh) step = planned;
  }
  if (s_.resumed) return confirm();
  if (w.missing_key) step = on_missing_key(step);
  // The login may be announced while the first look is on its way with its token, or after it.
  const bool other_token = w.token_changed && !same_token(request_token_, context_.client.token());
  const bool lost = w.token_changed && s_.leased() && !s_.orphan &&
                    !same_token(s_.token, context_.client.token());
  // A denial may have been the token's.
  const bool retry = other_token && s_.status.state != State::fresh;
  const bool awaited = other_token && std::exchange(awaiting_token_, false);
  token_replaced_ = token_replaced_ || lost;
  wanted_ = wanted_ || w.refresh || w.look;
  if (w.refresh || lost || retry) return {Step::Do::read, Clock::now(), step.cause};
  if (w.look) return {Step::Do::compare, Clock::now(), step.cause};
  if (awaited) return {step.what, Clock::now(), step.cause};
  return step;
}

// What a restart resumes is asked about first. What another token made has gone with it.
Step Watcher::confirm() {
  const vault::Token& token = context_.client.token();
  const bool lost = token && s_.leased() && !s_.orphan && !same_token(s_.token, token);
  if (lost) {
    token_replaced_ = true;
    drop_resumed(context_, s_);
    return {Step::Do::read, Clock::now()};
  }
  const Step step = confirmation(s_);
  return step.what == Step::Do::nothing ? confirmed(s_.schedule.lookup_done(step.at)) : step;
}

// It is as it was.
Step Watcher::confirmed(Step next) {
  if (!s_.resumed) return next;
  serve_resumed(context_, s_);
  set_state(context_, s_, State::fresh, {});
  log::info("secret.resumed", "as it was before the restart",
            {{"path", s_.status.path}, {"lease", lease::lease_hash(s_.status.lease_id)}});
  return next;
}

// It is a failed refresh: looked at again with growing pauses.
Step Watcher::on_missing_key(Step step) {
  if (!s_.missing_key_in) return step;
  const Instant at = Clock::now() + missing_key_backoff_.next(context_.random.fraction());
  return at < step.at ? Step{Step::Do::read, at} : step;
}

// Whether something has changed, and nothing that has to be done.
bool Watcher::is_change_check(const Step& step) const {
  const bool kept = s_.status.kind == Kind::unleased || s_.status.kind == Kind::kv2;
  return s_.status.state == State::fresh &&
         (step.what == Step::Do::compare || step.what == Step::Do::lookup ||
          (step.what == Step::Do::read && kept));
}

// When the lease of what is in use ends, if that is still to be said. A token that is lost was told
// of, and its leases with it.
Instant Watcher::expiry_at() const {
  if (!s_.leased() || s_.expiry_reported || !context_.client.token()) return Instant::max();
  return s_.status.lease_end.value_or(Instant::max());
}

// What the program runs on has ended, and there is nothing newer.
void Watcher::report_expiry() {
  const auto end = s_.status.lease_end;
  const bool ended = end && *end <= Clock::now() && s_.leased();
  if (!ended || std::exchange(s_.expiry_reported, true)) return;
  const std::string reason =
      s_.status.error ? s_.status.error->text : "no new credentials came in time";
  log::error("lease.expired",
             "the lease has ended; what uses it runs on credentials that no longer work",
             {{"path", s_.status.path}, {"reason", reason}, {"next", "new credentials"}});
  context_.callbacks.alarm("lease.expired", s_.status.path + ": " + reason);
}

// It is older than max_stale, and the server does not tell whether it is still so.
void Watcher::check_age() {
  if (stale_at(s_) > Clock::now()) return;
  s_.stale = true;
  const config::Stale& rule = s_.rule.stale;
  const char* next = rule.on_stale == config::OnStale::keep   ? "it is kept"
                     : rule.on_stale == config::OnStale::stop ? "the child is stopped"
                                                              : "defaults stand in";
  const std::string reason = s_.status.error ? s_.status.error->text : "not confirmed";
  log::error("secret.stale", "the value is older than max_stale",
             {{"path", s_.status.path},
              {"max_stale", seconds_text(*rule.max_stale)},
              {"reason", reason},
              {"next", next}});
  context_.callbacks.alarm("secret.stale", s_.status.path + ": " + reason);
  if (rule.on_stale == config::OnStale::use_default) withhold(context_, s_);
  announce(context_);
}

awaitable<Step> Watcher::execute(Step step) {
  current_step_ = step;
  request_token_ = context_.client.token();
  awaiting_token_ = wanted_ = false;
  if (step.what == Step::Do::read || step.what == Step::Do::compare)
    s_.look = Look{Clock::now(), step.what == Step::Do::read};
  // A server may keep a request for as long as vault.timeout: the lease's end does not wait for it.
  Timer expiry(co_await asio::this_coro::executor, expiry_at());
  const auto in_flight = std::make_shared<bool>(true);
  if (expiry.expiry() != Instant::max()) {
    expiry.async_wait([this, still = std::weak_ptr(in_flight)](const auto& error) {
      if (!error && !still.expired()) report_expiry();
    });
  }
  const Step next = co_await perform(step);
  s_.look.reset();
  co_return next;
}

awaitable<Step> Watcher::perform(Step step) {
  switch (step.what) {
    case Step::Do::nothing:
      co_return step;
    case Step::Do::read:
      co_return co_await read();
    case Step::Do::compare:
      co_return co_await compare();
    case Step::Do::renew:
      co_return co_await renew();
    case Step::Do::lookup:
      co_return co_await lookup();
  }
  co_return step;
}

awaitable<void> watch(WatchContext& context, std::shared_ptr<WatchedSecret> secret) {
  if (secret->dependency.kind == tmpl::Dependency::Kind::file)
    co_return co_await watch_file(context, std::move(secret));
  Watcher watcher(context, std::move(secret));
  co_await watcher.run();
}

}  // namespace keybearer::secrets
