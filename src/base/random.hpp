#pragma once
// The kernel's randomness, and what jitter is drawn from.

#include <cstdint>
#include <random>

namespace keybearer {

// getentropy(3); the default source asks the processor for its features each time, which a virtual
// machine answers slowly.
[[nodiscard]] inline std::random_device entropy() {
  return std::random_device("getentropy");
}

// For jitter, passed by reference so that tests can fix it. Not for keys.
class Random {
 public:
  Random() : engine_(entropy()()) {}
  explicit Random(std::uint32_t seed) : engine_(seed) {}

  // In [0, 1).
  [[nodiscard]] double fraction() {
    return static_cast<double>(engine_() - engine_.min()) / 2147483646.0;
  }

 private:
  std::minstd_rand engine_;  // 8 bytes; a Mersenne twister would be 2.5 kB of idle memory
};

}  // namespace keybearer
