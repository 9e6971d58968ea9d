#include "secrets/watcher.hpp"

#include <boost/asio/this_coro.hpp>

#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "json/json.hpp"
#include "secrets/accept.hpp"
#include "secrets/certificate_reuse.hpp"
#include "secrets/classify.hpp"
#include "secrets/file_watcher.hpp"
#include "secrets/requests.hpp"
#include "secrets/resume.hpp"

namespace keybearer::secrets {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using lease::Cause;
using lease::Step;
using State = Status::State;
using Kinds = tmpl::Dependency::Kind;

// A denied or absent secret that once was there is asked for less and less often.
constexpr Duration kDeniedRetryMin = 5s;
constexpr Duration kDeniedRetryMax = 1min;
// A write that may have been carried out is not repeated in a hurry (S3).
constexpr Duration kLostAnswerPause = 5s;
// One that lacks a key likewise.
constexpr BackoffBounds kMissingKeyRetry{.min = 2s, .max = 1min};

State state_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found:
      return State::absent;
    case ErrorKind::denied:
      return State::denied;
    case ErrorKind::refused:
      return State::absent;  // "unknown role": nothing to be had there
    default:
      return State::failing;
  }
}

bool same_token(const vault::Token& a, const vault::Token& b) {
  return a == b || (a && b && *a == *b);
}

class Watcher {
 public:
  Watcher(WatchContext& context, std::shared_ptr<WatchedSecret> secret)
      : context_(context),
        secret_(std::move(secret)),
        s_(*secret_),
        backoff_({context.settings.retry.min_backoff, context.settings.retry.max_backoff}) {}

  awaitable<void> run();

 private:
  enum class Wait { none, until_due, until_woken };
  [[nodiscard]] Wait wait_for(const Step& step) const;
  [[nodiscard]] bool has_wakeup() const;
  [[nodiscard]] Step on_wakeup(Step step);
  [[nodiscard]] Step on_missing_key(Step step);
  [[nodiscard]] bool is_change_check(const Step& step) const;
  [[nodiscard]] Instant wake_at(const Step& step) const;
  void report_expiry();
  void check_age();
  // Since the step was begun: a denial may have been the old one's.
  [[nodiscard]] bool token_has_changed() const { return request_token_ != context_.client.token(); }

  [[nodiscard]] Step confirm();
  [[nodiscard]] Step confirmed(Step next);

  awaitable<Step> execute(Step step);
  awaitable<Step> perform(Step step);
  awaitable<Step> read();
  awaitable<Step> read_after(bool& good);
  awaitable<Step> compare();
  awaitable<Step> renew();
  awaitable<Step> lookup();
  awaitable<Step> failed(Error error);
  [[nodiscard]] Instant retry_at_start(std::optional<Duration> retry_after);
  bool join_twin();

