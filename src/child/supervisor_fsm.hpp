#pragma once
// The supervisor's decisions: when the program is started, told, stopped, killed, started again,
// and with which code keybearer ends. Pure: it knows no process, no clock and no socket; whoever
// feeds it carries its actions out at once, in their order.
//
//     idle --desired--> running --change, debounced--> stopping_to_restart --tree gone--> running
//                          |\--exited, policy: again--> stopping_to_restart --tree gone-->
//                          |                            backing_off --deadline--> running
//                          \---stop, or exited for good--> stopping_to_exit --tree gone--> done
//
// "Tree gone": neither the program nor anything that it started is left. Stop is an event of every
// state, so that nothing starts after it. Rules: behaviour.md sections 4 and 7.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/backoff.hpp"
#include "config/config.hpp"
#include "process/exit_status.hpp"

namespace keybearer::child {

// One thing that the program is started with: a variable, or a file. A file whose change asks for
// nothing is no item: once it is written the program has it.
struct Item {
  std::string name;               // "DB_PASSWORD", "config.ini"
  std::uint64_t fingerprint = 0;  // keyed hash of its value
  // What its change asks for. `none`: the program is left as it is and counts as stale.
  config::OnChange::Action action = config::OnChange::Action::restart;
  int signal = 0;        // of Action::signal; 0: reload_signal
  std::string why = {};  // "database/creds/app: lease ended"

  [[nodiscard]] bool same(const Item& other) const {
    return name == other.name && fingerprint == other.fingerprint;
  }
};
using Items = std::vector<Item>;  // each name once
// One number for all of them: equal when the program would be started with the same.
[[nodiscard]] std::uint64_t set_of(const Items& items);

struct Start {
};  // the program, with the newest desired set; answered by started() or start_failed()
struct Stop {
  int signal;
};  // to the program's group
struct StopEscaped {
  int signal;
};  // to what has left its group, when nobody else can any more
struct Signal {
  int signal;
};  // to the program itself
struct KillTree {};  // the program and everything that it started
struct Finish {
  int code;
};  // the end: keybearer's exit code
struct Say {
  log::Level level;
  std::string event;
  std::string text;
};
struct Alarm {
  std::string event;
  std::string reason;
};
using Action = std::variant<Start, Stop, StopEscaped, Signal, KillTree, Finish, Say, Alarm>;
using Actions = std::vector<Action>;

struct Rules {
  int stop_signal = 15;
  int reload_signal = 1;
  Duration stop_timeout = std::chrono::seconds(30);
  Duration debounce = std::chrono::seconds(2);
  Duration debounce_max = std::chrono::seconds(30);
  Duration splay{};  // this instance's own share of it
  config::RestartOnExit restart_on_exit = config::RestartOnExit::never;
  int max_restarts = 5;
  Duration restart_window = std::chrono::minutes(1);
  BackoffBounds backoff = {std::chrono::seconds(1), std::chrono::minutes(1)};
  std::vector<int> success_codes = {0};
  std::vector<int> fatal_codes = {};
};
// `instance`: what tells this keybearer from the others (name and host): its place within the
// splay.
[[nodiscard]] Rules rules_of(const config::Exec& exec, std::string_view instance);

class SupervisorFsm {
 public:
  enum class State { idle, running, stopping_to_restart, stopping_to_exit, backing_off, done };

  // `random` in [0, 1): this instance's jitter of back-offs.
  SupervisorFsm(Rules rules, double random)
      : rules_(std::move(rules)), random_(random), backoff_(rules_.backoff) {}

  // Events. Each answers with what to do.
  // A complete set; newest wins. `latest`: when the program must have been told, because what it
  // has ends.
  [[nodiscard]] Actions desired(Items items, Instant now, Instant latest = Instant::max());
  [[nodiscard]] Actions started(Instant now);
  // Its `status` is the exit code; with a `retry_after` it is passing (out of processes).
  [[nodiscard]] Actions start_failed(const Error& error, Instant now);
  // The program itself; others of its tree may live on.
  [[nodiscard]] Actions exited(ExitStatus status, Instant now);
  [[nodiscard]] Actions tree_exited(Instant now);
  [[nodiscard]] Actions due(Instant now);   // deadline() has come
  [[nodiscard]] Actions stop(Instant now);  // first: in order; second: 1 s more; third: kill
  [[nodiscard]] Actions forward(int signal);

  [[nodiscard]] std::optional<Instant> deadline() const;
  [[nodiscard]] State state() const { return state_; }
  // The program has exited and the rest of its tree is awaited: tell tree_gone() when it is so.
  [[nodiscard]] bool awaiting_tree_exit() const { return awaits_tree_; }
  // The running program has the newest desired set, or has been told of it.
  [[nodiscard]] bool current() const;
  // The running program has something old and, by its configuration, is not told.
  [[nodiscard]] bool stale() const { return !stale_names_.empty(); }

  [[nodiscard]] Instant started_at() const { return started_at_; }
  [[nodiscard]] int starts() const { return starts_; }
  [[nodiscard]] std::optional<ExitStatus> last_exit() const { return last_exit_; }

 private:
  struct Change {
    config::OnChange::Action action = config::OnChange::Action::none;  // the strongest
    std::vector<int> signals;                                          // each once
    std::string names, why;                                            // of what asks for an action
    std::string stale_names, stale_why;                                // of the rest
  };
  [[nodiscard]] Change difference() const;
  [[nodiscard]] Items told() const;
  Actions start();
  Actions consider(Instant now);
  void apply_changes(Actions& actions, Instant now);
  void begin_stop(State next, Instant now);
  [[nodiscard]] bool ends_for_good(ExitStatus status) const;
  [[nodiscard]] bool may_start_again(Actions& actions, Instant now);
  Actions kill(Instant now);
  Actions finish(int code);

  Rules rules_;
  double random_;
  Backoff backoff_;
  State state_ = State::idle;
  Items desired_;  // newest, sorted by name
  Items running_;  // what the program has or was told of; likewise
  std::string stale_names_;
  std::optional<Instant> first_change_, quiet_at_;  // of the debounce
  Instant latest_ = Instant::max();
  std::optional<Instant> grace_end_;  // then kill, and again
  std::optional<Instant> killed_at_;
  std::optional<Instant> start_at_;    // end of a back-off
  std::vector<Instant> restarts_;      // after ends of its own, within the window
  std::vector<int> queued_signals_;    // for the next one
  std::optional<Instant> deliver_at_;  // of those
  Instant started_at_{};
  std::optional<ExitStatus> last_exit_;
  int code_ = 0;
  int starts_ = 0;
  int stops_ = 0;
  bool alive_ = false;
  bool awaits_tree_ = false;
};

}  // namespace keybearer::child
