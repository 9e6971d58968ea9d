#pragma once
// How many requests a minute, as a hard promise: a token bucket with classes. Pure: who waits, and
// in which order, is vault/session's business. Rule: S1.

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/time.hpp"
#include "config/config.hpp"

namespace keybearer::vault {

// Whose request it is. `control` keeps alive what there is (login, renewal, look-up, revocation)
// and is never starved by the others.
enum class Traffic { control, secrets, proxy };
inline constexpr std::size_t kTrafficClasses = 3;

class Budget {
 public:
  // `secrets`: how many the configuration names; the defaults follow from it.
  Budget(const config::Budget& config, std::size_t secrets, Instant now)
      : config_(config), filled_at_(now) {
    resize(secrets);
    units_ = burst_;
  }

  // Until fix(), the defaults follow the number of secrets upwards; what was spent stays spent.
  void resize(std::size_t secrets) {
    if (fixed_ || secrets < secrets_) return;
    secrets_ = secrets;
    const auto n = static_cast<double>(secrets);
    const double before = burst_;
    per_minute_ = config_.requests_per_minute ? *config_.requests_per_minute : 600 + 4 * n;
    burst_ = config_.burst ? *config_.burst : 2 * n + 20;
    units_ += std::max(0.0, burst_ - before);
  }
  // What templates ask for from now on does not widen it.
  void fix() { fixed_ = true; }

  // Another [vault.budget], at a reload; what was spent stays spent.
  void configure(const config::Budget& config, std::size_t secrets, Instant now) {
    fill(now);
    const double before = burst_;
    config_ = config;
    const bool fixed = std::exchange(fixed_, false);
    secrets_ = std::max(secrets, secrets_);
    resize(secrets_);
    units_ = std::min(units_, std::max(burst_, before));
    fixed_ = fixed;
  }

  // The default follows the secrets that the configuration names and says nothing of the requests of
  // other programs: only a number that was set counts those too.
  [[nodiscard]] bool counts(Traffic traffic) const {
    return traffic != Traffic::proxy || config_.requests_per_minute.has_value();
  }
  // When a request of this class may go out, if nobody comes before: `now`, or later. Reads leave a
  // tenth of the burst to `control`.
  [[nodiscard]] Instant next(Traffic traffic, Instant now) {
    fill(now);
    if (!counts(traffic)) return now;
    const double wanted = traffic == Traffic::control ? 1.0 : 1.0 + reserve();
    if (units_ >= wanted - kRounding) return now;
    return now + std::max(Duration(1),
                          std::chrono::ceil<Duration>(std::chrono::duration<double, std::ratio<60>>(
                              (wanted - units_) / per_minute_)));
  }
  // One request goes out; and did not after all.
  void take(Instant now) {
    fill(now);
    units_ -= 1;
  }
  void give_back() { units_ = std::min(burst_, units_ + 1); }

  [[nodiscard]] double per_minute() const { return per_minute_; }
  [[nodiscard]] double burst() const { return burst_; }

 private:
  static constexpr double kRounding = 1e-6;

  [[nodiscard]] double reserve() const {
    return static_cast<double>(static_cast<int>(burst_ / 10));
  }
  void fill(Instant now) {
    if (now <= filled_at_) return;
    const double minutes = std::chrono::duration<double, std::ratio<60>>(now - filled_at_).count();
    units_ = std::min(burst_, units_ + minutes * per_minute_);
    filled_at_ = now;
  }

  config::Budget config_;
  Instant filled_at_;
  double per_minute_ = 0, burst_ = 0, units_ = 0;
  std::size_t secrets_ = 0;
  bool fixed_ = false;
};

}  // namespace keybearer::vault
