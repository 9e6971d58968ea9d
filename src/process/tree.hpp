#pragma once
// Everything that a program started: the living members of its group, and what left the group. We
// are the subreaper of all that we start (process/hardening.hpp), so a daemon that left its group
// and lost its parent is a child of ours.
//
// Members carry the program's mark (process/mark.hpp). What was adopted and carries none counts as
// the program's too; what a command started never does: it is ended with signal_group() alone.
//
// Read from /proc, and only when we have children at all; so a program without leftovers costs one
// system call. Processes are signalled through a pidfd, after a second look at them: a pid that was
// used again meanwhile is nobody's business (P4, security F27).

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace keybearer {

struct TreeMember {
  pid_t pid;
  pid_t parent;
  pid_t group;
  std::string name;  // the kernel's: at most 15 characters
  // When it started, in the kernel's ticks: with the pid, what tells it from any other process.
  unsigned long long start_time;
  // Its own parent is gone: the first of a daemon's processes, and a direct child of ours.
  [[nodiscard]] bool adopted() const { return parent == adopter; }
  pid_t adopter;
};

// Living members, by pid: zombies are none.
[[nodiscard]] std::vector<TreeMember> tree_members(pid_t group);
// The same process still: the signal goes to it. False: it is gone.
bool signal_member(const TreeMember& member, int signal) noexcept;

void signal_group(pid_t group, int signal);
// To those of the tree that are not in the group.
void signal_escaped(pid_t group, int signal);
// SIGKILL. What is forked meanwhile may escape: again until tree_exited().
void kill_tree(pid_t group);
// Reaps adopted zombies on the way.
[[nodiscard]] bool tree_exited(pid_t group);

// "2 processes of it went on (nginx 123, nginx 124)", or "1 process of it went on (...)".
[[nodiscard]] std::string left_behind_text(const std::vector<TreeMember>& members);

}  // namespace keybearer
