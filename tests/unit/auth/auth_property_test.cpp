// Random scripts of faults, tokens and credential files over virtual hours, against the machine that
// decides (auth_fsm): whatever happens, no minute has more requests than promised, no refused
// content goes out again, no loop spins, and a stop is obeyed at each point.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>

#include "auth/auth_fsm.hpp"

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;
using config::OnRenewFailure;
using Kind = AuthEvent::Kind;

constexpr Instant t0{1000h};
constexpr int kScripts = 4000;
constexpr Duration kScript = 3h;
constexpr Duration kHealthy = 30min;  // at the end of each script the server is well
constexpr int kPromised = 150;        // requests in a minute; vault.budget allows 600
constexpr int kMostSpins = 20;        // turns of the loop at one time

class Dice {
 public:
  explicit Dice(std::uint32_t seed) : state_(seed * 2654435761u + 1) {}
  std::uint32_t below(std::uint32_t n) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_ % n;
  }
  bool one_in(std::uint32_t n) { return below(n) == 0; }
  double fraction() { return below(1'000'000) / 1e6; }
  template <class T, std::size_t n>
  T of(const T (&values)[n]) {
    return values[below(n)];
  }

 private:
  std::uint32_t state_;
};

enum class Fault { none, timeout, reset, throttled, sealed, broken, forbidden, refused, empty };
constexpr Fault kFaults[] = {Fault::none,      Fault::none,   Fault::none,      Fault::none,
                             Fault::none,      Fault::none,   Fault::timeout,   Fault::reset,
                             Fault::throttled, Fault::sealed, Fault::broken,    Fault::empty,
                             Fault::timeout,   Fault::reset,  Fault::forbidden, Fault::refused};
constexpr Duration kTtls[] = {0s, 1s, 2s, 5s, 12s, 30s, 60s, 10min, 1h, 24h, 24h * 32};

// A server, a credential file and a token's life, as a script has them.
struct World {
  Dice dice;
  AuthRules rules;
  MethodTraits traits;
  Instant now = t0;
  Fault fault = Fault::none;
  std::optional<Duration> retry_after = {};
  Instant fault_ends = t0;
  ContentId content = 1, last_content = 1;
  bool readable = true;
  std::map<ContentId, bool> accepted = {};  // by the server
  Instant next_change = t0;
  Duration ttl = 1h, max_ttl = 24h;
  bool renewable = true, alive = false;
  Instant token_ends = Instant::max(), token_made = t0;
  int uses = 0;

  // What was asked for.
  std::deque<Instant> minute;
  int requests = 0, most = 0;
  std::map<ContentId, Instant> refused_at = {};
  Instant last_login = t0 - 1h;
  bool last_login_failed = false;

