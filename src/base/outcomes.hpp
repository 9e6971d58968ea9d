#pragma once
// How requests of one kind ended, counted by whoever sends them.

#include <cstdint>

namespace keybearer {

struct Outcomes {
  std::uint64_t succeeded = 0;
  std::uint64_t refused = 0;     // answered: no
  std::uint64_t unanswered = 0;  // network, 5xx, time-outs
};

}  // namespace keybearer
