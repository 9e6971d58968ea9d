#pragma once
// How long to wait before the next try: full jitter over an exponentially growing range, never
// zero. A Retry-After of the server wins when it asks for more.
//
// Pure. `random` in [0, 1) comes from the caller (base/random.hpp, or a fixed number in tests).
// Source: rules T3 and section 5 of the behaviour; "Exponential Backoff And Jitter" (full jitter),
// AWS Architecture Blog.

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/time.hpp"

namespace keybearer {

struct BackoffBounds {
  Duration min = std::chrono::milliseconds(250);
  Duration max = std::chrono::minutes(1);
};

class Backoff {
 public:
  explicit Backoff(BackoffBounds bounds) : bounds_(bounds) {}

  // Between half of and the whole of min * 2^failures, at most max.
  [[nodiscard]] Duration next(double random, std::optional<Duration> retry_after = {}) {
    const double ceiling =
        std::min(static_cast<double>(bounds_.max.count()),
                 static_cast<double>(bounds_.min.count()) * std::exp2(std::min(failures_++, 30)));
    const Duration wait(static_cast<Duration::rep>(ceiling * (0.5 + random / 2)));
    return std::max({wait, retry_after.value_or(Duration::zero()), Duration(1)});
  }
  void reset() { failures_ = 0; }
  // Other bounds, at a reload: what has failed so far still counts.
  void configure(BackoffBounds bounds) { bounds_ = bounds; }
  [[nodiscard]] int failures() const { return failures_; }

 private:
  BackoffBounds bounds_;
  int failures_ = 0;
};

}  // namespace keybearer