  explicit World(std::uint32_t seed) : dice(seed) {
    constexpr OnRenewFailure kRules[] = {OnRenewFailure::relogin, OnRenewFailure::relogin,
                                         OnRenewFailure::relogin, OnRenewFailure::exit,
                                         OnRenewFailure::keep};
    rules = {.on_renew_failure = dice.of(kRules),
             .backoff = {.min = 1s, .max = 5min},
             .start = {.outage = {}, .start_grace = 15s},
             .stop_margin = 5s};
    const bool owns = !dice.one_in(4);
    traits = {.owns_token = owns,
              .watches_credentials = !owns,
              .refusal_is_final = !dice.one_in(4),
              .changeable = !dice.one_in(5)};
    next_token();
    accepted[1] = !dice.one_in(20);
    fault_ends = t0 + Duration(dice.below(600'000));
  }
  void next_token() {
    ttl = dice.of(kTtls);
    max_ttl = ttl * (1 + dice.below(20));
    renewable = ttl > 0s && !dice.one_in(4);
    uses = dice.one_in(6) ? 1 + static_cast<int>(dice.below(5)) : 0;
  }
  bool well() const { return now >= t0 + kScript; }

  // Everything that happens by itself until now.
  void pass() {
    if (well()) {
      fault = Fault::none;
      readable = true;
      accepted[content] = true;
      ttl = std::max<Duration>(ttl, 60s);
    } else if (now >= fault_ends) {
      fault = dice.of(kFaults);
      retry_after =
          dice.one_in(3) ? std::optional<Duration>(dice.of({10s, 60s, 3600s})) : std::nullopt;
      fault_ends = now + Duration(dice.below(600'000));
    }
    if (now >= next_change && !well()) {
      next_change = now + Duration(dice.below(900'000));
      if (traits.changeable) {
        const auto what = dice.below(6);
        if (what <= 1) accepted[content = ++last_content] = !dice.one_in(3);  // replaced
        if (what == 2) readable = !readable;
        if (what == 3 && last_content > 1)
          content = 1 + dice.below(static_cast<std::uint32_t>(last_content));  // an old one
        // else: touched, or rewritten with the same content
      }
      if (dice.one_in(3)) alive = false;  // revoked by somebody
      next_token();
    }
    if (now >= token_ends) alive = false;
  }
  std::optional<ContentId> look() const {
    return readable || content != 0 ? std::optional(content) : std::nullopt;
  }

  void count() {
    minute.push_back(now);
    while (minute.front() <= now - 60s) minute.pop_front();
    most = std::max(most, static_cast<int>(minute.size()));
    ++requests;
  }
  // What each fault makes of a request: nothing for none.
  std::optional<Kind> failed(bool login) {
    now += fault == Fault::timeout ? Duration(3s) : Duration(1 + dice.below(50));
    switch (fault) {
      case Fault::none:
        return std::nullopt;
      case Fault::forbidden:
        return login ? Kind::refused : Kind::renewal_denied;
      case Fault::refused:
      case Fault::empty:
        return login && fault == Fault::empty ? Kind::unanswered
               : login                        ? Kind::refused
                                              : Kind::renewal_refused;
      default:
        return login ? Kind::unanswered : Kind::renewal_unanswered;
    }
  }
};

struct Run {
  World world;
  AuthFsm fsm;
  Instant previous_next = {}, next_check = t0;
  std::vector<std::string> wrong = {};

  explicit Run(std::uint32_t seed)
      : world(seed), fsm(world.rules, world.traits, world.dice.fraction(), t0) {}

  void tell(AuthEvent event) {
    event.now = world.now;
    event.random = world.dice.fraction();
    event.content = world.look();
    event.reusable = world.traits.owns_token;
    if (world.fault == Fault::throttled || world.fault == Fault::sealed)
      event.retry_after = world.retry_after;
    (void)fsm.handle(event);
    if (fsm.next_login() < previous_next) wrong.emplace_back("the next login moved back");
    previous_next = fsm.next_login();
  }

  void log_in() {
    const ContentId sent = *world.look();
    const Instant asked = world.now;
    if (world.last_login_failed && asked - world.last_login < 500ms)
      wrong.emplace_back("a login without back-off");
    const bool starting = fsm.state() == State::logging_in;
    if (!starting && world.traits.refusal_is_final && world.refused_at.contains(sent))
      wrong.emplace_back("a content that was refused goes out again");
    world.count();
    auto failure = world.failed(true);
    if (!failure && !world.accepted[sent]) failure = Kind::refused;
    world.last_login = asked;
    world.last_login_failed = failure.has_value();
    AuthEvent event{.kind = failure.value_or(Kind::granted), .now = world.now, .asked = asked};
    event.sent = sent;
    if (failure == Kind::refused) {
      world.refused_at[sent] = asked;
      if (world.refused_at.size() > 60) world.refused_at.clear();
    }
    if (!failure) {
      world.refused_at.erase(sent);
      world.alive = true;
      world.token_made = asked;
      world.token_ends = world.ttl == 0s ? Instant::max() : asked + world.ttl;
      event.grant = {.ttl = world.ttl, .renewable = world.renewable, .num_uses = world.uses};
    }
    tell(event);
  }
  void renew() {
    const Instant asked = world.now;
    world.count();
    auto failure = world.failed(false);
    if (!failure && (!world.alive || world.now >= world.token_ends)) failure = Kind::renewal_denied;
    AuthEvent event{.kind = failure.value_or(Kind::renewed), .now = world.now, .asked = asked};
    if (!failure) {
      const auto left = world.token_made + world.max_ttl - asked;
      const auto granted =
          std::chrono::floor<std::chrono::seconds>(std::clamp<Duration>(left, 0s, world.ttl));
      world.token_ends = asked + granted;
      event.grant = {.ttl = granted, .renewable = world.renewable};
    }
    tell(event);
  }
  void verify() {
    world.count();
    const auto failure = world.failed(true);
    const bool gone = failure == Kind::refused || (!failure && !world.alive);
    tell({.kind = gone ? Kind::token_invalid : Kind::token_good, .now = world.now});
  }
  void wait() {
    const auto [until, watch] = fsm.wait();
    const auto content = world.look();
    if (watch > 0ms && content && fsm.is_news(*content, world.now))
      return tell({.kind = Kind::new_credentials, .now = world.now});
    if (world.now >= until) return tell({.kind = Kind::due, .now = world.now});
    const auto script =
        world.well() ? Instant::max() : std::max(world.next_change, world.now + 1ms);
    world.now = std::min(
        {until, watch > 0ms ? world.now + watch : Instant::max(), script, world.now + 10min});
  }
  void turn() {
    world.pass();
    switch (fsm.state()) {
      case State::logging_in:
      case State::replacing:
      case State::relogging:
      case State::adopting:
        return log_in();
      case State::renewing:
        return renew();
      case State::verifying:
        return verify();
      default:
        // Somebody's read is denied now and then, and asks whether the token is good.
        if (fsm.has_token() && !world.alive && world.now >= next_check && world.dice.one_in(3)) {
          next_check = world.now + 10s;
          return verify();
        }
        return wait();
    }
  }

  void play(std::optional<int> stop_at) {
    int spins = 0;
    Instant before = world.now;
    for (int turns = 0; world.now < t0 + kScript + kHealthy; ++turns) {
      if (fsm.state() == State::ended || !wrong.empty()) break;
      if (stop_at == turns) {
        tell({.kind = Kind::stop, .now = world.now});
        if (fsm.state() != State::ended) wrong.emplace_back("a stop is not obeyed");
        const int asked = world.requests;
        turn();
        if (world.requests != asked) wrong.emplace_back("a request after the stop");
        return;
      }
      turn();
      spins = world.now == before ? spins + 1 : 0;
      before = world.now;
      if (spins > kMostSpins) wrong.emplace_back("the loop spins");
    }
    if (world.most > kPromised) wrong.emplace_back("too many requests in a minute");
    const bool over = fsm.state() == State::ended || fsm.state() == State::lost;
    if (wrong.empty() && !over && !fsm.has_token())
      wrong.emplace_back("no token, although all is well for half an hour");
  }
};

TEST_CASE("random faults, tokens and files: bounded requests, no content twice, no spin, stop") {
  int most = 0, ended = 0;
  Duration time{};
  for (std::uint32_t script = 1; script <= kScripts; ++script) {
    Run run(script);
    Dice dice(script + 77);
    run.play(dice.one_in(4) ? std::optional<int>(dice.below(400)) : std::nullopt);
    CAPTURE(script);
    CHECK_MESSAGE(run.wrong.empty(), (run.wrong.empty() ? "" : run.wrong.front()));
    most = std::max(most, run.world.most);
    time += run.world.now - t0;
    ended += run.fsm.state() == State::ended ? 1 : 0;
  }
  CHECK(ended < kScripts * 9 / 10);  // not all end early
  std::printf("auth: %d scripts, %lld virtual minutes, at most %d requests in a minute\n", kScripts,
              static_cast<long long>(time / 1min), most);
}

}  // namespace
}  // namespace keybearer::auth
