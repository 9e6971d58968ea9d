#include "auth/auth_loop.hpp"

#include <algorithm>
#include <utility>

#include "auth/auth_log.hpp"
#include "auth/identity.hpp"
#include "auth/method.hpp"
#include "auth/own_token.hpp"
#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "base/redactor.hpp"
#include "base/timer.hpp"
#include "crypto/digest.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using config::OnRenewFailure;
using Kind = AuthEvent::Kind;
using Phase = TokenState::Phase;

constexpr Duration kCheckInterval = 10s;  // between two look-ups of the token
constexpr Duration kLeastAnswerTime = 250ms;
constexpr Duration kLeastLeftToResume = 1s;
constexpr Duration kTending = 12s;  // may take as long as a public service's answer

std::optional<Duration> time_until(Instant at) {
  if (at == Instant::max()) return std::nullopt;
  return std::max<Duration>(at - Clock::now(), 1ms);
}

lease::Grant grant_of(const vault::Auth& auth) {
  return {.ttl = auth.ttl, .renewable = auth.renewable, .num_uses = auth.num_uses};
}

// What was just asked for and came back, while its event is handled.
struct Outcome {
  Instant asked = Clock::now();
  std::optional<ContentId> sent = {};
  std::optional<vault::Auth> auth = {};
  std::optional<Error> error = {};
};

MethodTraits traits_of(const AuthMethod& method) {
  return {.owns_token = method.owns_token(),
          .watches_credentials = method.watches_credentials(),
          .refusal_is_final = method.refusal_is_final(),
          .changeable = method.changeable()};
}

}  // namespace

struct AuthLoop::Impl {
  vault::Client& client;
  config::AutoAuth config;
  const StartRules start_rules;
  const Duration stop_margin;
  Random& random;
  const Alarm alarm;
  const CloudParts cloud;

  std::unique_ptr<AuthMethod> method = {};
  std::unique_ptr<AuthMethod> next_method = {};  // taken by the next login
  std::optional<AuthFsm> fsm = {};
  TokenState state = {};
  Event changed = {};
  Event wake = {};  // something was told to the machine from outside of run()

  OwnToken current = {};                  // token is null when it is not ours
  std::vector<OwnToken> superseded = {};  // ours
  AuthLog log = {};

  std::optional<Error> last_error = {};  // of a login or a renewal

  std::optional<lease::SavedToken> saved = {};  // of the last run, until run() takes it

  bool login_in_flight = false;
  std::optional<ContentId> known_content = {};  // what a login would send

  bool checking = false;  // a lookup-self is in flight
  Event checked = {};
  std::optional<Instant> last_check = {};

  // --- the machine -----------------------------------------------------------------------------

  AuthRules rules() const {
    return {.renew_at = config.renew_at,
            .min_remaining = config.min_remaining,
            .increment = config.increment,
            .on_renew_failure = config.on_renew_failure,
            .exit_on_err = config.exit_on_err,
            .backoff = {.min = config.min_backoff, .max = config.max_backoff},
            .start = start_rules,
            .stop_margin = stop_margin};
  }
  AuthMethod& next() { return next_method ? *next_method : *method; }

