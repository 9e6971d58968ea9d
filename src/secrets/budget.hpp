#pragma once
// How many requests a minute, as a hard promise: a token bucket. Pure.

#include <algorithm>

#include "base/time.hpp"
#include "config/config.hpp"

namespace keybearer::secrets {

class Budget {
 public:
  Budget(const config::Budget& config, Instant now) : config_(config), filled_at_(now) {
    resize(0);
    tokens_ = burst_;
  }

  // The defaults grow with the number of secrets; what was spent stays spent.
  void resize(std::size_t secrets) {
    const auto n = static_cast<double>(secrets);
    const double before = burst_;
    per_minute_ = config_.requests_per_minute ? *config_.requests_per_minute : 600 + 4 * n;
    burst_ = config_.burst ? *config_.burst : 2 * n + 20;
    tokens_ += std::max(0.0, burst_ - before);
  }

  // Takes one and returns when the request may go out: now, or later.
  [[nodiscard]] Instant take(Instant now) {
    const double minutes = std::chrono::duration<double, std::ratio<60>>(now - filled_at_).count();
    tokens_ = std::min(burst_, tokens_ + minutes * per_minute_);
    filled_at_ = now;
    tokens_ -= 1;
    const Instant allowed =
        tokens_ >= 0
            ? now
            : now + std::chrono::ceil<Duration>(
                        std::chrono::duration<double, std::ratio<60>>(-tokens_ / per_minute_));
    return std::max(allowed, closed_until_);
  }

  // The server said: not before. Holds for everybody.
  void close_until(Instant at) { closed_until_ = std::max(closed_until_, at); }

 private:
  config::Budget config_;
  Instant filled_at_;
  Instant closed_until_{};
  double per_minute_ = 0, burst_ = 0, tokens_ = 0;
};

}  // namespace keybearer::secrets
