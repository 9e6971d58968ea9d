#include "child/supervisor_fsm.hpp"

#include <doctest/doctest.h>

#include "unit/child/fsm_fixture.hpp"

// Rules: P3, P4, P7 (src/RULES.md).
namespace keybearer::child {
namespace {

TEST_CASE("the first start does not wait") {
  Machine machine;
  CHECK_FALSE(machine.deadline().has_value());
  machine.running();
  CHECK(machine.state() == State::running);
  CHECK(machine.current());
}

TEST_CASE("a splay comes after the quiet time, the same for the same instance, never too late") {
  config::Exec exec;
  exec.splay = 10s;
  const Rules here = rules_of(exec, "app@host-1");
  CHECK(here.splay == rules_of(exec, "app@host-1").splay);
  CHECK(here.splay != rules_of(exec, "app@host-2").splay);
  CHECK((here.splay >= 0s && here.splay < 10s));
  CHECK(rules_of({}, "app@host-1").splay == 0s);

  Machine machine({.splay = 8s});
  machine.running();  // the first start does not wait
  (void)machine.desired(set(2), t0 + 10s);
  CHECK(machine.deadline() == t0 + 20s);
  (void)machine.desired(set(3), t0 + 11s, t0 + 16s);  // what it has ends then
  CHECK(machine.deadline() == t0 + 16s);
}

TEST_CASE("nor is there time to be quiet when what the program has ends") {
  Machine machine;
  machine.running();
  (void)machine.desired(set(2), t0 + 10s, t0 + 11s);
  CHECK(machine.deadline() == t0 + 11s);
  (void)machine.desired(set(3), t0 + 10900ms, t0 + 11s);
  CHECK(machine.deadline() == t0 + 11100ms);
  (void)machine.desired(set(4), t0 + 20s, t0 + 11s);  // it has ended already
  CHECK(machine.deadline() == t0 + 20200ms);
}

TEST_CASE("a restart names the reasons of all that changed while it waited for quiet") {
  Machine machine;
  machine.running();
  (void)machine.desired(set(2), t0 + 10s);
  Items items = set(2, 2);
  items[0].why.clear();  // it has been told of in the log
  items[1].why = "kv/app: version 1 -> 2";
  (void)machine.desired(items, t0 + 11s);
  CHECK(text(machine.due(t0 + 13s)) ==
        "[restart: DB_PASSWORD, config.ini changed (database/creds/app: lease ended; "
        "kv/app: version 1 -> 2)] stop 15");
}

TEST_CASE("a program without variables and files is started too") {
  Machine machine;
  CHECK(text(machine.desired({}, t0)) == "start");
}

TEST_CASE(
    "a change waits for quiet, then the program is stopped, and started when its tree is gone") {
  Machine machine;
  machine.running();
  CHECK(text(machine.desired(set(2), t0 + 10s)) == "");
  CHECK_FALSE(machine.current());
  CHECK(machine.deadline() == t0 + 12s);
  CHECK(text(machine.due(t0 + 11s)) == "");
  CHECK(text(machine.due(t0 + 12s)) ==
        "[restart: DB_PASSWORD changed (database/creds/app: lease ended)] stop 15");
  CHECK(text(machine.exited(kTerminated, t0 + 13s)) ==
        "[the program was ended by signal 15 (SIGTERM)] rest 15");
  CHECK(machine.awaiting_tree_exit());
  CHECK(text(machine.tree_exited(t0 + 13s)) == "start");
  CHECK(text(machine.started(t0 + 13s)) == "");
  CHECK(machine.current());
}

TEST_CASE("each change starts the quiet time again, but not forever") {
  Machine machine;
  machine.running();
  for (int i = 0; i < 16; ++i) {
    (void)machine.desired(set(2 + static_cast<unsigned>(i)), t0 + i * 1900ms);
  }
  CHECK(machine.deadline() == t0 + 30s);
}

TEST_CASE("the same set again is no change: it does not put the restart off") {
  Machine machine;
  machine.running();
  (void)machine.desired(set(2), t0);
  CHECK(text(machine.desired(set(2), t0 + 1s)) == "");
  CHECK(machine.deadline() == t0 + 2s);
}

TEST_CASE("the same values with another action are looked at again") {
  Machine machine;
  machine.running();
  (void)machine.desired(set(1, 2, Act::restart), t0);
  (void)machine.desired(set(1, 2, Act::none), t0 + 1s);  // reloaded: it need not be told
  CHECK_FALSE(machine.deadline().has_value());
  CHECK(machine.stale());
  (void)machine.desired(set(1, 2, Act::signal), t0 + 2s);
  CHECK(text(machine.due(t0 + 4s)) == "[reload: config.ini changed] signal 1");
  CHECK(machine.current());
}

TEST_CASE("the order of a set means nothing") {
  Machine machine;
  machine.running();
  Items reversed = set(1);
  std::swap(reversed[0], reversed[1]);
  CHECK(text(machine.desired(std::move(reversed), t0)) == "");
  CHECK(machine.current());
}

TEST_CASE("A, B, A within the quiet time does nothing") {
  Machine machine;
  machine.running();
  (void)machine.desired(set(2), t0);
  CHECK(text(machine.desired(set(1), t0 + 1s)) == "");
  CHECK_FALSE(machine.deadline().has_value());
  CHECK(machine.current());
}

TEST_CASE("what came and what went are changes") {
  Machine machine({.debounce = 0s});
  machine.running();
  Items one = set(1);
  SUBCASE("came") {
    one.push_back({.name = "NEW", .fingerprint = 7});
    CHECK(text(machine.desired(std::move(one), t0)) == "[restart: NEW added] stop 15");
  }
  SUBCASE("went") {
    one.pop_back();
    one.back().why = "kv/app: first read";
    CHECK(text(machine.desired(std::move(one), t0)) == "[restart: config.ini removed] stop 15");
  }
}

TEST_CASE("each is told of as what it is") {
  const Items before = {{.name = "A", .fingerprint = 1, .why = "old"},
                        {.name = "B", .fingerprint = 1, .why = "old"},
                        {.name = "C", .fingerprint = 1, .why = "old"},
                        {.name = "D", .fingerprint = 1, .action = Act::none, .why = "old"}};
  const Items after = {{.name = "A", .fingerprint = 2, .why = "kv/a: changed"},
                       {.name = "B", .fingerprint = 2, .why = "kv/a: changed"},
                       {.name = "N", .fingerprint = 1, .why = "kv/n: first read"}};
  const Change change = difference(before, after, 1);
  CHECK(changed_text(change.names, change.why) ==
        "A, B changed; N added; C removed (kv/a: changed; kv/n: first read)");
  CHECK(changed_text(change.stale_names, change.stale_why) == "D removed");
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
          "[restart: DB_PASSWORD, config.ini changed (database/creds/app: lease ended)] stop 15");
  }
}

