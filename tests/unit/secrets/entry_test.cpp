#include "secrets/entry.hpp"

#include <doctest/doctest.h>

#include <optional>

namespace keybearer::secrets {
namespace {

Entry entry() {
  return {tmpl::read_dependency("kv/data/app").value(), {}, {}, 0.5};
}

TEST_CASE("who finds no place is called when one is free, first come first served") {
  ConcurrencyLimit turns(1);
  Entry first = entry(), second = entry(), third = entry();
  REQUIRE(turns.free_for(first));
  std::optional<ConcurrencyLimit::Turn> turn(std::in_place, turns);
  CHECK(!turns.free_for(second));
  CHECK(!turns.free_for(third));
  CHECK(!turns.free_for(second));  // poked for another reason meanwhile: it keeps its place

  turn.reset();
  CHECK(second.wakeup.generation() == 1);
  CHECK(third.wakeup.generation() == 0);
  REQUIRE(turns.free_for(second));
  turn.emplace(turns);
  turn.reset();
  CHECK(third.wakeup.generation() == 1);
  CHECK(second.wakeup.generation() == 1);
  CHECK(turns.free_for(first));
}

}  // namespace
}  // namespace keybearer::secrets
