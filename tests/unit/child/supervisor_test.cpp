#include "child/supervisor.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "child/environment.hpp"
#include "process/hardening.hpp"
#include "unit/child/supervisor_fixture.hpp"

namespace keybearer::child {
namespace {

TEST_CASE("a changed value restarts the program with it, after the quiet time") {
  Fixture f;
  f.want("1");
  CHECK(f.spawner.asked == std::vector<std::string>{"spawn A=1"});
  f.want("2");
  f.io.advance(1900ms);
  CHECK(f.spawner.asked.size() == 1);
  f.io.advance(200ms);
  CHECK(f.spawner.asked.back() == "stop 15");
  f.spawner.exit({true, 15});
  f.io.advance(100ms);
  CHECK(f.spawner.asked.back() == "spawn A=2");

  f.supervisor.stop();
  f.spawner.exit({false, 4});
  f.io.advance(100ms);
  CHECK(f.code == 4);
}

TEST_CASE("the next one waits for those that the old one left behind") {
  Fixture f;
  f.want("1");
  f.spawner.leaves_tree = true;
  f.want("2");
  f.io.advance(2s);
  f.spawner.exit({true, 15});
  f.io.advance(5s);
  CHECK(f.spawner.asked.back() == "stop rest 15");
  f.io.advance(26s);
  CHECK(f.spawner.asked.back() == "kill");
  f.spawner.end_tree();
  f.io.advance(100ms);
  CHECK(f.spawner.asked.back() == "spawn A=2");
  f.supervisor.stop();
  f.spawner.leaves_tree = false;
  f.spawner.exit({true, 15});
  f.io.advance(100ms);
  CHECK(f.code == 0);
}

TEST_CASE("a value that no environment can hold is refused, and what runs goes on") {
  Fixture f;
  f.want("1");
  CHECK(f.supervisor.applied() == 1);
  Desired bad{.id = 2};
  bad.environment.set("A", std::string_view("a\0b", 3));
  const auto refused = f.supervisor.set_desired(std::move(bad));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().text.find("variable A") != std::string::npos);
  Desired huge{.id = 3};
  huge.environment.set("A", std::string(200'000, 'x'));
  CHECK_FALSE(f.supervisor.set_desired(std::move(huge)).has_value());
  f.io.advance(1min);
  CHECK(f.supervisor.applied() == 1);  // neither was taken
  CHECK(f.spawner.asked.size() == 1);
  f.supervisor.stop();
  f.spawner.exit({true, 15});
  f.io.advance(100ms);
  CHECK(f.code == 0);
}

TEST_CASE("a failure of our own ends the program and the run with 70, whatever is broken") {
  for (const std::string broken : {"spawn", "wait", "tree_exited", "child_changed"}) {
    CAPTURE(broken);
    Fixture f;
    f.spawner.dies_when_killed = true;
    if (broken != "tree_exited") f.spawner.broken = broken;
    if (broken == "spawn") {
      Desired desired{.id = 1};
      CHECK(f.supervisor.set_desired(std::move(desired)).has_value());
    } else {
      f.want("1");
    }
    if (broken == "tree_exited") {
      f.spawner.broken = broken;
      f.spawner.exit({true, 11});
    }
    f.io.advance(2s);
    CHECK(f.code == 70);
    CHECK((broken == "spawn" || f.spawner.asked.back() == "kill"));
    f.supervisor.stop();  // means nothing any more
    f.supervisor.forward_signal(10);
    f.io.run();
  }
}

TEST_CASE("what can't be started ends the run with its code, whatever the restart policy") {
  Fixture f(config::RestartOnExit::always);
  f.spawner.refuse = Error{ErrorKind::spawn, "can't start app: not found", {}, 127};
  f.want("1");
  f.io.run();
  CHECK(f.code == 127);
  CHECK(f.spawner.asked.size() == 1);
}

TEST_CASE("a program that crashes is started again after a pause, with the newest values") {
  Fixture f(config::RestartOnExit::on_failure);
  f.want("1");
  f.spawner.exit({false, 1});
  f.io.run();
  f.want("2");
  CHECK(f.spawner.asked.size() == 1);
  f.io.advance(1s);
  CHECK(f.spawner.asked.back() == "spawn A=2");
  f.spawner.exit({false, 0});
  f.io.run();
  CHECK(f.code == 0);
}

TEST_CASE("a crash loop is given up with an alarm") {
  Fixture f(config::RestartOnExit::always);
  f.want("1");
  for (int i = 0; i < 6; ++i) {
    CHECK(f.alarms.empty());
    f.spawner.exit({false, 3});
    f.io.advance(9s);  // the window holds six ends
  }
  CHECK(f.code == 3);
  CHECK(f.alarms == std::vector<std::string>{"child.crash_loop"});
}

TEST_CASE("stop before the first start ends with 75, at once") {
  Fixture f;
  f.supervisor.stop();
  f.io.run();
  CHECK(f.code == 75);
  CHECK(f.spawner.asked.empty());
}

TEST_CASE("a third stop kills the tree") {
  Fixture f;
  f.want("1");
  f.supervisor.stop();
  f.supervisor.stop();
  f.supervisor.stop();
  CHECK(f.spawner.asked == std::vector<std::string>{"spawn A=1", "stop 15", "kill"});
  f.spawner.exit({true, 9});
  f.io.run();
  CHECK(f.code == 137);
}

TEST_CASE("which signals are forwarded: exec.forward_signals and exec.hup") {
  Fixture f;
  CHECK(f.supervisor.forwards(SIGUSR1));
  CHECK(f.supervisor.forwards(SIGRTMIN));
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD, SIGSEGV, SIGKILL})
    CHECK_FALSE(f.supervisor.forwards(signal));
  f.exec.forward_signals = {SIGUSR2};
  f.exec.hup = config::Exec::Hup::forward;
  f.supervisor.configure(f.exec);
  CHECK(f.supervisor.forwards(SIGUSR2));
  CHECK_FALSE(f.supervisor.forwards(SIGUSR1));
  CHECK(f.supervisor.forwards(SIGHUP));
  f.supervisor.stop();
  f.io.run();
}

TEST_CASE("a forwarded signal goes to the program alone") {
  Fixture f;
  f.want("1");
  f.supervisor.forward_signal(10);
  CHECK(f.spawner.asked.back() == "signal 10");
  f.supervisor.stop();
  f.spawner.exit({true, 15});
  f.io.run();
  f.supervisor.forward_signal(10);
  CHECK(f.spawner.asked.back() == "stop 15");
}

TEST_CASE("when the run is cancelled, nothing is left running") {
  Io io;
  FakeSpawner spawner;
  config::Exec exec;
  exec.command.argv = {"app"};
  Random random{1};
  Supervisor supervisor(io.context.get_executor(), spawner, exec, "test", random,
                        [](auto, auto) {});
  TaskGroup tasks(io.context.get_executor());
  std::optional<int> code;
  tasks.spawn(Fixture::run(supervisor, code));
  REQUIRE(supervisor.set_desired({.id = 1}).has_value());
  io.run();
  tasks.cancel();
  io.run();
  CHECK(tasks.live() == 0);
  CHECK_FALSE(code.has_value());
  CHECK(spawner.asked.back() == "kill");
}

// With the real kernel and the real time: each program is /bin/sh, and ends by itself or is ended
// here.
struct Real {
  boost::asio::io_context context;
  std::unique_ptr<Spawner> spawner = make_spawner();
  config::Exec exec;
  Random random{1};
  std::optional<int> code;
  std::uint64_t id = 0;
  std::optional<Supervisor> supervisor;

