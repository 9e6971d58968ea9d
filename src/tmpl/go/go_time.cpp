// Calendar, zones and durations: time/time.go, time/zoneinfo.go. Layouts: go_time_layout.cpp.

#include "tmpl/go/go_time.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <limits>

namespace keybearer::tmpl::go_time {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

// Go's integers wrap; ours must not overflow.
std::int64_t wrap_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t wrap_mul(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}
std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back. std::chrono's
// years are 16 bits wide: years outside are moved by whole cycles of 400.
constexpr std::int64_t kCycleDays = 146097;

std::int64_t days_of(std::int64_t year, int month, int day) {
  const std::int64_t cycles = floor_div(year, 400);
  const auto inside = static_cast<int>(wrap_add(year, wrap_mul(cycles, -400)));
  const std::chrono::sys_days days = std::chrono::year_month_day(
      std::chrono::year(inside), std::chrono::month(static_cast<unsigned>(month)),
      std::chrono::day(1));
  return wrap_add(days.time_since_epoch().count() + day - 1, wrap_mul(cycles, kCycleDays));
}

struct LocalZone {
  int offset;
  std::string name;
};
LocalZone local_at(std::int64_t seconds) {
  const std::time_t at = seconds;
  std::tm parts{};
  if (localtime_r(&at, &parts) == nullptr) return {0, "UTC"};
  return {static_cast<int>(parts.tm_gmtoff), parts.tm_zone != nullptr ? parts.tm_zone : "UTC"};
}

LocalZone zone_at(const Zone& zone, std::int64_t seconds) {
  switch (zone.kind) {
    case Zone::Kind::fixed:
      return {zone.offset, zone.name};
    case Zone::Kind::local:
      return local_at(seconds);
    default:
      return {0, "UTC"};
  }
}

// Digits of `value` with `digits` places, without trailing zeros: "5", ".25" as Go's fmtFrac.
std::string fraction(std::uint64_t value, int digits) {
  std::string out;
  for (int i = 0; i < digits; ++i, value /= 10)
    out.insert(0, 1, static_cast<char>('0' + value % 10));
  while (!out.empty() && out.back() == '0') out.pop_back();
  return out.empty() ? out : "." + out;
}

}  // namespace

std::string_view month_name(int month) {
  return kMonths[static_cast<std::size_t>(month - 1) % 12];
}
std::string_view weekday_name(int weekday) {
  return kDays[static_cast<std::size_t>(weekday) % 7];
}

std::string zone_name(const Zone& zone) {
  if (zone.kind == Zone::Kind::fixed) return zone.name;
  if (zone.kind == Zone::Kind::utc) return "UTC";
  const char* tz = std::getenv("TZ");
  return tz != nullptr && (*tz == '\0' || std::string_view(tz) == "UTC") ? "UTC" : "Local";
}

Time from_clock(WallTime now) {
  const auto count = std::chrono::nanoseconds(now.time_since_epoch()).count();
  const std::int64_t seconds = floor_div(count, kSecond);
  return {seconds, static_cast<std::int32_t>(count - seconds * kSecond), {}};
}

Civil civil(const Time& time) {
  const LocalZone zone = zone_at(time.zone, time.seconds);
  const std::int64_t seconds = wrap_add(time.seconds, zone.offset);
  const std::int64_t days = floor_div(seconds, 86400);
  const auto rest = static_cast<int>(wrap_add(seconds, wrap_mul(days, -86400)));
  const std::int64_t cycles = floor_div(days, kCycleDays);
  const std::chrono::year_month_day date{
      std::chrono::sys_days(std::chrono::days(static_cast<int>(days - cycles * kCycleDays)))};
  Civil out;
  out.year = static_cast<int>(date.year()) + cycles * 400;
  out.month = static_cast<int>(static_cast<unsigned>(date.month()));
  out.day = static_cast<int>(static_cast<unsigned>(date.day()));
  out.hour = rest / 3600;
  out.minute = rest / 60 % 60;
  out.second = rest % 60;
  out.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  out.year_day = static_cast<int>(days - days_of(out.year, 1, 1)) + 1;
  out.offset = zone.offset;
  out.zone = zone.name;
  return out;
}

Time date(std::int64_t year, std::int64_t month, std::int64_t day, std::int64_t hour,
          std::int64_t minute, std::int64_t second, std::int64_t nanosecond, const Zone& zone) {
  month = wrap_add(month, -1);
  const std::int64_t years = floor_div(month, 12);
  const std::int64_t carry = floor_div(nanosecond, kSecond);
  Time out{0, static_cast<std::int32_t>(nanosecond - carry * kSecond), zone};
  const std::int64_t days =
      wrap_add(days_of(wrap_add(year, years),
                       static_cast<int>(wrap_add(month, wrap_mul(years, -12))) + 1, 1),
               wrap_add(day, -1));
  const std::int64_t wall = wrap_add(wrap_add(wrap_mul(days, 86400), wrap_mul(hour, 3600)),
                                     wrap_add(wrap_mul(minute, 60), wrap_add(second, carry)));
  // The offset that holds at the time itself, not at the wall clock's number (time.Date).
  int offset = zone_at(zone, wall).offset;
  if (zone.kind == Zone::Kind::local && offset != 0) offset = zone_at(zone, wall - offset).offset;
  out.seconds = wrap_add(wall, -offset);
  return out;
}

