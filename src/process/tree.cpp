#include "process/tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "base/fd.hpp"
#include "process/mark.hpp"
#include "process/reaper.hpp"

namespace keybearer {
namespace {

struct Stat {
  std::string name;
  pid_t parent = 0;
  pid_t group = 0;
  char state = '?';
  int threads = 0;
  unsigned long long start_time = 0;
};
using Processes = std::map<pid_t, Stat>;

// From /proc/PID/stat (proc(5)); the name in it may hold anything, so up to its last ')'.
std::optional<Stat> read_stat(int proc, pid_t pid) {
  char path[32];
  std::snprintf(path, sizeof path, "%d/stat", pid);
  const UniqueFd file(openat(proc, path, O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t n = file ? read(file.get(), text, sizeof text - 1) : -1;
  if (n <= 0) return std::nullopt;
  text[n] = '\0';
  const char* name = std::strchr(text, '(');
  const char* name_end = std::strrchr(text, ')');
  if (name == nullptr || name_end == nullptr) return std::nullopt;
  Stat stat;
  stat.name.assign(name + 1, name_end);
  // state, ppid, pgrp, and as the 20th and 22nd field num_threads and starttime
  const int fields =
      std::sscanf(name_end + 1,
                  " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                  "%*d %d %*d %llu",
                  &stat.state, &stat.parent, &stat.group, &stat.threads, &stat.start_time);
  return fields == 5 ? std::optional(std::move(stat)) : std::nullopt;
}

// One whose first thread has ended looks like a zombie while others of it run, or are still ending:
// until then nothing tells how it ended.
bool lives(const Stat& stat) {
  if (stat.threads > 1) return true;
  return stat.state != 'Z' && stat.state != 'X';
}

Processes all_processes() {
  Processes all;
  struct Close {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> proc(opendir("/proc"));
  while (const dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    if (auto stat = read_stat(dirfd(proc.get()), pid)) all.emplace(pid, std::move(*stat));
  }
  return all;
}

// The ancestor (or itself) that is a direct child of ours; 0: not a descendant.
pid_t top_of(const Processes& all, pid_t pid, pid_t self) {
  for (auto at = all.find(pid); at != all.end(); at = all.find(at->second.parent)) {
    if (at->second.parent == self) return at->first;
  }
  return 0;
}

bool have_children() noexcept {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

}  // namespace

std::vector<TreeMember> tree_members(pid_t group) {
  const Processes all = all_processes();
  const pid_t self = getpid();
  std::vector<TreeMember> members;
  for (const auto& [pid, stat] : all) {
    if (!lives(stat) || pid == self) continue;
    const std::uint64_t mark = mark_of(pid);
    if (mark != 0 && mark == marks().command) continue;
    bool ours = stat.group == group || (mark != 0 && mark == marks().program);
    if (!ours) {
      // A process that changed its limits: below the program, or below an adopted stranger; not
      // below another program of ours, such as a command.
      const pid_t top = top_of(all, pid, self);
      ours = top == group || (top != 0 && !reaper().is_spawned(top));
    }
    if (ours) members.push_back({pid, stat.parent, stat.group, stat.name, stat.start_time, self});
  }
  return members;
}

bool signal_member(const TreeMember& member, int signal) noexcept {
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, member.pid, 0)));
  if (!pidfd) return false;
  // From here on the pidfd stays with its process; is it the one that was looked at?
  const UniqueFd proc(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto stat = proc ? read_stat(proc.get(), member.pid) : std::nullopt;
  if (!stat || stat->start_time != member.start_time) return false;
  return syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0U) == 0;
}

void signal_group(pid_t group, int signal) {
  if (group <= 1) return;
  if (reaper().is_spawned(group)) {  // its leader is not reaped: the number can't be another's
    kill(-group, signal);
    return;
  }
  for (const TreeMember& member : tree_members(group)) {
    if (member.group == group) signal_member(member, signal);
  }
}

void signal_escaped(pid_t group, int signal) {
  for (const TreeMember& member : tree_members(group)) {
    if (member.group != group) signal_member(member, signal);
  }
}

void kill_tree(pid_t group) {
  signal_group(group, SIGKILL);
  for (const TreeMember& member : tree_members(group)) signal_member(member, SIGKILL);
}

bool tree_exited(pid_t group) {
  // One look at /proc may miss a process that is forked while its parent, which ends, is looked at:
  // what forks twice to become a daemon does so twice.
  constexpr int kLooks = 4;
  for (int look = 0; look < kLooks; ++look) {
    reaper().reap_orphans();
    if (!have_children()) return true;
    if (!tree_members(group).empty()) return false;
  }
  return true;
}

std::string left_behind_text(const std::vector<TreeMember>& members) {
  constexpr std::size_t kMostNames = 10;
  std::string names;
  for (std::size_t i = 0; i < std::min(members.size(), kMostNames); ++i) {
    names += (i == 0 ? "" : ", ") + members[i].name + " " + std::to_string(members[i].pid);
  }
  if (members.size() > kMostNames) names += ", ...";
  return std::to_string(members.size()) + (members.size() == 1 ? " process" : " processes") +
         " of it went on (" + names + ")";
}

}  // namespace keybearer
