#include "tmpl/funcs/time_object.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tmpl/exec.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

template <std::size_t N>
const Function* find_in(const Function (&table)[N], std::string_view name) {
  const auto* at = std::ranges::find(table, name, &Function::name);
  return at == std::end(table) ? nullptr : at;
}

// Named integers: a duration, a month, a day of the week.
class NumberObject final : public Struct {
 public:
  enum class Kind : std::uint8_t { duration, month, weekday };
  NumberObject(Kind kind, std::int64_t value) : kind_(kind), value_(value) {}
  [[nodiscard]] std::string_view type_name() const override {
    return kind_ == Kind::duration ? "time.Duration"
           : kind_ == Kind::month  ? "time.Month"
                                   : "time.Weekday";
  }
  [[nodiscard]] bool equals(const Object& other) const override {
    const auto* number = dynamic_cast<const NumberObject*>(&other);
    return number != nullptr && number->kind_ == kind_ && number->value_ == value_;
  }
  [[nodiscard]] std::optional<Value> field(std::string_view) const override { return std::nullopt; }
  [[nodiscard]] std::optional<Value> number() const override {
    return kind_ == Kind::duration ? Value::int64(value_) : Value::integer(value_);
  }
  [[nodiscard]] const Function* method(std::string_view name) const override;
  void print(std::string& out) const override { out += text(); }
  [[nodiscard]] std::string text() const {
    if (kind_ == Kind::duration) return go_time::duration_string(value_);
    if (kind_ == Kind::month) return std::string(go_time::month_name(static_cast<int>(value_)));
    return std::string(go_time::weekday_name(static_cast<int>(value_)));
  }
  [[nodiscard]] std::int64_t value() const { return value_; }

 private:
  Kind kind_;
  std::int64_t value_;
};

class LocationObject final : public Struct {
 public:
  explicit LocationObject(go_time::Zone z) : zone(std::move(z)) {}
  [[nodiscard]] std::string_view type_name() const override { return "*time.Location"; }
  [[nodiscard]] bool equals(const Object& other) const override {
    const auto* location = dynamic_cast<const LocationObject*>(&other);
    return location != nullptr && location->zone == zone;
  }
  [[nodiscard]] std::optional<Value> field(std::string_view) const override { return std::nullopt; }
  [[nodiscard]] bool hides(std::string_view name) const override {
    constexpr std::string_view kNames[] = {"name",       "zone",     "tx",       "extend",
                                           "cacheStart", "cacheEnd", "cacheZone"};
    return std::ranges::find(kNames, name) != std::end(kNames);
  }
  [[nodiscard]] const Function* method(std::string_view name) const override;
  void print(std::string& out) const override { out += go_time::zone_name(zone); }

  const go_time::Zone zone;
};

Value named(NumberObject::Kind kind, std::int64_t value) {
  return Value::object(std::make_shared<NumberObject>(kind, value));
}
template <class T>
const T& as(const Value& value) {
  return static_cast<const T&>(*value.as_object());
}
const go_time::Time& time_of(const Evaluation& e) {
  return as<TimeObject>(e.called_on).time;
}
std::int64_t number_of(const Value& value) {
  return as<NumberObject>(value).value();
}
Value whole(std::int64_t value) {
  return Value::integer(value);
}
const go_time::Time& time_in(const Value& argument) {
  return as<TimeObject>(argument).time;
}

// --- methods of time.Time ---

