// What the supervisor looks at by itself, and how often.

#include "unit/child/fsm_fixture.hpp"
#include "unit/child/supervisor_fixture.hpp"

namespace keybearer::child {
namespace {

TEST_CASE("a program that runs is not looked at") {
  Fixture f;
  f.want("1");
  const int before = f.spawner.looked;
  f.io.advance(10min, 1s);
  CHECK(f.spawner.looked == before);
  f.supervisor.stop();
  f.spawner.exit({true, 15});
  f.io.advance(1s);
  CHECK(f.code == 0);
}

TEST_CASE("a program that lingers is asked for four times a second, and told once") {
  Fixture f;
  f.want("1");
  f.spawner.leaves_tree = true;
  f.supervisor.stop();
  f.spawner.exit({true, 15});
  f.io.run();
  const int before = f.spawner.looked;
  f.io.advance(2s, 50ms);
  CHECK(f.spawner.looked - before >= 7);
  CHECK(f.spawner.looked - before <= 12);
  CHECK(std::ranges::count(f.spawner.asked, "stop rest 15") == 1);
  f.spawner.end_tree();
  f.io.advance(1s);
  CHECK(f.code == 0);
}

TEST_CASE("how much room a stack gives decides how large an environment may be") {
  for (const bool small : {false, true}) {
    Fixture f;
    if (small) f.exec.rlimits = {{"stack", 256 * 1024}};
    f.supervisor.configure(f.exec);
    Desired desired{.id = 1};
    for (int i = 0; i < 3; ++i)
      desired.environment.set("A" + std::to_string(i), std::string(100'000, 'x'));
    desired.items = {{.name = "A", .fingerprint = 1}};
    CHECK(bool(f.supervisor.set_desired(std::move(desired))) == !small);
    f.io.run();
    CHECK(f.spawner.asked.empty() == small);
    f.supervisor.stop();
    if (!small) f.spawner.exit({true, 15});
    f.io.advance(1s);
    CHECK(f.code == (small ? 75 : 0));
  }
}

TEST_CASE("of a signal that waits and a change that waits for quiet the earlier is due") {
  const auto started = [] {
    auto machine = std::make_unique<Machine>();
    CHECK(text(machine->desired(set(1), t0)) == "start");
    CHECK(text(machine->forward(10, t0)) == "");
    CHECK(text(machine->started(t0)) == "");
    CHECK(machine->deadline() == t0 + 1s);  // the program has its handlers by then
    return machine;
  };
  auto machine = started();
  (void)machine->desired(set(2), t0);
  CHECK(machine->deadline() == t0 + 1s);
  CHECK(text(machine->due(t0 + 999ms)) == "");
  CHECK(text(machine->due(t0 + 1s)) == "signal 10");
  CHECK(machine->deadline() == t0 + 2s);

  machine = started();
  (void)machine->desired(set(2), t0, t0 + 500ms);  // what it has ends then
  CHECK(machine->deadline() == t0 + 500ms);
  CHECK(text(machine->due(t0 + 500ms)).ends_with("stop 15"));
}

}  // namespace
}  // namespace keybearer::child
