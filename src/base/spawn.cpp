#include "base/spawn.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
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
#include <map>

#include "base/hardening.hpp"

namespace keybearer {
namespace {

#ifndef P_PIDFD
constexpr idtype_t kPidfd = static_cast<idtype_t>(3);
#else
constexpr idtype_t kPidfd = P_PIDFD;
#endif

// Programs we started and have not reaped yet: strangers are everybody else.
std::vector<pid_t>& known() {
  static std::vector<pid_t> pids;
  return pids;
}

struct Start {
  const SpawnSpec* spec;
  const char* path;
  char* const* argv;
  char* const* envp;
  pid_t parent;
  rlim_t core_limit;
  int error;  // set by the child in our memory, which it shares until it execs
};

// In the child, on a stack of its own, in our memory: only async-signal-safe calls, and nothing of ours is changed.
int start_program(void* argument) {
  auto* start = static_cast<Start*>(argument);
  const SpawnSpec& spec = *start->spec;
  const auto give_up = [start] {
    start->error = errno;
    _exit(127);
  };

  if (setpgid(0, 0) != 0) give_up();
  if (spec.foreground) tcsetpgrp(STDIN_FILENO, getpid());  // all signals are blocked, SIGTTOU too
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    sigaction(signal, &standard, nullptr);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != start->parent) _exit(127);  // it died before the line above

  if (spec.null_input) {
    const int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0) give_up();
  }
  if (spec.output >= 0 && (dup2(spec.output, STDOUT_FILENO) < 0 || dup2(spec.output, STDERR_FILENO) < 0)) give_up();
  syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  if (!spec.working_directory.empty() && chdir(spec.working_directory.c_str()) != 0) give_up();

  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  core.rlim_cur = start->core_limit;
  setrlimit(RLIMIT_CORE, &core);

  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(start->path, start->argv, start->envp);
  give_up();
  return 0;
}

std::unexpected<Error> cant_start(const std::string& name, int error) {
  Error failure{ErrorKind::spawn, "can't start " + name + ": "};
  switch (error) {
    case ENOENT: failure.text += "not found"; break;
    case EACCES: failure.text += "permission denied (is it executable?)"; break;
    case ENOEXEC: failure.text += "not a program (a script without a #! line?)"; break;
    case E2BIG: failure.text += "its arguments and environment are too large for the system"; break;
    default: failure.text += strerrordesc_np(error);
  }
  failure.status = error == ENOENT || error == ENOTDIR ? 127 : 126;
  return std::unexpected(std::move(failure));
}

// As execvp(3), in our PATH. A match that can't be executed counts only when there is no other.
result<std::string> find_program(const std::string& name) {
  if (name.empty()) return cant_start("(no command)", ENOENT);
  if (name.find('/') != std::string::npos) return name;
  const char* path = getenv("PATH");
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
    if (colon == rest.size()) return cant_start(name, error);
    rest.remove_prefix(colon + 1);
  }
}

struct Relation {
  pid_t parent = 0;
  pid_t group = 0;
  char state = '?';
};

// Every process's parent and group, from /proc/PID/stat (proc(5)); the name in it may hold anything, so from its last ')'.
std::map<pid_t, Relation> all_processes() {
  std::map<pid_t, Relation> all;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return all;
  while (const dirent* entry = readdir(proc)) {
    const pid_t pid = atoi(entry->d_name);
    if (pid <= 0) continue;
    const UniqueFd stat(openat(dirfd(proc), (std::string(entry->d_name) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
    char text[512];
    const ssize_t n = stat ? read(stat.get(), text, sizeof text - 1) : -1;
    if (n <= 0) continue;
    text[n] = '\0';
    const char* close = strrchr(text, ')');
    Relation relation;
    if (close != nullptr && sscanf(close + 1, " %c %d %d", &relation.state, &relation.parent, &relation.group) == 3) {
      all.emplace(pid, relation);
    }
  }
  closedir(proc);
  return all;
}

// Living members of the group, and living descendants of ours that nobody else started.
std::vector<pid_t> tree_of(pid_t group) {
  const auto all = all_processes();
  const pid_t self = getpid();
  std::vector<pid_t> members;
  for (const auto& [pid, relation] : all) {
    if (relation.state == 'Z' || pid == self) continue;
    bool ours = relation.group == group;
    pid_t top = pid;  // the ancestor that is a direct child of ours
    for (auto at = all.find(pid); !ours && at != all.end(); at = all.find(at->second.parent)) {
      top = at->first;
      if (at->second.parent != self) continue;
      // A direct child: the program itself, an adopted stranger, or another program of ours, such as a hook.
      ours = top == group || std::ranges::find(known(), top) == known().end();
      break;
    }
    if (ours) members.push_back(pid);
  }
  return members;
}

}  // namespace

result<Process> spawn(const SpawnSpec& spec) {
  const auto path = find_program(spec.argv.empty() ? std::string{} : spec.argv.front());
  if (!path) return std::unexpected(path.error());
  std::vector<char*> argv;
  for (const std::string& argument : spec.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const EnvStrings environment = strings_of(*spec.environment);
  Start start{&spec, path->c_str(), argv.data(), environment.pointers.data(), getpid(), original_core_limit(), 0};

  constexpr std::size_t kStack = 64 * 1024;
  void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return cant_start(spec.argv.front(), errno);

  // No handler of ours may run in the child while it shares our memory.
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_BLOCK, &every, &before);
  int pidfd = -1;
  const pid_t pid = clone(start_program, static_cast<char*>(stack) + kStack,
                          CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start, &pidfd);
  const int clone_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, kStack);

  if (pid < 0) return cant_start(spec.argv.front(), clone_error);
  Process process{pid, UniqueFd(pidfd)};
  if (start.error != 0) {
    waitpid(pid, nullptr, 0);
    if (!spec.working_directory.empty() && access(spec.working_directory.c_str(), X_OK) != 0) {
      return cant_start(spec.argv.front() + " in " + spec.working_directory, start.error);
    }
    return cant_start(spec.argv.front(), start.error);
  }
  known().push_back(pid);
  return process;
}

boost::asio::awaitable<ExitStatus> wait_for_exit(Process& process) {
  namespace asio = boost::asio;
  asio::posix::stream_descriptor descriptor(co_await asio::this_coro::executor, dup(process.pidfd.get()));
  co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
  siginfo_t info{};
  waitid(kPidfd, static_cast<id_t>(process.pidfd.get()), &info, WEXITED);
  std::erase(known(), process.pid);
  co_return ExitStatus{info.si_code != CLD_EXITED, info.si_status};
}

void signal_group(pid_t group, int signal) noexcept {
  if (group > 1) kill(-group, signal);
}

void kill_tree(pid_t group) noexcept {
  signal_group(group, SIGKILL);
  for (const pid_t pid : tree_of(group)) kill(pid, SIGKILL);
}

bool tree_gone(pid_t group) noexcept {
  reap_strangers();
  siginfo_t info{};
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD) return true;  // no child at all
  return tree_of(group).empty();
}

void reap_strangers() noexcept {
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (std::ranges::find(known(), info.si_pid) != known().end()) return;  // its pidfd's turn; we are called again then
    waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
  }
}

}  // namespace keybearer
