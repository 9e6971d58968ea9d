#include "auth/auth_fsm.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;
using config::OnRenewFailure;
using Kind = AuthEvent::Kind;

constexpr Instant t0{1000h};
constexpr lease::Grant kMinute{.ttl = 60s, .renewable = true};

constexpr const char* kStateNames[] = {"starting",  "logging_in", "holding", "renewing",
                                       "verifying", "adopting",   "ending",  "replacing",
                                       "without",   "relogging",  "lost",    "ended"};
constexpr Kind kAll[] = {Kind::due,
                         Kind::new_credentials,
                         Kind::granted,
                         Kind::refused,
                         Kind::unanswered,
                         Kind::renewed,
                         Kind::renewal_refused,
                         Kind::renewal_denied,
                         Kind::renewal_unanswered,
                         Kind::token_good,
                         Kind::token_invalid,
                         Kind::reconfigured,
                         Kind::stop,
                         Kind::resumed};
static_assert(std::size(kStateNames) == kStates && std::size(kAll) == kAuthEvents);

std::string name(State state) {
  return kStateNames[static_cast<std::size_t>(state)];
}

// A machine and the time it lives in. Content 1 is what a login sends, unless told otherwise.
struct Machine {
  AuthFsm fsm;
  Instant now = t0;
  ContentId content = 1;
  bool reusable = true;
  std::vector<Action> said;

  explicit Machine(AuthRules rules = {}, MethodTraits traits = {.changeable = true})
      : fsm((rules.start.start_grace = 15s, rules.backoff = {.min = 1s, .max = 5min}, rules),
            traits, 0, t0) {}

  State tell(Kind kind, lease::Grant grant = kMinute) {
    said = fsm.handle({.kind = kind,
                       .now = now,
                       .asked = now,
                       .grant = grant,
                       .sent = content,
                       .content = content,
                       .reusable = reusable,
                       .saved = lease::TokenSchedule::Saved{
                           .end = now + 60s, .ttl = 60s, .max_granted = 60s, .due = now + 48s}});
    return fsm.state();
  }
  // The wait is over.
  State due() {
    now = std::max(now, fsm.wait().until);
    return tell(Kind::due);
  }
  Machine& reach(State state) {
    using enum State;
    if (state == starting) return *this;
    due();
    if (state == logging_in) return *this;
    tell(Kind::granted);
    if (state == holding) return *this;
    if (state == adopting) {
      content = 2;
      now += 10s;
      tell(Kind::new_credentials);
    } else if (state == without_token || state == relogging || state == lost) {
      tell(Kind::token_invalid);
      if (state == relogging) due();
    } else if (state == ended) {
      tell(Kind::stop);
    } else {
      due();
      if (state == verifying) tell(Kind::renewal_denied);
      if (state == ending || state == replacing) tell(Kind::renewal_refused);
      if (state == replacing) due();
    }
    REQUIRE(name(fsm.state()) == name(state));
    return *this;
  }
};

// Rows: states; columns: what each event leads to, in the order of AuthEvent::Kind, at the time
// when the wait of the state is over. A dot: nothing happens.
TEST_CASE("states x events: no cell is empty") {
  const char* rows[kStates][kAuthEvents] = {
      {"logging_in", ".", ".", ".", ".", ".", ".", ".", ".", ".", ".", ".", "ended", "holding"},
      {".", ".", "holding", "starting", "starting", ".", ".", ".", ".", ".", ".", ".", "ended",
       "."},
      {"renewing", "adopting", ".", ".", ".", ".", ".", ".", ".", ".", "without", "adopting",
       "ended", "."},
      {".", ".", ".", ".", ".", "holding", "ending", "verifying", "holding", ".", "without", ".",
       "ended", "."},
      {".", ".", ".", ".", ".", ".", ".", ".", ".", "ending", "without", ".", "ended", "."},
      {".", ".", "holding", "holding", "holding", ".", ".", ".", ".", ".", "relogging", ".",
       "ended", "."},
      {"replacing", "replacing", ".", ".", ".", ".", ".", ".", ".", ".", "without", "replacing",
       "ended", "."},
      {".", ".", "holding", "ending", "ending", ".", ".", ".", ".", ".", "relogging", ".", "ended",
       "."},
      {"relogging", "relogging", ".", ".", ".", ".", ".", ".", ".", ".", ".", ".", "ended", "."},
      {".", ".", "holding", "ended", "without", ".", ".", ".", ".", ".", ".", ".", "ended", "."},
      {".", "without", ".", ".", ".", ".", ".", ".", ".", ".", ".", "without", "ended", "."},
      {".", ".", ".", ".", ".", ".", ".", ".", ".", ".", ".", ".", "ended", "."},
  };
  for (int state = 0; state < kStates; ++state) {
    for (const Kind kind : kAll) {
      const bool lost = static_cast<State>(state) == State::lost;
      Machine machine({.on_renew_failure = lost ? OnRenewFailure::keep : OnRenewFailure::relogin});
      machine.reach(static_cast<State>(state));
      if (machine.fsm.waits() && machine.fsm.wait().until != Instant::max())
        machine.now = std::max(machine.now, machine.fsm.wait().until);
      const std::string expected = rows[state][static_cast<std::size_t>(kind)];
      CAPTURE(kStateNames[state]);
      CAPTURE(static_cast<int>(kind));
      CHECK(name(machine.tell(kind)) == (expected == "." ? kStateNames[state] : expected));
      if (expected == ".") CHECK(machine.said.empty());
    }
  }
}

