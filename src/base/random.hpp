#pragma once
// Randomness for jitter, passed by reference so that tests can fix it. Not for keys.

#include <cstdint>
#include <random>

namespace keybearer {

class Random {
 public:
  Random() : engine_(std::random_device{}()) {}
  explicit Random(std::uint32_t seed) : engine_(seed) {}

  // In [0, 1).
  [[nodiscard]] double fraction() {
    return static_cast<double>(engine_() - engine_.min()) / 2147483646.0;
  }

 private:
  std::minstd_rand engine_;  // 8 bytes; a Mersenne twister would be 2.5 kB of idle memory
};

}  // namespace keybearer
