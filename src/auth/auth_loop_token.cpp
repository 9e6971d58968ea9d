#include <algorithm>
#include <utility>

#include "auth/auth_loop_impl.hpp"
#include "base/log.hpp"
#include "base/redactor.hpp"
#include "crypto/digest.hpp"

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;
using config::OnRenewFailure;

constexpr Duration kLeastLeftToResume = 1s;

lease::Grant grant_of(const vault::Auth& auth) {
  return {.ttl = auth.ttl, .renewable = auth.renewable, .num_uses = auth.num_uses};
}

}  // namespace

MethodTraits traits_of(const AuthMethod& method) {
  return {.owns_token = method.owns_token(),
          .watches_credentials = method.watches_credentials(),
          .refusal_is_final = method.refusal_is_final(),
          .changeable = method.changeable()};
}

AuthRules AuthLoop::Impl::rules() const {
  const config::AutoAuth& config = settings.auto_auth;
  return {.renew_at = config.renew_at,
          .min_remaining = config.min_remaining,
          .increment = config.increment,
          .on_renew_failure = config.on_renew_failure,
          .exit_on_err = config.exit_on_err,
          .backoff = {.min = config.min_backoff, .max = config.max_backoff},
          .start = settings.start,
          .stop_margin = settings.stop_margin};
}

void AuthLoop::Impl::tell(Kind kind, Outcome outcome) {
  AuthEvent event{.kind = kind,
                  .now = Clock::now(),
                  .asked = outcome.asked,
                  .random = random.fraction(),
                  .sent = outcome.sent};
  if (outcome.auth) event.grant = grant_of(*outcome.auth);
  if (outcome.error) {
    event.retry_after = outcome.error->retry_after;
    event.missing = outcome.error->kind == ErrorKind::config;
    event.may_pass = outcome.error->reason == Reason::no_token_in_reply;
    event.for_good = outcome.error->reason == Reason::wrong_identity;
  }
  // Not while a login is on its way: what it was begun with is what it is about.
  if (!login_in_flight) known_content = content_now();
  event.content = known_content;
  event.reusable = next().reusable();
  for (const Action action : fsm->handle(event)) execute(action, outcome);
  publish();
}

std::optional<ContentId> AuthLoop::Impl::content_now() {
  const auto content = next().look();
  return content ? std::optional(*content) : std::nullopt;
}

void AuthLoop::Impl::execute(Action action, Outcome& outcome) {
  switch (action) {
    case Action::adopt:
      return adopt(std::move(*outcome.auth));
    case Action::drop_token:
      return drop_token();
    case Action::log_failed:
      return log_failure("auth.failed", *outcome.error, fsm->next_login());
    case Action::log_renewal_failed:
      return log_failure("token.renewal_failed", *outcome.error, fsm->next_renewal());
    case Action::log_refused:
      return AuthLog::refused(*outcome.error, expiry_action());
    case Action::log_refused_kept:
      return AuthLog::refused(*outcome.error, "the token in use stays");
    case Action::alarm_refused:
      return alarm(method->compromised() ? "security.wrapping" : "login.refused",
                   outcome.error->text);
    case Action::log_renewed:
      return renewed(*outcome.auth);
    case Action::log_renewal_refused:
      return AuthLog::renewal_refused(*outcome.error, state.accessor,
                                      method->owns_token() && fsm->relogin_allowed());
    case Action::log_ending:
      return AuthLog::ending(fsm->schedule().end().value_or(Clock::now()) - Clock::now(),
                             expiry_action());
    case Action::log_invalid:
      return AuthLog::invalid(state.accessor);
    case Action::log_lost: {
      const bool keep = settings.auto_auth.on_renew_failure == OnRenewFailure::keep;
      return AuthLog::lost(fsm->end(), state.accessor, keep ? expiry_action() : "an orderly stop");
    }
    case Action::alarm_lost:
      return alarm("token.lost", AuthLog::loss(fsm->end()));
  }
}

std::string AuthLoop::Impl::expiry_action() const {
  return AuthLog::expiry_action(settings.auto_auth.on_renew_failure, fsm->relogin_allowed());
}

void AuthLoop::Impl::log_failure(std::string_view event, const Error& error, Instant at) {
  state.trouble = error;
  log.failure(event, error, at);
}

void AuthLoop::Impl::recovered() {
  state.trouble.reset();
  log.recovered();
}

void AuthLoop::Impl::renewed(const vault::Auth& auth) {
  recovered();
  ++state.renewals;
  state.renewable = auth.renewable;
  AuthLog::renewed(auth, state.accessor);
}

