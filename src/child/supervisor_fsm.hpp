#pragma once
// The supervisor's decisions: when the program is started, told, stopped, killed, started again,
// and with which code keybearer ends. Pure: it knows no process, no clock and no socket; whoever
// feeds it carries its actions out at once, in their order.
//
//     idle --set_desired--> starting --started--> running
//     running --change, debounced--> stopping_to_restart --exited--> waiting_to_restart
//     running --exited--> waiting_to_restart or waiting_to_exit (what it left behind is stopped)
//     waiting_to_restart --tree exited--> starting, or backing_off --timer--> starting
//     any --hold--> stopping_to_restart --tree exited--> idle --release--> starting
//     any --stop--> ..._to_exit --tree exited--> done
//
// A program that goes into the background ends while others of its tree go on: with exec.forking
// that is `background`, without it `lingering` for a moment and then an error (P10). The end of the
// main process that its pid file names ends it, whatever of its tree is left; without a pid file it
// lives as long as its tree.
//
// kTable in the .cpp has each cell of states x events: none is empty. Stop is an event of every
// state, so that nothing starts after it. Rules: behaviour.md sections 4 and 7 (P1 to P10).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/backoff.hpp"
#include "child/items.hpp"
#include "config/config.hpp"
#include "process/exit_status.hpp"

namespace keybearer::child {

// Actions.
struct Start {
};  // the program, with the newest desired set; answered by started() or start_failed()
struct Stop {
  int signal;
};  // to the program's group; to a daemon's first processes when it is in the background
struct StopEscaped {
  int signal;
};  // to what has left its group, when nobody else can any more
struct Signal {
  int signal;
};  // to the program itself
struct KillTree {};  // the program and everything that it started
// How many and which processes the program left behind, before they are stopped. `daemon`: an
// error that says what to write, because the program looks like one that went into the background.
struct ReportLeftBehind {
  bool daemon;
};
struct Finish {
  int code;
};  // the end: keybearer's exit code
struct Log {
  log::Level level;
  std::string event;
  std::string text;
};
struct Notify {
  std::string event;
  std::string reason;
};
using Action =
    std::variant<Start, Stop, StopEscaped, Signal, KillTree, ReportLeftBehind, Finish, Log, Notify>;
using Actions = std::vector<Action>;

struct Rules {
  std::vector<config::StopStep> stop = {{15, std::chrono::seconds(30)}};  // then it is killed
  int reload_signal = 1;
  Duration debounce = std::chrono::seconds(2);
  Duration debounce_max = std::chrono::seconds(30);
  Duration splay{};  // this instance's own share of it
  config::RestartOnExit restart_on_exit = config::RestartOnExit::never;
  int max_restarts = 5;
  Duration restart_window = std::chrono::minutes(1);
  BackoffBounds backoff = {std::chrono::seconds(1), std::chrono::minutes(1)};
  std::vector<int> success_codes = {0};
  std::vector<int> fatal_codes = {};
  bool forking = false;
};
// `instance`: what tells this keybearer from the others (name and host): its place within the
// splay.
[[nodiscard]] Rules rules_of(const config::Exec& exec, std::string_view instance);

// What happened so far, for metrics.
struct SupervisorStats {
  std::map<std::string, std::uint64_t, std::less<>>
      restarts;                                         // by reason: "secret", "exit", "stale"
  std::map<std::pair<bool, int>, std::uint64_t> exits;  // (by a signal?, its number or exit code)
  std::uint64_t roll_backs = 0;
};

class SupervisorFsm {
 public:
  enum class State {
    idle,              // no set yet, or held
    starting,          // Start is under way
    starting_to_exit,  // and stop came meanwhile
    running,
    background,           // the program ended, its daemon runs (exec.forking)
    lingering,            // the program ended well, others of its tree have a moment to follow
    stopping_to_restart,  // it has its stop signal
    killing_to_restart,   // and SIGKILL
    waiting_to_restart,   // the program is gone, others of its tree are not
    stopping_to_exit,
    killing_to_exit,
    waiting_to_exit,
    backing_off,
    done,
  };
  static constexpr std::size_t kStates = 14;

  // Events: the columns of the table.
  struct SetDesired {
    std::uint64_t id = 0;  // of the change set
    Items items = {};
    Instant apply_before = Instant::max();  // what the program has ends then
  };
  struct Started {};
  // Its `status` is the exit code; with a `retry_after` it is passing (out of processes).
  struct StartFailed {
    Error error;
  };
  // The program itself, or in `background` its main process; others of its tree may live on.
  struct Exited {
    ExitStatus status;
  };
  // Nothing of the tree is left. `daemon`: how the one in the background ended, if that is known.
  struct TreeExited {
    std::optional<ExitStatus> daemon;
  };
  struct Timer {};  // deadline() has come
  struct SignalReceived {
    int signal;
  };
  struct StopRequested {};  // first: in order; second: 1 s more; third: kill
  // Nothing runs until it is released.
  struct HoldRequested {
    std::string reason;
  };
  struct Released {};
  using Event = std::variant<SetDesired, Started, StartFailed, Exited, TreeExited, Timer,
                             SignalReceived, StopRequested, HoldRequested, Released>;
  static constexpr std::size_t kEvents = std::variant_size_v<Event>;

  // `random` in [0, 1): this instance's jitter of back-offs.
  SupervisorFsm(Rules rules, double random)
      : rules_(std::move(rules)), random_(random), backoff_(rules_.backoff) {}

  // From now on; what is under way goes on.
  void configure(Rules rules);

  // What to do about it.
  [[nodiscard]] Actions on(const Event& event, Instant now);