template <class Get>
Value civil_part(const Evaluation& e, Get get) {
  return whole(get(go_time::civil(time_of(e))));
}
Value year(Evaluation& e, Arguments) {
  return civil_part(e, [](const auto& c) { return c.year; });
}
Value month(Evaluation& e, Arguments) {
  return named(NumberObject::Kind::month, go_time::civil(time_of(e)).month);
}
Value day(Evaluation& e, Arguments) {
  return civil_part(e, [](const auto& c) { return c.day; });
}
Value hour(Evaluation& e, Arguments) {
  return civil_part(e, [](const auto& c) { return c.hour; });
}
Value minute(Evaluation& e, Arguments) {
  return civil_part(e, [](const auto& c) { return c.minute; });
}
Value second(Evaluation& e, Arguments) {
  return civil_part(e, [](const auto& c) { return c.second; });
}
Value nanosecond(Evaluation& e, Arguments) {
  return whole(time_of(e).nanoseconds);
}
Value weekday(Evaluation& e, Arguments) {
  return named(NumberObject::Kind::weekday, go_time::civil(time_of(e)).weekday);
}
Value year_day(Evaluation& e, Arguments) {
  return civil_part(e, [](const auto& c) { return c.year_day; });
}
// Seconds in units of 1 / `per`; what does not fit wraps, as in Go.
Value unix_in(const Evaluation& e, std::int64_t per) {
  const go_time::Time& t = time_of(e);
  const auto scaled = static_cast<std::uint64_t>(t.seconds) * static_cast<std::uint64_t>(per);
  return Value::int64(static_cast<std::int64_t>(
      scaled + static_cast<std::uint64_t>(t.nanoseconds / (kSecond / per))));
}
Value unix_seconds(Evaluation& e, Arguments) {
  return unix_in(e, 1);
}
Value unix_milli(Evaluation& e, Arguments) {
  return unix_in(e, 1'000);
}
Value unix_micro(Evaluation& e, Arguments) {
  return unix_in(e, 1'000'000);
}
Value unix_nano(Evaluation& e, Arguments) {
  return unix_in(e, kSecond);
}
Value is_zero(Evaluation& e, Arguments) {
  return time_of(e).seconds == go_time::kZeroSeconds && time_of(e).nanoseconds == 0;
}
Value format(Evaluation& e, Arguments a) {
  return Value(go_time::format(time_of(e), a[0].as_text()));
}
Value time_string(Evaluation& e, Arguments) {
  return Value(go_time::to_string(time_of(e)));
}
Value go_string(Evaluation& e, Arguments) {
  const go_time::Time& t = time_of(e);
  const go_time::Civil c = go_time::civil(t);
  std::string out =
      "time.Date(" + std::to_string(c.year) + ", time." + std::string(go_time::month_name(c.month));
  for (const int part : {c.day, c.hour, c.minute, c.second, static_cast<int>(t.nanoseconds)})
    out += ", " + std::to_string(part);
  const auto kind = t.zone.kind;
  out += kind == go_time::Zone::Kind::utc     ? ", time.UTC)"
         : kind == go_time::Zone::Kind::local ? ", time.Local)"
                                              : ", time.Location(" + quote(t.zone.name) + "))";
  return Value(out);
}
Value in_zone(const go_time::Time& time, go_time::Zone zone) {
  go_time::Time out = time;
  out.zone = std::move(zone);
  return time_object(std::move(out));
}
Value utc(Evaluation& e, Arguments) {
  return in_zone(time_of(e), {});
}
Value local(Evaluation& e, Arguments) {
  return in_zone(time_of(e), {go_time::Zone::Kind::local, 0, {}});
}
Value in(Evaluation& e, Arguments a) {
  if (a[0].is_nil()) throw CallError{"time: missing Location in call to Time.In"};
  return in_zone(time_of(e), as<LocationObject>(a[0]).zone);
}
Value location(Evaluation& e, Arguments) {
  return Value::object(std::make_shared<LocationObject>(time_of(e).zone));
}
Value is_dst(Evaluation& e, Arguments) {
  if (time_of(e).zone.kind != go_time::Zone::Kind::local) return false;
  const std::time_t at = time_of(e).seconds;
  std::tm parts{};
  return localtime_r(&at, &parts) != nullptr && parts.tm_isdst > 0;
}
Value add_duration(Evaluation& e, Arguments a) {
  return time_object(go_time::add(time_of(e), number_of(a[0])));
}
Value add_date(Evaluation& e, Arguments a) {
  const go_time::Time& t = time_of(e);
  const go_time::Civil c = go_time::civil(t);
  const auto sum = [](std::int64_t x, std::int64_t y) {  // wraps, as in Go
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) + static_cast<std::uint64_t>(y));
  };
  return time_object(go_time::date(sum(c.year, a[0].as_int()), sum(c.month, a[1].as_int()),
                                   sum(c.day, a[2].as_int()), c.hour, c.minute, c.second,
                                   t.nanoseconds, t.zone));
}
Value sub(Evaluation& e, Arguments a) {
  return duration_object(go_time::subtract(time_of(e), time_in(a[0])));
}
int compared(const go_time::Time& a, const go_time::Time& b) {
  if (a.seconds != b.seconds) return a.seconds < b.seconds ? -1 : 1;
  return a.nanoseconds < b.nanoseconds ? -1 : a.nanoseconds > b.nanoseconds ? 1 : 0;
}
Value before(Evaluation& e, Arguments a) {
  return compared(time_of(e), time_in(a[0])) < 0;
}
Value after(Evaluation& e, Arguments a) {
  return compared(time_of(e), time_in(a[0])) > 0;
}
Value same(Evaluation& e, Arguments a) {
  return compared(time_of(e), time_in(a[0])) == 0;
}
Value compare(Evaluation& e, Arguments a) {
  return whole(compared(time_of(e), time_in(a[0])));
}
// What is left of a time, counted from year 1, over a multiple of `unit`.
std::int64_t over(const go_time::Time& t, std::int64_t unit) {
  const __int128 count =
      (static_cast<__int128>(t.seconds) - go_time::kZeroSeconds) * kSecond + t.nanoseconds;
  const auto rest = static_cast<std::int64_t>(count % unit);
  return rest < 0 ? rest + unit : rest;
}
Value truncate(Evaluation& e, Arguments a) {
  const std::int64_t unit = number_of(a[0]);
  return unit <= 0 ? e.called_on : time_object(go_time::add(time_of(e), -over(time_of(e), unit)));
}
Value round_time(Evaluation& e, Arguments a) {
  const std::int64_t unit = number_of(a[0]);
  if (unit <= 0) return e.called_on;
  const std::int64_t rest = over(time_of(e), unit);
  return time_object(go_time::add(time_of(e), rest < unit - rest ? -rest : unit - rest));
}
Value date(Evaluation&, Arguments) {
  throw CallError{"function Date has 3 return values; should be 1 or 2", true};
}
Value clock(Evaluation&, Arguments) {
  throw CallError{"function Clock has 3 return values; should be 1 or 2", true};
}
[[noreturn]] void second_result(const char* name, const char* type) {
  throw CallError{std::string("invalid function signature for ") + name +
                      ": second return value should be error; is " + type,
                  true};
}
Value iso_week(Evaluation&, Arguments) {
  second_result("ISOWeek", "int");
}
Value zone(Evaluation&, Arguments) {
  second_result("Zone", "int");
}
Value zone_bounds(Evaluation&, Arguments) {
  second_result("ZoneBounds", "time.Time");
}

