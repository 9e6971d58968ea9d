#pragma once
// The supervisor's decisions: when the program is started, told, stopped, killed, started again, and with which code
// keybearer ends. Pure: it knows no process, no clock and no socket; whoever feeds it carries its actions out at once.
//
//     idle ---desired---> running ---change, debounced---> stopping (then restart) ---tree gone---> running
//                            |  \---exited, policy says so---> backing off ---deadline---> running
//                            \---stop, or exited for good---> stopping (then exit) ---tree gone---> done
//
// Stop is an event of every state, so that nothing starts after it. Rules: behaviour.md section 4.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/backoff.hpp"
#include "base/spawn.hpp"
#include "config/config.hpp"

namespace keybearer::child {

// One thing that the program is started with: a variable, or a file.
struct Item {
  std::string name;                                            // "DB_PASSWORD", "config.ini"
  std::uint64_t fingerprint = 0;                               // keyed hash of its value
  config::OnChange::Action action = config::OnChange::Action::restart;  // what its change asks for
  int signal = 0;                                              // of Action::signal; 0: reload_signal
  std::string why = {};                                        // "database/creds/app: lease ended"
};
using Items = std::vector<Item>;  // sorted by name, each name once

// What to do, in this order, at once.
struct Start {};                       // the program, with the newest desired set
struct SignalGroup { int signal; };
struct KillTree {};
struct Finish { int code; };           // the end: keybearer's exit code
struct Say { log::Level level; std::string event; std::string text; };
struct Alarm { std::string event; std::string reason; };
using Action = std::variant<Start, SignalGroup, KillTree, Finish, Say, Alarm>;
using Actions = std::vector<Action>;

struct Rules {
  int stop_signal = 15;
  int reload_signal = 1;
  Duration stop_timeout = std::chrono::seconds(30);
  Duration debounce = std::chrono::seconds(2);
  Duration debounce_max = std::chrono::seconds(30);
  config::RestartOnExit restart_on_exit = config::RestartOnExit::never;
  int max_restarts = 5;
  Duration restart_window = std::chrono::minutes(1);
  BackoffBounds backoff = {std::chrono::seconds(1), std::chrono::minutes(1)};
  std::vector<int> success_codes = {0};
  std::vector<int> fatal_codes = {};
};
[[nodiscard]] Rules rules_of(const config::Exec& exec);

class SupervisorFsm {
 public:
  enum class State { idle, running, stopping_to_restart, stopping_to_exit, backing_off, done };

  // `random` in [0, 1): this instance's jitter of back-offs.
  SupervisorFsm(Rules rules, double random) : rules_(std::move(rules)), random_(random), backoff_(rules_.backoff) {}

  // Events. Each answers with what to do.
  [[nodiscard]] Actions desired(Items items, Instant now);   // a complete set; newest wins
  [[nodiscard]] Actions started(Instant now);
  [[nodiscard]] Actions start_failed(const Error& error, Instant now);
  [[nodiscard]] Actions exited(ExitStatus status, Instant now);  // the program itself; others of its tree may live on
  [[nodiscard]] Actions tree_gone(Instant now);              // nobody of it is left
  [[nodiscard]] Actions due(Instant now);                    // deadline() has come
  [[nodiscard]] Actions stop(Instant now);                   // first: in order; second: grace of 1 s; third: kill
  [[nodiscard]] Actions forward(int signal);

  [[nodiscard]] std::optional<Instant> deadline() const;
  [[nodiscard]] State state() const { return state_; }
  // The program has exited and the rest of its tree is awaited: call tree_gone() as soon as it is so.
  [[nodiscard]] bool awaits_tree() const { return awaits_tree_; }
  // The running program has the newest desired set.
  [[nodiscard]] bool current() const;
  // Something changed that the program was not told, by its configuration.
  [[nodiscard]] bool stale() const { return stale_; }

 private:
  struct Change {
    config::OnChange::Action action = config::OnChange::Action::none;
    std::vector<int> signals;
    std::string names, why;
  };
  [[nodiscard]] Change difference() const;
  Actions apply_changes(Instant now);
  Actions after_exit(Instant now);
  void start(Actions& actions);

  Rules rules_;
  double random_;
  Backoff backoff_;
  State state_ = State::idle;
  Items desired_;   // newest
  Items running_;   // what the program was started with, or told since
  Items starting_;  // what it is being started with
  std::optional<Instant> first_change_, quiet_at_;  // of the debounce
  std::optional<Instant> grace_end_;
  std::optional<Instant> start_at_;                 // end of a back-off
  Instant started_at_{};
  std::vector<Instant> restarts_;                   // after ends of its own, within the window
  std::vector<int> queued_signals_;                 // for the next one
  std::optional<ExitStatus> last_exit_;
  int code_ = 0;
  int stops_ = 0;
  bool alive_ = false;
  bool awaits_tree_ = false;
  bool killed_ = false;
  bool stale_ = false;
};

}  // namespace keybearer::child