Time add(Time time, std::int64_t nanoseconds) {
  std::int64_t rest = time.nanoseconds + nanoseconds % kSecond;
  time.seconds = wrap_add(time.seconds, nanoseconds / kSecond);
  if (rest < 0 || rest >= kSecond) {
    time.seconds = wrap_add(time.seconds, rest < 0 ? -1 : 1);
    rest += rest < 0 ? kSecond : -kSecond;
  }
  time.nanoseconds = static_cast<std::int32_t>(rest);
  return time;
}

std::int64_t subtract(const Time& a, const Time& b) {
  std::int64_t out = 0;
  if (__builtin_sub_overflow(a.seconds, b.seconds, &out) ||
      __builtin_mul_overflow(out, kSecond, &out) ||
      __builtin_add_overflow(out, std::int64_t{a.nanoseconds} - b.nanoseconds, &out)) {
    return a.seconds < b.seconds ? std::numeric_limits<std::int64_t>::min()
                                 : std::numeric_limits<std::int64_t>::max();
  }
  return out;
}

std::string duration_string(std::int64_t nanoseconds) {
  const bool negative = nanoseconds < 0;
  const auto signed_count = static_cast<std::uint64_t>(nanoseconds);
  std::uint64_t n = negative ? 0 - signed_count : signed_count;
  if (n == 0) return "0s";
  std::string out = negative ? "-" : "";
  if (n < 1'000) return out + std::to_string(n) + "ns";
  if (n < 1'000'000) return out + std::to_string(n / 1'000) + fraction(n % 1'000, 3) + "µs";
  if (n < 1'000'000'000)
    return out + std::to_string(n / 1'000'000) + fraction(n % 1'000'000, 6) + "ms";
  const std::uint64_t seconds = n / 1'000'000'000;
  if (seconds >= 3600) out += std::to_string(seconds / 3600) + "h";
  if (seconds >= 60) out += std::to_string(seconds / 60 % 60) + "m";
  return out + std::to_string(seconds % 60) + fraction(n % 1'000'000'000, 9) + "s";
}

std::expected<std::int64_t, std::string> parse_duration(std::string_view text) {
  constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"ns", 1},         {"us", 1'000},        {"µs", 1'000},         {"μs", 1'000},
      {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
  constexpr std::uint64_t kMost = std::uint64_t{1} << 63;
  const auto bad = [] {
    return std::unexpected(std::string("time: invalid duration \"[masked]\""));
  };
  const auto digit = [](std::string_view s) { return !s.empty() && s[0] >= '0' && s[0] <= '9'; };
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return 0;
  if (text.empty()) return bad();
  std::uint64_t total = 0;
  while (!text.empty()) {
    if (text[0] != '.' && !digit(text)) return bad();
    std::uint64_t whole = 0, part = 0;
    double scale = 1;
    bool any = false;
    for (; digit(text); text.remove_prefix(1), any = true) {
      if (whole > kMost / 10) return bad();
      whole = whole * 10 + static_cast<std::uint64_t>(text[0] - '0');
      if (whole > kMost) return bad();
    }
    if (!text.empty() && text[0] == '.') {
      text.remove_prefix(1);
      for (bool full = false; digit(text); text.remove_prefix(1), any = true) {
        full = full || part > (kMost - 1) / 10;
        if (full) continue;
        part = part * 10 + static_cast<std::uint64_t>(text[0] - '0');
        scale *= 10;
      }
    }
    if (!any) return bad();
    std::size_t end = 0;
    while (end < text.size() && text[end] != '.' && !digit(text.substr(end))) ++end;
    if (end == 0) return std::unexpected("time: missing unit in duration \"[masked]\"");
    const auto* unit = std::begin(kUnits);
    while (unit != std::end(kUnits) && unit->first != text.substr(0, end)) ++unit;
    if (unit == std::end(kUnits))
      return std::unexpected("time: unknown unit \"[masked]\" in duration \"[masked]\"");
    text.remove_prefix(end);
    if (whole > kMost / unit->second) return bad();
    whole *= unit->second;
    if (part > 0)
      whole += static_cast<std::uint64_t>(static_cast<double>(part) *
                                          (static_cast<double>(unit->second) / scale));
    if (whole > kMost) return bad();
    total += whole;
    if (total > kMost) return bad();
  }
  if (negative) return static_cast<std::int64_t>(0 - total);
  if (total > kMost - 1) return bad();
  return static_cast<std::int64_t>(total);
}

}  // namespace keybearer::tmpl::go_time
