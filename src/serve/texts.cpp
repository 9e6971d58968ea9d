#include "serve/texts.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>

namespace keybearer::serve {

std::string_view name_of(Snapshot::Token::Phase phase) {
  constexpr std::array<std::string_view, 4> kNames{"logging_in", "valid", "ending", "lost"};
  return kNames[static_cast<std::size_t>(phase)];
}

std::string_view name_of(Snapshot::Secret::State state) {
  constexpr std::array<std::string_view, 5> kNames{"pending", "fresh", "failing", "absent",
                                                   "denied"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view state_of(const Snapshot::Secret& secret, Instant now) {
  if (secret.defaults) return "defaults";
  const bool ended = secret.generation > 0 && secret.lease_end && *secret.lease_end <= now;
  return ended ? "expired" : name_of(secret.state);
}

std::optional<Duration> time_left(const Snapshot::Secret& secret, Instant now) {
  const auto end = secret.lease_end ? secret.lease_end : secret.next_at;
  if (!end) return std::nullopt;
  return std::max(Duration(0), *end - now);
}

std::string short_text(Duration time) {
  const auto ms = time.count();
  if (ms < 0) return "-" + short_text(-time);
  if (ms > 0 && ms < 1000) return fmt::format("{}ms", ms);
  const auto s = ms / 1000;
  const auto two = [](auto large, const char* unit, auto small, const char* less) {
    return small == 0 ? fmt::format("{}{}", large, unit)
                      : fmt::format("{}{} {}{}", large, unit, small, less);
  };
  if (s >= 86400) return two(s / 86400, "d", s % 86400 / 3600, "h");
  if (s >= 3600) return two(s / 3600, "h", s % 3600 / 60, "m");
  if (s >= 60) return two(s / 60, "m", s % 60, "s");
  return fmt::format("{}s", s);
}

std::string rfc3339(WallTime at) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
  const time_t seconds = ms / 1000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     ms % 1000);
}

std::string text_of(const Snapshot::Child::Exit& exit) {
  return (exit.signaled ? "signal " : "exited with code ") + std::to_string(exit.code);
}

}  // namespace keybearer::serve