AuthLoop::Impl::Phase AuthLoop::Impl::phase() const {
  switch (fsm->state()) {
    case State::holding:
    case State::renewing:
    case State::verifying:
    case State::adopting:
      return fsm->schedule().ending() ? Phase::ending : Phase::valid;
    case State::ending:
    case State::replacing:
      return Phase::ending;
    case State::lost:
      return Phase::lost;
    case State::ended:
      return fsm->end() == End::token_invalid ? Phase::lost : state.phase;
    default:
      return Phase::logging_in;
  }
}

void AuthLoop::Impl::publish() {
  state.phase = phase();
  state.expires = fsm->has_token() ? fsm->schedule().end() : std::nullopt;
  state.ttl = fsm->schedule().ttl();
  const Instant next = fsm->has_token() ? fsm->next_renewal() : fsm->next_login();
  state.next_at = next == Instant::max() ? std::nullopt : std::optional(next);
  if (fsm->has_token()) current.end = state.expires;
  if (!fsm->has_token() || fsm->schedule().ending()) state.renewable = false;
  changed.set();
}

void AuthLoop::Impl::adopt(vault::Auth auth) {
  recovered();
  state.method = settings.auto_auth.method.type;
  state.mount = method->owns_token() ? mount_path(settings.auto_auth.method) : "";
  AuthLog::login(state.method, state.mount, auth);
  std::erase_if(superseded, [](const OwnToken& own) { return !own.revocable(); });
  if (current.revocable()) superseded.push_back(std::move(current));
  current = {.token = method->owns_token() ? auth.token : nullptr,
             .end = {},
             .batch = auth.type == "batch"};
  client.set_token(std::move(auth.token));
  // A token that is not ours was looked up just now: that is how its login works (T6).
  last_check = method->owns_token() ? std::nullopt : std::optional(Clock::now());
  state.accessor = std::move(auth.accessor);
  state.entity_id = std::move(auth.entity_id);
  state.policies = std::move(auth.policies);
  state.limited = auth.num_uses > 0;
  state.renewable = auth.renewable;
  ++state.logins;
  ++state.token_number;
}

void AuthLoop::Impl::drop_token() {
  client.set_token(nullptr);
  current = {};
}

// What tells one login from another, without its secrets: those may be replaced.
std::string AuthLoop::Impl::login_id() const {
  std::string text =
      settings.auto_auth.method.type + '\n' + mount_path(settings.auto_auth.method) + '\n' +
      settings.auto_auth.method.vault_namespace.value_or(client.session().vault_namespace());
  for (const std::string_view each : settings.auto_auth.method.texts())
    text += '\n' + std::to_string(each.size()) + ':' + std::string(each);
  return sha256_hex(text);
}

void AuthLoop::Impl::resume() {
  if (!saved) return;
  const lease::SavedToken token = *std::exchange(saved, std::nullopt);
  const auto left = token.schedule.end.value_or(Instant::max()) - Clock::now();
  const char* why = !method->owns_token()        ? "the token is given to us now"
                    : token.login != login_id()  ? "another login is configured now"
                    : left <= kLeastLeftToResume ? "it has ended meanwhile"
                                                 : nullptr;
  if (why != nullptr) {
    log::info("state.token_dropped", "the saved token is not used",
              {{"reason", why}, {"next", "login"}});
    return;
  }
  state.mount = mount_path(settings.auto_auth.method);
  state.accessor = token.accessor;
  state.entity_id = token.entity_id;
  state.policies = token.policies;
  state.limited = token.limited;
  state.renewable = token.renewable;
  ++state.token_number;
  redactor().add_credential(token.token->reveal());
  current = {.token = token.token, .end = token.schedule.end, .batch = token.type == "batch"};
  client.set_token(token.token);
  log::info(
      "token.resumed", "the token of the last run is used again",
      {{"accessor", token.accessor},
       {"ttl", token.schedule.end
                   ? std::to_string(std::chrono::ceil<std::chrono::seconds>(left).count()) + "s"
                   : "unlimited"}});
  known_content = content_now();
  const auto told = fsm->handle({.kind = Kind::resumed,
                                 .now = Clock::now(),
                                 .content = known_content,
                                 .reusable = method->reusable(),
                                 .saved = token.schedule});
  Outcome none;
  for (const Action action : told) execute(action, none);
  publish();
}

std::optional<lease::SavedToken> AuthLoop::Impl::save() const {
  if (saved) return saved;
  const auto schedule = fsm ? fsm->save() : std::nullopt;
  if (!schedule || !current.token) return std::nullopt;
  return lease::SavedToken{.login = login_id(),
                           .token = current.token,
                           .accessor = state.accessor,
                           .entity_id = state.entity_id,
                           .type = current.batch ? "batch" : "service",
                           .policies = state.policies,
                           .renewable = state.renewable,
                           .limited = state.limited,
                           .schedule = *schedule};
}

}  // namespace keybearer::auth
