#include "auth/auth_loop.hpp"

#include <algorithm>
#include <utility>

#include "auth/login.hpp"
#include "auth/token_schedule.hpp"
#include "base/log.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using config::OnRenewFailure;
using Do = TokenStep::Do;
using Phase = TokenState::Phase;

constexpr int kFirstLoginTries = 3;       // servers lock a role after 5 wrong logins
constexpr Duration kCheckInterval = 10s;  // between two look-ups of the token
constexpr Duration kWatchInterval = 10s;  // of the credentials' files, when only new ones can help
constexpr Duration kLeastAnswerTime = 250ms;

std::string text_of(Duration time) {
  return std::to_string(std::chrono::round<std::chrono::seconds>(time).count()) + "s";
}

std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const auto& item : items) out.append(out.empty() ? "" : ",").append(item);
  return out;
}

std::optional<Duration> time_until(Instant at) {
  if (at == Instant::max()) return std::nullopt;
  return std::max<Duration>(at - Clock::now(), 1ms);
}

Grant grant_of(const vault::Auth& auth) {
  return {.ttl = auth.ttl, .renewable = auth.renewable, .num_uses = auth.num_uses};
}

// Answered no. A missing or unreadable file may come back, and a server may answer again.
bool is_refusal(const Error& error) {
  return !is_outage(error.kind) && error.kind != ErrorKind::config;
}

asio::awaitable<void> revoke_one(vault::Client& client, vault::Token token) {
  const auto revoked = co_await client.revoke_self(std::move(token));
  if (revoked) {
    log::info("token.revoked", "token revoked");
  } else {
    log::warn("token.not_revoked",
              revoked.error().text + ": the token lives on until its TTL ends");
  }
}

}  // namespace

struct AuthLoop::Impl {
  vault::Client& client;
  const config::AutoAuth& config;
  const StartRules rules;
  const Duration stop_margin;
  Random& random;
  const Alarm alarm;

  std::unique_ptr<Login> login = {};
  TokenState state = {};
  Event changed = {};

  TokenSchedule schedule{{}};
  const double early = random.fraction();
  bool gone = false;  // the token is known not to work any more
  Event wake = {};    // set when that is found
  std::vector<std::pair<vault::Token, std::optional<Instant>>> replaced =
      {};  // ours, and their ends

  const BackoffBounds bounds{.min = config.min_backoff, .max = config.max_backoff};
  Backoff after_failure{bounds};  // between logins that fail
  Backoff after_loss{bounds};     // between logins whose tokens are lost before they served
  Instant next_login{};
  bool refused = false;  // the credentials that were sent last: not to be sent again
  bool untried = false;  // a new token that was found in its file, when no answer came
  std::optional<ErrorKind> trouble = {};  // that the log has been told of

  bool checking = false;  // a lookup-self is in flight
  Event checked = {};
  std::optional<Instant> last_check = {};

  // --- what others see -------------------------------------------------------------------------

  void enter(Phase phase) {
    state.phase = phase;
    changed.set();
  }

  // One line when the reason changes, not one for each try.
  void log_trouble(std::string_view event, const Error& error, Instant next) {
    state.trouble = error;
    const auto level = trouble == error.kind ? log::Level::debug : log::Level::warn;
    trouble = error.kind;
    const auto wait = std::max(next - Clock::now(), 0ms);
    log::write(level, event, error.text,
               {{"next", "a try in " + std::to_string(wait.count()) + "ms"}});
  }
  void end_trouble() {
    if (trouble) log::info("auth.recovered", "the server answers again");
    trouble.reset();
    state.trouble.reset();
  }

  // What becomes of us when the token ends.
  std::string fate() const {
    if (config.on_renew_failure == OnRenewFailure::keep) return "the values in force are kept";
    return relogin_allowed() ? "an orderly stop, unless new credentials come before"
                             : "an orderly stop";
  }

  void log_login(const vault::Auth& auth) const {
    log::info("auth.login", "logged in",
              {{"method", state.method},
               {"mount", state.mount},
               {"accessor", auth.accessor},
               {"ttl", auth.ttl == 0s ? "unlimited" : text_of(auth.ttl)},
               {"policies", joined(auth.policies)}});
    if (auth.num_uses == 0) return;
    log::warn("token.limited", "the token can be used only a limited number of times",
              {{"uses", std::to_string(auth.num_uses)}});
  }

