#include "tmpl/funcs/plugin.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/fd.hpp"
#include "process/env_block.hpp"

namespace keybearer::tmpl {
namespace {

using Clock = std::chrono::steady_clock;
using Text = std::expected<std::string, std::string>;
constexpr std::size_t kMostOutput = 16u << 20;
constexpr int kLook = 50;  // ms: as often it is asked whether the wait is broken off

std::string reason(int error) {
  return std::generic_category().message(error);
}

// Its standard output is `output`, its input and error output are nothing. The error is an errno.
int start(pid_t& pid, const std::vector<std::string>& argv, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  EnvStrings environment = strings_of(without_credentials(EnvBlock::from(environ)));
  const int error = posix_spawnp(&pid, argv[0].c_str(), &actions, &attributes, arguments.data(),
                                 environment.pointers.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

struct Patience {
  Clock::time_point end;
  bool (*interrupted)() noexcept;

  // Waits until `fd` has something to read, or its other end is closed. False: it is over before.
  bool readable(int fd) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
      pollfd ready{fd, POLLIN, 0};
      const int count = poll(&ready, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, kLook)));
      if (count > 0) return true;
      if (count < 0 && errno != EINTR) return false;
      if (left <= 0 || (interrupted && interrupted())) return false;
    }
  }
};

// Reads to the end; false: not at its end in time, or too much.
bool read_all(int fd, std::string& out, const Patience& patience) {
  char buffer[16384];
  while (out.size() <= kMostOutput) {
    if (!patience.readable(fd)) return false;
    const ssize_t size = read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return size == 0;
    out.append(buffer, static_cast<std::size_t>(size));
  }
  return false;
}

// false: still running when patience is over.
bool ended(pid_t pid, const Patience& patience) {
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return true;  // then it is waited for without a limit
  return patience.readable(pidfd.get());
}

int reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

Text run_plugin(const std::vector<std::string>& argv, std::chrono::milliseconds limit,
                bool (*interrupted)() noexcept) {
  const Patience patience{Clock::now() + limit, interrupted};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(reason(errno));
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  pid_t pid = -1;
  if (const int error = start(pid, argv, writer.get()); error != 0)
    return std::unexpected(reason(error));
  writer.reset();
  std::string out;
  const bool whole = read_all(reader.get(), out, patience);
  if (!whole || !ended(pid, patience)) {
    kill(-pid, SIGKILL);
    (void)reap(pid);
    if (out.size() > kMostOutput) return std::unexpected("its output is larger than 16 MiB");
    if (Clock::now() < patience.end) return std::unexpected("broken off");
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit).count();
    return std::unexpected("did not finish in " + std::to_string(seconds) + "s");
  }
  const int status = reap(pid);
  if (WIFSIGNALED(status)) return std::unexpected("signal: " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return std::unexpected("exit status " + std::to_string(WEXITSTATUS(status)));
  return out;
}

}  // namespace keybearer::tmpl
