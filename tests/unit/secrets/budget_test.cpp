#include "secrets/budget.hpp"

#include <doctest/doctest.h>

namespace keybearer::secrets {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1000h};

TEST_CASE("a thousand secrets are fetched at full speed") {
  Budget budget({}, t0);
  budget.resize(1000);
  for (int i = 0; i < 2020; ++i) CHECK(budget.take(t0) == t0);
  CHECK(budget.take(t0) > t0);
}

TEST_CASE("the promise holds whatever is asked: burst at first, then so many a minute") {
  Budget budget({.requests_per_minute = 60, .burst = 5}, t0);
  int sent = 0;
  Instant now = t0;
  while (now <= t0 + 10min) {  // somebody who asks again as soon as it was allowed
    now = budget.take(now);
    ++sent;
  }
  CHECK(sent <= 5 + 600 + 1);
  CHECK(sent >= 600);
}

TEST_CASE("what is not used is not saved beyond the burst") {
  Budget budget({.requests_per_minute = 60, .burst = 5}, t0);
  const Instant later = t0 + 1h;
  for (int i = 0; i < 5; ++i) CHECK(budget.take(later) == later);
  CHECK(budget.take(later) == later + 1s);
  CHECK(budget.take(later) == later + 2s);
}

TEST_CASE("more secrets mean more room, and nothing that was spent comes back") {
  Budget budget({}, t0);
  budget.resize(1);
  for (int i = 0; i < 22; ++i) CHECK(budget.take(t0) == t0);
  budget.resize(2);
  CHECK(budget.take(t0) == t0);
  CHECK(budget.take(t0) == t0);
  CHECK(budget.take(t0) > t0);
}

TEST_CASE("a server that says `not before` is obeyed for every request") {
  Budget budget({}, t0);
  budget.close_until(t0 + 30s);
  CHECK(budget.take(t0) == t0 + 30s);
  CHECK(budget.take(t0 + 10s) == t0 + 30s);
  CHECK(budget.take(t0 + 31s) == t0 + 31s);
}

}  // namespace
}  // namespace keybearer::secrets