  // --- a token's life --------------------------------------------------------------------------

  bool relogin_allowed() const {
    return config.on_renew_failure == OnRenewFailure::relogin || !login->owns_token();
  }
  bool may_login() const {
    return relogin_allowed() &&
           (login->credentials_changed() || (login->can_login_again() && !refused));
  }

  TokenStep begin_token(vault::Auth auth) {
    const auto now = Clock::now();
    log_login(auth);
    std::erase_if(replaced, [&](const auto& old) { return old.second && *old.second <= now; });
    if (client.token() && login->owns_token())
      replaced.emplace_back(client.token(), schedule.end());
    const auto grant = grant_of(auth);
    client.set_token(std::move(auth.token));
    gone = refused = false;
    last_check.reset();
    state.accessor = std::move(auth.accessor);
    state.entity_id = std::move(auth.entity_id);
    state.policies = std::move(auth.policies);
    state.limited = auth.num_uses > 0;
    ++state.logins;
    ++state.token_number;
    schedule = TokenSchedule(
        {.renew_at = config.renew_at,
         .min_remaining = config.min_remaining,
         .increment = config.increment,
         .relogin = config.on_renew_failure == OnRenewFailure::relogin && login->can_login_again(),
         .stop_margin = config.on_renew_failure == OnRenewFailure::keep ? 0ms : stop_margin},
        early);
    state.phase = Phase::valid;
    return follow(schedule.logged_in(grant, now), grant.renewable);
  }

  // Makes the schedule's view of the token everybody's.
  TokenStep follow(TokenStep step, bool renewable) {
    state.renewable = renewable;
    state.expires = schedule.end();
    const bool news = schedule.ending() && state.phase != Phase::ending;
    enter(schedule.ending() ? Phase::ending : Phase::valid);
    if (news && step.what == Do::give_up) {
      const auto left = schedule.end().value_or(Clock::now()) - Clock::now();
      log::warn("token.ending", "the token can't be renewed any further",
                {{"ttl", text_of(left)}, {"next", fate()}});
    }
    return step;
  }

  void drop_token() {
    client.set_token(nullptr);
    gone = true;
    state.expires.reset();
    state.renewable = false;
    enter(Phase::logging_in);
  }

  // --- logging in ------------------------------------------------------------------------------

  asio::awaitable<result<vault::Auth>> try_login(Instant deadline) {
    auto auth = co_await login->login(client, time_until(deadline));
    if (auth) {
      end_trouble();
      after_failure.reset();
      next_login = Clock::now() + after_loss.next(random.fraction());
      co_return auth;
    }
    Error error = std::move(auth).error().within("login by " + state.method);
    next_login = Clock::now() + after_failure.next(random.fraction(), error.retry_after);
    co_return std::unexpected(std::move(error));
  }

  struct Start {
    Instant began = Clock::now();
    Instant deadline = Instant::max();
    int failures = 0;
    int refusals = 0;
  };

  // Whether a first login that failed is not to be tried again.
  bool is_over(Start& start, const Error& error) const {
    if (error.kind == ErrorKind::config || login->compromised()) return true;
    ++start.failures;
    const bool out_of_grace = next_login - start.began > rules.start_grace;
    if (!is_refusal(error)) {
      return rules.outage.on_start == config::Outage::OnStart::fail ||
             (rules.once && start.failures > rules.num_retries);
    }
    return ++start.refusals >= kFirstLoginTries || out_of_grace || rules.once ||
           config.exit_on_err || !(login->can_login_again() || login->credentials_changed());
  }

  asio::awaitable<std::expected<TokenStep, Error>> first_login() {
    Start start;
    if (rules.outage.start_timeout) start.deadline = start.began + *rules.outage.start_timeout;
    for (;;) {
      auto auth = co_await try_login(start.deadline);
      if (auth) co_return begin_token(*std::move(auth));
      Error error = std::move(auth).error();
      if (is_over(start, error)) co_return std::unexpected(final_error(std::move(error)));
      log_trouble("auth.failed", error, next_login);
      co_await sleep_until(std::min(next_login, start.deadline));
      if (Clock::now() >= start.deadline) {
        error.text += "; given up after outage.start_timeout";
        co_return std::unexpected(std::move(error));
      }
    }
  }

