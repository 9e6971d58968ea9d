// How the program is started again after its own end, and what reaches the next one.

#include <doctest/doctest.h>

#include "unit/child/fsm_fixture.hpp"

// Rules: P6, P7 (src/RULES.md).
namespace keybearer::child {
namespace {

TEST_CASE("restart_on_exit") {
  using enum config::RestartOnExit;
  const struct {
    config::RestartOnExit policy;
    ExitStatus status;
    bool again;
  } rows[] = {
      {never, kExited3, false},        {never, kExited0, false},      {on_failure, kExited3, true},
      {on_failure, kExited0, false},   {on_failure, kSegfault, true}, {always, kExited0, true},
      {always, kExited3, true},        {always, {false, 9}, false},  // a fatal code is final
      {on_failure, {false, 5}, false},                               // a success code
  };
  for (const auto& [policy, status, again] : rows) {
    CAPTURE(static_cast<int>(policy));
    CAPTURE(status.code);
    Machine machine({.restart_on_exit = policy, .success_codes = {0, 5}, .fatal_codes = {9}});
    machine.running();
    (void)machine.exited(status, t0);
    (void)machine.tree_exited(t0);
    CHECK((machine.state() == State::backing_off) == again);
  }
}

TEST_CASE("a crash is followed by a growing pause, a crash loop is given up") {
  Machine machine({.restart_on_exit = config::RestartOnExit::on_failure, .max_restarts = 2});
  machine.running();
  CHECK(text(machine.exited(kExited3, t0)).find("starting the program again in 999 ms") !=
        std::string::npos);
  (void)machine.tree_exited(t0);
  CHECK(text(machine.due(t0 + 1s)) == "start");
  (void)machine.started(t0 + 1s);
  CHECK(text(machine.exited(kSegfault, t0 + 2s)).find("again in 1999 ms") != std::string::npos);
  (void)machine.tree_exited(t0 + 2s);
  CHECK(text(machine.due(t0 + 4s)) == "start");
  (void)machine.started(t0 + 4s);
  SUBCASE("three ends within the window") {
    CHECK(text(machine.exited(kExited3, t0 + 5s)).find("notify child.crash_loop") !=
          std::string::npos);
    CHECK(text(machine.tree_exited(t0 + 5s)) == "finish 3");
  }
  SUBCASE("after a long good run all is forgotten") {
    CHECK(text(machine.exited(kExited3, t0 + 3h)).find("again in 999 ms") != std::string::npos);
  }
}

TEST_CASE("restarts for changed secrets do not count as crashes") {
  Machine machine(
      {.debounce = 0s, .restart_on_exit = config::RestartOnExit::on_failure, .max_restarts = 1});
  machine.running();
  for (unsigned i = 2; i < 6; ++i) {
    (void)machine.desired(set(i), t0);
    (void)machine.exited(kExited3, t0);
    CHECK(text(machine.tree_exited(t0)) == "start");
    (void)machine.started(t0);
  }
  CHECK(machine.starts() == 5);
  (void)machine.exited(kExited3, t0);
  CHECK(text(machine.tree_exited(t0)) == "");
  CHECK(machine.state() == State::backing_off);
}

TEST_CASE("the pause after a crash is not shortened by news, and the start has the newest") {
  Machine machine({.restart_on_exit = config::RestartOnExit::always});
  machine.running();
  (void)machine.exited(kExited3, t0);
  (void)machine.tree_exited(t0);
  CHECK(text(machine.desired(set(2), t0)) == "");
  CHECK(text(machine.due(t0 + 1s)) == "start");
  (void)machine.started(t0 + 1s);
  CHECK(machine.current());
}

TEST_CASE(
    "signals go to the program; those that come during a restart reach the new one, settled") {
  Machine machine({.debounce = 0s});
  CHECK(text(machine.forward(10, t0)) == "");
  CHECK(text(machine.desired(set(1), t0)) == "start");
  CHECK(text(machine.started(t0)) == "");
  CHECK(text(machine.due(t0 + 1s)) == "signal 10");
  CHECK(text(machine.forward(12, t0)) == "signal 12");
  (void)machine.desired(set(2), t0 + 1s);
  CHECK(text(machine.forward(10, t0)) == "");
  CHECK(text(machine.forward(10, t0)) == "");
  (void)machine.exited(kTerminated, t0 + 2s);
  (void)machine.tree_exited(t0 + 2s);
  CHECK(text(machine.started(t0 + 2s)) == "");
  CHECK(text(machine.due(t0 + 3s)) == "signal 10");
  CHECK_FALSE(machine.deadline().has_value());
}

TEST_CASE("a program that can't be started ends it all with 126 or 127") {
  Machine machine;
  (void)machine.desired(set(1), t0);
  CHECK(text(machine.start_failed(kNotFound, t0)) == "[can't start x: not found] finish 127");
}

TEST_CASE("a start that fails for a passing reason is tried again") {
  Machine machine;
  (void)machine.desired(set(1), t0);
  CHECK(text(machine.start_failed(kNoProcesses, t0)).ends_with("again in 999 ms]"));
  CHECK(text(machine.due(t0 + 1s)) == "start");
  (void)machine.started(t0 + 1s);
  CHECK(machine.current());
}

TEST_CASE("a program that could not be started does not count as one that ended") {
  Machine machine;
  (void)machine.desired(set(1), t0);
  std::string last;
  Instant now = t0;
  for (int tries = 0; tries < 6; ++tries) {
    last = text(machine.start_failed(kNoProcesses, now));
    now += std::chrono::seconds(1 << tries);
    (void)machine.due(now);
  }
  CHECK(last.find("ended, or could not be started, 6 times") != std::string::npos);
  CHECK(last.ends_with("finish 126"));
}

}  // namespace
}  // namespace keybearer::child