  [[nodiscard]] Actions set_desired(SetDesired set, Instant now) { return on(std::move(set), now); }
  [[nodiscard]] Actions started(Instant now) { return on(Started{}, now); }
  [[nodiscard]] Actions start_failed(const Error& error, Instant now) {
    return on(StartFailed{error}, now);
  }
  [[nodiscard]] Actions exited(ExitStatus status, Instant now) { return on(Exited{status}, now); }
  [[nodiscard]] Actions tree_exited(Instant now, std::optional<ExitStatus> daemon = {}) {
    return on(TreeExited{daemon}, now);
  }
  [[nodiscard]] Actions due(Instant now) { return on(Timer{}, now); }
  [[nodiscard]] Actions stop(Instant now) { return on(StopRequested{}, now); }
  [[nodiscard]] Actions forward(int signal, Instant now) { return on(SignalReceived{signal}, now); }

  [[nodiscard]] std::optional<Instant> deadline() const;
  [[nodiscard]] State state() const { return state_; }
  // The program has exited; tell tree_exited() when the rest of its tree has, too.
  [[nodiscard]] bool awaiting_tree_exit() const;
  // The id of the newest set that the running program really has: it was started with it, or has
  // been told of it. A set whose change is not told, as configured, is not among them. 0: none.
  [[nodiscard]] std::uint64_t applied() const { return applied_; }
  // The running program has something old and, by its configuration, is not told.
  [[nodiscard]] bool stale() const { return !stale_names_.empty(); }

  [[nodiscard]] Instant started_at() const { return started_at_; }
  [[nodiscard]] int starts() const { return starts_; }
  [[nodiscard]] std::optional<ExitStatus> last_exit() const { return last_exit_; }
  [[nodiscard]] const SupervisorStats& stats() const { return stats_; }

 private:
  using Handler = Actions (SupervisorFsm::*)(const Event&, Instant);
  struct Table;

  // The cells.
  Actions ignore(const Event&, Instant);      // on purpose: it means nothing there
  Actions unexpected(const Event&, Instant);  // whoever feeds us has a bug
  Actions first_set(const Event&, Instant);
  Actions remember_set(const Event&, Instant);
  Actions compare_set(const Event&, Instant);
  Actions on_started(const Event&, Instant);
  Actions stop_started(const Event&, Instant);
  Actions on_start_failed(const Event&, Instant);
  Actions on_exit(const Event&, Instant);
  Actions exited_as_told(const Event&, Instant);
  Actions exited_when_killed(const Event&, Instant);
  Actions daemon_ended(const Event&, Instant);
  Actions main_process_ended(const Event&, Instant);
  Actions nothing_lingers(const Event&, Instant);
  Actions next_start(const Event&, Instant);
  Actions finish_with_code(const Event&, Instant);
  Actions deliver_and_apply(const Event&, Instant);
  Actions still_lingering(const Event&, Instant);
  Actions escalate(const Event&, Instant);
  Actions kill_again(const Event&, Instant);
  Actions start_after_pause(const Event&, Instant);
  Actions send_signal(const Event&, Instant);
  Actions queue_signal(const Event&, Instant);
  Actions stop_unstarted(const Event&, Instant);
  Actions stop_when_started(const Event&, Instant);
  Actions begin_to_exit(const Event&, Instant);
  Actions exit_instead_of_restart(const Event&, Instant);
  Actions hurry(const Event&, Instant);
  Actions finish_now(const Event&, Instant);
  Actions hold(const Event&, Instant);
  Actions hold_running(const Event&, Instant);
  Actions release(const Event&, Instant);
  Actions start_released(const Event&, Instant);

  [[nodiscard]] bool program_lives() const;
  void store(const SetDesired& set);
  void note_applied();
  void record_exit(ExitStatus status);
  Actions start();
  Actions schedule_change(Instant now);
  void apply_changes(Actions& actions, Instant now);
  // Sends the first stop signal; `restart`: or else it is to exit.
  void begin_stop(Actions& actions, bool restart, Instant now);
  void stop_rest(Actions& actions, bool restart, Instant now);
  Actions after_end(ExitStatus status, Actions actions, Instant now);
  [[nodiscard]] bool ends_for_good(ExitStatus status) const;
  [[nodiscard]] bool may_start_again(Actions& actions, Instant now);
  [[nodiscard]] bool was_told_by(int signal) const;
  Actions kill(Instant now);
  Actions finish(int code);

  Rules rules_;
  double random_;
  Backoff backoff_;
  State state_ = State::idle;
  SetDesired desired_;  // the newest; its items sorted by name
  Items known_;         // what the program has or was told of; likewise
  std::uint64_t starting_id_ = 0, applied_ = 0;
  std::string stale_names_;
  std::optional<Instant> first_change_, debounce_until_;
  std::optional<Instant> linger_until_;
  std::size_t stop_step_ = 0;          // of rules_.stop
  std::optional<Instant> grace_end_;   // then the next step, or kill, and again
  std::optional<Instant> killed_at_;   // first
  std::optional<Instant> start_at_;    // end of a back-off
  std::vector<Instant> restarts_;      // after ends of its own, within the window
  std::vector<int> queued_signals_;    // for the next one
  std::optional<Instant> deliver_at_;  // of those
  Instant started_at_{};
  std::optional<ExitStatus> last_exit_;
  bool held_ = false;
  bool in_background_ = false;  // it runs, or is stopped, as a daemon
  int code_ = 0;
  int starts_ = 0;
  int stops_ = 0;
  SupervisorStats stats_;
  std::string_view restart_reason_;
};

[[nodiscard]] std::string_view name_of(SupervisorFsm::State state);

}  // namespace keybearer::child