TEST_CASE("two files with one signal: it is sent once") {
  Machine machine({.reload_signal = 12, .debounce = 0s});
  machine.running({{.name = "a", .fingerprint = 1}, {.name = "b", .fingerprint = 1}});
  CHECK(text(machine.desired({{.name = "a", .fingerprint = 2, .action = Act::signal},
                              {.name = "b", .fingerprint = 2, .action = Act::signal, .signal = 12}},
                             t0)) == "[reload: a, b changed] signal 12");
}

TEST_CASE("what the program is not told, by configuration, makes it stale and nothing else") {
  Machine machine;
  machine.running(set(1, 1, Act::none));
  CHECK(text(machine.desired(set(1, 2, Act::none), t0)) ==
        "[not told, as configured: config.ini changed]");
  CHECK(machine.stale());
  CHECK_FALSE(machine.current());  // it still uses the old
  CHECK_FALSE(machine.deadline().has_value());

  SUBCASE("said once, not at each further change") {
    CHECK(text(machine.desired(set(1, 3, Act::none), t0 + 1s)) == "");
  }
  SUBCASE("no longer when the old value is back") {
    CHECK(text(machine.desired(set(1, 1, Act::none), t0 + 1s)) == "");
    CHECK_FALSE(machine.stale());
    CHECK(machine.current());
  }
  SUBCASE("still after a signal about something else") {
    Items items = set(1, 2, Act::none);
    items.push_back({.name = "z.conf", .fingerprint = 1, .action = Act::signal});
    (void)machine.desired(std::move(items), t0 + 1s);
    CHECK(text(machine.due(t0 + 3s)) == "[reload: z.conf added] signal 1");
    CHECK(machine.stale());
    CHECK_FALSE(machine.current());
    CHECK_FALSE(machine.deadline().has_value());
  }
  SUBCASE("the next start has the newest") {
    (void)machine.desired(set(2, 2, Act::none), t0 + 1s);
    CHECK(text(machine.due(t0 + 3s)).ends_with("stop 15"));
    (void)machine.exited(kTerminated, t0 + 4s);
    (void)machine.tree_exited(t0 + 4s);
    (void)machine.started(t0 + 4s);
    CHECK_FALSE(machine.stale());
    CHECK(machine.current());
  }
}