  Error final_error(Error error) const {
    if (login->compromised()) alarm("security.wrapping", error.text);
    if (is_refusal(error)) error.kind = ErrorKind::denied;
    return error;
  }

  // Fetches a new token while the old one may still be good. nullopt: refused for good.
  asio::awaitable<std::optional<TokenStep>> login_again() {
    for (;;) {
      co_await sleep_until_login();
      auto auth = co_await try_login(Instant::max());
      if (auth) co_return begin_token(*std::move(auth));
      const Error& error = auth.error();
      if (is_refusal(error)) {
        refused = true;
        log::error("auth.refused", error.text, {{"next", fate()}});
        alarm(login->compromised() ? "security.wrapping" : "login.refused", error.text);
        co_return std::nullopt;
      }
      log_trouble("auth.failed", error, next_login);
    }
  }

  // Until next_login; on the way the old token may come to its end.
  asio::awaitable<void> sleep_until_login() {
    const auto end = schedule.end();
    if (client.token() && end && *end < next_login) {
      co_await sleep_until(*end);
      drop_token();
    }
    co_await sleep_until(next_login);
  }

  // --- renewing and checking -------------------------------------------------------------------

  asio::awaitable<TokenStep> renew() {
    const auto now = Clock::now();
    const auto left = schedule.end().value_or(now) - now;
    auto auth =
        co_await client.renew_self(config.increment, std::max<Duration>(left / 3, kLeastAnswerTime),
                                   schedule.end() ? now + left / 2 : Instant::max());
    if (auth) {
      end_trouble();
      ++state.renewals;
      log::debug("token.renewed", "token renewed",
                 {{"ttl", text_of(auth->ttl)}, {"accessor", state.accessor}});
      co_return follow(schedule.renewed(grant_of(*auth), Clock::now()), auth->renewable);
    }
    const Error& error = auth.error();
    if (is_outage(error.kind)) {
      const auto step = schedule.failed(Clock::now(), random.fraction(), error.retry_after);
      log_trouble("token.renewal_failed", error, step.at);
      co_return follow(step, state.renewable);
    }
    if (error.kind == ErrorKind::denied) {
      last_check.reset();  // what was found before this answer does not count
      if (!co_await token_is_good()) co_return TokenStep{Do::rest, Instant::max()};
    }
    log::info("token.renewal_refused", error.text, {{"accessor", state.accessor}});
    co_return follow(schedule.refused(Clock::now()), false);
  }

  // Whether a 403 on lookup-self says anything about the token: it was looked up before, or its
  // policies allow it.
  bool may_look_itself_up() const {
    return !login->owns_token() || std::ranges::any_of(state.policies, [](const auto& policy) {
      return policy == "default" || policy == "root";
    });
  }

  asio::awaitable<bool> token_is_good() {
    const auto token = client.token();
    while (checking) co_await checked.wait(checked.generation());
    if (!token || gone || client.token() != token) co_return false;
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
    if (auth || auth.error().kind != ErrorKind::denied || !may_look_itself_up()) {
      co_return true;
    }
    gone = true;
    wake.set();
    co_return false;
  }

  // --- the loop --------------------------------------------------------------------------------

  enum class Woken { in_time, token_gone, new_credentials };

  // Waits for the step's time. New credentials end the wait when nothing but the token's end is
  // ahead, or when they are watched.
  asio::awaitable<Woken> wait_for(TokenStep step) {
    const bool last = step.what == Do::give_up && relogin_allowed();
    const bool watch = last || login->watched();
    for (;;) {
      const auto seen = wake.generation();
      if (gone) co_return Woken::token_gone;
      const auto now = Clock::now();
      if (watch && (login->credentials_changed() || (untried && now >= next_login)))
        co_return Woken::new_credentials;
      if (now >= step.at) co_return Woken::in_time;
      co_await wake.wait(seen, watch ? std::min(step.at, now + kWatchInterval) : step.at);
    }
  }

