#include "child/verify_fsm.hpp"

#include <doctest/doctest.h>

namespace keybearer::child {
namespace {

using namespace std::chrono_literals;
using Do = VerifyFsm::Do;

constexpr Instant t0{std::chrono::hours(1)};

VerifyFsm made(int attempts = 3) {
  return VerifyFsm({.command = {{"try"}}, .attempts = attempts, .backoff = 1s});
}

TEST_CASE("a good set is accepted, and not tried again while it is the newest") {
  auto machine = made();
  CHECK(machine.offered(1) == Do::run);
  CHECK_FALSE(machine.accepted());
  CHECK(machine.answered(true, t0) == Do::accept);
  CHECK(machine.accepted());
  CHECK(machine.offered(1) == Do::accept);
  CHECK(machine.offered(2) == Do::run);
  CHECK_FALSE(machine.accepted());
}

TEST_CASE(
    "between attempts leased secrets are fetched again; the pause doubles; then it is refused") {
  auto machine = made();
  CHECK(machine.offered(1) == Do::run);
  CHECK(machine.answered(false, t0) == Do::wait);
  CHECK(machine.deadline() == t0 + 1s);
  CHECK(machine.due(t0 + 999ms) == Do::nothing);
  CHECK(machine.due(t0 + 1s) == Do::refetch);
  CHECK(machine.offered(1) == Do::nothing);  // the same as before: something else has changed back
  CHECK(machine.offered(2) == Do::run);
  CHECK(machine.answered(false, t0 + 1s) == Do::wait);
  CHECK(machine.deadline() == t0 + 3s);
  CHECK(machine.offered(2) == Do::nothing);
  CHECK(machine.due(t0 + 3s) == Do::refetch);
  SUBCASE("what can't be fetched is not waited for") {
    CHECK(machine.due(t0 + 7s) == Do::nothing);
    CHECK(machine.due(t0 + 8s) == Do::run);
    return;
  }
  SUBCASE("nothing is leased") {
    CHECK(machine.refetch_unavailable() == Do::run);
    return;
  }
  CHECK(machine.offered(3) == Do::run);
  SUBCASE("the third is good") {
    CHECK(machine.answered(true, t0 + 3s) == Do::accept);
    CHECK(machine.failures() == 0);
  }
  SUBCASE("the third is bad: only another set is tried") {
    CHECK(machine.answered(false, t0 + 3s) == Do::refuse);
    CHECK_FALSE(machine.deadline().has_value());
    CHECK(machine.offered(3) == Do::nothing);
    CHECK_FALSE(machine.accepted());
    CHECK(machine.offered(4) == Do::run);
    CHECK(machine.answered(false, t0 + 9s) == Do::wait);  // with all its attempts
  }
}

TEST_CASE("what comes while the command runs is tried next; what it has tried is not accepted") {
  auto machine = made();
  CHECK(machine.offered(1) == Do::run);
  CHECK(machine.offered(2) == Do::nothing);
  CHECK(machine.answered(true, t0) == Do::run);
  CHECK(machine.answered(true, t0) == Do::accept);
  SUBCASE("back to the accepted one: nothing to try") {
    CHECK(machine.offered(2) == Do::accept);
  }
  SUBCASE("a last attempt that fails while a newer one waits refuses nothing") {
    auto once = made(1);
    CHECK(once.offered(1) == Do::run);
    CHECK(once.offered(2) == Do::nothing);
    CHECK(once.answered(false, t0) == Do::run);
    CHECK(once.answered(false, t0) == Do::refuse);
  }
}

TEST_CASE("other rules: what is under way and what was refused is tried again by them") {
  const config::Exec::Verify rules{.command = {{"try"}}, .attempts = 1, .backoff = 1s};
  auto machine = made(2);
  CHECK(machine.offered(1) == Do::run);
  SUBCASE("while the command runs") {}
  SUBCASE("while it waits") {
    CHECK(machine.answered(false, t0) == Do::wait);
  }
  SUBCASE("while it is fetched again") {
    CHECK(machine.answered(false, t0) == Do::wait);
    CHECK(machine.due(t0 + 1s) == Do::refetch);
  }
  SUBCASE("once it was refused") {
    CHECK(machine.answered(false, t0) == Do::wait);
    CHECK(machine.due(t0 + 1s) == Do::refetch);
    CHECK(machine.refetch_unavailable() == Do::run);
    CHECK(machine.answered(false, t0 + 1s) == Do::refuse);
  }
  machine.configure(rules);
  CHECK_FALSE(machine.deadline().has_value());
  CHECK(machine.due(t0 + 1h) == Do::nothing);
  CHECK(machine.offered(1) == Do::run);
  CHECK(machine.answered(false, t0 + 1h) == Do::refuse);
}

TEST_CASE("other rules: what was accepted stays so") {
  auto machine = made();
  CHECK(machine.offered(1) == Do::run);
  CHECK(machine.answered(true, t0) == Do::accept);
  machine.configure({.command = {{"other"}}});
  CHECK(machine.accepted());
  CHECK(machine.offered(1) == Do::accept);
}

}  // namespace
}  // namespace keybearer::child
