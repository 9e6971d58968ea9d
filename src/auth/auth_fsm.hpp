#pragma once
// The life of our login as a table of states and events: what is done next, when, and what is said
// of it. Pure: no clock, no I/O, no token; AuthLoop executes it and tells it what came of it.
//
//     fsm.state() in a waiting state:  wait until fsm.wait().until, looking at the credentials each
//                                      fsm.wait().watch; then tell `due` or `new_credentials`
//     logging_in, replacing, relogging, adopting: log in, then tell what came of it
//     renewing: renew;  verifying: look the token up
//
// Rules: behaviour T2-T4, T6, T7, T10, T11, sections 5 and 7 (first login, relogin).

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "auth/credential.hpp"
#include "base/backoff.hpp"
#include "config/config.hpp"
#include "lease/token_schedule.hpp"

namespace keybearer::auth {

// What a start may wait for.
struct StartRules {
  config::Outage outage;   // no answer: wait, wait until start_timeout, or fail at once
  Duration start_grace{};  // answered no: at most three tries within it
  bool once = false;       // the first refusal ends it, and so do num_retries failures of any kind
  int num_retries = 12;
};

// What is asked of the machine; `auto_auth`'s keys without the method.
struct AuthRules {
  double renew_at = 0.8;
  Duration min_remaining = std::chrono::seconds(10);
  std::optional<Duration> increment = {};
  config::OnRenewFailure on_renew_failure = config::OnRenewFailure::relogin;
  bool exit_on_err = false;
  BackoffBounds backoff = {};  // between logins
  StartRules start = {};
  Duration stop_margin = {};  // that the child needs to stop
};

// What the method is like (auth/method.hpp).
struct MethodTraits {
  bool owns_token = true;
  bool watches_credentials = false;
  bool refusal_is_final = true;
  bool changeable = false;  // its credentials are in files
};

enum class State : std::uint8_t {
  starting,       // no token yet: waits for the time of the next login
  logging_in,     // no token yet, a login is on its way
  holding,        // a good token: waits until it is due
  renewing,       // a renewal is on its way
  verifying,      // a renewal was denied: a look-up tells whether the token is gone
  adopting,       // a good token, and a new one that was found is being tried
  ending,         // a good token that can't be renewed: waits for a login's time, or for the end
  replacing,      // the same, and a login for its successor is on its way
  without_token,  // it is gone: waits for the time of the next login
  relogging,      // it is gone, a login is on its way
  lost,           // it is gone, there will be no other, and that is to be borne (`keep`)
  ended,          // there is nothing more to do
};
inline constexpr int kStates = 12;

struct AuthEvent {
  enum class Kind : std::uint8_t {
    due,              // the wait's time has come
    new_credentials,  // an untried content is there, and its time has come
    granted,          // a login succeeded
    refused,          // a login was answered: no
    unanswered,       // a login got no usable answer, or there was nothing to log in with
    renewed,
    renewal_refused,     // answered no; the token itself is good
    renewal_denied,      // 403: the token may be gone
    renewal_unanswered,  // network, 5xx, 429
    token_good,
    token_invalid,  // revoked, expired or used up; at any time
    reconfigured,   // another method, or other credentials by configuration
    stop,
    resumed,  // the token of the last run is at hand, and lives
  };
  Kind kind;
  Instant now;
  Instant asked = now;                       // when the request was sent (T11)
  double random = 0.5;                       // [0, 1), for the pauses
  lease::Grant grant = {};                   // granted, renewed
  std::optional<Duration> retry_after = {};  // of a failure
  bool missing = false;                      // unanswered: nothing to log in with
  bool may_pass = false;                     // refused: by an odd answer, not for good
  bool for_good = false;                     // refused: whatever the method, no other try helps
  std::optional<ContentId> sent = {};        // by a login
  // What a login would send now, and whether a content that was accepted may be sent again.
  std::optional<ContentId> content = {};
  bool reusable = true;
  std::optional<lease::TokenSchedule::Saved> saved = {};  // resumed
};
inline constexpr int kAuthEvents = 14;

// What the loop does at once, in order.
enum class Action : std::uint8_t {
  adopt,             // the granted token is in force
  drop_token,        // no token is in force
  log_failed,        // a login got no answer
  log_refused,       // a login was refused
  log_refused_kept,  // a new token was refused, the one in use stays
  alarm_refused,
  log_renewed,
  log_renewal_failed,
  log_renewal_refused,
  log_ending,
  log_invalid,
  log_lost,
  alarm_lost,
};

// Why it ended.
enum class End : std::uint8_t {
  none,
  start_failed,
  start_timeout,
  token_invalid,
  token_ended,
  stopped
};

class AuthFsm {
 public:
  // `jitter` in [0, 1): of this instance, for its renewals.
  AuthFsm(AuthRules rules, MethodTraits traits, double jitter, Instant now);

