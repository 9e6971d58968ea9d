#pragma once
// Starting programs and waiting for them.
//
// Not posix_spawn(3), which can't set the parent-death signal, and not a helper that execs twice,
// which would cost a start of our whole binary. Like glibc's posix_spawn, ours is clone(CLONE_VM |
// CLONE_VFORK) with a stack of its own: no copy of our memory (nor of its secrets), and an error of
// exec comes back as errno.
//
// The parent-death signal is that of the thread that spawns: it must be the main thread, which ends
// last (prctl(2), PR_SET_PDEATHSIG).

#include <sys/resource.h>
#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "process/env_block.hpp"
#include "process/exit_status.hpp"

namespace keybearer {

// A descriptor of ours that the program gets as `to`.
struct FdMapping {
  int from;
  int to;
};

struct ResourceLimit {
  int resource;  // RLIMIT_NOFILE
  rlimit value;
};

// What differs from ours, applied in the child in the order of these members, before it execs.
struct StartOptions {
  bool foreground = false;                  // hand it the terminal that is our stdin
  std::vector<FdMapping> descriptors = {};  // besides 0 to 2, which are ours where not mapped
  bool null_input = false;                  // stdin is /dev/null
  std::uint64_t mark = 0;                   // process/mark.hpp; 0: none
  std::vector<ResourceLimit> limits = {};
  std::optional<int> nice = {};
  std::optional<mode_t> umask = {};
  std::optional<std::vector<gid_t>> groups = {};  // supplementary
  std::optional<gid_t> group = {};
  std::optional<uid_t> user = {};
  std::string working_directory = {};  // empty: ours
};

struct SpawnSpec {
  std::vector<std::string> argv;  // argv[0] without a slash is looked up in our own PATH
  const EnvBlock* environment;    // all of it; not owned
  StartOptions options = {};
};

struct Process {
  pid_t pid = -1;  // also its process group
  UniqueFd pidfd;
};

// Where a command is: as execvp(3) finds it in our PATH; with a slash, as it is. Errors as of
// spawn().
[[nodiscard]] result<std::string> find_program(const std::string& name);

// Why the system starts no program, of an errno: "no more processes allowed (...)".
[[nodiscard]] std::string spawn_error_text(int error);

// Only descriptors 0 to 2 and the mapped ones reach the program; signal mask and dispositions are the defaults; it
// leads a process group; it is killed when we die. Errors: kind spawn, with status 127 (not found)
// or 126 (found, but can't be started), and a retry_after where the cause is passing (no process
// free).
[[nodiscard]] result<Process> spawn(const SpawnSpec& spec);

// Waits for its end and reaps it. Cancelling leaves it unreaped. `process` must outlive the wait.
[[nodiscard]] boost::asio::awaitable<ExitStatus> wait_for_exit(Process& process);
// The same in any thread, for as long as it takes.
[[nodiscard]] ExitStatus wait_blocking(Process& process);

// Nothing happens when it has been reaped: a pidfd never means another process.
void signal_process(const Process& process, int signal) noexcept;
// Has it been suspended (Ctrl-Z, SIGSTOP) since the last call?
[[nodiscard]] bool suspended(const Process& process) noexcept;

}  // namespace keybearer
