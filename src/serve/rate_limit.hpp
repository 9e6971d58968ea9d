#pragma once
// Requests per second and peer: a bucket each, at most kMostPeers of them. Pure.

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace keybearer::serve {

class RateLimit {
 public:
  static constexpr std::size_t kMostPeers = 4096;

  // `per_second`: 0 for no limit. Twice as many at once.
  explicit RateLimit(int per_second = 0) : rate_(per_second) {}
  void configure(int per_second) {
    if (per_second != rate_) buckets_.clear();
    rate_ = per_second;
  }

  [[nodiscard]] bool limits() const { return rate_ != 0; }
  [[nodiscard]] bool take(std::string_view peer, Instant now) {
    if (rate_ == 0) return true;
    if (buckets_.size() >= kMostPeers) drop_full(now);
    const auto [at, fresh] = buckets_.try_emplace(std::string(peer), Bucket{burst(), now});
    Bucket& bucket = at->second;
    fill(bucket, now);
    if (bucket.units < 1) return false;
    bucket.units -= 1;
    return true;
  }
  [[nodiscard]] std::size_t peers() const { return buckets_.size(); }

 private:
  struct Bucket {
    double units;
    Instant filled_at;
  };
  [[nodiscard]] double burst() const { return 2.0 * rate_; }
  void fill(Bucket& bucket, Instant now) const {
    const double seconds = std::chrono::duration<double>(now - bucket.filled_at).count();
    bucket.units = std::min(burst(), bucket.units + std::max(0.0, seconds) * rate_);
    bucket.filled_at = now;
  }
  // A full bucket is one that nobody has; where all are in use, all begin again.
  void drop_full(Instant now) {
    for (auto& [name, bucket] : buckets_) fill(bucket, now);
    std::erase_if(buckets_, [&](const auto& entry) { return entry.second.units >= burst(); });
    if (buckets_.size() >= kMostPeers) buckets_.clear();
  }

  int rate_;
  std::map<std::string, Bucket, std::less<>> buckets_;
};

}  // namespace keybearer::serve