  [[nodiscard]] std::vector<Action> handle(const AuthEvent& event);
  // Other rules, at a reload: from now on.
  void configure(AuthRules rules, MethodTraits traits, Instant now);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool waits() const {
    return state_ == State::starting || state_ == State::holding || state_ == State::ending ||
           state_ == State::without_token || state_ == State::lost;
  }
  // One that is not known to be gone.
  [[nodiscard]] bool has_token() const { return has_token_ && state_ != State::ended; }
  [[nodiscard]] End end() const { return end_; }

  struct Wait {
    Instant until = Instant::max();
    Duration watch = {};  // zero: the credentials are not looked at
  };
  [[nodiscard]] Wait wait() const;
  // Whether `content` is news: never sent, and it may be sent now. After a refusal that is sooner
  // than the next login: other credentials are what can help.
  [[nodiscard]] bool is_news(ContentId content, Instant now) const {
    return now >= next_news() && attempts_.untried(content);
  }
  [[nodiscard]] const lease::TokenSchedule& schedule() const { return schedule_; }
  // Of the token in force, also after a stop; nullopt: there is none.
  [[nodiscard]] std::optional<lease::TokenSchedule::Saved> save() const;
  [[nodiscard]] Instant next_login() const { return next_login_; }
  [[nodiscard]] Instant next_news() const { return std::min(next_login_, next_news_); }
  [[nodiscard]] Instant next_renewal() const { return step_.at; }
  [[nodiscard]] Instant start_deadline() const;
  // Ours to log in again, or a file that somebody else keeps.
  [[nodiscard]] bool relogin_allowed() const;

 private:
  using Handler = void (AuthFsm::*)(const AuthEvent&);
  static const Handler kTable[kStates][kAuthEvents];

  void ignore(const AuthEvent& event);
  void forget(const AuthEvent& event);
  void remember(const AuthEvent& event);
  void stop(const AuthEvent& event);
  void start_due(const AuthEvent& event);
  void resume(const AuthEvent& event);
  void start_refused(const AuthEvent& event);
  void start_unanswered(const AuthEvent& event);
  void adopt(const AuthEvent& event);
  void holding_due(const AuthEvent& event);
  void take_new(const AuthEvent& event);
  void invalid(const AuthEvent& event);
  void invalid_in_login(const AuthEvent& event);
  void renewed(const AuthEvent& event);
  void renewal_refused(const AuthEvent& event);
  void renewal_denied(const AuthEvent& event);
  void renewal_unanswered(const AuthEvent& event);
  void new_refused(const AuthEvent& event);
  void new_unanswered(const AuthEvent& event);
  void ending_due(const AuthEvent& event);
  void replacement_refused(const AuthEvent& event);
  void replacement_unanswered(const AuthEvent& event);
  void without_due(const AuthEvent& event);
  void without_new(const AuthEvent& event);
  void relogin_refused(const AuthEvent& event);
  void relogin_unanswered(const AuthEvent& event);

  void say(Action action) { actions_.push_back(action); }
  void finish(End end);
  void lose(const AuthEvent& event);
  void drop_token();
  void back();
  void follow(lease::TokenStep step);
  void postpone(const AuthEvent& event);
  [[nodiscard]] bool takes_pending(const AuthEvent& event);
  void record_refusal(const AuthEvent& event);
  [[nodiscard]] bool is_final(const AuthEvent& event) const;
  [[nodiscard]] bool may_login(const AuthEvent& event) const;
  [[nodiscard]] lease::TokenRules token_rules(bool reusable) const;

  AuthRules rules_;
  MethodTraits traits_;
  double jitter_;
  Instant began_;
  State state_ = State::starting;
  End end_ = End::none;
  std::vector<Action> actions_;

  Attempts attempts_;
  Backoff after_failure_, after_loss_;  // between logins that fail; whose tokens were lost early
  Backoff after_news_;                  // after new contents that were refused, too
  Instant next_login_{};                // only ever moves forward
  Instant next_news_ = Instant::max();  // of a new content, after a refusal
  Duration news_pause_{};               // from a refusal to then
  int failures_ = 0, refusals_ = 0;     // of the start
  bool has_token_ = false;
  lease::TokenSchedule schedule_{{}};
  lease::TokenStep step_;
  Instant obtained_{};
  bool pending_ = false;        // a new token that got no answer yet is tried at next_login_
  bool pending_again_ = false;  // another came while a login was on its way
  bool refused_ = false;        // the last login was refused: credentials are watched closely
};

}  // namespace keybearer::auth
