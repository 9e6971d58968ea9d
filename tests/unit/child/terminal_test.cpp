#include <doctest/doctest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <string>

#include "child/supervisor.hpp"

// With a real terminal: a process of its own leads a session on it and supervises `cat`.
namespace keybearer::child {
namespace {

boost::asio::awaitable<void> run(Supervisor& supervisor, int& code) {
  code = co_await supervisor.run();
}

[[noreturn]] void supervise_cat() {
  boost::asio::io_context context;
  auto spawner = make_spawner();
  config::Exec exec;
  exec.command.argv = {"cat"};
  exec.restart_on_exit = config::RestartOnExit::always;
  Random random{1};
  Supervisor supervisor(context.get_executor(), *spawner, exec, "test", random, [](auto, auto) {});
  int code = 1;
  boost::asio::co_spawn(context, run(supervisor, code), [](std::exception_ptr) {});
  if (!supervisor.set_desired({})) _exit(1);
  context.run();
  _exit(code);
}

struct Session {
  int terminal = -1;
  pid_t pid = -1;

  Session() {
    pid = forkpty(&terminal, nullptr, nullptr, nullptr);
    if (pid == 0) supervise_cat();
    REQUIRE(pid > 0);
    REQUIRE(shows("the program is started"));
  }
  ~Session() { close(terminal); }
  void type(std::string_view keys) {
    CHECK(write(terminal, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
  }
  // Reads until `text` has been seen, for at most 10 s.
  bool shows(std::string_view text) {
    std::string seen;
    pollfd readable{terminal, POLLIN, 0};
    while (seen.find(text) == std::string::npos && poll(&readable, 1, 10'000) > 0) {
      char buffer[1024];
      const ssize_t n = read(terminal, buffer, sizeof buffer);
      if (n <= 0) break;
      seen.append(buffer, static_cast<std::size_t>(n));
    }
    return seen.find(text) != std::string::npos;
  }
  int exit_code() {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

TEST_CASE("the program has the terminal: it reads from it, and Ctrl-C ends it and keybearer") {
  Session session;
  session.type("hello\n");
  CHECK(session.shows("hello\r\nhello\r\n"));  // the terminal's echo, and the program's
  session.type("\x03");
  CHECK(session.exit_code() == 130);  // not started again, whatever restart_on_exit says
}

TEST_CASE("Ctrl-Z where no shell can resume us does not leave the program suspended") {
  Session session;
  session.type("before\n");
  CHECK(session.shows("before\r\nbefore\r\n"));
  session.type("\x1a");
  CHECK(session.shows("^Z"));
  session.type("after\n");
  CHECK(session.shows("\nafter\r\n"));
  session.type("\x03");
  CHECK(session.exit_code() == 130);
}

}  // namespace
}  // namespace keybearer::child
