#pragma once
// Feeds the supervisor's machine with what happens and carries its actions out: one program at a time, its whole tree.

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

namespace keybearer::child {

struct Desired {
  EnvBlock environment;  // all of it
  Items items;           // what it is made of, for finding out what changed
};

class Supervisor {
 public:
  using AlarmHook = std::function<void(std::string_view event, std::string_view reason)>;
  Supervisor(boost::asio::any_io_executor executor, Spawner& spawner, const config::Exec& exec, Random& random,
             AlarmHook alarm);

  // The newest complete set; the first one starts the program. Error (kind render): no environment can hold it; what
  // runs is not touched.
  [[nodiscard]] result<> want(Desired desired);
  void forward_signal(int signal);
  void stop();  // again: a second's grace; a third time: kill

  // Until the program has ended for good: keybearer's exit code.
  [[nodiscard]] boost::asio::awaitable<int> run();

  [[nodiscard]] Event& changed() { return changed_; }
  [[nodiscard]] const SupervisorFsm& machine() const { return fsm_; }
  [[nodiscard]] pid_t pid() const { return process_ ? process_->pid : -1; }

 private:
  void perform(Actions actions);
  void carry_out(const Start&);
  void carry_out(const SignalGroup& action);
  void carry_out(const KillTree&);
  void carry_out(const Finish& action);
  void carry_out(const Say& action);
  void carry_out(const Alarm& action);
  boost::asio::awaitable<void> watch(std::shared_ptr<Process> process);

  Spawner& spawner_;
  const config::Exec& exec_;
  AlarmHook alarm_;
  SupervisorFsm fsm_;
  EnvBlock environment_;
  std::shared_ptr<Process> process_;  // the one that runs or was the last
  bool exited_ = false;
  std::optional<int> code_;
  TaskGroup watchers_;
  Event changed_;
  bool had_terminal_ = false;
};

}  // namespace keybearer::child
