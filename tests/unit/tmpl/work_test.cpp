#include "tmpl/work.hpp"

#include <doctest/doctest.h>

#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl {
namespace {

// How many units until the work is to end; at most `most`.
std::uint64_t until_end(Work& work, std::uint64_t most, std::size_t step) {
  while (work.done() < most && work.tick(step)) {
  }
  return work.done();
}

TEST_CASE("a stop is seen within a few hundred microseconds of work, and for good") {
  std::atomic<bool> stop = false;
  Work work(std::chrono::hours(1), &stop);
  CHECK(until_end(work, 10'000'000, 7) >= 10'000'000);
  stop = true;
  const std::uint64_t before = work.done();
  CHECK(until_end(work, before + 10'000'000, 7) < before + 300'000);
  stop = false;
  CHECK_FALSE(work.tick(0));
  CHECK(work.why() == "broken off");
}

TEST_CASE("the time of an evaluation ends in the middle of a call") {
  Work work(std::chrono::seconds(0), nullptr);
  const Working here(work);
  CHECK_THROWS_AS(
      [] {
        for (int i = 0; i < 1'000'000; ++i) spend(1);
      }(),
      CallError);
  CHECK(work.why() == "it takes longer than 0 s");
  CHECK_FALSE(may_go_on(1));
}

TEST_CASE("work without limits only counts; outside of an evaluation nothing does") {
  spend(1u << 30);
  Work work;
  {
    const Working here(work);
    spend(1u << 30);
  }
  spend(5);
  CHECK(work.done() == 1u << 30);
}

}  // namespace
}  // namespace keybearer::tmpl
