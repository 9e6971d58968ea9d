#include "process/reaper.hpp"

#include <sys/wait.h>

#include <algorithm>

namespace keybearer {
namespace {

constexpr std::size_t kMostStatuses = 64;

}  // namespace

Reaper& reaper() {
  static Reaper table;
  return table;
}

bool Reaper::is_spawned(pid_t pid) const {
  return std::ranges::find(spawned_, pid) != spawned_.end();
}

void Reaper::reap_orphans() noexcept {
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    const pid_t pid = info.si_pid;
    if (is_spawned(pid)) return;
    info = {};
    if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
      return;
    if (!watching_) continue;
    last_ = ExitStatus{info.si_code != CLD_EXITED, info.si_status};
    if (orphans_.size() >= kMostStatuses) orphans_.erase(orphans_.begin());
    orphans_[pid] = *last_;
  }
}

void Reaper::watch_orphans() {
  watching_ = true;
  orphans_.clear();
  last_.reset();
}

std::optional<ExitStatus> Reaper::orphan_status(pid_t pid) const {
  const auto at = orphans_.find(pid);
  return at == orphans_.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace keybearer
