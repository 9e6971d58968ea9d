#include "process/tree.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

namespace keybearer {
namespace {

// Until /proc says so of the first thread of this process.
void await_zombie() {
  for (std::string text; !text.contains(") Z ");)
    std::getline(std::ifstream("/proc/self/stat"), text);
}

TEST_CASE("a process whose first thread has ended lives while another runs") {
  int told[2];
  REQUIRE(pipe(told) == 0);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    std::thread([&told] {
      await_zombie();
      (void)!write(told[1], "x", 1);
      for (;;) pause();
    }).detach();
    syscall(SYS_exit, 0);  // of this thread alone
  }
  REQUIRE(pid > 0);
  char x = 0;
  REQUIRE(read(told[0], &x, 1) == 1);
  CHECK(tree_members(pid).size() == 1);
  CHECK_FALSE(tree_exited(pid));
  REQUIRE(kill(pid, SIGKILL) == 0);
  siginfo_t info{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
  CHECK(tree_members(pid).empty());
  CHECK(tree_exited(pid));
  close(told[0]);
  close(told[1]);
}

}  // namespace
}  // namespace keybearer