TEST_CASE("the newest set wins, and never are two restarts in flight") {
  Machine machine;
  machine.running();
  (void)machine.desired(set(2), t0);
  (void)machine.due(t0 + 2s);
  CHECK(text(machine.desired(set(3), t0 + 3s)) == "");
  (void)machine.exited(kTerminated, t0 + 4s);
  CHECK(text(machine.tree_exited(t0 + 4s)) == "start");
  CHECK(text(machine.started(t0 + 4s)) == "");
  CHECK(machine.current());
}

TEST_CASE("a program that ignores the stop signal is killed with its tree, until nothing is left") {
  Machine machine({.stop = {{15, 5s}}, .debounce = 0s});
  machine.running();
  CHECK(text(machine.desired(set(2), t0)).ends_with("stop 15"));
  CHECK(machine.deadline() == t0 + 5s);
  CHECK(text(machine.due(t0 + 5s)) ==
        "[the program did not stop in time: killed, with all that it started] kill");
  CHECK(text(machine.exited(kKilled, t0 + 5s)) == "[the program was ended by signal 9 (SIGKILL)]");
  CHECK(text(machine.due(t0 + 5200ms)) == "kill");  // forked meanwhile
  CHECK(text(machine.tree_exited(t0 + 5300ms)) == "start");
}

TEST_CASE(
    "stragglers are told, and killed at the end of the grace; only then the next one starts") {
  Machine machine({.stop = {{15, 5s}}, .debounce = 0s});
  machine.running();
  (void)machine.desired(set(2), t0);
  CHECK(text(machine.exited(kExited0, t0 + 1s)).ends_with("rest 15"));
  CHECK(text(machine.due(t0 + 2s)) == "");
  CHECK(text(machine.due(t0 + 5s)) ==
        "[what the program had started did not stop in time: killed] kill");
  CHECK(text(machine.tree_exited(t0 + 5s)) == "start");
}

TEST_CASE("what not even SIGKILL ends keeps keybearer for ten seconds, no longer") {
  Machine machine({.stop = {{15, 5s}}});
  machine.running();
  (void)machine.stop(t0);
  CHECK(text(machine.due(t0 + 5s)).ends_with("kill"));
  CHECK(text(machine.due(t0 + 14s)) == "kill");
  CHECK(text(machine.due(t0 + 15s)).ends_with("finish 137"));
  CHECK(machine.state() == State::done);
}

