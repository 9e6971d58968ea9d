#pragma once
// The seam between the supervisor and the kernel: one of the two virtual ones. Tests use
// tests/support/fake_spawner.hpp. The functions are those of process/spawn.hpp, tree.hpp, reaper.hpp.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "process/spawn.hpp"
#include "process/tree.hpp"

namespace keybearer::child {

class Spawner {
 public:
  virtual ~Spawner() = default;
  [[nodiscard]] virtual result<Process> spawn(const SpawnSpec& spec) = 0;
  [[nodiscard]] virtual boost::asio::awaitable<ExitStatus> wait(Process& process) = 0;
  virtual void signal(const Process& process, int signal) = 0;
  virtual void signal_group(pid_t group, int signal) = 0;
  virtual void signal_escaped(pid_t group, int signal) = 0;
  virtual void signal_member(const TreeMember& member, int signal) = 0;
  virtual void kill_tree(pid_t group) = 0;
  [[nodiscard]] virtual bool tree_exited(pid_t group) = 0;
  [[nodiscard]] virtual std::vector<TreeMember> tree_members(pid_t group) = 0;

  // Before the first start: what is left when we are killed ends too (process/guard.hpp). Again
  // does nothing.
  virtual void guard() = 0;
  virtual void dismiss_guard() = 0;  // nothing is left

  // Returns when any child of ours, adopted ones too, has ended, stopped or gone on (SIGCHLD).
  [[nodiscard]] virtual boost::asio::awaitable<void> child_changed() = 0;
  virtual void reap_orphans() = 0;
  // Of a program in the background: from now on it is kept how orphans end.
  virtual void watch_orphans() = 0;
  // How `pid` ended, or if that is not known, the orphan that was reaped last.
  [[nodiscard]] virtual std::optional<ExitStatus> orphan_status(pid_t pid) = 0;
  // `pid` itself is one of the orphans that have ended.
  [[nodiscard]] virtual bool orphan_ended(pid_t pid) = 0;
  [[nodiscard]] virtual bool suspended(const Process& process) = 0;
};

[[nodiscard]] std::unique_ptr<Spawner> make_spawner();

}  // namespace keybearer::child
