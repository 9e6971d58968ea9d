// What a watcher asks of the server, and what it makes of the answers.
#include "base/log.hpp"
#include "json/json.hpp"
#include "secrets/accept.hpp"
#include "secrets/certificate_reuse.hpp"
#include "secrets/classify.hpp"
#include "secrets/requests.hpp"
#include "secrets/resume.hpp"
#include "secrets/watcher_class.hpp"

namespace keybearer::secrets {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using lease::Cause;
using lease::Step;
using State = Status::State;
using Kinds = tmpl::Dependency::Kind;

namespace {

// A write that may have been carried out is not repeated in a hurry (S3).
constexpr Duration kLostAnswerPause = 5s;

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

}  // namespace

awaitable<Step> Watcher::read() {
  bool good = false;
  co_return co_await read_after(good);
}

awaitable<Step> Watcher::read_after(bool& good) {
  if (s_.data_path.empty()) {
    if (auto resolved = co_await resolve_path(context_, s_); !resolved)
      co_return co_await failed(std::move(resolved).error());
    list_by_path(context_, secret_);
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
  list_by_path(context_, secret_);  // the answer may have told where it is
  context_.fetch_time.observe(std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begun));
  if (reply) reply = require_whole(context_, s_, *std::move(reply));
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
  const auto twin = s_.dropped ? nullptr : twin_of(context_, s_);
  if (!twin) return false;
  // No other id has joined this one: its path was not known.
  context_.secrets[s_.status.id] = twin;
  s_.dropped = true;
  unlist(context_, s_);
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
  if (metadata_version_ != s_.status.kv_version) metadata_seen_ = 0;
  auto reply = co_await client_of(context_, s_).read(*path, {}, last_moment(s_), &metadata_seen_);
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
  if (!reply->unchanged) {
    const auto current = static_cast<int>(int_at(reply->data(), "current_version"));
    const Value& version = value_at(value_at(reply->data(), "versions"), std::to_string(current));
    const bool deleted =
        !text_at(version, "deletion_time").empty() || bool_at(version, "destroyed");
    if (current != s_.status.kv_version || deleted) {
      metadata_seen_ = 0;
      co_return co_await read();
    }
    metadata_version_ = current;
  }
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
  if (s_.dropped) co_return Step{};  // meanwhile: it is revoked, or has been
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
  const bool doubtful = s_.status.state == State::failing;  // served from the last run's state
  if (there) {
    s_.status.last_success = Clock::now();
    if (doubtful) set_state(context_, s_, State::fresh, {});
    backoff_.reset();
  }
  if (there || is_outage(there.error().kind)) {
    const Step planned = s_.schedule.lookup_done(Clock::now());
    if (there || !doubtful) co_return confirmed(planned);
    const Instant again = Clock::now() + backoff_.next(context_.random.fraction());
    co_return again < planned.at ? Step{Step::Do::lookup, again} : planned;
  }
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
           : error.retry_after;
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

}  // namespace keybearer::secrets
