#pragma once
// How the processes of a program are told from all others, whatever they do: fork, exec, a session of
// their own, another parent, another user. A program is started with a soft limit of file locks
// (RLIMIT_LOCKS) that is a number drawn by this keybearer. The kernel has not looked at that limit
// since Linux 2.4, but every process hands it on, and everybody may read it: in /proc/PID/limits
// ("Max file locks"), or with prlimit(2). Not the environment, which the program may ask to be empty.

#include <sys/types.h>

#include <cstdint>

namespace keybearer {

struct Marks {
  std::uint64_t program;  // of the program and all that it starts
  std::uint64_t command;  // of commands (hooks, exec.verify, plugins) and all that they start
};

// Drawn at the first call. Zero, for none, where the hard limit is too low for it.
[[nodiscard]] const Marks& marks();

// The mark of a process; 0: none, or it is gone.
[[nodiscard]] std::uint64_t mark_of(pid_t pid) noexcept;

}  // namespace keybearer
