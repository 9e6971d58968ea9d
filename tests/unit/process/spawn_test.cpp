#include "process/spawn.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "process/guard.hpp"
#include "process/hardening.hpp"
#include "process/mark.hpp"
#include "process/reaper.hpp"
#include "process/tree.hpp"

// Rules: P2, P5, P8 (src/RULES.md).
// With the real kernel: each program is /bin/sh and ends by itself or is ended here.
namespace keybearer {
namespace {

struct Output {
  ExitStatus status;
  std::string text;
};

boost::asio::awaitable<void> waited(Process& process, ExitStatus& status) {
  status = co_await wait_for_exit(process);
}

ExitStatus wait(Process& process) {
  boost::asio::io_context context;
  ExitStatus status;
  boost::asio::co_spawn(context, waited(process, status), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
  return status;
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  close(fd);
  return text;
}

StartOptions output_to(int fd) {
  return {.descriptors = {{fd, STDOUT_FILENO}, {fd, STDERR_FILENO}}};
}

Output run(std::vector<std::string> argv, const EnvBlock& environment = {}) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  auto process =
      spawn({.argv = std::move(argv), .environment = &environment, .options = output_to(ends[1])});
  close(ends[1]);
  REQUIRE(process.has_value());
  Output out;
  out.text = read_all(ends[0]);
  out.status = wait(*process);
  return out;
}

TEST_CASE("codes and signals come back") {
  CHECK(run({"/bin/sh", "-c", "exit 7"}).status.shell_code() == 7);
  const auto killed = run({"/bin/sh", "-c", "kill -9 $$"}).status;
  CHECK(killed.signaled);
  CHECK(killed.shell_code() == 137);
}

TEST_CASE("not found and not executable are told apart, and the reason is said") {
  char directory[] = "/tmp/keybearer_spawn_XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  const auto script = [&directory](const char* name, const char* content, mode_t mode) {
    const std::string path = std::string(directory) + "/" + name;
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
    return path;
  };
  const struct {
    std::string program;
    int code;
    std::string cause;
  } rows[] = {
      {"/nonexistent/app", 127, "not found"},
      {"no-such-command-anywhere", 127, "not found"},
      {"", 127, "not found"},
      {"/etc/passwd/app", 127, "Not a directory"},
      {script("plain", "x", 0644), 126, "permission denied (is it executable?)"},
      {directory, 126, "permission denied (is it executable?)"},
      {script("no_shebang", "exit 0", 0755), 126, "not a program (a script without a #! line?)"},
      {script("lost", "#!/nonexistent/python3", 0755), 126,
       "it is there, but what runs it is not (the interpreter of its #! line, or its dynamic "
       "loader)"},
  };
  const EnvBlock none;
  for (const auto& [program, code, cause] : rows) {
    CAPTURE(program);
    const auto failed = spawn({.argv = {program}, .environment = &none});
    REQUIRE_FALSE(failed.has_value());
    CHECK(failed.error().kind == ErrorKind::spawn);
    CHECK(failed.error().status == code);
    CHECK(failed.error().text.ends_with(": " + cause));
    CHECK_FALSE(failed.error().retry_after.has_value());
  }
  std::filesystem::remove_all(directory);
}

TEST_CASE("a working directory that is not there is named, and is not taken for the program") {
  const EnvBlock none;
  const auto failed = spawn(
      {.argv = {"sh"}, .environment = &none, .options = {.working_directory = "/nonexistent"}});
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().text == "can't start sh in /nonexistent: not found");
  CHECK(failed.error().status == 126);
}