constexpr Function kTimeMethods[] = {
    {"Add", add_duration, "d"},
    {"AddDate", add_date, "iii"},
    {"After", after, "t"},
    {"Before", before, "t"},
    {"Clock", clock, ""},
    {"Compare", compare, "t"},
    {"Date", date, ""},
    {"Day", day, ""},
    {"Equal", same, "t"},
    {"Format", format, "s"},
    {"GoString", go_string, ""},
    {"Hour", hour, ""},
    {"ISOWeek", iso_week, ""},
    {"In", in, "L"},
    {"IsDST", is_dst, ""},
    {"IsZero", is_zero, ""},
    {"Local", local, ""},
    {"Location", location, ""},
    {"Minute", minute, ""},
    {"Month", month, ""},
    {"Nanosecond", nanosecond, ""},
    {"Round", round_time, "d"},
    {"Second", second, ""},
    {"String", time_string, ""},
    {"Sub", sub, "t"},
    {"Truncate", truncate, "d"},
    {"UTC", utc, ""},
    {"Unix", unix_seconds, ""},
    {"UnixMicro", unix_micro, ""},
    {"UnixMilli", unix_milli, ""},
    {"UnixNano", unix_nano, ""},
    {"Weekday", weekday, ""},
    {"Year", year, ""},
    {"YearDay", year_day, ""},
    {"Zone", zone, ""},
    {"ZoneBounds", zone_bounds, ""},
};

// --- methods of the named integers and of a location ---

