#pragma once
// How long something took, counted in twelve buckets: what a Prometheus histogram is made of.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace keybearer {

class Histogram {
 public:
  // Upper bounds in seconds, each included ("le"); what is longer is counted after the last.
  static constexpr std::array<double, 12> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                     0.1,   0.25,   0.5,   1,    2.5,   10};

  void observe(std::chrono::microseconds time) {
    const double seconds = std::chrono::duration<double>(time).count();
    std::size_t at = 0;
    while (at < kBounds.size() && seconds > kBounds[at]) ++at;
    ++counts_[at];
    sum_ += seconds;
  }

  // Of one bucket alone; kBounds.size() is the one without a bound.
  [[nodiscard]] std::uint64_t count(std::size_t bucket) const { return counts_[bucket]; }
  [[nodiscard]] double sum() const { return sum_; }  // seconds

 private:
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
};

}  // namespace keybearer
