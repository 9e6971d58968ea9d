#include "process/guard.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "process/clone.hpp"
#include "process/mark.hpp"
#include "process/spawn.hpp"

// The program that src/guard/main.cpp is built to.
asm(R"(
  .section .rodata
  .balign 8
keybearer_guard_image:
  .incbin ")" KEYBEARER_GUARD_IMAGE R"("
keybearer_guard_image_end:
  .byte 0
  .text
)");
extern "C" const char keybearer_guard_image[];
extern "C" const char keybearer_guard_image_end[];

namespace keybearer {
namespace {

constexpr std::size_t kStack = 16 * 1024;

struct Start {
  int image;
  int pipe;
  char* const* argv;
  char* stack;  // of the guard, until it execs
  pid_t pid = -1;
  int error = 0;
};

// In the guard, in our memory until it execs: system calls only. All signals stay blocked, also in
// the guard.
KEYBEARER_CLONED int exec_guard(void* argument) {
  auto& start = *static_cast<Start*>(argument);
  setsid();
  // It says nothing, and whoever reads our output must not wait for it: the pipe is all it has.
  if (dup2(start.pipe, STDIN_FILENO) >= 0 && dup2(start.pipe, STDOUT_FILENO) >= 0 &&
      dup2(start.pipe, STDERR_FILENO) >= 0) {
    syscall(SYS_close_range, 3U, ~0U, 4U);  // CLOSE_RANGE_CLOEXEC: the image is still needed
    char* const none[] = {nullptr};
    syscall(SYS_execveat, start.image, "", start.argv, none, AT_EMPTY_PATH);
  }
  start.error = errno;
  return 127;
}

// Between us and the guard, so that it becomes init's, or whoever's is our own subreaper.
KEYBEARER_CLONED int leave_guard(void* argument) {
  auto& start = *static_cast<Start*>(argument);
  start.pid = clone_sharing_memory(exec_guard, start.stack + kStack, 0, argument);
  if (start.pid < 0) start.error = errno;
  return 0;
}

UniqueFd image() {
  constexpr unsigned kExec = 0x10;  // MFD_EXEC, Linux 6.3
  UniqueFd fd(memfd_create("keybearer-guard", MFD_CLOEXEC | kExec));
  if (!fd) fd.reset(memfd_create("keybearer-guard", MFD_CLOEXEC));
  const auto size = static_cast<std::size_t>(keybearer_guard_image_end - keybearer_guard_image);
  if (fd && write(fd.get(), keybearer_guard_image, size) != static_cast<ssize_t>(size)) fd.reset();
  return fd;
}

// Without it, orphans would become our children. Nothing that could leave some runs yet.
class NoSubreaper {
 public:
  NoSubreaper() noexcept {
    prctl(PR_GET_CHILD_SUBREAPER, &before_, 0, 0, 0);
    if (before_ != 0) prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  }
  NoSubreaper(const NoSubreaper&) = delete;
  ~NoSubreaper() {
    if (before_ != 0) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  }

 private:
  int before_ = 0;
};

int start_guard(Start& start) {
  void* stacks = mmap(nullptr, 2 * kStack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stacks == MAP_FAILED) return errno;
  start.stack = static_cast<char*>(stacks);
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_BLOCK, &every, &before);
  int error = 0;
  {
    const NoSubreaper meanwhile;
    const pid_t between =
        clone_sharing_memory(leave_guard, start.stack + 2 * kStack, SIGCHLD, &start);
    if (between < 0) error = errno;
    while (between > 0 && waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stacks, 2 * kStack);
  return error != 0 ? error : start.error;
}

}  // namespace

result<Guard> Guard::start() {
  const Marks& both = marks();
  if (both.program == 0) return fail(ErrorKind::spawn, "no mark: the limit of file locks is low");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(ErrorKind::spawn, "pipe", errno);
  const UniqueFd read_end(ends[0]);
  Guard guard;
  guard.pipe_.reset(ends[1]);
  const UniqueFd memory = image();
  if (!memory) return fail_errno(ErrorKind::spawn, "memfd_create", errno);

  char name[] = "keybearer-guard", program[24], command[24];
  std::snprintf(program, sizeof program, "%llu", static_cast<unsigned long long>(both.program));
  std::snprintf(command, sizeof command, "%llu", static_cast<unsigned long long>(both.command));
  char* const argv[] = {name, program, command, nullptr};
  Start start{memory.get(), read_end.get(), argv, nullptr};
  if (const int error = start_guard(start); error != 0) {
    Error failed{ErrorKind::spawn, "can't start the guard: " + spawn_error_text(error)};
    if (error == EAGAIN || error == ENOMEM) failed.retry_after = std::chrono::seconds(1);
    return std::unexpected(std::move(failed));
  }
  guard.pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, start.pid, 0)));
  return guard;
}

void Guard::dismiss() noexcept {
  if (pidfd_) syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0U);
  pidfd_.reset();
  pipe_.reset();
}

}  // namespace keybearer
