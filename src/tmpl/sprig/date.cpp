// sprig's date.go, without what only reads the clock.

#include <limits>

#include "tmpl/exec.hpp"
#include "tmpl/funcs/time_object.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/sprig/sprig.hpp"

namespace keybearer::tmpl::sprig {
namespace {

using go_time::Zone;

constexpr std::int64_t kSecond = 1'000'000'000;

const go_time::Time* time_in(const Value& value) {
  if (value.type() != Type::object) return nullptr;
  const auto* object = dynamic_cast<const TimeObject*>(value.as_object().get());
  return object == nullptr ? nullptr : &object->time;
}
// strconv.ParseInt without its error: what is too large is the largest there is.
std::int64_t number_in(std::string_view text) {
  if (const auto number = parse_int(text, 10))
    return *number;
  else if (number.error() != "value out of range")
    return 0;
  return text.starts_with('-') ? std::numeric_limits<std::int64_t>::min()
                               : std::numeric_limits<std::int64_t>::max();
}
go_time::Time now(const Evaluation& e) {
  return go_time::from_clock(e.options().now());
}

// How long ago, in whole seconds: of a time, of seconds since 1970, of anything else now.
Value ago(Evaluation& e, Arguments a) {
  go_time::Time then = now(e);
  if (const auto* time = time_in(a[0])) {
    then = *time;
  } else if (a[0].type() == Type::integer || a[0].type() == Type::int64) {
    then = {a[0].as_int(), 0, {}};
  }
  const std::int64_t since = go_time::subtract(now(e), then);
  const std::int64_t half = since < 0 ? -kSecond / 2 : kSecond / 2;
  std::int64_t rounded = 0;
  if (__builtin_add_overflow(since, half, &rounded)) return Value(go_time::duration_string(since));
  return Value(go_time::duration_string(rounded - rounded % kSecond));
}

Value duration(Evaluation&, Arguments a) {
  std::int64_t seconds = 0;
  if (a[0].type() == Type::string) {
    seconds = number_in(a[0].as_text());
  } else if (a[0].type() == Type::int64) {
    seconds = a[0].as_int();
  }
  const auto count = static_cast<std::uint64_t>(seconds) * static_cast<std::uint64_t>(kSecond);
  return Value(go_time::duration_string(static_cast<std::int64_t>(count)));
}

Value duration_round(Evaluation& e, Arguments a) {
  std::int64_t count = 0;
  if (a[0].type() == Type::string) {
    count = go_time::parse_duration(a[0].as_text()).value_or(0);
  } else if (a[0].type() == Type::int64) {
    count = a[0].as_int();
  } else if (const auto* time = time_in(a[0])) {
    count = go_time::subtract(now(e), *time);
  }
  const auto magnitude =
      count < 0 ? 0 - static_cast<std::uint64_t>(count) : static_cast<std::uint64_t>(count);
  constexpr std::uint64_t kHour = 3600ull * kSecond;
  constexpr std::pair<std::uint64_t, const char*> kUnits[] = {
      {kHour * 24 * 365, "y"}, {kHour * 24 * 30, "mo"}, {kHour * 24, "d"}, {kHour, "h"},
      {kHour / 60, "m"},       {kSecond, "s"}};
  for (const auto& [size, name] : kUnits) {
    if (magnitude > size) return Value(std::to_string(magnitude / size) + name);
  }
  return "0s";
}

Value to_date(Evaluation&, Arguments a) {
  const auto time = go_time::parse(a[0].as_text(), a[1].as_text(), Zone::Kind::local);
  return time_object(time.value_or(go_time::Time{go_time::kZeroSeconds, 0, {}}));
}
Value must_to_date(Evaluation&, Arguments a) {
  auto time = go_time::parse(a[0].as_text(), a[1].as_text(), Zone::Kind::local);
  if (!time) throw CallError{time.error()};
  return time_object(std::move(*time));
}
Value must_date_modify(Evaluation&, Arguments a) {
  const auto change = go_time::parse_duration(a[0].as_text());
  if (!change) throw CallError{change.error()};
  return time_object(go_time::add(*time_in(a[1]), *change));
}
Value unix_epoch(Evaluation&, Arguments a) {
  return Value(std::to_string(time_in(a[0])->seconds));
}

constexpr Function kFunctions[] = {
    {"sprig_ago", ago, "a"},
    {"sprig_duration", duration, "a"},
    {"sprig_durationRound", duration_round, "a"},
    {"sprig_mustDateModify", must_date_modify, "st"},
    {"sprig_mustToDate", must_to_date, "ss"},
    {"sprig_must_date_modify", must_date_modify, "st"},
    {"sprig_toDate", to_date, "ss"},
    {"sprig_unixEpoch", unix_epoch, "t"},
};

}  // namespace

std::span<const Function> date_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
