#include "process/reaper.hpp"

#include <sys/wait.h>

#include <algorithm>

namespace keybearer {
namespace {

constexpr std::size_t kMostStatuses = 64;
constexpr auto kByPidfd =
    static_cast<idtype_t>(3);  // P_PIDFD, waitid(2); not in every libc's header

ExitStatus status_of(const siginfo_t& info) {
  return {info.si_code != CLD_EXITED, info.si_status};
}

}  // namespace

Reaper& reaper() {
  static Reaper table;
  return table;
}

bool Reaper::has(pid_t pid) const {
  return std::ranges::find(spawned_, pid) != spawned_.end();
}

bool Reaper::is_spawned(pid_t pid) {
  const std::lock_guard guard(mutex_);
  return has(pid);
}

ExitStatus Reaper::reap(pid_t pid, int pidfd) {
  const std::lock_guard guard(mutex_);
  siginfo_t info{};
  waitid(kByPidfd, static_cast<id_t>(pidfd), &info, WEXITED);
  std::erase(spawned_, pid);
  return status_of(info);
}

void Reaper::reap_orphans() {
  const std::lock_guard guard(mutex_);
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    const pid_t pid = info.si_pid;
    if (has(pid)) return;
    info = {};
    if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
      return;
    if (!watching_) continue;
    last_ = status_of(info);
    if (orphans_.size() >= kMostStatuses) orphans_.erase(orphans_.begin());
    orphans_[pid] = *last_;
  }
}

void Reaper::watch_orphans() {
  const std::lock_guard guard(mutex_);
  watching_ = true;
  orphans_.clear();
  last_.reset();
}

std::optional<ExitStatus> Reaper::orphan_status(pid_t pid) {
  const std::lock_guard guard(mutex_);
  const auto at = orphans_.find(pid);
  return at == orphans_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<ExitStatus> Reaper::last_orphan_status() {
  const std::lock_guard guard(mutex_);
  return last_;
}

}  // namespace keybearer
