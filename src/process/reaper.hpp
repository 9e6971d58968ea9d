#pragma once
// The table of our children, one for the process as the kernel's is: the programs that spawn()
// started, whose end wait_for_exit() awaits, and orphans that we adopted as subreaper or PID 1,
// which are reaped here. Main thread only.

#include <sys/types.h>

#include <map>
#include <optional>
#include <vector>

#include "process/exit_status.hpp"

namespace keybearer {

class Reaper {
 public:
  void add(pid_t pid) { spawned_.push_back(pid); }
  void remove(pid_t pid) { std::erase(spawned_, pid); }
  // A program that spawn() started and that is not reaped yet.
  [[nodiscard]] bool is_spawned(pid_t pid) const;

  // Reaps all adopted zombies. One that spawn() started is never reaped here; those behind it in
  // line wait until wait_for_exit() has had it, and calls us.
  void reap_orphans() noexcept;

  // How the orphans that were reaped since `watch_orphans()` ended: of a program in the background,
  // nobody else can tell.
  void watch_orphans();
  [[nodiscard]] std::optional<ExitStatus> orphan_status(pid_t pid) const;
  [[nodiscard]] std::optional<ExitStatus> last_orphan_status() const { return last_; }

 private:
  std::vector<pid_t> spawned_;
  std::map<pid_t, ExitStatus> orphans_;  // the newest few
  std::optional<ExitStatus> last_;
  bool watching_ = false;
};

[[nodiscard]] Reaper& reaper();

}  // namespace keybearer