Value receiver_text(Evaluation& e, Arguments) {
  std::string out;
  as_struct(e.called_on)->print(out);
  return Value(out);
}
// Whole units and their fraction, so that the fraction stays exact.
Value in_units(const Evaluation& e, std::int64_t unit) {
  const std::int64_t n = number_of(e.called_on);
  return Value(static_cast<double>(n / unit) +
               static_cast<double>(n % unit) / static_cast<double>(unit));
}
Value hours(Evaluation& e, Arguments) {
  return in_units(e, 3600 * kSecond);
}
Value minutes(Evaluation& e, Arguments) {
  return in_units(e, 60 * kSecond);
}
Value seconds(Evaluation& e, Arguments) {
  return in_units(e, kSecond);
}
Value milliseconds(Evaluation& e, Arguments) {
  return Value::int64(number_of(e.called_on) / 1'000'000);
}
Value microseconds(Evaluation& e, Arguments) {
  return Value::int64(number_of(e.called_on) / 1'000);
}
Value nanoseconds(Evaluation& e, Arguments) {
  return Value::int64(number_of(e.called_on));
}
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
Value abs_duration(Evaluation& e, Arguments) {
  const std::int64_t n = number_of(e.called_on);
  return duration_object(n >= 0 ? n : n == -kMost - 1 ? kMost : -n);
}
Value truncate_duration(Evaluation& e, Arguments a) {
  const std::int64_t n = number_of(e.called_on), unit = number_of(a[0]);
  return duration_object(unit <= 0 ? n : n - n % unit);
}
// Half a unit is rounded away from zero; what overflows is the largest there is.
Value round_duration(Evaluation& e, Arguments a) {
  const std::int64_t n = number_of(e.called_on), unit = number_of(a[0]);
  if (unit <= 0) return e.called_on;
  const __int128 size = n < 0 ? -static_cast<__int128>(n) : n;
  const __int128 rest = size % unit;
  __int128 rounded = rest + rest < unit ? size - rest : size - rest + unit;
  if (n < 0) rounded = -rounded;
  rounded = std::clamp<__int128>(rounded, -static_cast<__int128>(kMost) - 1, kMost);
  return duration_object(static_cast<std::int64_t>(rounded));
}

constexpr Function kDurationMethods[] = {
    {"Abs", abs_duration, ""},          {"Hours", hours, ""},
    {"Microseconds", microseconds, ""}, {"Milliseconds", milliseconds, ""},
    {"Minutes", minutes, ""},           {"Nanoseconds", nanoseconds, ""},
    {"Round", round_duration, "d"},     {"Seconds", seconds, ""},
    {"String", receiver_text, ""},      {"Truncate", truncate_duration, "d"},
};
constexpr Function kStringMethod[] = {{"String", receiver_text, ""}};

const Function* NumberObject::method(std::string_view name) const {
  return kind_ == Kind::duration ? find_in(kDurationMethods, name) : find_in(kStringMethod, name);
}
const Function* LocationObject::method(std::string_view name) const {
  return find_in(kStringMethod, name);
}

}  // namespace

bool TimeObject::equals(const Object& other) const {
  const auto* that = dynamic_cast<const TimeObject*>(&other);
  return that != nullptr && that->time == time;
}
bool TimeObject::hides(std::string_view name) const {
  return name == "wall" || name == "ext" || name == "loc";
}
// As time.Time holds them: nanoseconds, seconds since year 1, the zone.
std::vector<Struct::Field> TimeObject::all_fields() const {
  const Value zone = time.zone.kind == go_time::Zone::Kind::utc
                         ? nil_pointer("*time.Location", {})
                         : Value::object(std::make_shared<LocationObject>(time.zone));
  return {{"wall", Value::uint64(static_cast<std::uint64_t>(time.nanoseconds))},
          {"ext", Value::int64(time.seconds - go_time::kZeroSeconds)},
          {"loc", zone}};
}
std::optional<std::string> TimeObject::go_string() const {
  const go_time::Civil c = go_time::civil(time);
  const std::string zone = time.zone.kind == go_time::Zone::Kind::utc ? "time.UTC"
                           : time.zone.kind == go_time::Zone::Kind::local
                               ? "time.Local"
                               : "time.Location(" + quote(time.zone.name) + ")";
  return "time.Date(" + std::to_string(c.year) + ", time." +
         std::string(go_time::month_name(c.month)) + ", " + std::to_string(c.day) + ", " +
         std::to_string(c.hour) + ", " + std::to_string(c.minute) + ", " +
         std::to_string(c.second) + ", " + std::to_string(time.nanoseconds) + ", " + zone + ")";
}
const Function* TimeObject::method(std::string_view name) const {
  return find_in(kTimeMethods, name);
}

Value duration_object(std::int64_t count) {
  return named(NumberObject::Kind::duration, count);
}
Value time_object(go_time::Time time) {
  return Value::object(std::make_shared<TimeObject>(std::move(time)));
}
Value time_object_from(std::string_view rfc3339) {
  auto time = go_time::parse(go_time::kRfc3339Nano, rfc3339);
  return time_object(time ? std::move(*time) : go_time::Time{go_time::kZeroSeconds, 0, {}});
}

std::string strict_rfc3339(const go_time::Time& time) {
  const go_time::Civil c = go_time::civil(time);
  if (c.year < 0 || c.year > 9999)
    throw CallError{"Time.MarshalJSON: year outside of range [0,9999]"};
  if (std::abs(c.offset) >= 24 * 3600)
    throw CallError{"Time.MarshalJSON: timezone hour outside of range [0,23]"};
  return go_time::format(time, go_time::kRfc3339Nano);
}

}  // namespace keybearer::tmpl