  void tell(Kind kind, Outcome outcome = {}) {
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

  std::optional<ContentId> content_now() {
    const auto content = next().look();
    return content ? std::optional(*content) : std::nullopt;
  }

  void execute(Action action, Outcome& outcome) {
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
        const bool keep = config.on_renew_failure == OnRenewFailure::keep;
        return AuthLog::lost(fsm->end(), state.accessor,
                             keep ? expiry_action() : "an orderly stop");
      }
      case Action::alarm_lost:
        return alarm("token.lost", AuthLog::loss(fsm->end()));
    }
  }

  std::string expiry_action() const {
    return AuthLog::expiry_action(config.on_renew_failure, fsm->relogin_allowed());
  }
  void log_failure(std::string_view event, const Error& error, Instant at) {
    state.trouble = error;
    log.failure(event, error, at);
  }
  void recovered() {
    state.trouble.reset();
    log.recovered();
  }
  void renewed(const vault::Auth& auth) {
    recovered();
    ++state.renewals;
    state.renewable = auth.renewable;
    AuthLog::renewed(auth, state.accessor);
  }

  // --- what others see -------------------------------------------------------------------------

  Phase phase() const {
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
  void publish() {
    state.phase = phase();
    state.expires = fsm->has_token() ? fsm->schedule().end() : std::nullopt;
    state.ttl = fsm->schedule().ttl();
    const Instant next = fsm->has_token() ? fsm->next_renewal() : fsm->next_login();
    state.next_at = next == Instant::max() ? std::nullopt : std::optional(next);
    if (fsm->has_token()) current.end = state.expires;
    if (!fsm->has_token() || fsm->schedule().ending()) state.renewable = false;
    changed.set();
  }

  // --- the token -------------------------------------------------------------------------------

  void adopt(vault::Auth auth) {
    recovered();
    state.method = config.method.type;
    state.mount = method->owns_token() ? mount_path(config.method) : "";
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
  void drop_token() {
    client.set_token(nullptr);
    current = {};
  }

  // --- from one run to the next ------------------------------------------------------------------

  // What tells one login from another, without its secrets: those may be replaced.
  std::string login_id() const {
    std::string text = config.method.type + '\n' + mount_path(config.method) + '\n' +
                       config.method.vault_namespace.value_or(client.session().vault_namespace());
    for (const std::string_view each : config.method.texts())
      text += '\n' + std::to_string(each.size()) + ':' + std::string(each);
    return sha256_hex(text);
  }

  void resume() {
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
    state.mount = mount_path(config.method);
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

  std::optional<lease::SavedToken> save() const {
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

  // --- what takes time -------------------------------------------------------------------------

  asio::awaitable<result<vault::Auth>> send_login(std::optional<Duration> limit) {
    struct InFlight {
      bool& flag;
      explicit InFlight(bool& f) : flag(f) { flag = true; }
      ~InFlight() { flag = false; }
    };
    const InFlight in_flight(login_in_flight);
    co_return co_await method->login(client, limit);
  }

  // A token of another identity than is wanted is of no use to anybody: revoked at once.
  asio::awaitable<result<>> identified(const vault::Auth& auth) {
    if (!config.verify_identity) co_return result<>{};
    auto good = verify_identity(*config.verify_identity, auth);
    if (good || !method->owns_token()) co_return good;
    std::vector<OwnToken> own;
    own.push_back({.token = auth.token, .batch = auth.type == "batch"});
    co_await revoke_all(client, std::move(own));
    co_return good;
  }

  asio::awaitable<void> log_in() {
    if (next_method) {
      method = std::move(next_method);
      fsm->configure(rules(), traits_of(*method));
    }
    const bool first = fsm->state() == State::logging_in;
    const auto limit = first ? time_until(fsm->start_deadline()) : std::nullopt;
    Outcome outcome;
    if (auto content = method->look(); !content) {
      outcome.error = last_error =
          std::move(content).error().within("login by " + config.method.type);
      co_return tell(Kind::unanswered, std::move(outcome));
    } else {
      outcome.sent = *content;
    }
    auto auth = co_await send_login(limit);
    Outcomes& outcomes = state.login_outcomes[config.method.type];
    if (auth) {
      if (auto good = co_await identified(*auth); !good) auth = std::unexpected(good.error());
    }
    if (auth) {
      ++outcomes.succeeded;
      outcome.asked = auth->asked;
      outcome.auth = *std::move(auth);
      co_return tell(Kind::granted, std::move(outcome));
    }
    outcome.error = last_error = std::move(auth).error().within("login by " + config.method.type);
    const auto kind = outcome.error->kind;
    // A server that answers 2xx without a token has answered, oddly (T12).
    const bool refused = (!is_outage(kind) && kind != ErrorKind::config) ||
                         outcome.error->reason == Reason::no_token_in_reply;
    ++(refused ? outcomes.refused : outcomes.unanswered);
    tell(refused ? Kind::refused : Kind::unanswered, std::move(outcome));
  }

  asio::awaitable<void> renew() {
    const auto now = Clock::now();
    const auto left = fsm->schedule().end().value_or(now) - now;
    Outcome outcome;
    auto auth =
        co_await client.renew_self(config.increment, std::max<Duration>(left / 3, kLeastAnswerTime),
                                   fsm->schedule().end() ? now + left / 2 : Instant::max());
    if (auth) {
      ++state.renewal_outcomes.succeeded;
      outcome.asked = auth->asked;
      outcome.auth = *std::move(auth);
      co_return tell(Kind::renewed, std::move(outcome));
    }
    outcome.error = last_error = std::move(auth).error();
    const bool away = is_outage(outcome.error->kind);
    ++(away ? state.renewal_outcomes.unanswered : state.renewal_outcomes.refused);
    if (away) co_return tell(Kind::renewal_unanswered, std::move(outcome));
    const bool denied = outcome.error->kind == ErrorKind::denied;
    if (denied) last_check.reset();  // what was found before this answer does not count
    tell(denied ? Kind::renewal_denied : Kind::renewal_refused, std::move(outcome));
  }

  asio::awaitable<void> verify() {
    Outcome outcome{.error = last_error};
    if (co_await token_is_good()) tell(Kind::token_good, std::move(outcome));
  }

  // Whether a 403 on lookup-self says anything about the token: it was looked up before, or its
  // policies allow it. One of the last run is given up at any doubt: a login costs less.
  bool may_look_itself_up() const {
    return !method->owns_token() || state.logins == 0 ||
           std::ranges::any_of(state.policies, [](const auto& policy) {
             return policy == "default" || policy == "root";
           });
  }

  asio::awaitable<bool> token_is_good() {
    const auto token = client.token();
    while (checking) co_await checked.wait(checked.generation());
    if (!token || client.token() != token) co_return false;
    if (last_check && Clock::now() - *last_check < kCheckInterval) co_return true;

    struct Checking {
      Impl& impl;
      explicit Checking(Impl& i) : impl(i) { impl.checking = true; }
      ~Checking() {
        impl.checking = false;
        impl.checked.set();
      }
    };
    const Checking in_flight(*this);
    last_check = Clock::now();
    const auto auth = co_await client.lookup_self(token);
    if (client.token() != token) co_return false;
    if (auth || auth.error().kind != ErrorKind::denied || !may_look_itself_up()) co_return true;
    tell(Kind::token_invalid);
    wake.set();
    co_return false;
  }

  // --- the loop --------------------------------------------------------------------------------

  asio::awaitable<void> wait() {
    const auto seen = wake.generation();
    const auto [until, watch] = fsm->wait();
    const auto now = Clock::now();
    if (watch > 0ms) {
      const auto content = content_now();
      if (content && fsm->is_news(*content, now)) co_return tell(Kind::new_credentials);
    }
    if (now >= until) co_return tell(Kind::due);
    // Nothing is late because of it.
    const bool tends = !next_method && (until == Instant::max() || until - now > kTending);
    const Instant tending = tends ? method->tend_at() : Instant::max();
    if (now >= tending) co_return co_await tend();
    co_await wake.wait(seen, std::min({until, tending, watch > 0ms ? now + watch : until}));
  }

  asio::awaitable<void> tend() {
    const std::string text = co_await method->tend();
    if (text.empty()) co_return;
    log::warn("credential.expiring", text);
    alarm("credential.expiring", text);
  }

  asio::awaitable<void> step() {
    switch (fsm->state()) {
      case State::renewing:
        return renew();
      case State::verifying:
        return verify();
      case State::logging_in:
      case State::replacing:
      case State::relogging:
      case State::adopting:
        return log_in();
      default:
        return wait();
    }
  }

  asio::awaitable<Error> run() {
    auto made = make_auth_method(config.method, cloud);
    if (!made) co_return std::move(made).error();
    method = *std::move(made);
    state.method = config.method.type;
    fsm.emplace(rules(), traits_of(*method), random.fraction(), Clock::now());
    struct Stop {
      Impl& impl;
      ~Stop() { (void)impl.fsm->handle({.kind = Kind::stop, .now = Clock::now()}); }
    };
    const Stop stop{*this};
    resume();
    LoopGuard guard(co_await asio::this_coro::executor, "auth");
    while (fsm->state() != State::ended) {
      guard.round();
      co_await step();
    }
    co_return final_error();
  }

  Error final_error() const {
    Error error = last_error.value_or(Error{ErrorKind::denied, "no login"});
    switch (fsm->end()) {
      case End::start_timeout:
        error.text += "; given up after outage.start_timeout";
        return error;
      case End::start_failed:
        if (method->compromised()) alarm("security.wrapping", error.text);
        if (!is_outage(error.kind) && error.kind != ErrorKind::config)
          error.kind = ErrorKind::denied;
        return error;
      default:
        return {ErrorKind::denied,
                AuthLog::loss(fsm->end()) +
                    (config.on_renew_failure == OnRenewFailure::relogin
                         ? "; logging in again is not possible with these credentials"
                         : "; there will be no other (auto_auth.on_renew_failure)")};
    }
  }

  result<> configure(config::AutoAuth section) {
    const bool same = section.method == config.method;
    if (!same) {
      auto made = make_auth_method(section.method, cloud);
      if (!made) return std::unexpected(std::move(made).error());
      if (fsm) next_method = *std::move(made);
    }
    config = std::move(section);
    if (!fsm) return {};
    fsm->configure(rules(), traits_of(next()));
    if (!same) tell(Kind::reconfigured);
    wake.set();
    return {};
  }

  asio::awaitable<void> revoke() {
    client.set_token(nullptr);
    auto own = std::exchange(superseded, {});
    own.insert(own.begin(), std::exchange(current, {}));
    if (!config.revoke_on_exit.value_or(true)) co_return;
    co_await revoke_all(client, std::move(own));
  }
};

AuthLoop::AuthLoop(vault::Client& client, config::AutoAuth config, StartRules rules,
                   Duration stop_margin, Random& random, Alarm alarm, CloudParts cloud)
    : impl_(new Impl{.client = client,
                     .config = std::move(config),
                     .start_rules = rules,
                     .stop_margin = stop_margin,
                     .random = random,
                     .alarm = std::move(alarm),
                     .cloud = std::move(cloud)}) {}
AuthLoop::~AuthLoop() = default;

asio::awaitable<Error> AuthLoop::run() {
  return impl_->run();
}
void AuthLoop::resume(lease::SavedToken saved) {
  impl_->saved = std::move(saved);
}
std::optional<lease::SavedToken> AuthLoop::save() const {
  return impl_->save();
}
result<> AuthLoop::configure(config::AutoAuth config) {
  return impl_->configure(std::move(config));
}
Event& AuthLoop::changed() {
  return impl_->changed;
}
const TokenState& AuthLoop::state() const {
  return impl_->state;
}
asio::awaitable<bool> AuthLoop::token_is_good() {
  return impl_->token_is_good();
}
asio::awaitable<void> AuthLoop::revoke() {
  return impl_->revoke();
}

}  // namespace keybearer::auth
