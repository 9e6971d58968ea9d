#pragma once
// A saved state as bytes and back. Pure. Moments are kept on both clocks: the boot clock, which
// goes on through a suspend and knows nothing of the wall clock being set, within one boot; the
// wall clock across boots.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "lease/saved.hpp"
#include "state/sealed.hpp"

namespace keybearer::state {

// When it was saved, or is read.
struct Now {
  Instant boot;
  WallTime wall;
  std::string boot_id;  // of this boot of the machine (random(4)); empty: not known
};
[[nodiscard]] Now now_here();

struct Record {
  std::uint64_t counter = 0;  // grows with each state that is written: the time, or one more
  lease::SavedState state;
};

// What can't be written (a value that holds objects of the template language) is left out.
[[nodiscard]] std::string encode(const Record& record, const Now& saved);

struct Restored {
  Record record;
  Duration age{};
  // Another boot, and the wall clock was set back: how old it is can't be told, so that no token
  // and no lease is in it.
  bool clock_went_back = false;
};
// Moments are those of the boot clock of `now`.
[[nodiscard]] std::expected<Restored, Refusal> decode(std::string_view bytes, const Now& now);

}  // namespace keybearer::state
