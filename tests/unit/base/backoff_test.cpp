#include "base/backoff.hpp"

#include <doctest/doctest.h>

namespace keybearer {
namespace {

using namespace std::chrono_literals;

TEST_CASE("pauses grow to the maximum, and a success starts them again") {
  Backoff backoff({.min = 1s, .max = 10s});
  CHECK(backoff.next(0.999) < 1s);
  CHECK(backoff.next(0) == 1s);
  CHECK(backoff.next(0) == 2s);
  CHECK(backoff.next(0) == 4s);
  CHECK(backoff.next(0) == 5s);
  CHECK(backoff.next(0.9999) <= 10s);
  backoff.reset();
  CHECK(backoff.next(0) == 500ms);
}

TEST_CASE("the server's Retry-After wins when it asks for more") {
  Backoff backoff({.min = 1s, .max = 10s});
  CHECK(backoff.next(0, 30s) == 30s);
  CHECK(backoff.next(0, 1ms) == 1s);
}

TEST_CASE("no pause is ever zero, however often it failed") {
  Backoff backoff({.min = 0ms, .max = 0ms});
  for (int i = 0; i < 100; ++i) CHECK(backoff.next(0) >= 1ms);
}

}  // namespace
}  // namespace keybearer