TEST_CASE("a failed start leaves no zombie and no descriptor behind") {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const EnvBlock none;
  const auto before = descriptors();
  CHECK_FALSE(spawn({.argv = {"/nonexistent"}, .environment = &none}).has_value());
  CHECK(descriptors() == before);
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

TEST_CASE("the program gets the environment as it is, and nothing else of ours") {
  EnvBlock environment;
  environment.set("B", "x\ny=z");
  environment.set("A", "");
  const auto out = run({"/usr/bin/env", "-0"}, environment);
  CHECK(out.text == std::string("A=\0B=x\ny=z\0", 11));

  const int open_fd = open("/dev/null", O_RDONLY);  // not close-on-exec
  CHECK(run({"/bin/sh", "-c", "ls /proc/self/fd | wc -l"}, EnvBlock::from(environ)).text ==
        "4\n");  // 0 1 2 and ls's own
  close(open_fd);
}

TEST_CASE("signals are as a new program expects them, and it leads its own group") {
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigprocmask(SIG_BLOCK, &usr1, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const auto masks = run({"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}).text;
  const auto ids = run({"cut", "-d ", "-f1,5", "/proc/self/stat"}).text;
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &usr1, nullptr);
  CHECK(masks == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  std::istringstream numbers(ids);
  pid_t pid = 0, group = 0;
  numbers >> pid >> group;
  CHECK(pid > 0);
  CHECK(group == pid);
}

TEST_CASE(
    "stdin can be nothing, output goes where it is asked to, and the directory is the one asked "
    "for") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const EnvBlock environment = EnvBlock::from(environ);
  auto process = spawn({.argv = {"sh", "-c", "cat; pwd; echo err >&2"},
                        .environment = &environment,
                        .options = {.descriptors = {{ends[1], 1}, {ends[1], 2}},
                                    .null_input = true,
                                    .working_directory = "/usr"}});
  close(ends[1]);
  REQUIRE(process.has_value());
  CHECK(read_all(ends[0]) == "/usr\nerr\n");
  CHECK(wait(*process).code == 0);
}

std::string said(StartOptions options, const char* script) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const EnvBlock environment = EnvBlock::from(environ);
  options.descriptors.push_back({ends[1], STDOUT_FILENO});
  options.descriptors.push_back({ends[1], STDERR_FILENO});
  auto process = spawn({.argv = {"/bin/sh", "-c", script},
                        .environment = &environment,
                        .options = std::move(options)});
  close(ends[1]);
  REQUIRE(process.has_value());
  const std::string text = read_all(ends[0]);
  CHECK(wait(*process).code == 0);
  return text;
}

TEST_CASE("what a program is started with: limits, umask, priority, descriptors") {
  CHECK(said({.limits = {{RLIMIT_NOFILE, {50, 60}}}}, "ulimit -Sn; ulimit -Hn") == "50\n60\n");
  CHECK(said({.umask = 027}, "umask") == "0027\n");
  CHECK(said({.nice = 7}, "nice") == "7\n");
  const int one = open("/dev/null", O_WRONLY | O_CLOEXEC),
            two = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  // Also where one is mapped onto the other.
  CHECK(said({.descriptors = {{one, two}, {two, one}}},
             ("readlink /proc/self/fd/" + std::to_string(one) + " /proc/self/fd/" +
              std::to_string(two))
                 .c_str()) == "/dev/zero\n/dev/null\n");
  close(one);
  close(two);
  if (geteuid() != 0) return;
  CHECK(said({.groups = {{4, 5}}, .group = 3, .user = 2}, "id -u; id -g; id -G") ==
        "2\n3\n3 4 5\n");
}

TEST_CASE("a program that may not have what it is to be started with is an error of its own") {
  const EnvBlock none;
  const auto failed = [&](StartOptions options) {
    const auto process =
        spawn({.argv = {"/bin/true"}, .environment = &none, .options = std::move(options)});
    REQUIRE_FALSE(process.has_value());
    CHECK(process.error().status == 126);
    return process.error().text;
  };
  CHECK(failed({.limits = {{RLIMIT_NOFILE, {60, 50}}}}).contains("exec.rlimits"));
  CHECK(failed({.descriptors = {{999, 5}}}).contains("/bin/true"));
}

TEST_CASE("a whole command in one word says how to write it") {
  const EnvBlock none;
  for (const char* word : {"echo hi && exit 4", "/bin/echo hi"}) {
    const auto process = spawn({.argv = {word}, .environment = &none});
    REQUIRE_FALSE(process.has_value());
    CHECK(process.error().status == 127);
    CHECK(process.error().text.contains("one word; for the shell write a string, not a list"));
  }
  CHECK_FALSE(
      spawn({.argv = {"no-such-program"}, .environment = &none}).error().text.contains("one word"));
}

TEST_CASE("a mark is handed on to all that a program starts, and tells it from others") {
  become_subreaper();
  const Marks& both = marks();
  REQUIRE(both.program != 0);
  CHECK(both.program != both.command);
  CHECK(mark_of(getpid()) != both.program);
  const EnvBlock environment = EnvBlock::from(environ);
  const auto start = [&](std::uint64_t mark) {
    auto process = spawn({.argv = {"/bin/sh", "-c", "(setsid sleep 1000 &); exec sleep 1000"},
                          .environment = &environment,
                          .options = {.mark = mark}});
    REQUIRE(process.has_value());
    return std::move(*process);
  };
  Process program = start(both.program), command = start(both.command);
  const auto members = [&] { return tree_members(program.pid); };
  for (int i = 0; i < 30'000 && members().size() < 2; ++i) usleep(1000);
  REQUIRE(members().size() == 2);  // not those of the command
  for (const TreeMember& member : members()) CHECK(mark_of(member.pid) == both.program);
  CHECK(left_behind_text(members()).starts_with("2 processes of it went on (sleep "));
  kill_tree(program.pid);
  CHECK(wait_blocking(program).code == SIGKILL);
  for (int i = 0; i < 30'000 && !tree_exited(program.pid); ++i) usleep(1000);
  CHECK(tree_exited(program.pid));
  signal_group(command.pid, SIGKILL);
  CHECK(wait_blocking(command).signaled);
}

TEST_CASE("a daemon that forks twice is never missed while it does") {
  become_subreaper();
  const EnvBlock environment = EnvBlock::from(environ);
  for (int i = 0; i < 30; ++i) {
    auto process = spawn({.argv = {"/bin/sh", "-c", "( (sleep 1000 &) & ) & exit 0"},
                          .environment = &environment,
                          .options = {.mark = marks().program}});
    REQUIRE(process.has_value());
    CHECK(wait_blocking(*process).code == 0);
    for (int look = 0; look < 20; ++look) REQUIRE_FALSE(tree_exited(process->pid));
    while (!tree_exited(process->pid)) kill_tree(process->pid);
  }
}

TEST_CASE("a signal meant for a process that is gone reaches nobody else") {
  const EnvBlock none;
  auto process = spawn({.argv = {"/bin/sleep", "1000"}, .environment = &none});
  REQUIRE(process.has_value());
  const auto members = tree_members(process->pid);
  REQUIRE(members.size() == 1);
  TreeMember other = members[0];
  ++other.start_time;  // as if its number had been used again
  CHECK_FALSE(signal_member(other, SIGKILL));
  CHECK(signal_member(members[0], SIGKILL));
  CHECK(wait_blocking(*process).code == SIGKILL);
  CHECK_FALSE(signal_member(members[0], SIGKILL));
}

TEST_CASE("the guard ends what a killed keybearer leaves, and only that") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const EnvBlock environment = EnvBlock::from(environ);
  auto stranger = spawn({.argv = {"/bin/sleep", "1000"}, .environment = &environment});
  REQUIRE(stranger.has_value());
  const pid_t keeper = fork();
  if (keeper == 0) {
    become_subreaper();
    auto guard = Guard::start();
    SpawnSpec spec{
        .argv = {"/bin/sh", "-c", "(setsid sleep 1000 &) ; setsid sleep 1000 & exec sleep 1000"},
        .environment = &environment,
        .options = output_to(ends[1])};
    spec.options.mark = marks().program;
    auto process = spawn(spec);
    spec.options.mark = marks().command;
    auto command = spawn(spec);
    usleep(100'000);
    _exit(guard && process && command && kill(getpid(), SIGKILL) == 0 ? 0 : 1);
  }
  close(ends[1]);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 0);  // all of them held the other end
  close(ends[0]);
  int status = 0;
  waitpid(keeper, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(kill(stranger->pid, 0) == 0);
  signal_process(*stranger, SIGKILL);
  CHECK(wait_blocking(*stranger).signaled);
}

TEST_CASE("the status is not lost where who started us ignores SIGCHLD") {
  signal(SIGCHLD, SIG_IGN);
  CHECK(run({"/bin/sh", "-c", "exit 7"}).status.shell_code() == 7);
}

TEST_CASE("the program has the core limit back that hardening took from us") {
  rlimit before{};
  getrlimit(RLIMIT_CORE, &before);
  rlimit zero = before;
  zero.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &zero);
  const auto expected = original_core_limit() == RLIM_INFINITY
                            ? std::string("unlimited")
                            : std::to_string(original_core_limit() / 512);
  CHECK(run({"/bin/sh", "-c", "ulimit -c"}).text == expected + "\n");
  setrlimit(RLIMIT_CORE, &before);
}

TEST_CASE("a signal goes to the program alone, and to nobody when it is reaped") {
  const EnvBlock environment = EnvBlock::from(environ);
  auto process = spawn({.argv = {"sleep", "1000"}, .environment = &environment});
  REQUIRE(process.has_value());
  CHECK(reaper().is_spawned(process->pid));
  signal_process(*process, SIGSTOP);
  while (!suspended(*process)) usleep(1000);
  CHECK_FALSE(suspended(*process));  // told once
  signal_process(*process, SIGUSR1);
  signal_group(process->pid, SIGCONT);
  CHECK(wait(*process).shell_code() == 128 + SIGUSR1);
  CHECK_FALSE(reaper().is_spawned(process->pid));
  signal_process(*process, SIGKILL);
}

TEST_CASE("a whole tree is ended, daemons too") {
  become_subreaper();
  const EnvBlock environment = EnvBlock::from(environ);
  auto process =
      spawn({.argv = {"/bin/sh", "-c", "setsid sleep 1000 & sleep 1000 & sleep 0.1; exit 0"},
             .environment = &environment});
  REQUIRE(process.has_value());
  CHECK(wait(*process).code == 0);
  CHECK_FALSE(tree_exited(process->pid));
  kill_tree(process->pid);
  for (int i = 0; i < 30'000 && !tree_exited(process->pid); ++i) usleep(1000);
  CHECK(tree_exited(process->pid));
}

TEST_CASE("when keybearer is killed, the program is not left running") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const pid_t keeper = fork();
  if (keeper == 0) {
    const EnvBlock environment = EnvBlock::from(environ);
    auto process = spawn({.argv = {"/bin/sh", "-c", "exec sleep 1000"},
                          .environment = &environment,
                          .options = output_to(ends[1])});
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
