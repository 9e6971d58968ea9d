#include "auth/auth_loop.hpp"

#include <algorithm>
#include <utility>

#include "auth/auth_loop_impl.hpp"
#include "auth/identity.hpp"
#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "base/timer.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using config::OnRenewFailure;

constexpr Duration kCheckInterval = 10s;  // between two look-ups of the token
constexpr Duration kLeastAnswerTime = 250ms;
constexpr Duration kTending = 12s;  // may take as long as a public service's answer

std::optional<Duration> time_until(Instant at) {
  if (at == Instant::max()) return std::nullopt;
  return std::max<Duration>(at - Clock::now(), 1ms);
}

}  // namespace

asio::awaitable<result<vault::Auth>> AuthLoop::Impl::send_login(std::optional<Duration> limit) {
  struct InFlight {
    bool& flag;
    explicit InFlight(bool& f) : flag(f) { flag = true; }
    ~InFlight() { flag = false; }
  };
  const InFlight in_flight(login_in_flight);
  co_return co_await method->login(client, limit);
}

// A token of another identity than is wanted is of no use to anybody: revoked at once.
asio::awaitable<result<>> AuthLoop::Impl::identified(const vault::Auth& auth) {
  if (!settings.auto_auth.verify_identity) co_return result<>{};
  auto good = verify_identity(*settings.auto_auth.verify_identity, auth);
  if (good || !method->owns_token()) co_return good;
  std::vector<OwnToken> own;
  own.push_back({.token = auth.token, .batch = auth.type == "batch"});
  co_await revoke_all(client, std::move(own));
  co_return good;
}

asio::awaitable<void> AuthLoop::Impl::log_in() {
  if (next_method) {
    method = std::move(next_method);
    fsm->configure(rules(), traits_of(*method), Clock::now());
  }
  const bool first = fsm->state() == State::logging_in;
  const auto limit = first ? time_until(fsm->start_deadline()) : std::nullopt;
  Outcome outcome;
  if (auto content = method->look(); !content) {
    outcome.error = last_error =
        std::move(content).error().within("login by " + settings.auto_auth.method.type);
    co_return tell(Kind::unanswered, std::move(outcome));
  } else {
    outcome.sent = *content;
  }
  auto auth = co_await send_login(limit);
  Outcomes& outcomes = state.login_outcomes[settings.auto_auth.method.type];
  if (auth) {
    if (auto good = co_await identified(*auth); !good) auth = std::unexpected(good.error());
  }
  if (auth) {
    ++outcomes.succeeded;
    outcome.asked = auth->asked;
    outcome.auth = *std::move(auth);
    co_return tell(Kind::granted, std::move(outcome));
  }
  outcome.error = last_error =
      std::move(auth).error().within("login by " + settings.auto_auth.method.type);
  const auto kind = outcome.error->kind;
  // A server that answers 2xx without a token has answered, oddly (T12).
  const bool refused = (!is_outage(kind) && kind != ErrorKind::config) ||
                       outcome.error->reason == Reason::no_token_in_reply;
  ++(refused ? outcomes.refused : outcomes.unanswered);
  tell(refused ? Kind::refused : Kind::unanswered, std::move(outcome));
}

asio::awaitable<void> AuthLoop::Impl::renew() {
  const auto now = Clock::now();
  const auto left = fsm->schedule().end().value_or(now) - now;
  Outcome outcome;
  auto auth = co_await client.renew_self(settings.auto_auth.increment,
                                         std::max<Duration>(left / 3, kLeastAnswerTime),
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

asio::awaitable<void> AuthLoop::Impl::verify() {
  Outcome outcome{.error = last_error};
  if (co_await token_is_good()) tell(Kind::token_good, std::move(outcome));
}

// Whether a 403 on lookup-self says anything about the token: it was looked up before, or its
// policies allow it. One of the last run is given up at any doubt: a login costs less.
bool AuthLoop::Impl::may_look_itself_up() const {
  return !method->owns_token() || state.logins == 0 ||
         std::ranges::any_of(state.policies, [](const auto& policy) {
           return policy == "default" || policy == "root";
         });
}

asio::awaitable<bool> AuthLoop::Impl::token_is_good() {
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

asio::awaitable<void> AuthLoop::Impl::wait() {
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

asio::awaitable<void> AuthLoop::Impl::tend() {
  const std::string text = co_await method->tend();
  if (text.empty()) co_return;
  log::warn("credential.expiring", text);
  alarm("credential.expiring", text);
}

asio::awaitable<void> AuthLoop::Impl::step() {
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

asio::awaitable<Error> AuthLoop::Impl::run() {
  auto made = make_auth_method(settings.auto_auth.method, cloud);
  if (!made) co_return std::move(made).error();
  method = *std::move(made);
  state.method = settings.auto_auth.method.type;
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

Error AuthLoop::Impl::final_error() const {
  Error error = last_error.value_or(Error{ErrorKind::denied, "no login"});
  switch (fsm->end()) {
    case End::start_timeout:
      error.text += "; given up after outage.start_timeout";
      return error;
    case End::start_failed:
      if (method->compromised()) alarm("security.wrapping", error.text);
      if (!is_outage(error.kind) && error.kind != ErrorKind::config) error.kind = ErrorKind::denied;
      return error;
    default:
      return {ErrorKind::denied,
              AuthLog::loss(fsm->end()) +
                  (settings.auto_auth.on_renew_failure == OnRenewFailure::relogin
                       ? "; logging in again is not possible with these credentials"
                       : "; there will be no other (auto_auth.on_renew_failure)")};
  }
}

result<> AuthLoop::Impl::configure(Settings next_settings) {
  const bool same = next_settings.auto_auth.method == settings.auto_auth.method;
  if (!same) {
    auto made = make_auth_method(next_settings.auto_auth.method, cloud);
    if (!made) return std::unexpected(std::move(made).error());
    if (fsm) next_method = *std::move(made);
  }
  settings = std::move(next_settings);
  if (!fsm) return {};
  fsm->configure(rules(), traits_of(next()), Clock::now());
  if (!same) tell(Kind::reconfigured);
  wake.set();
  return {};
}

asio::awaitable<void> AuthLoop::Impl::revoke() {
  client.set_token(nullptr);
  auto own = std::exchange(superseded, {});
  own.insert(own.begin(), std::exchange(current, {}));
  if (!settings.auto_auth.revoke_on_exit.value_or(true)) co_return;
  co_await revoke_all(client, std::move(own));
}

AuthLoop::AuthLoop(vault::Client& client, Settings settings, Random& random, Alarm alarm,
                   CloudParts cloud)
    : impl_(new Impl{.client = client,
                     .settings = std::move(settings),
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
result<> AuthLoop::configure(Settings settings) {
  return impl_->configure(std::move(settings));
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
