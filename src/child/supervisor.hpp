#pragma once
// Feeds the supervisor's machine with what happens and carries its actions out: one program at a
// time, and its whole tree. As subreaper or PID 1 it also reaps orphans.
//
//     Supervisor supervisor(executor, *spawner, config.exec, instance, random, notify);
//     tasks.spawn(...supervisor.run()...);   // ends with keybearer's exit code
//     supervisor.set_desired({id, items, environment});   // whenever a change set is complete
//     ... supervisor.changed() ... supervisor.applied() == id
//
// Must outlive run(). When run() is cancelled, the program's tree is killed. A failure of our own
// (an exception out of the spawner, say) is logged, the tree is killed, and run() ends with 70.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "base/event.hpp"
#include "base/random.hpp"
#include "base/task_group.hpp"
#include "child/spawner.hpp"
#include "child/supervisor_fsm.hpp"
#include "process/terminal.hpp"

namespace keybearer::child {

// A change set, as far as the program is concerned.
struct Desired {
  std::uint64_t id = 0;                   // of the change set; grows from set to set
  Items items = {};                       // what it is made of, for finding out what changed
  EnvBlock environment = {};              // all of it
  Instant apply_before = Instant::max();  // what the program has ends then
};

class Supervisor {
 public:
  using NotifyFn = std::function<void(std::string_view event, std::string_view reason)>;
  // `instance`: see rules_of().
  Supervisor(boost::asio::any_io_executor executor, Spawner& spawner, config::Exec exec,
             std::string_view instance, Random& random, NotifyFn notify);

  // The newest complete set; the first one starts the program. Error (kind render): the system
  // can't start a program with it; what runs is not touched, and the set is never applied().
  [[nodiscard]] result<> set_desired(Desired desired);
  // A new [exec]: for the next start and for what is decided from now on.
  void configure(config::Exec exec);
  // One of ours that reached us: to the program, if exec.forward_signals and exec.hup say so.
  void forward_signal(int signal);
  [[nodiscard]] bool forwards(int signal) const;
  // The program is stopped in order, and none is started until release(): then with the newest set.
  void hold(const std::string& reason);
  void release();
  void stop();  // again: a second's grace; a third time: kill

  // Until the program has ended for good: keybearer's exit code. Throws only when cancelled.
  [[nodiscard]] boost::asio::awaitable<int> run();

  // applied(), machine() or pid() may have changed.
  [[nodiscard]] Event& changed() { return changed_; }
  // The id of the newest set that the running program really has: it was started with it, or told
  // of it by a signal. A refused set, and one of which it is not told, is never among them. 0: none.
  [[nodiscard]] std::uint64_t applied() const { return fsm_.applied(); }
  [[nodiscard]] const SupervisorFsm& machine() const { return fsm_; }
  // Of the program, or of the first process of its daemon; -1: none runs.
  [[nodiscard]] pid_t pid() const { return alive_ ? process_->pid : daemon_pid_; }

 private:
  void run_fsm(const SupervisorFsm::Event& event);
  void carry_out(const Start&);
  void carry_out(const Stop& action);
  void carry_out(const StopEscaped& action);
  void carry_out(const Signal& action);
  void carry_out(const KillTree&);
  void carry_out(const ReportLeftBehind& action);
  void carry_out(const Finish& action);
  void carry_out(const Log& action);
  void carry_out(const Notify& action);

  [[nodiscard]] bool tree_exited();
  void poll_tree();
  [[nodiscard]] std::vector<TreeMember> daemon_processes();
  void stop_daemon(int signal);
  bool find_daemon();
  [[nodiscard]] pid_t pid_in_file() const;
  [[nodiscard]] pid_t ended_daemon();
  void look_at_main_process();
  [[nodiscard]] bool must_poll_main_process() const;

  boost::asio::awaitable<void> guarded(boost::asio::awaitable<void> task);
  boost::asio::awaitable<void> watch(std::shared_ptr<Process> process);
  boost::asio::awaitable<void> watch_children();
  boost::asio::awaitable<void> start_guard();
  boost::asio::awaitable<void> follow_deadlines();
  bool kill_tree() noexcept;
  [[nodiscard]] bool tree_is_gone() noexcept;
  boost::asio::awaitable<void> end_tree();
  void on_internal_error(const std::exception_ptr& failure) noexcept;

  Spawner& spawner_;
  config::Exec exec_;
  std::string instance_;
  NotifyFn notify_;
  SupervisorFsm fsm_;
  Terminal terminal_;
  EnvBlock environment_;
  std::shared_ptr<Process> process_;  // the one that runs, or the last
  bool alive_ = false;
  bool in_background_ = false;
  pid_t daemon_pid_ = -1;  // main process of the one in the background, else its first
  enum class MainProcess {
    unknown,  // none is named (yet)
    ours,     // exec.pid_file names it, and its end is told to us
    another,  // exec.pid_file names it, and its end is told to its parent
    ended,
  } main_process_ = MainProcess::unknown;
  Instant background_since_{};
  std::optional<int> stop_signal_;  // that its daemon's processes get
  std::set<pid_t> signalled_;       // of those
  std::optional<int> code_;
  bool failed_ = false;
  TaskGroup watchers_;
  Event changed_;
};

}  // namespace keybearer::child
