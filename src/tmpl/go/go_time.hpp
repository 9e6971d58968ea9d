#pragma once
// Go's time package as far as templates reach it: a point in time with its zone, layouts, parsing
// and durations. Mirrors time/format.go; zones are UTC, fixed offsets and the process's own.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace keybearer::tmpl::go_time {

struct Zone {
  enum class Kind : std::uint8_t { utc, fixed, local } kind = Kind::utc;
  int offset = 0;         // fixed: seconds east of UTC
  std::string name = {};  // fixed: may be empty

  friend bool operator==(const Zone&, const Zone&) = default;
};

struct Time {
  std::int64_t seconds = 0;      // since 1970-01-01 00:00:00 UTC
  std::int32_t nanoseconds = 0;  // 0 to 999,999,999
  Zone zone = {};

  friend bool operator==(const Time&, const Time&) = default;
};

inline constexpr std::int64_t kZeroSeconds = -62135596800;  // 0001-01-01 00:00:00 UTC: Go's zero
inline constexpr std::string_view kRfc3339 = "2006-01-02T15:04:05Z07:00";
inline constexpr std::string_view kRfc3339Nano = "2006-01-02T15:04:05.999999999Z07:00";

[[nodiscard]] Time from_clock(WallTime now);  // in UTC

struct Civil {
  std::int64_t year = 1;
  int month = 1, day = 1, hour = 0, minute = 0, second = 0;
  int weekday = 0;   // 0: Sunday
  int year_day = 1;  // from 1
  int offset = 0;    // seconds east of UTC
  std::string zone = {};
};

[[nodiscard]] Civil civil(const Time& time);
// time.Date: values out of range are carried over.
[[nodiscard]] Time date(std::int64_t year, std::int64_t month, std::int64_t day, std::int64_t hour,
                        std::int64_t minute, std::int64_t second, std::int64_t nanosecond,
                        const Zone& zone);
[[nodiscard]] Time add(Time time, std::int64_t nanoseconds);
// a - b in nanoseconds, held within int64 as Go does.
[[nodiscard]] std::int64_t subtract(const Time& a, const Time& b);

[[nodiscard]] std::string format(const Time& time, std::string_view layout);
[[nodiscard]] std::string to_string(const Time& time);  // Time.String
// `zone`: of a text that names none (time.ParseInLocation). The error is Go's text with [masked]
// in place of the text, which may be secret.
[[nodiscard]] std::expected<Time, std::string> parse(std::string_view layout, std::string_view text,
                                                     Zone::Kind zone = Zone::Kind::utc);

[[nodiscard]] std::string duration_string(std::int64_t nanoseconds);  // "1h2m3.5s"
[[nodiscard]] std::expected<std::int64_t, std::string> parse_duration(std::string_view text);

[[nodiscard]] std::string_view month_name(int month);      // 1 to 12
[[nodiscard]] std::string_view weekday_name(int weekday);  // 0 to 6
[[nodiscard]] std::string zone_name(const Zone& zone);     // Location.String

}  // namespace keybearer::tmpl::go_time