TEST_CASE("stop: the exit code") {
  const struct {
    ExitStatus status;
    int code;
  } rows[] = {{kExited0, 0}, {kExited3, 3}, {kTerminated, 0}, {kKilled, 137}, {kSegfault, 139}};
  for (const auto& [status, code] : rows) {
    Machine machine;
    machine.running();
    CHECK(text(machine.stop(t0)) == "stop 15");
    (void)machine.exited(status, t0);
    CHECK(text(machine.tree_exited(t0)) == "finish " + std::to_string(code));
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
  CHECK(text(machine.stop(t0 + 2100ms)).ends_with("kill"));
  CHECK(text(machine.stop(t0 + 2100ms)) == "");  // a fourth changes nothing
}

TEST_CASE("stop wins over a restart in flight") {
  Machine machine({.debounce = 0s});
  machine.running();
  (void)machine.desired(set(2), t0);
  SUBCASE("while the program still runs") {
    CHECK(text(machine.stop(t0)) == "");  // it has its stop signal already
    (void)machine.exited(kTerminated, t0);
    CHECK(text(machine.tree_exited(t0)) == "finish 0");
  }
  SUBCASE("while only stragglers are left") {
    (void)machine.exited(kTerminated, t0);
    CHECK(text(machine.stop(t0)) == "");
    CHECK(text(machine.tree_exited(t0)) == "finish 0");
  }
}

TEST_CASE("stop in a back-off ends with the code of the last end; before the first start with 75") {
  Machine machine({.restart_on_exit = config::RestartOnExit::always});
  SUBCASE("back-off") {
    machine.running();
    (void)machine.exited(kExited3, t0);
    (void)machine.tree_exited(t0);
    CHECK(machine.state() == State::backing_off);
    CHECK(text(machine.stop(t0)) == "finish 3");
  }
  SUBCASE("idle") {
    CHECK(text(machine.stop(t0)) == "finish 75");
  }
}

TEST_CASE(
    "the program's own end is keybearer's end, with its code; what it left behind is stopped") {
  const struct {
    ExitStatus status;
    std::string finish;
  } rows[] = {{kExited0, "finish 0"},
              {kExited3, "finish 3"},
              {kSegfault, "finish 139"},
              {kTerminated, "finish 143"}};
  for (const auto& [status, finish] : rows) {
    Machine machine;
    machine.running();
    const bool well = status.code == 0;  // then what it has told to end has a moment
    CHECK(text(machine.exited(status, t0)).ends_with(well ? "code 0]" : "left stop 15 rest 15"));
    CHECK(text(machine.tree_exited(t0)) == finish);
  }
}

TEST_CASE("stop_escalation: one signal after another, then it is killed") {
  Machine machine({.stop = {{15, 10s}, {2, 5s}}});
  machine.running();
  CHECK(text(machine.stop(t0)) == "stop 15");
  CHECK(text(machine.due(t0 + 9s)) == "");
  CHECK(text(machine.due(t0 + 10s)) == "[not stopped yet: SIGINT] stop 2");
  SUBCASE("it obeys the second") {
    (void)machine.exited({true, 2}, t0 + 11s);
    CHECK(text(machine.tree_exited(t0 + 11s)) == "finish 0");
  }
  SUBCASE("it obeys neither") {
    CHECK(text(machine.due(t0 + 15s)).ends_with("kill"));
  }
  SUBCASE("a second stop takes no further step") {
    (void)machine.stop(t0 + 10s);
    CHECK(text(machine.due(t0 + 11s)).ends_with("kill"));
  }
}

TEST_CASE("applied: the newest set that the program really has") {
  Machine machine({.debounce = 0s});
  CHECK(machine.applied() == 0);
  CHECK(text(machine.set_desired({7, set(1, 1, Act::none)}, t0)) == "start");
  CHECK(machine.applied() == 0);
  (void)machine.started(t0);
  CHECK(machine.applied() == 7);
  (void)machine.set_desired({8, set(1, 1, Act::none)}, t0);  // the same content
  CHECK(machine.applied() == 8);
  (void)machine.set_desired({9, set(1, 2, Act::none)}, t0);  // not told: it uses the old
  CHECK(machine.applied() == 8);
  (void)machine.set_desired({10, set(2, 2)}, t0);  // a restart is under way
  CHECK(machine.applied() == 8);
  (void)machine.exited(kTerminated, t0);
  (void)machine.set_desired({11, set(3, 2)}, t0);
  CHECK(text(machine.tree_exited(t0)) == "start");
  (void)machine.set_desired({12, set(4, 2)}, t0);  // too late for this start
  CHECK(machine.applied() == 8);
  CHECK(text(machine.started(t0)).ends_with("stop 15"));
  CHECK(machine.applied() == 11);
}

TEST_CASE("a set that comes while the program is being started is compared with what it got") {
  Machine machine({.debounce = 1s});
  (void)machine.set_desired({1, set(1)}, t0);
  (void)machine.set_desired({2, set(1)}, t0);
  (void)machine.started(t0);
  CHECK(machine.applied() == 2);
  CHECK_FALSE(machine.deadline().has_value());
}

TEST_CASE("stop while the program is being started: it is stopped as soon as it is there") {
  Machine machine;
  (void)machine.desired(set(1), t0);
  CHECK(text(machine.stop(t0)) == "");
  CHECK(machine.state() == State::starting_to_exit);
  SUBCASE("it starts") {
    CHECK(text(machine.started(t0)) == "stop 15");
    (void)machine.exited(kTerminated, t0);
    CHECK(text(machine.tree_exited(t0)) == "finish 0");
  }
  SUBCASE("it can't be started") {
    CHECK(text(machine.start_failed(kNoProcesses, t0)).ends_with("finish 126"));
  }
}

}  // namespace
}  // namespace keybearer::child