  WatchContext& context_;
  std::shared_ptr<WatchedSecret> secret_;
  WatchedSecret& s_;
  Backoff backoff_;  // of first reads
  Backoff denied_backoff_{{2 * kDeniedRetryMin, kDeniedRetryMax}};
  Backoff missing_key_backoff_{kMissingKeyRetry};
  Step current_step_;
  vault::Token request_token_;   // that the last step was begun with; nullptr: none was begun
  bool wanted_ = false;          // somebody waits for the next read
  bool token_replaced_ = false;  // the current read is for that
  bool awaiting_token_ = false;  // what is planned waits for a new token, and for nothing else
  std::optional<Instant> refused_since_;  // before there was any value
};

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
      const Instant at = wait == Wait::until_due ? wake_at(step) : Instant::max();
      (void)co_await s_.wakeup.wait(seen, std::min(at, stale_at(s_)));
      continue;
    }
    // What keeps a lease alive does not wait for reads.
    const bool urgent = step.what == Step::Do::renew;
    if (!urgent && !context_.limit.try_acquire(s_.ticket)) {
      (void)co_await s_.wakeup.wait(seen);
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

Instant Watcher::wake_at(const Step& step) const {
  if (!s_.leased() || s_.expiry_reported) return step.at;
  return std::min(step.at, s_.status.lease_end.value_or(Instant::max()));
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

awaitable<Step> Watcher::read() {
  bool good = false;
  co_return co_await read_after(good);
}

awaitable<Step> Watcher::read_after(bool& good) {
  if (s_.data_path.empty()) {
    if (auto resolved = co_await resolve_path(context_, s_); !resolved)
      co_return co_await failed(std::move(resolved).error());
    if (join_twin()) co_return Step{};
  }
  const Request request{request_token_, current_step_.cause, token_replaced_};
  if (s_.dependency.kind == Kinds::pki && !s_.status.fetched) {
    if (auto kept = co_await reusable_certificate(context_, s_, wall_now())) {
      log::info("certificate.kept", "the certificate in its file is still good",
                {{"path", s_.status.path}});
      co_return accept_reply(context_, s_, std::move(*kept), request);
    }
  }
  const auto begun = std::chrono::steady_clock::now();
  auto reply = co_await fetch(context_, s_);
  context_.fetch_time.observe(std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begun));
  good = reply.has_value();
  if (!reply) co_return co_await failed(std::move(reply).error());
  ++s_.status.fetches.succeeded;
  backoff_.reset();
  denied_backoff_.reset();
  token_replaced_ = false;
  const auto before = s_.status.generation;
  const Step step = accept_reply(context_, s_, std::move(*reply), request);
  if (s_.status.generation != before) {
    s_.missing_key_in.reset();
    missing_key_backoff_.reset();
  }
  co_return s_.missing_key_in ? on_missing_key(step) : step;
}

// kv/app turned out to be kv/data/app, which is watched already: that one serves both.
bool Watcher::join_twin() {
  const auto twin = twin_of(context_, s_);
  if (!twin) return false;
  for (auto& [id, each] : context_.secrets) {
    if (each == secret_) each = twin;
  }
  s_.dropped = true;
  if (s_.status.state == State::pending) --context_.pending;
  announce(context_);
  return true;
}

// KV v2: the metadata tell whether there is another version. Without a right to them the data's own
// version does.
awaitable<Step> Watcher::compare() {
  if (s_.mount.empty() && has_two_data(s_.data_path)) {
    if (const auto mount = co_await client_of(context_, s_).mount_of(s_.data_path))
      s_.mount = mount->path;
  }
  const auto path = metadata_path(s_.data_path, s_.mount);
  if (!path || s_.metadata_denied || !pinned_version(s_).empty()) co_return co_await read();
  auto reply = co_await client_of(context_, s_).read(*path, {}, last_moment(s_));
  if (!reply && is_outage(reply.error().kind)) co_return co_await failed(std::move(reply).error());
  if (!reply) {
    bool good = false;
    const Step step = co_await read_after(good);
    // It was the metadata's right, not the token's end: the same token may read the data.
    s_.metadata_denied = good && !token_has_changed();
    if (s_.metadata_denied)
      log::info("secret.metadata_denied",
                *path + ": may not be read: the whole secret is read at each interval",
                {{"reason", reply.error().text}});
    co_return step;
  }
  const auto current = static_cast<int>(int_at(reply->data(), "current_version"));
  const Value& version = value_at(value_at(reply->data(), "versions"), std::to_string(current));
  const bool deleted = !text_at(version, "deletion_time").empty() || bool_at(version, "destroyed");
  if (current != s_.status.kv_version || deleted) co_return co_await read();
  s_.status.last_success = Clock::now();
  ++s_.status.fetches.succeeded;
  set_state(context_, s_, State::fresh, {});
  context_.callbacks.value_seen();
  co_return confirmed(s_.schedule.unchanged(Clock::now()));
}

awaitable<Step> Watcher::renew() {
  struct Grant {
    Duration ttl{};
    Instant asked;
  };
  result<Grant> granted = Grant{};
  const auto take = [&granted](auto renewed) {
    if (renewed)
      granted = Grant{renewed->ttl, renewed->asked};
    else
      granted = std::unexpected(std::move(renewed).error());
  };
  const auto increment = s_.rule.lease.increment;
  if (s_.issued_token)
    take(co_await client_of(context_, s_).renew_token(s_.issued_token, increment, last_moment(s_)));
  else
    take(co_await client_of(context_, s_)
             .renew_lease(s_.status.lease_id, increment, last_moment(s_)));
  if (granted) {
    const Step step = s_.schedule.renewed(granted->ttl, Clock::now(), granted->asked);
    s_.status.lease_end = s_.schedule.end();
    s_.status.last_success = Clock::now();
    s_.expiry_reported = false;
    set_state(context_, s_, State::fresh, {});
    context_.callbacks.state_changed();
    log::debug("lease.renewed", "lease renewed",
               {{"path", s_.status.path},
                {"lease", lease::lease_hash(s_.status.lease_id)},
                {"ttl", seconds_text(granted->ttl)}});
    co_return step;
  }
  if (is_outage(granted.error().kind)) co_return co_await failed(std::move(granted).error());
  if (granted.error().kind == ErrorKind::denied && !s_.issued_token &&
      !co_await context_.callbacks.token_is_good()) {
    // The token is gone: its successor wakes us.
    co_return Step{Step::Do::renew, Clock::now() + kDeniedRetryMin};
  }
  log::info("lease.renewal_refused",
            "the lease can't be renewed any more; fetching new credentials",
            {{"path", s_.status.path},
             {"lease", lease::lease_hash(s_.status.lease_id)},
             {"reason", granted.error().text}});
  co_return s_.schedule.refused(Clock::now());
}

awaitable<Step> Watcher::lookup() {
  result<> there;
  if (s_.issued_token) {
    auto found = co_await client_of(context_, s_).lookup_self(s_.issued_token);
    if (!found) there = std::unexpected(std::move(found).error());
  } else {
    there = co_await client_of(context_, s_).lookup_lease(s_.status.lease_id);
  }
  if (!there && is_outage(there.error().kind) && s_.resumed)
    co_return co_await failed(std::move(there).error());
  if (there) s_.status.last_success = Clock::now();
  if (there || is_outage(there.error().kind))
    co_return confirmed(s_.schedule.lookup_done(Clock::now()));
  if (there.error().kind == ErrorKind::denied && !s_.issued_token) {
    if (token_has_changed() || !co_await context_.callbacks.token_is_good()) {
      // It says nothing of the lease; the token's successor wakes us.
    } else if (s_.resumed) {
      co_return confirmed(s_.schedule.lookup_done(Clock::now()));  // there is no asking
    } else {
      log::warn("lease.lookup_denied", "lease.check_interval can't be obeyed",
                {{"path", s_.status.path}, {"reason", there.error().text}});
      s_.schedule.disable_lookup();
    }
    if (s_.resumed) co_return Step{Step::Do::lookup, Clock::now() + kDeniedRetryMin};
    co_return s_.schedule.lookup_done(Clock::now());
  }
  log::warn("lease.revoked_externally", "somebody else has revoked it; fetching new credentials",
            {{"path", s_.status.path}, {"reason", there.error().text}});
  s_.status.lease_id.clear();
  s_.issued_token.reset();
  drop_resumed(context_, s_);
  co_return s_.schedule.refused(Clock::now(), Cause::revoked);
}

// A rate limit's Retry-After is in whole seconds and servers round it down: asking that early is
// refused once more (S4).
std::optional<Duration> pause_asked_for(const Error& error) {
  if (error.kind != ErrorKind::throttled || !error.retry_after) return error.retry_after;
  return *error.retry_after + 1s;
}

// A first read that was refused or got no reply: again with growing pauses; after the grace it is
// given up for this start.
Instant Watcher::retry_at_start(std::optional<Duration> retry_after) {
  const Instant now = Clock::now();
  const Settings& settings = context_.settings;
  const Instant grace_end = refused_since_.value_or(now) + s_.rule.start_grace;
  const bool grace_over = refused_since_ && now >= grace_end;
  const bool tries_over = settings.once && backoff_.failures() >= settings.retry.num_retries;
  if (grace_over || tries_over) give_up(context_, s_);
  const Instant at = now + backoff_.next(context_.random.fraction(), retry_after);
  return refused_since_ && now < grace_end ? std::min(at, std::max(grace_end, now + 100ms)) : at;
}

awaitable<Step> Watcher::failed(Error error) {
  if (s_.dropped) co_return Step{};
  const bool denied = error.kind == ErrorKind::denied;
  ++(is_outage(error.kind) ? s_.status.fetches.unanswered : s_.status.fetches.refused);
  // A token that has been replaced meanwhile says nothing of the path.
  if (denied &&
      (request_token_ != context_.client.token() || !co_await context_.callbacks.token_is_good())) {
    awaiting_token_ = true;  // the value is as good as before: no more is asked than was planned
    co_return Step{current_step_.what, Clock::now() + kDeniedRetryMin, current_step_.cause};
  }
  const State state = state_of(error);
  const bool answered = state != State::failing;
  // The server has it no more: as in the last run, the last good value stays.
  if (answered && s_.resumed) serve_resumed(context_, s_);
  const bool first = !s_.status.fetched;
  const bool lost = error.reason == Reason::lost_answer;
  const auto retry_after =
      lost ? std::optional(std::max(error.retry_after.value_or(0s), kLostAnswerPause))
           : pause_asked_for(error);
  // An answer that can't be used (too large, no JSON) will not come good by waiting either.
  const bool useless = answered || error.kind == ErrorKind::bad_reply;
  const config::OnError on_error = s_.rule.on_error;
  const bool defaults =
      s_.rule.optional || (on_error == config::OnError::use_default && !s_.rule.defaults.empty());
  if (answered && defaults && !s_.using_defaults()) apply_defaults(context_, s_);
  if (answered && on_error == config::OnError::use_default) withhold(context_, s_);
  if (answered && on_error == config::OnError::exit && !first) context_.callbacks.fatal(error);
  set_state(context_, s_, state, std::move(error));
  if (first) {
    if (!useless)
      refused_since_.reset();
    else if (!refused_since_)
      refused_since_ = Clock::now();
    co_return Step{s_.resumed ? current_step_.what : Step::Do::read, retry_at_start(retry_after)};
  }
  if (!answered) {
    Step step = s_.schedule.failed(Clock::now(), context_.random.fraction(), retry_after);
    if (step.what == Step::Do::read && current_step_.what == Step::Do::read)
      step.cause = current_step_.cause;
    co_return step;
  }
  co_return Step{Step::Do::read, Clock::now() + denied_backoff_.next(context_.random.fraction()),
                 current_step_.cause};
}

}  // namespace

awaitable<void> watch(WatchContext& context, std::shared_ptr<WatchedSecret> secret) {
  if (secret->dependency.kind == Kinds::file)
    co_return co_await watch_file(context, std::move(secret));
  Watcher watcher(context, std::move(secret));
  co_await watcher.run();
}

}  // namespace keybearer::secrets
