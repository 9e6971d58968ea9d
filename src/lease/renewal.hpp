#pragma once
// What all that lives for a time and can be renewed has in common, tokens and leases: when to act,
// how often to try before the end, and when a renewal was the last. Pure; times count from the
// moment the request was sent (T11).
//
// Source: rules T2, T3, T4 and section 2 (renewable lease); Vault HTTP API, lease_duration.

#include <algorithm>

#include "base/time.hpp"

namespace keybearer::lease {

// Servers count in whole seconds and may shorten a little: only a clearly smaller grant says that
// the maximum TTL is near.
inline constexpr double kShortfallRatio = 0.9;
inline constexpr int kTriesBeforeEnd = 3;  // retries are spaced so that this many still fit
inline constexpr Duration kLeastDue = std::chrono::seconds(1);
inline constexpr Duration kMostDue = std::chrono::hours(24 * 30);  // what lives longer: monthly

// How much earlier than due: at most this part of the first term ...
inline constexpr double kTokenJitter = 0.05;
inline constexpr double kLeaseJitter = 0.1;

// ... and where in that range an instance lies, `place` in [0, 1): fixed, so that plans repeat.
struct Jitter {
  double range = kLeaseJitter;
  double place = 0;
};

// The moment to act on something that lives for `ttl`, from its beginning: after `part` of it or
// when `min_remaining` is left, whichever comes first, but not in its first half; from 1 s to 30
// days.
[[nodiscard]] inline Duration due(Duration ttl, double part, Duration min_remaining,
                                  Jitter jitter) {
  const auto by_part =
      std::chrono::duration_cast<Duration>(ttl * (part * (1 - jitter.range * jitter.place)));
  return std::clamp(std::min(by_part, std::max(ttl - min_remaining, ttl / 2)), kLeastDue, kMostDue);
}

// No renewal is tried in the last moments: new ones are worth more then.
[[nodiscard]] inline Duration final_window(Duration ttl) {
  return std::min<Duration>(std::chrono::seconds(2), ttl / 10);
}

// A wait between two tries, shortened so that kTriesBeforeEnd still fit into `left`.
[[nodiscard]] inline Duration retry_wait(Duration wait, Duration left) {
  return std::clamp<Duration>(wait, Duration(1),
                              std::max<Duration>(left / kTriesBeforeEnd, Duration(1)));
}

[[nodiscard]] inline bool falls_short(Duration granted, Duration expected) {
  return static_cast<double>(granted.count()) <
         kShortfallRatio * static_cast<double>(expected.count());
}

}  // namespace keybearer::lease
