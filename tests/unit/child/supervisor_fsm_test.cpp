#include "child/supervisor_fsm.hpp"

#include <doctest/doctest.h>

#include <string>

namespace keybearer::child {
namespace {

using namespace std::chrono_literals;
using Act = config::OnChange::Action;
using State = SupervisorFsm::State;

constexpr Instant t0{std::chrono::hours(1)};
constexpr ExitStatus kExited0{false, 0}, kExited3{false, 3}, kTerminated{true, 15}, kKilled{true, 9}, kSegfault{true, 11};

// Actions as one line of text; log lines only by their event.
std::string text(const Actions& actions) {
  struct {
    std::string operator()(const Start&) const { return "start"; }
    std::string operator()(const SignalGroup& a) const { return "signal " + std::to_string(a.signal); }
    std::string operator()(const KillTree&) const { return "kill"; }
    std::string operator()(const Finish& a) const { return "finish " + std::to_string(a.code); }
    std::string operator()(const Say& a) const { return "[" + a.text + "]"; }
    std::string operator()(const Alarm& a) const { return "alarm " + a.event; }
  } name;
  std::string out;
  for (const Action& action : actions) out += (out.empty() ? "" : " ") + std::visit(name, action);
  return out;
}

Items set(std::uint64_t password, std::uint64_t file = 1, Act file_action = Act::restart) {
  return {{.name = "DB_PASSWORD", .fingerprint = password, .why = "database/creds/app: lease ended"},
          {.name = "config.ini", .fingerprint = file, .action = file_action}};
}

struct Machine : SupervisorFsm {
  explicit Machine(Rules rules = {}) : SupervisorFsm(std::move(rules), 0.999999) {}
  Machine& running(Items items = set(1)) {
    CHECK(text(desired(std::move(items), t0)) == "start");
    CHECK(text(started(t0)) == "");
    return *this;
  }
};

TEST_CASE("the first start does not wait") {
  Machine machine;
  CHECK_FALSE(machine.deadline().has_value());
  machine.running();
  CHECK(machine.state() == State::running);
  CHECK(machine.current());
}

TEST_CASE("a change waits for quiet, then the program is stopped, and started when its tree is gone") {
  Machine machine;
  machine.running();
  CHECK(text(machine.desired(set(2), t0 + 10s)) == "");
  CHECK_FALSE(machine.current());
  CHECK(machine.deadline() == t0 + 12s);
  CHECK(text(machine.due(t0 + 11s)) == "");
  CHECK(text(machine.due(t0 + 12s)) == "[restart: DB_PASSWORD changed (database/creds/app: lease ended)] signal 15");
  CHECK(text(machine.exited(kTerminated, t0 + 13s)) == "");
  CHECK(machine.awaits_tree());
  CHECK(text(machine.tree_gone(t0 + 13s)) == "start");
  CHECK(text(machine.started(t0 + 13s)) == "");
  CHECK(machine.current());
}

TEST_CASE("each change starts the quiet time anew, but not for ever") {
  Machine machine;
  machine.running();
  for (int i = 0; i < 16; ++i) (void)machine.desired(set(2 + static_cast<unsigned>(i)), t0 + i * 1900ms);
  CHECK(machine.deadline() == t0 + 30s);
}

TEST_CASE("A, B, A within the quiet time does nothing") {
  Machine machine;
  machine.running();
  (void)machine.desired(set(2), t0);
  CHECK(text(machine.desired(set(1), t0 + 1s)) == "");
  CHECK_FALSE(machine.deadline().has_value());
}

TEST_CASE("the strongest action of what changed is done, once") {
  Machine machine;
  machine.running(set(1, 1, Act::signal));
  SUBCASE("a file alone: a signal, and it counts as told") {
    (void)machine.desired(set(1, 2, Act::signal), t0);
    CHECK(text(machine.due(t0 + 2s)) == "[reload: config.ini changed] signal 1");
    CHECK(machine.current());
    CHECK_FALSE(machine.deadline().has_value());
  }
  SUBCASE("with a variable: a restart") {
    (void)machine.desired(set(2, 2, Act::signal), t0);
    CHECK(text(machine.due(t0 + 2s)) ==
          "[restart: DB_PASSWORD, config.ini changed (database/creds/app: lease ended)] signal 15");
  }
}

TEST_CASE("told nothing when so configured, but known to be stale") {
  Machine machine;
  machine.running(set(1, 1, Act::none));
  (void)machine.desired(set(1, 2, Act::none), t0);
  CHECK(text(machine.due(t0 + 2s)) == "[not told, as configured: config.ini changed]");
  CHECK(machine.stale());
}

TEST_CASE("the newest set wins, and never are two restarts in flight") {
  Machine machine;
  machine.running();
  (void)machine.desired(set(2), t0);
  (void)machine.due(t0 + 2s);
  CHECK(text(machine.desired(set(3), t0 + 3s)) == "");
  (void)machine.exited(kTerminated, t0 + 4s);
  CHECK(text(machine.tree_gone(t0 + 4s)) == "start");
  CHECK(text(machine.started(t0 + 4s)) == "");
  CHECK(machine.current());
}

TEST_CASE("a program that ignores the stop signal is killed with its tree") {
  Machine machine({.stop_timeout = 5s, .debounce = 0s});
  machine.running();
  CHECK(text(machine.desired(set(2), t0)).ends_with("signal 15"));
  CHECK(machine.deadline() == t0 + 5s);
  CHECK(text(machine.due(t0 + 5s)).ends_with("kill"));
  (void)machine.exited(kKilled, t0 + 5s);
  CHECK(text(machine.tree_gone(t0 + 5s)) == "start");
}

TEST_CASE("the next one starts only when the old tree is gone, and stragglers are killed at the end of the grace") {
  Machine machine({.stop_timeout = 5s, .debounce = 0s});
  machine.running();
  (void)machine.desired(set(2), t0);
  CHECK(text(machine.exited(kExited0, t0 + 1s)) == "");
  CHECK(text(machine.due(t0 + 2s)) == "");
  CHECK(text(machine.due(t0 + 5s)).ends_with("kill"));
  CHECK(text(machine.tree_gone(t0 + 5s)) == "start");
}

TEST_CASE("stop: the exit code") {
  struct { ExitStatus status; int code; } rows[] = {
      {kExited0, 0}, {kExited3, 3}, {kTerminated, 0}, {kKilled, 137}, {kSegfault, 139}};
  for (const auto& [status, code] : rows) {
    Machine machine;
    machine.running();
    CHECK(text(machine.stop(t0)) == "signal 15");
    CHECK(text(machine.exited(status, t0)) == "");
    CHECK(text(machine.tree_gone(t0)) == "finish " + std::to_string(code));
    CHECK(machine.state() == State::done);
    CHECK(text(machine.desired(set(9), t0)) == "");  // nothing starts after a stop
  }
}

TEST_CASE("a second stop shortens the grace to a second, a third kills") {
  Machine machine;
  machine.running();
  (void)machine.stop(t0);
  CHECK(machine.deadline() == t0 + 30s);
  CHECK(text(machine.stop(t0 + 2s)) == "");
  CHECK(machine.deadline() == t0 + 3s);
  CHECK(text(machine.stop(t0 + 2100ms)) == "kill");
}

TEST_CASE("stop wins over a restart in flight, over a back-off, and before the first start") {
  SUBCASE("restart") {
    Machine machine({.debounce = 0s});
    machine.running();
    (void)machine.desired(set(2), t0);
    CHECK(text(machine.stop(t0)) == "");
    (void)machine.exited(kTerminated, t0);
    CHECK(text(machine.tree_gone(t0)) == "finish 0");
  }
  SUBCASE("back-off: the code of the last end") {
    Machine machine({.restart_on_exit = config::RestartOnExit::always});
    machine.running();
    (void)machine.exited(kExited3, t0);
    (void)machine.tree_gone(t0);
    CHECK(machine.state() == State::backing_off);
    CHECK(text(machine.stop(t0)) == "finish 3");
  }
  SUBCASE("idle") {
    Machine machine;
    CHECK(text(machine.stop(t0)) == "finish 75");
  }
}

TEST_CASE("the program's own end is keybearer's end, with its code") {
  struct { ExitStatus status; std::string finish; } rows[] = {
      {kExited0, "finish 0"}, {kExited3, "finish 3"}, {kSegfault, "finish 139"}, {kTerminated, "finish 143"}};
  for (const auto& [status, finish] : rows) {
    Machine machine;
    machine.running();
    CHECK(text(machine.exited(status, t0)).ends_with("signal 15"));  // what it left behind
    CHECK(text(machine.tree_gone(t0)) == finish);
  }
}

TEST_CASE("restart_on_exit = on-failure") {
  Machine machine({.restart_on_exit = config::RestartOnExit::on_failure, .max_restarts = 2, .fatal_codes = {9}});
  machine.running();
  SUBCASE("a failure is started again after a growing pause, then given up") {
    (void)machine.exited(kExited3, t0);
    CHECK(text(machine.tree_gone(t0)) == "[starting it again in 999 ms]");
    CHECK(text(machine.due(t0 + 1s)) == "start");
    (void)machine.started(t0 + 1s);
    (void)machine.exited(kSegfault, t0 + 2s);
    CHECK(text(machine.tree_gone(t0 + 2s)) == "[starting it again in 1999 ms]");
    CHECK(text(machine.due(t0 + 4s)) == "start");
    (void)machine.started(t0 + 4s);
    CHECK(text(machine.exited(kExited3, t0 + 5s)).find("alarm crash_loop") != std::string::npos);
    CHECK(text(machine.tree_gone(t0 + 5s)) == "finish 3");
  }
  SUBCASE("a fatal code is final") {
    (void)machine.exited(ExitStatus{false, 9}, t0);
    CHECK(text(machine.tree_gone(t0)) == "finish 9");
  }
}

TEST_CASE("signals go to the program; those that come during a restart reach the new one") {
  Machine machine({.debounce = 0s});
  CHECK(text(machine.forward(10)) == "");
  CHECK(text(machine.desired(set(1), t0)) == "start");
  CHECK(text(machine.started(t0)) == "signal 10");
  CHECK(text(machine.forward(12)) == "signal 12");
  (void)machine.desired(set(2), t0);
  CHECK(text(machine.forward(10)) == "");
  (void)machine.exited(kTerminated, t0);
  (void)machine.tree_gone(t0);
  CHECK(text(machine.started(t0)) == "signal 10");
}

TEST_CASE("a program that can't be started ends it all with 126 or 127") {
  Machine machine;
  (void)machine.desired(set(1), t0);
  CHECK(text(machine.start_failed(Error{ErrorKind::spawn, "can't start x: not found", {}, 127}, t0)) ==
        "[can't start x: not found] finish 127");
}

}  // namespace
}  // namespace keybearer::child
