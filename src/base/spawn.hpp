#pragma once
// Starting programs, waiting for them, and ending whole process trees.
//
// Not posix_spawn(3): it can't set the parent-death signal, which every program of ours gets, so that none is left
// running unseen when keybearer is killed. Like glibc's, ours is clone(CLONE_VM | CLONE_VFORK) with a stack of its own:
// no copy of our memory (nor of its secrets), and exec errors come back as errno.

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "base/env_block.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"

namespace keybearer {

struct SpawnSpec {
  std::vector<std::string> argv;      // argv[0] without a slash is looked up in our own PATH
  const EnvBlock* environment;        // all of it; not owned
  std::string working_directory = {};  // empty: ours
  int output = -1;                    // becomes its stdout and stderr; -1: ours
  bool null_input = false;            // stdin is /dev/null
  bool foreground = false;            // hand it the terminal that is our stdin, if we have it
};

struct Process {
  pid_t pid = -1;   // also its process group
  UniqueFd pidfd;
};

struct ExitStatus {
  bool signaled = false;
  int code = 0;  // exit code, or the signal's number
  [[nodiscard]] int shell_code() const { return signaled ? 128 + code : code; }
};

// Only descriptors 0 to 2 reach the program; signal mask and dispositions are the defaults; it leads a process group.
// Errors: kind spawn, with status 127 (not found) or 126 (found, but can't be executed).
[[nodiscard]] result<Process> spawn(const SpawnSpec& spec);

// Waits for its end and reaps it. Cancelling leaves it unreaped.
[[nodiscard]] boost::asio::awaitable<ExitStatus> wait_for_exit(Process& process);

void signal_group(pid_t group, int signal) noexcept;
// SIGKILL to the group and to every other descendant that started in it (we are their subreaper: a daemon that left its
// group and its parent has become our child).
void kill_tree(pid_t group) noexcept;
// Is nobody left, of the group or adopted by us? Reaps adopted zombies on the way.
[[nodiscard]] bool tree_gone(pid_t group) noexcept;
// Reaps children that are not ours (adopted as subreaper or PID 1). Known ones are left to their pidfd.
void reap_strangers() noexcept;

}  // namespace keybearer
