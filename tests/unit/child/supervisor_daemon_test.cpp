// A program that goes into the background: with exec.forking it runs on, without it that is an error.

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "support/log_file.hpp"
#include "unit/child/fsm_fixture.hpp"
#include "unit/child/supervisor_fixture.hpp"

// Rules: P7, P10 (src/RULES.md).
namespace keybearer::child {
namespace {

TEST_CASE("a program that leaves a daemon is no success, and an error says what to write (P10)") {
  Machine machine;
  machine.running();
  CHECK(text(machine.exited(kExited0, t0)) == "[the program exited with code 0]");
  CHECK(machine.state() == State::lingering);
  CHECK(text(machine.due(t0 + 100ms)) == "");
  REQUIRE(machine.deadline().has_value());
  SUBCASE("what it left ends in time") {
    CHECK(text(machine.tree_exited(t0 + 100ms)) == "finish 0");
  }
  SUBCASE("it stays") {
    CHECK(text(machine.due(t0 + 1s)) == "daemon stop 15 rest 15");
    CHECK(text(machine.tree_exited(t0 + 2s)) == "finish 78");
  }
  SUBCASE("stop comes meanwhile") {
    CHECK(text(machine.stop(t0 + 100ms)) == "stop 15 rest 15");
    CHECK(text(machine.tree_exited(t0 + 200ms)) == "finish 0");
  }
}

TEST_CASE("a daemon again and again is a crash loop") {
  Machine machine({.restart_on_exit = config::RestartOnExit::always, .max_restarts = 1});
  machine.running();
  (void)machine.exited(kExited0, t0);
  CHECK(text(machine.due(t0 + 1s)).starts_with("daemon [starting the program again"));
  (void)machine.tree_exited(t0 + 1s);
  CHECK(text(machine.due(t0 + 3s)) == "start");
  (void)machine.started(t0 + 3s);
  (void)machine.exited(kExited0, t0 + 3s);
  CHECK(text(machine.due(t0 + 4s)).find("giving up") != std::string::npos);
  CHECK(text(machine.tree_exited(t0 + 4s)) == "finish 78");
}

TEST_CASE("exec.forking: alive while anything of its tree is") {
  Machine machine({.debounce = 0s, .forking = true});
  machine.running(set(1, 1, Act::signal));
  CHECK(text(machine.exited(kExited0, t0)) ==
        "[the program exited with code 0; it is in the background now]");
  CHECK(machine.state() == State::background);
  CHECK(machine.awaiting_tree_exit());
  CHECK(machine.current());
  SUBCASE("a reload") {
    CHECK(text(machine.desired(set(1, 2, Act::signal), t0)) ==
          "[reload: config.ini changed] signal 1");
    CHECK(machine.current());
    CHECK(text(machine.forward(10, t0)) == "signal 10");
  }
  SUBCASE("a restart") {
    CHECK(text(machine.desired(set(2, 1, Act::signal), t0)).ends_with("stop 15"));
    CHECK(machine.state() == State::waiting_to_restart);
    CHECK(text(machine.tree_exited(t0 + 1s, kTerminated)) == "start");
    CHECK(text(machine.started(t0 + 1s)) == "");
    CHECK(machine.current());
  }
  SUBCASE("stop") {
    CHECK(text(machine.stop(t0)) == "stop 15");
    SUBCASE("by its stop signal") {
      CHECK(text(machine.tree_exited(t0 + 1s, kTerminated)) == "finish 0");
    }
    SUBCASE("with a code of its own") {
      CHECK(text(machine.tree_exited(t0 + 1s, kExited3)) == "finish 3");
    }
    SUBCASE("killed") {
      CHECK(text(machine.due(t0 + 30s)).ends_with("kill"));
      CHECK(text(machine.tree_exited(t0 + 31s, kKilled)) == "finish 137");
    }
  }
  SUBCASE("it ends by itself") {
    CHECK(text(machine.tree_exited(t0 + 1s, kSegfault)).ends_with("finish 139"));
  }
}

TEST_CASE("exec.forking: a daemon that crashes is started again by the policy") {
  Machine machine({.restart_on_exit = config::RestartOnExit::on_failure, .forking = true});
  machine.running();
  (void)machine.exited(kExited0, t0);
  SUBCASE("it crashed") {
    (void)machine.tree_exited(t0, kSegfault);
    CHECK(machine.state() == State::backing_off);
  }
  SUBCASE("it ended well") {
    CHECK(text(machine.tree_exited(t0, kExited0)).ends_with("finish 0"));
  }
}

TEST_CASE("exec.forking: a start that fails before the daemon runs is the program's own end") {
  Machine machine({.forking = true});
  machine.running();
  CHECK(text(machine.exited(kExited3, t0)).ends_with("left stop 15 rest 15"));
  CHECK(text(machine.tree_exited(t0)) == "finish 3");
}

TEST_CASE(
    "a program in the background: who gets its signals, its stop and its end (exec.forking)") {
  Fixture f;
  f.exec.forking = true;
  f.supervisor.configure(f.exec);
  f.spawner.leaves_tree = true;
  f.spawner.members = daemon_with_worker();
  f.want("1");
  CHECK(f.spawner.guarded);
  f.spawner.exit({false, 0});
  f.io.advance(10s);
  CHECK_FALSE(f.code.has_value());
  CHECK(f.supervisor.pid() == 1500);
  CHECK(f.supervisor.applied() == 1);
  f.supervisor.forward_signal(10);
  CHECK(f.spawner.asked.back() == "signal 10 to 1500");  // not to its worker
  f.spawner.asked.clear();
  f.supervisor.stop();
  CHECK(f.spawner.asked ==
        std::vector<std::string>{"stop 15", "signal 15 to 1500", "signal 18 to 1500"});
  f.spawner.members = {
      {.pid = 1501, .parent = 77, .group = 1500, .name = "w", .start_time = 2, .adopter = 77}};
  f.io.advance(1s);
  CHECK(f.spawner.asked.back() == "signal 15 to 1501");  // its parent went without it
  f.spawner.daemon_status = ExitStatus{true, 15};
  f.spawner.end_tree();
  f.io.advance(1s);
  CHECK(f.code == 0);
  CHECK_FALSE(f.spawner.guarded);
}

TEST_CASE("the middle process of a double fork is not taken for the daemon once it has ended") {
  Fixture f;
  f.exec.forking = true;
  f.supervisor.configure(f.exec);
  f.spawner.leaves_tree = true;
  const auto members = daemon_with_worker();
  f.spawner.members = {members[0]};
  f.want("1");
  f.spawner.exit({false, 0});
  f.io.advance(1s);
  REQUIRE(f.supervisor.pid() == 1500);
  f.spawner.members = {members[1]};
  f.spawner.ended = {1500};
  SUBCASE("it ended well: the other one is it") {
    f.spawner.daemon_status = ExitStatus{};
    f.spawner.change();
    f.io.run();
    CHECK(f.supervisor.pid() == 1501);
  }
  SUBCASE("it crashed: that was it, and a worker is left") {
    f.spawner.daemon_status = ExitStatus{true, 9};
    f.spawner.change();
    f.io.run();
    CHECK(f.supervisor.pid() == 1500);
  }
  f.spawner.daemon_status = ExitStatus{true, 9};
  f.spawner.end_tree();
  f.io.advance(1s);
  CHECK(f.code == 137);
}

TEST_CASE("a program that leaves others behind without exec.forking is no success") {
  const test::LogFile log;
  Fixture f;
  f.spawner.leaves_tree = true;
  f.spawner.members = daemon_with_worker();
  f.want("1");
  f.spawner.exit({false, 0});
  f.io.advance(1s);
  CHECK(f.spawner.asked.back() == "stop rest 15");
  CHECK(log.lines("2 processes of it went on (d 1500, w 1501): stopped. It went into") == 1);
  f.spawner.end_tree();
  f.io.advance(1s);
  CHECK(f.code == 78);
}

TEST_CASE("exec.forking: the end of the main process is the program's, whatever of it is left") {
  const auto background = [](Rules rules) {
    rules.forking = true;
    Machine machine(std::move(rules));
    machine.running();
    (void)machine.exited(kExited0, t0);
    REQUIRE(machine.state() == State::background);
    return machine;
  };
  SUBCASE("it ends us, with its code and not with that of what was stopped after it") {
    for (const ExitStatus status : {kExited0, kExited3, kKilled, kSegfault, kTerminated}) {
      Machine machine = background({});
      CHECK(text(machine.exited(status, t0)).ends_with("left stop 15"));
      CHECK(machine.state() == State::waiting_to_exit);
      CHECK(text(machine.tree_exited(t0 + 1s)) == "finish " + std::to_string(status.shell_code()));
    }
  }
  SUBCASE("the policy starts it again, once the rest is gone") {
    Machine machine = background({.restart_on_exit = config::RestartOnExit::on_failure});
    CHECK(text(machine.exited(kKilled, t0)).ends_with("stop 15"));
    CHECK(machine.state() == State::waiting_to_restart);
    CHECK(text(machine.tree_exited(t0 + 100ms)) == "");
    CHECK(machine.state() == State::backing_off);
    CHECK(text(machine.due(t0 + 2s)) == "start");
  }
  SUBCASE("what is left is killed at the end of the grace") {
    Machine machine = background({.stop = {{15, 10s}}});
    (void)machine.exited(kKilled, t0);
    CHECK(text(machine.due(t0 + 10s)).ends_with("kill"));
    CHECK(text(machine.tree_exited(t0 + 11s)) == "finish 137");
  }
  SUBCASE("a good end is an end, too: of always, never and on-failure") {
    Machine machine = background({.restart_on_exit = config::RestartOnExit::on_failure});
    (void)machine.exited(kExited0, t0);
    CHECK(text(machine.tree_exited(t0)) == "finish 0");
    Machine again = background({.restart_on_exit = config::RestartOnExit::always});
    (void)again.exited(kExited0, t0);
    CHECK(again.state() == State::waiting_to_restart);
  }
  SUBCASE("a stop meanwhile wins") {
    Machine machine = background({.restart_on_exit = config::RestartOnExit::always});
    (void)machine.exited(kKilled, t0);
    CHECK(text(machine.stop(t0)) == "");
    CHECK(text(machine.tree_exited(t0 + 1s)) == "finish 137");
  }
}

// With exec.pid_file, and a daemon with one worker.
struct DaemonFixture : Fixture {
  std::string directory = "/tmp/keybearer-daemon-XXXXXX";

