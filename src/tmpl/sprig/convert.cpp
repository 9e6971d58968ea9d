#include "tmpl/sprig/convert.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

#include "json/capacity.hpp"
#include "tmpl/exec.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::sprig {
namespace {

// "12.00" is 12 for cast: a point with zeros only behind it, one at least, is cut off.
std::string_view without_zero_decimals(std::string_view text) {
  const auto last = text.find_last_not_of('0');
  const bool cut = last != std::string_view::npos && text[last] == '.' && last + 1 < text.size();
  return cut ? text.substr(0, last) : text;
}

// Of the named integers cast knows these two; a duration is no number for it.
std::optional<std::int64_t> month(const Value& value) {
  const std::string_view type = value.as_object()->type_name();
  if (type != "time.Month" && type != "time.Weekday") return std::nullopt;
  return plain(value).as_int();
}

}  // namespace

std::int64_t truncated(double number) {
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (!(number >= -kLimit && number < kLimit)) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(number);
}

std::int64_t to_int64(const Value& value) {
  switch (value.type()) {
    case Type::boolean:
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::byte:
      return value.type() == Type::boolean ? static_cast<std::int64_t>(value.as_bool())
                                           : value.as_int();
    case Type::float64:
      return truncated(value.as_double());
    case Type::number:
    case Type::string:
      return parse_int(without_zero_decimals(value.as_text()), 0).value_or(0);
    case Type::object:
      return month(value).value_or(0);
    default:
      return 0;
  }
}

double to_float64(const Value& value) {
  switch (value.type()) {
    case Type::boolean:
      return value.as_bool() ? 1 : 0;
    case Type::integer:
    case Type::int64:
      return static_cast<double>(value.as_int());
    case Type::uint64:
    case Type::byte:
      return static_cast<double>(value.as_uint());
    case Type::float64:
      return value.as_double();
    case Type::number:
    case Type::string:
      return parse_float(value.as_text()).value_or(0);
    case Type::object:
      return static_cast<double>(month(value).value_or(0));
    default:
      return 0;
  }
}

std::string strval(const Value& value) {
  if (value.is_text()) return std::string(value.as_text());
  std::string out;
  append_value(out, value);
  return out;
}

Value strslice(const Value& value) {
  if (value.type() == Type::strings) return value;
  if (value.is_nil()) return Value::strings({});
  if (!value.is_list()) return Value::strings({Value(strval(value))});
  List out;
  out.reserve(value.items().size());
  spend(10 * value.items().size());
  for (const Value& item : value.items()) {
    if (item.type() == Type::string)
      out.push_back(item);
    else if (!item.is_nil())
      out.emplace_back(strval(item));
  }
  return Value::strings(std::move(out));
}

Value appended(List items, Type type) {
  List out;
  out.reserve(go_appended(items.size(), 0, {type == Type::ints ? 8u : 16u, type != Type::ints}));
  std::ranges::move(items, std::back_inserter(out));
  return Value::list(type, std::move(out));
}

std::string_view kind_name(const Value& value) {
  switch (value.type()) {
    case Type::nil:
      return "invalid";
    case Type::boolean:
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::byte:
    case Type::float64:
    case Type::complex128:
      return basic_kind(value.type());
    case Type::number:
    case Type::string:
      return "string";
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists:
      return "slice";
    case Type::map:
    case Type::string_map:
    case Type::any_map:
      return "map";
    case Type::object: {
      const Value number = plain(value);
      if (number.type() != Type::object) return kind_name(number);
      const std::string_view type = value.as_object()->type_name();
      if (type.starts_with("<-chan")) return "chan";
      return type.starts_with('*') ? "ptr" : "struct";
    }
  }
  return {};
}

std::span<const Value> elements(const Value& value, std::string_view complaint) {
  if (value.is_nil()) throw CallError{kNilDereference};
  if (!value.is_list()) {
    throw CallError{std::string(complaint) + std::string(kind_name(value))};
  }
  return value.items();
}

bool is_empty(const Value& value) {
  return !truth(value);
}

}  // namespace keybearer::tmpl::sprig