// T4, T6: what becomes of a token that ends or is gone, for each rule.
TEST_CASE("on_renew_failure, in all combinations") {
  struct {
    OnRenewFailure rule;
    bool owns, reusable;
    Kind what;          // comes of the renewal
    const char* then;   // the state it leads to
    const char* later;  // when that state's wait is over
  } rows[] = {
      {OnRenewFailure::relogin, true, true, Kind::renewal_refused, "ending", "replacing"},
      {OnRenewFailure::relogin, true, true, Kind::token_invalid, "without", "relogging"},
      {OnRenewFailure::relogin, true, false, Kind::renewal_refused, "ending", "ended"},
      {OnRenewFailure::relogin, true, false, Kind::token_invalid, "ended", "ended"},
      {OnRenewFailure::relogin, false, false, Kind::renewal_refused, "ending", "ended"},
      {OnRenewFailure::relogin, false, false, Kind::token_invalid, "ended", "ended"},
      {OnRenewFailure::exit, true, true, Kind::renewal_refused, "ending", "ended"},
      {OnRenewFailure::exit, true, true, Kind::token_invalid, "ended", "ended"},
      {OnRenewFailure::exit, false, false, Kind::renewal_refused, "ending", "ended"},
      {OnRenewFailure::exit, false, false, Kind::token_invalid, "ended", "ended"},
      {OnRenewFailure::keep, true, true, Kind::renewal_refused, "ending", "lost"},
      {OnRenewFailure::keep, true, true, Kind::token_invalid, "lost", "lost"},
      {OnRenewFailure::keep, false, false, Kind::renewal_refused, "ending", "lost"},
      {OnRenewFailure::keep, false, false, Kind::token_invalid, "lost", "lost"},
  };
  for (const auto& row : rows) {
    CAPTURE(static_cast<int>(row.rule));
    CAPTURE(row.owns);
    CAPTURE(row.reusable);
    CAPTURE(static_cast<int>(row.what));
    Machine machine({.on_renew_failure = row.rule, .stop_margin = 5s},
                    {.owns_token = row.owns, .changeable = true});
    machine.reusable = row.reusable;
    machine.reach(State::renewing);
    CHECK(name(machine.tell(row.what)) == row.then);
    if (machine.fsm.state() == State::ending) {
      const bool keep = row.rule == OnRenewFailure::keep;
      if (std::string(row.later) != "replacing")
        CHECK(machine.fsm.wait().until == t0 + (keep ? 60s : 55s));
      CHECK(name(machine.due()) == row.later);
    } else if (machine.fsm.state() == State::without_token) {
      CHECK(name(machine.due()) == row.later);
    }
    if (machine.fsm.state() == State::ended || machine.fsm.state() == State::lost)
      CHECK(machine.fsm.end() ==
            (row.what == Kind::token_invalid || row.rule == OnRenewFailure::keep
                 ? (row.what == Kind::token_invalid ? End::token_invalid : End::token_ended)
                 : End::token_ended));
  }
}

TEST_CASE("a content that was refused is not sent again; another is, at its time") {
  Machine machine;
  machine.reach(State::replacing);
  machine.tell(Kind::refused);
  CHECK(name(machine.fsm.state()) == "ending");
  CHECK_FALSE(machine.fsm.is_news(1, machine.now + 1h));
  CHECK(machine.fsm.wait().watch == 1s);
  CHECK_FALSE(machine.fsm.is_news(2, machine.now));  // a moment later
  machine.now = machine.fsm.next_news();
  CHECK(machine.fsm.is_news(2, machine.now));
  machine.content = 2;
  CHECK(name(machine.tell(Kind::new_credentials)) == "replacing");
  machine.tell(Kind::refused);
  CHECK_FALSE(machine.fsm.is_news(2, machine.now + 1h));
  CHECK(machine.fsm.is_news(3, machine.fsm.next_login()));
}

