#pragma once
// Feeds the supervisor's machine with what happens and carries its actions out: one program at a
// time, and its whole tree. As subreaper or PID 1 it also reaps strangers.
//
//     Supervisor supervisor(executor, *spawner, config.exec, random, alarm);
//     tasks.spawn(...supervisor.run()...);            // ends with keybearer's exit code
//     supervisor.want({environment, items});          // whenever the rendered set is complete
//
// Must outlive run(). When run() is cancelled or fails, the program's tree is killed.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "base/event.hpp"
#include "base/random.hpp"
#include "base/task_group.hpp"
#include "child/spawner.hpp"
#include "child/supervisor_fsm.hpp"
#include "process/terminal.hpp"

namespace keybearer::child {

struct Desired {
  EnvBlock environment;             // all of it
  Items items;                      // what it is made of, for finding out what changed
  Instant latest = Instant::max();  // what the program has ends then
};

class Supervisor {
 public:
  using AlarmHook = std::function<void(std::string_view event, std::string_view reason)>;
  // `instance`: see rules_of().
  Supervisor(boost::asio::any_io_executor executor, Spawner& spawner, const config::Exec& exec,
             std::string_view instance, Random& random, AlarmHook alarm);

  // The newest complete set; the first one starts the program. Error (kind render): the system
  // can't start a program with it; what runs is not touched.
  [[nodiscard]] result<> want(Desired desired);
  void forward_signal(int signal);
  void stop();  // again: a second's grace; a third time: kill

  // Until the program has ended for good: keybearer's exit code.
  [[nodiscard]] boost::asio::awaitable<int> run();

  [[nodiscard]] Event& changed() { return changed_; }  // machine() or pid() may have changed
  [[nodiscard]] const SupervisorFsm& machine() const { return fsm_; }
  [[nodiscard]] pid_t pid() const { return alive_ ? process_->pid : -1; }  // -1: none runs

 private:
  void perform(Actions actions);
  void carry_out(const Start&);
  void carry_out(const Stop& action);
  void carry_out(const StopEscaped& action);
  void carry_out(const Signal& action);
  void carry_out(const KillTree&);
  void carry_out(const Finish& action);
  void carry_out(const Say& action);
  void carry_out(const Alarm& action);
  [[nodiscard]] bool tree_exited();
  void poll_tree();
  boost::asio::awaitable<void> watch(std::shared_ptr<Process> process);
  boost::asio::awaitable<void> watch_children();
  boost::asio::awaitable<void> feed();
  struct Farewell;

  Spawner& spawner_;
  const config::Exec& exec_;
  AlarmHook alarm_;
  SupervisorFsm fsm_;
  Terminal terminal_;
  EnvBlock environment_;
  std::shared_ptr<Process> process_;  // the one that runs, or the last
  bool alive_ = false;
  std::optional<int> code_;
  TaskGroup watchers_;
  Event changed_;
};

// Every signal that goes to the program: all that can be caught but ours (TERM, INT, QUIT, HUP,
// CHLD), those of job control, and those that a fault of our own raises.
[[nodiscard]] std::vector<int> forwarded_signals();

}  // namespace keybearer::child