  explicit DaemonFixture(config::RestartOnExit policy = config::RestartOnExit::never)
      : Fixture(policy) {
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    exec.forking = true;
    exec.pid_file = directory + "/pid";
    supervisor.configure(exec);
    spawner.leaves_tree = true;
    spawner.members = daemon_with_worker();
  }
  ~DaemonFixture() {  // its tasks must end before it does
    spawner.leaves_tree = false;
    supervisor.stop();
    spawner.exit({true, 15});
    spawner.end_tree();
    io.advance(1s);
    CHECK(code.has_value());
    std::filesystem::remove_all(directory);
  }

  void name_main(pid_t pid) { std::ofstream(exec.pid_file) << pid << "\n"; }
  void start() {
    want("1");
    spawner.exit({false, 0});
    io.advance(1s);
    REQUIRE_FALSE(code.has_value());
    spawner.asked.clear();
  }
  // The main process is gone; its worker is ours now.
  void lose_main(ExitStatus status) {
    spawner.daemon_status = status;
    spawner.members = {
        {.pid = 1501, .parent = 77, .group = 1500, .name = "w", .start_time = 2, .adopter = 77}};
    spawner.change();
    io.run();
  }
};

TEST_CASE("a main process that is killed while its workers live is the end of the program") {
  DaemonFixture f;
  f.name_main(1500);
  f.start();
  f.lose_main({true, 9});
  CHECK(f.spawner.asked ==
        std::vector<std::string>{"stop 15", "signal 15 to 1501", "signal 18 to 1501"});
  f.spawner.daemon_status = ExitStatus{true, 15};  // of the worker: not the program's own end
  f.spawner.end_tree();
  f.io.advance(1s);
  CHECK(f.code == 137);
}

TEST_CASE("its pid file may come later than the daemon") {
  DaemonFixture f;
  f.start();
  f.io.advance(10s);
  f.name_main(1500);
  f.io.advance(1s);
  f.lose_main({true, 9});
  CHECK(f.spawner.asked.front() == "stop 15");
}

TEST_CASE("a main process that ends as soon as it has named itself is the end, too") {
  DaemonFixture f;
  f.start();
  f.name_main(1500);
  f.spawner.ended = {1500};
  f.lose_main({true, 9});
  CHECK(f.spawner.asked.front() == "stop 15");
  f.spawner.end_tree();
  f.io.advance(1s);
  CHECK(f.code == 137);
}

TEST_CASE("a double fork whose daemon and all of its tree are killed at once was killed") {
  for (const bool named : {true, false}) {
    DaemonFixture f(config::RestartOnExit::never);
    f.start();  // its first process is taken for the daemon: the middle one
    if (named) f.name_main(1501);
    f.spawner.ended = {1500, 1501};
    f.spawner.orphan_statuses = {{1500, {false, 0}}, {1501, {true, 9}}};
    f.spawner.members.clear();
    f.spawner.end_tree();
    f.io.advance(1s);
    CHECK(f.code == (named ? 137 : 0));
  }
}

TEST_CASE("its pid file may go before its end") {
  DaemonFixture f;
  f.name_main(1500);
  f.start();
  std::filesystem::remove(f.exec.pid_file);
  f.io.advance(1s);
  CHECK(f.spawner.asked.empty());
  f.lose_main({false, 0});
  CHECK(f.spawner.asked.front() == "stop 15");
}

TEST_CASE("a main process that is not our child is looked at four times a second") {
  DaemonFixture f;
  f.spawner.members.push_back(
      {.pid = 1502, .parent = 1500, .group = 1500, .name = "m", .start_time = 3, .adopter = 77});
  f.name_main(1502);
  f.start();
  f.spawner.members.pop_back();
  f.io.advance(300ms);  // no SIGCHLD comes to us
  CHECK(f.spawner.asked.front() == "stop 15");
}

TEST_CASE("a daemon that moves to another process, and says so, lives") {
  DaemonFixture f;
  f.name_main(1500);
  f.start();
  f.name_main(1501);
  f.lose_main({false, 0});
  CHECK(f.spawner.asked.empty());
  CHECK(f.supervisor.pid() == 1501);
  f.spawner.members.clear();
  f.spawner.daemon_status = ExitStatus{true, 11};
  f.spawner.end_tree();
  f.io.advance(1s);
  CHECK(f.code == 139);
}

TEST_CASE("without a pid file, or with one of another's, it lives as long as its tree") {
  for (const bool named : {false, true}) {
    DaemonFixture f;
    if (named)
      f.name_main(99999);
    else
      f.exec.pid_file.clear();
    f.supervisor.configure(f.exec);
    f.start();
    f.lose_main({true, 9});
    int before = f.spawner.looked;
    f.io.advance(2min, 1s);  // its pid file may come for a minute
    CHECK(f.spawner.looked - before >= (named ? 58 : 0));
    CHECK(f.spawner.looked - before <= (named ? 61 : 0));
    before = f.spawner.looked;
    f.io.advance(8min, 1s);
    CHECK(f.spawner.looked == before);  // nothing is looked at without a reason
    CHECK_FALSE(f.code.has_value());
    CHECK(f.spawner.asked.empty());
    f.spawner.end_tree();
    f.io.advance(1s);
    CHECK(f.code == 137);
  }
}

TEST_CASE("after a crash of the main process the policy starts it again") {
  DaemonFixture f(config::RestartOnExit::on_failure);
  f.name_main(1500);
  f.start();
  f.lose_main({true, 9});
  CHECK(f.spawner.asked.front() == "stop 15");
  f.spawner.end_tree();
  f.io.advance(3s);
  CHECK(f.spawner.asked.back() == "spawn A=1");
}

}  // namespace
}  // namespace keybearer::child
