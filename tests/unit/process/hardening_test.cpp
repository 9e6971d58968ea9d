#include "process/hardening.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "process/spawn.hpp"
#include "process/standard_streams.hpp"

// Each in a process of its own, for there is no way back.
namespace keybearer {
namespace {

template <class F>
int exit_code_of(F f) {
  const pid_t pid = fork();
  if (pid == 0) _exit(f());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE("a hardened process leaves no core, can't be traced, and gains no privileges") {
  CHECK(exit_code_of([] {
          harden_process();
          rlimit core{};
          getrlimit(RLIMIT_CORE, &core);
          const bool done = core.rlim_cur == 0 && prctl(PR_GET_DUMPABLE) == 0 &&
                            prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
          return done ? 0 : 1;
        }) == 0);
}

TEST_CASE("a hardened process still starts programs") {
  CHECK(exit_code_of([] {
          harden_process();
          const EnvBlock none;
          auto process = spawn({.argv = {"sh", "-c", "exit 7"}, .environment = &none});
          int status = 0;
          return process && waitpid(process->pid, &status, 0) > 0 ? WEXITSTATUS(status) : 1;
        }) == 7);
}

TEST_CASE(
    "closed standard descriptors are taken; a program gets nothing to read, and writes to the null "
    "device") {
  CHECK(exit_code_of([] {
          close(0);
          close(1);
          close(2);
          hold_standard_streams();
          const int next = open("/dev/null", O_RDONLY);
          if (next <= 2 || write(1, "x", 1) == 1 || write(2, "x", 1) == 1) return 1;
          const EnvBlock none;
          auto process = spawn({.argv = {"sh", "-c", "cat && echo out && echo error >&2 && exit 7"},
                                .environment = &none});
          int status = 0;
          return process && waitpid(process->pid, &status, 0) > 0 ? WEXITSTATUS(status) : 1;
        }) == 7);
}

}  // namespace
}  // namespace keybearer
