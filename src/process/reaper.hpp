#pragma once
// The table of our children, one for the process as the kernel's is: the programs that spawn()
// started, whose end somebody awaits, and orphans that we adopted as subreaper or PID 1, which are
// reaped here. Any thread.

#include <sys/types.h>

#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "process/exit_status.hpp"

namespace keybearer {

class Reaper {
 public:
  // Held while a program is being started, until add(): nothing is reaped meanwhile.
  [[nodiscard]] std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
  void add(pid_t pid) { spawned_.push_back(pid); }  // with the lock held
  // Takes the status of one that has ended, and forgets it.
  ExitStatus reap(pid_t pid, int pidfd);
  // A program that spawn() started and that is not reaped yet.
  [[nodiscard]] bool is_spawned(pid_t pid);

  // Reaps all adopted zombies. One that spawn() started is never reaped here; those behind it in
  // line wait until it is reaped, and this is called again.
  void reap_orphans();

  // How the orphans that were reaped since `watch_orphans()` ended: of a program in the background,
  // nobody else can tell.
  void watch_orphans();
  [[nodiscard]] std::optional<ExitStatus> orphan_status(pid_t pid);
  [[nodiscard]] std::optional<ExitStatus> last_orphan_status();

 private:
  [[nodiscard]] bool has(pid_t pid) const;

  std::mutex mutex_;
  std::vector<pid_t> spawned_;
  std::map<pid_t, ExitStatus> orphans_;  // some
  std::optional<ExitStatus> last_;
  bool watching_ = false;
};

[[nodiscard]] Reaper& reaper();

}  // namespace keybearer
