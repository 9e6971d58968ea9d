#pragma once
// Everything that a program started: the living members of its group, and what left the group. We
// are the subreaper of all that we start (base/hardening.hpp), so a daemon that left its group and
// lost its parent is a child of ours.
//
// What was adopted counts as the program's: there must be one such program at a time. A hook is
// ended with signal_group() alone, or the program's own daemons would go with it.
//
// Read from /proc, and only when we have children at all; so a program without leftovers costs one
// system call.

#include <sys/types.h>

namespace keybearer {

void signal_group(pid_t group, int signal) noexcept;
// To those of the tree that are not in the group.
void signal_escaped(pid_t group, int signal);
// SIGKILL. What is forked meanwhile may escape: again until tree_gone().
void kill_tree(pid_t group);
// Reaps adopted zombies on the way.
[[nodiscard]] bool tree_exited(pid_t group);

// Reaps children that spawn() did not start: those are adopted, and nobody waits for them.
void reap_orphans() noexcept;

}  // namespace keybearer
