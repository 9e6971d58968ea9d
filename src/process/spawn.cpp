#include "process/spawn.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "process/clone.hpp"
#include "process/hardening.hpp"
#include "process/reaper.hpp"
#include "process/standard_streams.hpp"

namespace keybearer {
namespace {

constexpr auto kByPidfd =
    static_cast<idtype_t>(3);  // P_PIDFD, waitid(2); not in every libc's header

enum class Step { setup, limits, user, working_directory, exec };

struct Start {
  const SpawnSpec* spec;
  const char* path;
  char* const* argv;
  char* const* envp;
  pid_t parent;
  rlim_t core_limit;
  // Set by the child, which shares our memory until it execs.
  Step step = Step::setup;
  int error = 0;
};

int give_up(Start& start) {
  start.error = errno;
  return 127;
}

// Ours are opened so that they fail (process/standard_streams); no program counts on that.
bool open_closed_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (!standard_stream_was_closed(fd)) continue;
    const int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, fd) < 0) return false;
  }
  return true;
}

// Descriptors are moved out of each other's way first; then all but the standard and the mapped
// ones are closed.
bool map_descriptors(const StartOptions& options) {
  int most = STDERR_FILENO;
  for (const FdMapping& map : options.descriptors) most = std::max(most, map.to);
  constexpr std::size_t kMost = 64;
  int moved[kMost];
  if (options.descriptors.size() > kMost) return errno = EMFILE, false;
  for (std::size_t i = 0; i < options.descriptors.size(); ++i) {
    moved[i] = fcntl(options.descriptors[i].from, F_DUPFD, most + 1);
    if (moved[i] < 0) return false;
  }
  for (int fd = STDERR_FILENO + 1; fd <= most; ++fd) close(fd);
  for (std::size_t i = 0; i < options.descriptors.size(); ++i) {
    if (dup2(moved[i], options.descriptors[i].to) < 0) return false;
  }
  if (options.null_input) {
    const int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0) return false;
  }
  if (syscall(SYS_close_range, static_cast<unsigned>(most + 1), ~0U, 0U) == 0) return true;
  rlimit files{};  // before Linux 5.9, or forbidden by a sandbox
  getrlimit(RLIMIT_NOFILE, &files);
  const int end = static_cast<int>(std::min<rlim_t>(files.rlim_cur, 1 << 16));
  for (int fd = most + 1; fd < end; ++fd) close(fd);
  return true;
}

bool set_limits(const Start& start) {
  const StartOptions& options = start.spec->options;
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = start.core_limit;
  setrlimit(RLIMIT_CORE, &limit);
  if (options.mark != 0 && getrlimit(RLIMIT_LOCKS, &limit) == 0) {
    limit.rlim_cur = options.mark;
    setrlimit(RLIMIT_LOCKS, &limit);
  }
  for (const ResourceLimit& wanted : options.limits) {
    if (setrlimit(static_cast<__rlimit_resource>(wanted.resource), &wanted.value) != 0)
      return false;
  }
  if (options.nice && setpriority(PRIO_PROCESS, 0, *options.nice) != 0) return false;
  if (options.umask) umask(*options.umask);
  return true;
}

// By the system calls themselves: those of libc would change all threads of ours.
bool set_user(const StartOptions& options) {
  if (options.groups && syscall(SYS_setgroups, options.groups->size(), options.groups->data()) != 0)
    return false;
  if (const auto& gid = options.group; gid && syscall(SYS_setresgid, *gid, *gid, *gid) != 0)
    return false;
  const auto& uid = options.user;
  return !uid || syscall(SYS_setresuid, *uid, *uid, *uid) == 0;
}

// In the child, on a stack of its own, in our memory, with all signals blocked: async-signal-safe
// calls only, and nothing of ours is changed but `start`. Our handlers are gone before signals are
// let in. It returns, as its exit code, only when the program can't be started.
KEYBEARER_CLONED int start_program(void* argument) {
  auto& start = *static_cast<Start*>(argument);
  const StartOptions& options = start.spec->options;

  if (setpgid(0, 0) != 0) return give_up(start);
  if (!open_closed_streams()) return give_up(start);
  if (options.foreground) tcsetpgrp(STDIN_FILENO, getpid());
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    sigaction(signal, &standard, nullptr);
  }
  if (!map_descriptors(options)) return give_up(start);
  start.step = Step::limits;
  if (!set_limits(start)) return give_up(start);
  start.step = Step::user;
  if (!set_user(options)) return give_up(start);
  start.step = Step::working_directory;
  const char* directory = options.working_directory.c_str();
  if (*directory != '\0' && chdir(directory) != 0) return give_up(start);

  start.step = Step::setup;
  // After the change of user, which takes it back (prctl(2)).
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return give_up(start);
  if (getppid() != start.parent) return 127;  // it died before the line above
  start.step = Step::exec;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(start.path, start.argv, start.envp);
  return give_up(start);
}

// ["echo hi && exit 4"]: a whole command in one word.
std::unexpected<Error> cant_start(const std::string& what, int error);

std::unexpected<Error> cant_find(const std::string& name, int error) {
  auto failed = cant_start(name, error);
  if (error == ENOENT && name.find_first_of(" \t\n|&;<>") != std::string::npos)
    failed.error().text += " (one word; for the shell write a string, not a list)";
  return failed;
}

std::unexpected<Error> cant_start(const std::string& what, int error) {
  const bool passing = error == EAGAIN || error == ENOMEM || error == ETXTBSY;
  return std::unexpected(
      Error{ErrorKind::spawn, "can't start " + what + ": " + spawn_error_text(error),
            passing ? std::optional<Duration>(std::chrono::seconds(1)) : std::nullopt,
            error == ENOENT || error == ENOTDIR ? 127 : 126});
}

