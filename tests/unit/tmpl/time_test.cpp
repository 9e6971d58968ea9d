#include <doctest/doctest.h>
#include <time.h>

#include <cstdlib>
#include <limits>

#include "tmpl/go/go_time.hpp"

namespace keybearer::tmpl::go_time {
namespace {

// A local zone for one test.
class LocalZone {
 public:
  explicit LocalZone(const char* tz) {
    if (const char* old = std::getenv("TZ")) old_ = old;
    setenv("TZ", tz, 1);
    tzset();
  }
  ~LocalZone() {
    if (old_.empty())
      unsetenv("TZ");
    else
      setenv("TZ", old_.c_str(), 1);
    tzset();
  }

 private:
  std::string old_;
};

std::string reformatted(std::string_view layout, std::string_view text, std::string_view into) {
  const auto time = parse(layout, text);
  return time ? format(*time, into) : time.error();
}

TEST_CASE("layouts") {
  const Time time{1709211845, 123456789, {}};
  CHECK(format(time, "Mon Jan _2 15:04:05 2006") == "Thu Feb 29 13:04:05 2024");
  CHECK(format(time, "002 __2 .000 ,999 3pm Z0700 -07:00:00") ==
        "060  60 .123 ,123 1pm Z +00:00:00");
  CHECK(format(time, "Jan Janet Mondays .0001") == "Feb Janet Thursdays .0002");
  CHECK(to_string(time) == "2024-02-29 13:04:05.123456789 +0000 UTC");
}

TEST_CASE("dates far away and before year 1") {
  for (const std::int64_t year : {-400, -1, 0, 1, 1600, 1969, 1970, 2000, 2100, 9999, 400'000}) {
    const Time time = date(year, 3, 1, 0, 0, -1, 0, {});
    const Civil there = civil(time);
    CHECK(there.year == year);
    CHECK(there.month == 2);
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    CHECK(there.day == (leap ? 29 : 28));
    CHECK(there.year_day == (leap ? 60 : 59));
  }
  CHECK(civil({kZeroSeconds, 0, {}}).weekday == 1);
  CHECK(to_string({kZeroSeconds, 0, {}}) == "0001-01-01 00:00:00 +0000 UTC");
}

TEST_CASE("zones of a text") {
  CHECK(reformatted(kRfc3339, "2024-03-01T10:20:30.5+09:00", kRfc3339Nano) ==
        "2024-03-01T10:20:30.5+09:00");
  // Go takes the clock's number as UTC and only then moves it.
  CHECK(reformatted("15:04 MST", "10:00 GMT+3", "15:04 MST -0700") == "13:00 GMT+3 +0300");
  CHECK(reformatted("15:04 MST", "10:00 XYZ", "15:04 MST") == "10:00 XYZ");
}

TEST_CASE("errors name the layout's element, never the text") {
  CHECK(reformatted("2006-01-02", "hunter2", "") ==
        "parsing time \"[masked]\" as \"2006-01-02\": cannot parse \"[masked]\" as \"2006\"");
  CHECK(reformatted("2006-01-02", "2023-02-29", "") ==
        "parsing time \"[masked]\": day out of range");
  CHECK(reformatted("15:04", "25:00", "") == "parsing time \"[masked]\": hour out of range");
  CHECK(reformatted("2006", "2024 hunter2", "") ==
        "parsing time \"[masked]\": extra text: \"[masked]\"");
}

TEST_CASE("the local zone with its summer time") {
  const LocalZone zone("CET-1CEST,M3.5.0,M10.5.0/3");
  const Zone local{Zone::Kind::local, 0, {}};
  CHECK(to_string(date(2024, 7, 1, 12, 0, 0, 0, local)) == "2024-07-01 12:00:00 +0200 CEST");
  CHECK(to_string(date(2024, 1, 1, 12, 0, 0, 0, local)) == "2024-01-01 12:00:00 +0100 CET");
  const auto time = parse("2006-01-02 15:04 MST", "2024-07-01 12:00 CEST", Zone::Kind::local);
  REQUIRE(time);
  CHECK(time->seconds == 1719828000);
  CHECK(time->zone.kind == Zone::Kind::local);
  CHECK(zone_name(local) == "Local");
}

TEST_CASE("durations") {
  CHECK(duration_string(0) == "0s");
  CHECK(duration_string(1'500) == "1.5µs");
  CHECK(duration_string(-3'661'000'000'500) == "-1h1m1.0000005s");
  CHECK(duration_string(std::numeric_limits<std::int64_t>::min()) == "-2562047h47m16.854775808s");
  CHECK(parse_duration("1.5h") == 5'400'000'000'000);
  CHECK(parse_duration("-2562047h47m16.854775808s") == std::numeric_limits<std::int64_t>::min());
  CHECK_FALSE(parse_duration("2562047h47m16.854775808s"));
  CHECK_FALSE(parse_duration("1"));
  CHECK_FALSE(parse_duration("1 s"));
  for (const std::int64_t count : {std::int64_t{1}, std::int64_t{999'999'999},
                                   std::int64_t{86'400'000'000'001}, std::int64_t{-123'456'789}})
    CHECK(parse_duration(duration_string(count)) == count);
}

TEST_CASE("what is between two times is held within an int64") {
  const Time early{kZeroSeconds, 0, {}}, late{253402300799, 999'999'999, {}};
  CHECK(subtract(late, early) == std::numeric_limits<std::int64_t>::max());
  CHECK(subtract(early, late) == std::numeric_limits<std::int64_t>::min());
  CHECK(add(early, -1) == Time{kZeroSeconds - 1, 999'999'999, {}});
}

}  // namespace
}  // namespace keybearer::tmpl::go_time
