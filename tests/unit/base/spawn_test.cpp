#include "base/spawn.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <sstream>

#include "base/hardening.hpp"

// With the real kernel: each program is /bin/sh and ends by itself or is ended here.
namespace keybearer {
namespace {

struct Output {
  ExitStatus status;
  std::string text;
};

boost::asio::awaitable<void> waited(Process& process, ExitStatus& status) { status = co_await wait_for_exit(process); }

ExitStatus wait(Process& process) {
  boost::asio::io_context context;
  ExitStatus status;
  boost::asio::co_spawn(context, waited(process, status), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
  return status;
}

Output run(std::vector<std::string> argv, const EnvBlock& environment = {}) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  auto process = spawn({.argv = std::move(argv), .environment = &environment, .output = ends[1]});
  close(ends[1]);
  REQUIRE(process.has_value());
  Output out;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) out.text.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  out.status = wait(*process);
  return out;
}

TEST_CASE("codes and signals come back") {
  CHECK(run({"/bin/sh", "-c", "exit 7"}).status.shell_code() == 7);
  const auto killed = run({"/bin/sh", "-c", "kill -9 $$"}).status;
  CHECK(killed.signaled);
  CHECK(killed.shell_code() == 137);
}

TEST_CASE("not found and not executable are told apart") {
  const EnvBlock none;
  const auto code = [&none](std::string name) { return spawn({.argv = {std::move(name)}, .environment = &none}).error().status; };
  CHECK(code("/nonexistent/app") == 127);
  CHECK(code("no-such-command-anywhere") == 127);
  CHECK(code("/etc/passwd") == 126);
  CHECK(code("/tmp") == 126);
  const auto failed = spawn({.argv = {"sh"}, .environment = &none, .working_directory = "/nonexistent"});
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().text == "can't start sh in /nonexistent: not found");
}

TEST_CASE("the program gets the environment as it is, and nothing else of ours") {
  EnvBlock environment;
  environment.set("B", "x\ny=z");
  environment.set("A", "");
  const auto out = run({"/usr/bin/env", "-0"}, environment);
  CHECK(out.text == std::string("A=\0B=x\ny=z\0", 11));

  const int open_fd = open("/dev/null", O_RDONLY);  // not close-on-exec
  CHECK(run({"/bin/sh", "-c", "ls /proc/self/fd | wc -l"}, EnvBlock::from(environ)).text == "4\n");  // 0 1 2 and ls's own
  close(open_fd);
}

TEST_CASE("signals are as a new program expects them, and it leads its own group") {
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigprocmask(SIG_BLOCK, &usr1, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const auto out = run({"/bin/sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/$$/status; ps -o pgid= -p $$ | tr -d ' '; echo $$"},
                       EnvBlock::from(environ));
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &usr1, nullptr);
  CHECK(out.text.find("SigBlk:\t0000000000000000") != std::string::npos);
  CHECK(out.text.find("SigIgn:\t0000000000000000") != std::string::npos);
}

TEST_CASE("a whole tree is ended, daemons too") {
  become_subreaper();
  const EnvBlock environment = EnvBlock::from(environ);
  auto process = spawn({.argv = {"/bin/sh", "-c", "setsid sleep 1000 & sleep 1000 & sleep 0.1; exit 0"}, .environment = &environment});
  REQUIRE(process.has_value());
  CHECK(wait(*process).code == 0);
  CHECK_FALSE(tree_gone(process->pid));
  kill_tree(process->pid);
  for (int i = 0; i < 1000 && !tree_gone(process->pid); ++i) usleep(1000);
  CHECK(tree_gone(process->pid));
}

TEST_CASE("when keybearer is killed, the program is not left running") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const pid_t keeper = fork();
  if (keeper == 0) {
    const EnvBlock environment = EnvBlock::from(environ);
    auto process = spawn({.argv = {"/bin/sh", "-c", "exec sleep 1000"}, .environment = &environment, .output = ends[1]});
    _exit(process && kill(getpid(), SIGKILL) == 0 ? 0 : 1);
  }
  close(ends[1]);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 0);  // the program held the other end: it is gone
  close(ends[0]);
  int status = 0;
  waitpid(keeper, &status, 0);
  CHECK(WIFSIGNALED(status));
}

}  // namespace
}  // namespace keybearer
