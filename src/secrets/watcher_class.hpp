#pragma once
// Internal to watcher*.cpp.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "base/backoff.hpp"
#include "secrets/watched_secret.hpp"
#include "secrets/watcher.hpp"

namespace keybearer::secrets {

// A denied or absent secret that once was there is asked for less and less often.
inline constexpr Duration kDeniedRetryMin = std::chrono::seconds(5);
inline constexpr Duration kDeniedRetryMax = std::chrono::minutes(1);
// One that lacks a key likewise.
inline constexpr BackoffBounds kMissingKeyRetry{.min = std::chrono::seconds(2),
                                                .max = std::chrono::minutes(1)};

// One secret, from its first read until nothing asks for it: when to do what is lease::Schedule's
// decision and watcher.cpp's, the requests are watcher_steps.cpp.
class Watcher {
 public:
  Watcher(WatchContext& context, std::shared_ptr<WatchedSecret> secret)
      : context_(context),
        secret_(std::move(secret)),
        s_(*secret_),
        backoff_({context.settings.retry.min_backoff, context.settings.retry.max_backoff}) {}

  boost::asio::awaitable<void> run();

 private:
  enum class Wait { none, until_due, until_woken };
  [[nodiscard]] Wait wait_for(const lease::Step& step) const;
  [[nodiscard]] bool has_wakeup() const;
  [[nodiscard]] lease::Step on_wakeup(lease::Step step);
  [[nodiscard]] lease::Step on_missing_key(lease::Step step);
  [[nodiscard]] bool is_change_check(const lease::Step& step) const;
  [[nodiscard]] Instant expiry_at() const;
  void report_expiry();
  void check_age();
  // Since the step was begun: a denial may have been the old one's.
  [[nodiscard]] bool token_has_changed() const { return request_token_ != context_.client.token(); }

  [[nodiscard]] lease::Step confirm();
  [[nodiscard]] lease::Step confirmed(lease::Step next);

  boost::asio::awaitable<lease::Step> execute(lease::Step step);
  boost::asio::awaitable<lease::Step> perform(lease::Step step);
  boost::asio::awaitable<lease::Step> read();
  boost::asio::awaitable<lease::Step> read_after(bool& good);
  boost::asio::awaitable<lease::Step> compare();
  boost::asio::awaitable<lease::Step> renew();
  boost::asio::awaitable<lease::Step> lookup();
  boost::asio::awaitable<lease::Step> failed(Error error);
  [[nodiscard]] Instant retry_at_start(std::optional<Duration> retry_after);
  bool join_twin();

  WatchContext& context_;
  std::shared_ptr<WatchedSecret> secret_;
  WatchedSecret& s_;
  Backoff backoff_;  // of first reads
  Backoff denied_backoff_{{2 * kDeniedRetryMin, kDeniedRetryMax}};
  Backoff missing_key_backoff_{kMissingKeyRetry};
  lease::Step current_step_;
  vault::Token request_token_;   // that the last step was begun with; nullptr: none was begun
  bool wanted_ = false;          // somebody waits for the next read
  bool token_replaced_ = false;  // the current read is for that
  bool awaiting_token_ = false;  // what is planned waits for a new token, and for nothing else
  // Metadata that told of nothing new, and the version that was in use.
  std::uint64_t metadata_seen_ = 0;
  int metadata_version_ = 0;
  std::optional<Instant> refused_since_;  // before there was any value
};

}  // namespace keybearer::secrets
