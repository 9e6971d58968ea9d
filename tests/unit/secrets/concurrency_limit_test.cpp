#include "secrets/concurrency_limit.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "base/random.hpp"

namespace keybearer::secrets {
namespace {

struct Ticket final : ConcurrencyLimit::Ticket {
  int calls = 0;
  void granted() override { ++calls; }
};

TEST_CASE("who finds no slot is called when one is free, first come first served") {
  ConcurrencyLimit limit(1);
  Ticket first, second, third;
  REQUIRE(limit.try_acquire(first));
  CHECK(!limit.try_acquire(second));
  CHECK(!limit.try_acquire(third));
  CHECK(!limit.try_acquire(second));  // woken for another reason meanwhile: it keeps its place

  first.give_back();
  CHECK(second.calls == 1);
  CHECK(third.calls == 0);
  CHECK(!limit.try_acquire(first));  // the slot is the called one's, not whose comes first
  CHECK(limit.try_acquire(second));
  second.give_back();
  CHECK(third.calls == 1);
  third.give_back();
  CHECK(first.calls == 1);
}

TEST_CASE("who is called and does not use it passes the slot on") {
  ConcurrencyLimit limit(1);
  Ticket holder, sleeper, next;
  REQUIRE(limit.try_acquire(holder));
  CHECK(!limit.try_acquire(sleeper));
  CHECK(!limit.try_acquire(next));
  holder.give_back();
  REQUIRE(sleeper.calls == 1);
  sleeper.give_back();  // the token is limited now: it goes back to sleep
  CHECK(next.calls == 1);
  CHECK(limit.try_acquire(next));
}

TEST_CASE("who is dropped leaves the line, and the slot that it has") {
  ConcurrencyLimit limit(1);
  auto holder = std::make_unique<Ticket>(), waiting = std::make_unique<Ticket>();
  Ticket last;
  REQUIRE(limit.try_acquire(*holder));
  CHECK(!limit.try_acquire(*waiting));
  CHECK(!limit.try_acquire(last));
  waiting.reset();
  CHECK(last.calls == 0);
  holder.reset();
  CHECK(last.calls == 1);
}

TEST_CASE("whatever comes and goes: never too many, and nobody waits while a slot is free") {
  Random random(1);
  const auto below = [&random](std::size_t n) {
    return static_cast<std::size_t>(random.fraction() * static_cast<double>(n));
  };
  constexpr std::size_t kSlots = 3;
  ConcurrencyLimit limit(kSlots);
  std::vector<std::unique_ptr<Ticket>> tickets(12);
  std::vector<bool> queued(tickets.size());
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t at = below(tickets.size());
    if (!tickets[at]) {
      tickets[at] = std::make_unique<Ticket>();
    } else if (const double what = random.fraction(); what < 0.5) {
      (void)limit.try_acquire(*tickets[at]);
      queued[at] = true;
    } else if (what < 0.8) {
      tickets[at]->give_back();
      queued[at] = false;
    } else {
      tickets[at].reset();
      queued[at] = false;
    }
    std::size_t held = 0, waiting = 0;
    for (std::size_t k = 0; k < tickets.size(); ++k) {
      if (!tickets[k] || !queued[k]) continue;
      ++(tickets[k]->has_slot() ? held : waiting);
    }
    REQUIRE(held <= kSlots);
    REQUIRE((waiting == 0 || held == kSlots));
  }
}

}  // namespace
}  // namespace keybearer::secrets
