#include "vault/budget.hpp"

#include <doctest/doctest.h>

namespace keybearer::vault {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1000h};

// Asks again as soon as it was allowed, until `end`; how many went out.
int greedy(Budget& budget, Traffic traffic, Instant now, Instant end) {
  int sent = 0;
  while ((now = budget.next(traffic, now)) <= end) {
    budget.take(now);
    ++sent;
  }
  return sent;
}

TEST_CASE("a thousand secrets are fetched at full speed") {
  Budget budget({}, 1000, t0);
  CHECK(greedy(budget, Traffic::secrets, t0, t0) == 2020 - 202);
  CHECK(greedy(budget, Traffic::control, t0, t0) == 202);  // what reads may not take
}

TEST_CASE(
    "the promise holds whatever is asked, in each class: burst at first, then so many a minute") {
  for (const auto traffic : {Traffic::control, Traffic::secrets, Traffic::proxy}) {
    Budget budget({.requests_per_minute = 60, .burst = 5}, 0, t0);
    const int sent = greedy(budget, traffic, t0, t0 + 10min);
    CHECK(sent <= 5 + 600);
    CHECK(sent >= 600);
  }
}

TEST_CASE("what is not used is not saved beyond the burst, and what did not go out comes back") {
  Budget budget({.requests_per_minute = 60, .burst = 5}, 0, t0);
  const Instant later = t0 + 1h;
  CHECK(greedy(budget, Traffic::secrets, later, later) == 5);
  CHECK(budget.next(Traffic::secrets, later) == later + 1s);
  budget.give_back();
  CHECK(budget.next(Traffic::secrets, later) == later);
  for (int i = 0; i < 10; ++i) budget.give_back();
  CHECK(greedy(budget, Traffic::secrets, later, later) == 5);
}

TEST_CASE("the defaults follow what is named until they are fixed; a set number never moves") {
  Budget budget({}, 1, t0);
  budget.resize(2);
  CHECK(budget.burst() == 24);
  CHECK(budget.per_minute() == 608);
  budget.resize(1);
  CHECK(budget.burst() == 24);
  budget.fix();
  budget.resize(1000);
  CHECK(budget.burst() == 24);
  CHECK(budget.per_minute() == 608);

  Budget set({.requests_per_minute = 60, .burst = 3}, 1, t0);
  set.resize(500);
  CHECK(set.burst() == 3);
  CHECK(set.per_minute() == 60);
}

TEST_CASE("the default does not count the requests of other programs") {
  Budget budget({}, 0, t0);
  for (int i = 0; i < 10'000; ++i) CHECK(budget.next(Traffic::proxy, t0) == t0);
  CHECK_FALSE(budget.counts(Traffic::proxy));
  CHECK(greedy(budget, Traffic::control, t0, t0) == 20);
  CHECK(Budget({.requests_per_minute = 60, .burst = 5}, 0, t0).counts(Traffic::proxy));
}

TEST_CASE("more room does not bring back what was spent") {
  Budget budget({}, 0, t0);
  CHECK(greedy(budget, Traffic::control, t0, t0) == 20);
  budget.resize(5);
  CHECK(greedy(budget, Traffic::control, t0, t0) == 10);
}

}  // namespace
}  // namespace keybearer::vault