  // The new token of a watched file, while the old one is good: that one stays when it is none.
  asio::awaitable<std::optional<TokenStep>> take_token() {
    auto auth = co_await try_login(Instant::max());
    untried = !auth && is_outage(auth.error().kind);
    if (auth) co_return begin_token(*std::move(auth));
    if (untried) {
      log_trouble("auth.failed", auth.error(), next_login);
    } else {
      log::error("auth.refused", auth.error().text, {{"next", "the token in use stays"}});
      alarm("login.refused", auth.error().text);
    }
    co_return std::nullopt;
  }

  asio::awaitable<TokenStep> perform(TokenStep step) {
    if (step.what == Do::renew) co_return co_await renew();
    const auto next = co_await login_again();
    if (next) co_return *next;
    if (gone) co_return TokenStep{Do::give_up, Clock::now()};
    co_return follow(schedule.login_refused(Clock::now()), false);
  }

  // The token has gone or is about to, and there will be no other.
  asio::awaitable<Error> give_up() {
    const bool keep = config.on_renew_failure == OnRenewFailure::keep;
    const std::string reason = gone
                                   ? "the token is not valid any more (revoked, expired or used up)"
                                   : "the token ends and can't be renewed";
    log::error("token.lost", reason,
               {{"accessor", state.accessor}, {"next", keep ? fate() : "an orderly stop"}});
    if (gone || keep) {
      drop_token();
      enter(Phase::lost);
    }
    alarm("token.lost", reason);
    if (keep) co_await sleep_until(Instant::max());
    const char* why = config.on_renew_failure == OnRenewFailure::relogin
                          ? "; logging in again is not possible with these credentials"
                          : "; there will be no other (auto_auth.on_renew_failure)";
    co_return Error{ErrorKind::denied, reason + why};
  }

  asio::awaitable<Error> run() {
    auto made = make_auth_method(config.method);
    if (!made) co_return std::move(made).error();
    login = *std::move(made);
    state.method = config.method.type;
    if (login->owns_token()) state.mount = mount_path(config.method);

    const auto first = co_await first_login();
    if (!first) co_return first.error();
    TokenStep step = *first;
    for (;;) {
      const auto woken = co_await wait_for(step);
      if (woken == Woken::new_credentials && step.what == Do::renew) {
        if (const auto taken = co_await take_token()) step = *taken;
        continue;
      }
      if (woken != Woken::in_time)
        step = {gone && !may_login() ? Do::give_up : Do::login, Clock::now()};
      if (step.what == Do::give_up) co_return co_await give_up();
      if (gone) {
        log::warn("token.gone", "the token is not valid any more (revoked, expired or used up)",
                  {{"accessor", state.accessor}, {"next", "a new login"}});
        drop_token();
      } else {
        after_loss.reset();  // it served its time
        next_login = Clock::now();
      }
      step = co_await perform(step);
    }
  }
};

AuthLoop::AuthLoop(vault::Client& client, const config::AutoAuth& config, StartRules rules,
                   Duration stop_margin, Random& random, Alarm alarm)
    : impl_(new Impl{.client = client,
                     .config = config,
                     .rules = rules,
                     .stop_margin = stop_margin,
                     .random = random,
                     .alarm = std::move(alarm)}) {}
AuthLoop::~AuthLoop() = default;

asio::awaitable<Error> AuthLoop::run() {
  return impl_->run();
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
  auto current = impl_->client.token();
  impl_->client.set_token(nullptr);
  const auto& login = impl_->login;
  if (!login || !login->owns_token() || !impl_->config.revoke_on_exit.value_or(true)) co_return;
  TaskGroup group(co_await asio::this_coro::executor);
  if (current) group.spawn(revoke_one(impl_->client, std::move(current)));
  for (auto& [token, end] : std::exchange(impl_->replaced, {})) {
    if (!end || *end > Clock::now()) group.spawn(revoke_one(impl_->client, std::move(token)));
  }
  co_await group.join();
}

}  // namespace keybearer::auth