std::unexpected<Error> cant_start(const SpawnSpec& spec, const Start& start) {
  const std::string& name = spec.argv.front();
  const StartOptions& options = spec.options;
  const auto can_not = [&](const std::string& what) {
    auto failed = cant_start(name + what, start.error);
    failed.error().status = 126;
    return failed;
  };
  if (start.step == Step::working_directory) return can_not(" in " + options.working_directory);
  if (start.step == Step::limits) return can_not(" with its limits (exec.rlimits, exec.nice)");
  if (start.step == Step::user) {
    return can_not(options.user ? " as user " + std::to_string(*options.user)
                                : " in group " + std::to_string(options.group.value_or(0)));
  }
  const bool here = start.path[0] == '/' || options.working_directory.empty();
  if (start.error == ENOENT && here && access(start.path, F_OK) == 0) {
    Error failed{ErrorKind::spawn, "can't start " + name +
                                       ": it is there, but what runs it is not "
                                       "(the interpreter of its #! line, or its dynamic loader)"};
    failed.status = 126;
    return std::unexpected(std::move(failed));
  }
  return cant_find(name, start.error);
}

// Who starts us may have SIGCHLD ignored: then children vanish unwaited, with their status
// (waitid(2)).
void keep_exit_statuses() {
  struct sigaction action{};
  if (sigaction(SIGCHLD, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) {
    signal(SIGCHLD, SIG_DFL);
  }
}

struct Cloned {
  pid_t pid;
  int pidfd;
  int error;
};

// Returns when the child has exec'ed or given up.
Cloned clone_and_start(Start& start) {
  constexpr std::size_t kStack = 64 * 1024;
  void* stack =
      mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return {-1, -1, errno};
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_BLOCK, &every, &before);
  int pidfd = -1;
  const pid_t pid = clone_sharing_memory(start_program, static_cast<char*>(stack) + kStack,
                                         CLONE_PIDFD | SIGCHLD, &start, &pidfd);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, kStack);
  return {pid, pidfd, error};
}

}  // namespace

std::string spawn_error_text(int error) {
  switch (error) {
    case ENOENT:
      return "not found";
    case EACCES:
      return "permission denied (is it executable?)";
    case ENOEXEC:
      return "not a program (a script without a #! line?)";
    case E2BIG:
      return "its arguments and environment are too large for the system";
    case EAGAIN:
      return "no more processes allowed (pids limit of the container, or ulimit -u)";
    default:
      return strerrordesc_np(error);
  }
}

// As execvp(3), in our PATH. A match that can't be executed counts only when there is no other.
result<std::string> find_program(const std::string& name) {
  if (name.empty()) return cant_start("(no command)", ENOENT);
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  int error = ENOENT;
  while (true) {
    const auto colon = std::min(rest.find(':'), rest.size());
    std::string candidate(rest.substr(0, colon));
    candidate = (candidate.empty() ? "." : candidate) + "/" + name;
    struct stat info{};
    if (stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      if (access(candidate.c_str(), X_OK) == 0) return candidate;
      error = EACCES;
    }
    if (colon == rest.size()) return cant_find(name, error);
    rest.remove_prefix(colon + 1);
  }
}

result<Process> spawn(const SpawnSpec& spec) {
  const auto path = find_program(spec.argv.empty() ? std::string{} : spec.argv.front());
  if (!path) return std::unexpected(path.error());
  std::vector<char*> argv;
  for (const std::string& argument : spec.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const EnvStrings environment = strings_of(*spec.environment);

  keep_exit_statuses();
  const auto lock = reaper().lock();  // nobody reaps it before it is in the table
  Start start{&spec,    path->c_str(),        argv.data(), environment.pointers.data(),
              getpid(), original_core_limit()};
  const Cloned cloned = clone_and_start(start);
  if (cloned.pid < 0) return cant_start(spec.argv.front(), cloned.error);
  Process process{cloned.pid, UniqueFd(cloned.pidfd)};
  if (start.error != 0) {
    waitpid(process.pid, nullptr, 0);
    return cant_start(spec, start);
  }
  reaper().add(process.pid);
  return process;
}

namespace {

bool has_ended(const Process& process) {
  pollfd ended{process.pidfd.get(), POLLIN, 0};
  return poll(&ended, 1, 0) == 1;
}

ExitStatus taken_status(const Process& process) {
  const ExitStatus status = reaper().reap(process.pid, process.pidfd.get());
  reaper().reap_orphans();  // those that came after it in line
  return status;
}

}  // namespace

boost::asio::awaitable<ExitStatus> wait_for_exit(Process& process) {
  namespace asio = boost::asio;
  asio::posix::stream_descriptor descriptor(co_await asio::this_coro::executor,
                                            fcntl(process.pidfd.get(), F_DUPFD_CLOEXEC, 0));
  // Who is woken by what epoll(7) tells of another that was here before, waits again.
  do {
    co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
  } while (!has_ended(process));
  co_return taken_status(process);
}

ExitStatus wait_blocking(Process& process) {
  pollfd ended{process.pidfd.get(), POLLIN, 0};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  return taken_status(process);
}

void signal_process(const Process& process, int signal) noexcept {
  syscall(SYS_pidfd_send_signal, process.pidfd.get(), signal, nullptr, 0U);
}

bool suspended(const Process& process) noexcept {
  siginfo_t info{};
  const auto pidfd = static_cast<id_t>(process.pidfd.get());
  return waitid(kByPidfd, pidfd, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid != 0;
}

}  // namespace keybearer
