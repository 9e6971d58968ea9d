#include "process/tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "process/spawn.hpp"

namespace keybearer {
namespace {

struct Relation {
  pid_t parent = 0;
  pid_t group = 0;
  char state = '?';
};
using Processes = std::map<pid_t, Relation>;

// Every process, from /proc/PID/stat (proc(5)); the name in it may hold anything, so from its last
// ')'.
Processes all_processes() {
  Processes all;
  struct Close {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> proc(opendir("/proc"));
  while (const dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    const std::string path = std::string(entry->d_name) + "/stat";
    const UniqueFd stat(openat(dirfd(proc.get()), path.c_str(), O_RDONLY | O_CLOEXEC));
    char text[512];
    const ssize_t n = stat ? read(stat.get(), text, sizeof text - 1) : -1;
    if (n <= 0) continue;
    text[n] = '\0';
    const char* name_end = std::strrchr(text, ')');
    Relation relation;
    if (name_end != nullptr && std::sscanf(name_end + 1, " %c %d %d", &relation.state,
                                           &relation.parent, &relation.group) == 3) {
      all.emplace(pid, relation);
    }
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

struct Member {
  pid_t pid;
  pid_t group;
};

std::vector<Member> tree_of(pid_t group) {
  const Processes all = all_processes();
  const pid_t self = getpid();
  std::vector<Member> members;
  for (const auto& [pid, relation] : all) {
    if (relation.state == 'Z' || relation.state == 'X' || pid == self) continue;
    bool ours = relation.group == group;
    if (!ours) {
      // Below the program, or below an adopted stranger; not below another program of ours, such as
      // a hook.
      const pid_t top = top_of(all, pid, self);
      ours = top == group || (top != 0 && !is_spawned(top));
    }
    if (ours) members.push_back({pid, relation.group});
  }
  return members;
}

bool have_children() noexcept {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

}  // namespace

void signal_group(pid_t group, int signal) noexcept {
  if (group > 1) kill(-group, signal);
}

void signal_escaped(pid_t group, int signal) {
  for (const Member& member : tree_of(group)) {
    if (member.group != group) kill(member.pid, signal);
  }
}

void kill_tree(pid_t group) {
  signal_group(group, SIGKILL);
  for (const Member& member : tree_of(group)) kill(member.pid, SIGKILL);
}

bool tree_exited(pid_t group) {
  reap_orphans();
  return !have_children() || tree_of(group).empty();
}

void reap_orphans() noexcept {
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (is_spawned(info.si_pid))
      return;  // first in line is another's; wait_for_exit() calls us after it
    waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
  }
}

}  // namespace keybearer