  explicit Real(std::string script) {
    become_subreaper();
    exec.command.argv = {"/bin/sh", "-c", std::move(script)};
    exec.debounce = 0s;
    exec.stop_timeout = 200ms;
    supervisor.emplace(context.get_executor(), *spawner, exec, "test", random, [](auto, auto) {});
    boost::asio::co_spawn(context, Fixture::run(*supervisor, code), [](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
    });
  }
  void want(std::string_view value) {
    Desired desired{.id = ++id, .environment = EnvBlock::from(environ)};
    desired.environment.set("A", value);
    desired.items = {{.name = "A", .fingerprint = std::hash<std::string_view>{}(value)}};
    REQUIRE(supervisor->set_desired(std::move(desired)).has_value());
  }
  // Runs until `done`, for at most 10 s.
  template <class F>
  bool until(F done) {
    const auto end = Clock::now() + 10s;
    while (!done() && Clock::now() < end && !context.stopped()) context.run_one_for(50ms);
    return done();
  }
  bool ended() {
    return until([this] { return code.has_value(); });
  }
};

TEST_CASE("real programs: a new value starts a new one, the old one is gone by then") {
  char directory[] = "/tmp/keybearer_child_XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  const std::string log = std::string(directory) + "/log";
  Real r("echo start $A >> " + log + "; trap 'echo stop $A >> " + log +
         "; exit 0' TERM; while :; do sleep 0.01; done");
  const auto written = [&log] {
    std::ifstream in(log);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  r.want("1");
  CHECK(r.until([&] { return written() == "start 1\n"; }));
  r.want("2");
  CHECK(r.until([&] { return written() == "start 1\nstop 1\nstart 2\n"; }));
  r.supervisor->stop();
  CHECK(r.ended());
  CHECK(r.code == 0);
  std::filesystem::remove_all(directory);
}

TEST_CASE("real programs: daemons and deaf children are gone before keybearer ends") {
  char directory[] = "/tmp/keybearer_child_XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  const std::string pids = std::string(directory) + "/pids";
  // A daemon in its own session, an orphan that ignores TERM, and the program itself ends with 5.
  Real r("setsid sh -c 'echo $$ >> " + pids +
         "; exec sleep 1000' & (trap '' TERM; echo; exec sleep 1000) &"
         " echo $! >> " +
         pids + "; while [ $(wc -l < " + pids + ") -lt 2 ]; do sleep 0.01; done; exit 5");
  r.want("1");
  CHECK(r.ended());
  CHECK(r.code == 5);
  std::ifstream in(pids);
  for (pid_t pid; in >> pid;) CHECK(kill(pid, 0) != 0);
  std::filesystem::remove_all(directory);
}

TEST_CASE("real programs: adopted zombies are reaped while the program runs") {
  Real r("(sh -c 'sleep 0.05' &) ; exec sleep 1000");  // its parent is gone before it ends
  r.want("1");
  const auto zombies = [] {
    siginfo_t info{};
    waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid != 0;
  };
  const auto end = Clock::now() + 300ms;
  CHECK(r.until([&] { return Clock::now() > end; }));
  CHECK_FALSE(zombies());
  r.supervisor->stop();
  CHECK(r.ended());
  CHECK(r.code == 0);
}

TEST_CASE("the program's environment") {
  EnvBlock ours;
  for (const char* name :
       {"PATH", "HOME", "LC_ALL", "VAULT_ADDR", "VAULT_TOKEN", "VAULT_SECRET_ID", "BAO_ROLE_ID"})
    ours.set(name, "x");
  EnvBlock rendered;
  rendered.set("DB", "secret");
  rendered.set("HOME", "/app");
  const auto names = [&](const config::Exec& exec) {
    std::string text;
    for (const auto& [name, value] : program_environment(exec, ours, rendered).values())
      text += name + " ";
    return text;
  };
  config::Exec exec;
  CHECK(names(exec) == "DB HOME LC_ALL PATH VAULT_ADDR ");
  CHECK(program_environment(exec, ours, rendered).find("HOME")->reveal() == "/app");
  CHECK(program_environment(exec, ours, rendered).find("DB") == rendered.find("DB"));  // no copy
  exec.inherit_env = config::Exec::Inherit::none;
  CHECK(names(exec) == "DB HOME ");
  exec.inherit_env = config::Exec::Inherit::listed;
  exec.inherit_names = {"LC_*", "VAULT_*"};
  CHECK(names(exec) == "DB HOME LC_ALL VAULT_ADDR ");
  exec.pass_credentials = true;
  CHECK(names(exec) == "DB HOME LC_ALL VAULT_ADDR VAULT_SECRET_ID VAULT_TOKEN ");
}

}  // namespace
}  // namespace keybearer::child