TEST_CASE("new credentials after a refusal do not wait for the next login's time") {
  Machine machine({}, {.refusal_is_final = false, .changeable = true});
  machine.reach(State::replacing);
  for (int i = 0; i < 6; ++i) {  // the same content, slower each time
    machine.tell(Kind::refused);
    while (machine.fsm.waits()) machine.due();
  }
  machine.tell(Kind::refused);
  REQUIRE(machine.fsm.next_login() - machine.now > 20s);
  CHECK_FALSE(machine.fsm.is_news(1, machine.now + 1s));
  CHECK_FALSE(machine.fsm.is_news(2, machine.now));
  CHECK(machine.fsm.is_news(2, machine.now + 1s));
  machine.now += 1s;
  const Instant planned = machine.fsm.next_login();
  Duration before{};
  for (ContentId content = 2; content < 8; ++content) {  // others each time, and none is any good
    machine.content = content;
    CHECK(name(machine.tell(Kind::new_credentials)) == "relogging");
    machine.tell(Kind::refused);
    const Duration wait = machine.fsm.next_news() - machine.now;
    CHECK(wait > before);
    before = wait;
    machine.now = machine.fsm.next_news();
  }
  CHECK(machine.fsm.next_login() >= planned);
  machine.content = 8;
  machine.tell(Kind::new_credentials);
  machine.tell(Kind::unanswered);  // the server is away: what it asks for counts again
  CHECK_FALSE(machine.fsm.is_news(9, machine.now + 1s));
}

TEST_CASE("where a refusal may pass by itself, the same content is tried again, slowly") {
  Machine machine({}, {.refusal_is_final = false, .changeable = true});
  machine.reach(State::replacing);
  Duration before{};
  for (int i = 0; i < 6; ++i) {
    machine.tell(Kind::refused);
    CHECK((machine.fsm.state() == State::ending || machine.fsm.state() == State::without_token));
    const auto wait = machine.fsm.next_login() - machine.now;
    CHECK(wait > before);
    before = wait;
    while (machine.fsm.waits()) machine.due();
  }
  CHECK(name(machine.fsm.state()) == "relogging");  // its token has ended meanwhile
  CHECK(name(machine.tell(Kind::granted)) == "holding");
}

TEST_CASE("the time of the next login only moves forward, whatever happens") {
  Machine machine;
  std::uint32_t seed = 1;
  const auto random = [&seed](std::uint32_t below) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
  };
  Instant next = machine.fsm.next_login();
  for (int i = 0; i < 100'000; ++i) {
    machine.now += Duration(random(3000));
    machine.content = 1 + random(3);
    const Kind kind = kAll[random(kAuthEvents - 1)];
    machine.tell(kind);
    CHECK_MESSAGE(machine.fsm.next_login() >= next, i);
    next = machine.fsm.next_login();
    if (machine.fsm.state() == State::ended) {
      machine = Machine();
      next = machine.fsm.next_login();
    }
  }
}

TEST_CASE("a stop is obeyed in each state, and nothing follows it") {
  for (int state = 0; state < kStates; ++state) {
    const bool lost = static_cast<State>(state) == State::lost;
    Machine machine({.on_renew_failure = lost ? OnRenewFailure::keep : OnRenewFailure::relogin});
    machine.reach(static_cast<State>(state));
    CHECK(name(machine.tell(Kind::stop)) == "ended");
    CHECK(machine.said.empty());
    for (const Kind kind : kAll) CHECK(name(machine.tell(kind)) == "ended");
  }
}

TEST_CASE("what was tried is known of the latest contents, and the accepted one is the only one") {
  using Outcome = Attempts::Outcome;
  Attempts attempts;
  CHECK(attempts.untried(1));
  attempts.record(1, Outcome::refused);
  attempts.record(2, Outcome::accepted);
  attempts.record(3, Outcome::accepted);
  CHECK(attempts.refused(1));
  CHECK(attempts.untried(2));  // replaced: it may come back
  CHECK(attempts.of(3) == Outcome::accepted);
  attempts.record(3, Outcome::unanswered);
  CHECK(attempts.of(3) == Outcome::unanswered);
  for (ContentId content = 10; content < 1000; ++content)
    attempts.record(content, Outcome::refused);
  CHECK(attempts.untried(1));
  CHECK(attempts.refused(999));
}

}  // namespace
}  // namespace keybearer::auth
