// What a plain scalar means: yaml.v2's resolve.go.

#include <algorithm>
#include <limits>

#include "tmpl/formats/yaml.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/go_time.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl::yaml {
namespace {

using Kind = Resolved::Kind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::string_view kTrue[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                      "True", "TRUE", "on",  "On",  "ON"};
constexpr std::string_view kFalse[] = {"n",     "N",     "no",  "No",  "NO", "false",
                                       "False", "FALSE", "off", "Off", "OFF"};
constexpr std::string_view kNull[] = {"", "~", "null", "Null", "NULL"};
constexpr std::string_view kNaN[] = {".nan", ".NaN", ".NAN"};
constexpr std::string_view kPlus[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"};
constexpr std::string_view kMinus[] = {"-.inf", "-.Inf", "-.INF"};

template <std::size_t N>
bool among(const std::string_view (&words)[N], std::string_view text) {
  return std::ranges::find(words, text) != std::end(words);
}

Resolved as_text(std::string_view text) {
  return {Kind::text, Value(text)};
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool looks_like_float(std::string_view s) {
  const auto sign = [&s] {
    if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  };
  const auto digits = [&s] {
    const std::size_t n = std::min(s.find_first_not_of("0123456789"), s.size());
    s.remove_prefix(n);
    return n != 0;
  };
  sign();
  const bool whole = digits();
  if (s.starts_with('.')) {
    s.remove_prefix(1);
    if (!digits() && !whole) return false;
  } else if (!whole) {
    return false;
  }
  if (s.starts_with('e') || s.starts_with('E')) {
    s.remove_prefix(1);
    sign();
    if (!digits()) return false;
  }
  return s.empty();
}

bool is_timestamp(std::string_view text) {
  const std::size_t year = std::min(text.find_first_not_of("0123456789"), text.size());
  if (year != 4 || !text.substr(4).starts_with('-')) return false;
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"2006-1-2T15:4:5.999999999Z07:00",
                                              "2006-1-2t15:4:5.999999999Z07:00",
                                              "2006-1-2 15:4:5.999999999", "2006-1-2"},
      [text](std::string_view layout) { return go_time::parse(layout, text).has_value(); });
}

// A text that begins with a digit or a sign.
Resolved number_like(std::string_view tag, std::string_view text) {
  if ((tag.empty() || tag.ends_with(":timestamp")) && is_timestamp(text))
    return {Kind::timestamp, Value(text)};
  std::string plain(text);
  std::erase(plain, '_');
  if (const auto number = parse_int(plain, 0)) return {Kind::integer, Value::integer(*number)};
  if (const auto number = parse_uint(plain, 0)) return {Kind::integer, Value::uint64(*number)};
  if (looks_like_float(plain)) {
    if (const auto number = parse_float(plain)) return {Kind::number, Value(*number)};
  }
  // "0b" with a sign after it: what Go's own base 0 refuses.
  if (plain.starts_with("0b")) {
    if (const auto number = parse_int(plain.substr(2), 2))
      return {Kind::integer, Value::integer(*number)};
  } else if (plain.starts_with("-0b")) {
    if (const auto number = parse_int("-" + plain.substr(3), 2))
      return {Kind::integer, Value::integer(*number)};
  }
  return as_text(text);
}

Resolved by_content(std::string_view tag, std::string_view text) {
  constexpr std::string_view kHints = "yYnNtTfFoO~";
  if (text.empty()) return {Kind::null, {}};
  const char first = text[0];
  const bool digit_or_sign = (first >= '0' && first <= '9') || first == '+' || first == '-';
  if (kHints.find(first) == std::string_view::npos && first != '.' && !digit_or_sign)
    return as_text(text);
  if (among(kTrue, text)) return {Kind::boolean, true};
  if (among(kFalse, text)) return {Kind::boolean, false};
  if (among(kNull, text)) return {Kind::null, {}};
  if (among(kNaN, text)) return {Kind::number, std::numeric_limits<double>::quiet_NaN()};
  if (among(kPlus, text)) return {Kind::number, kInfinity};
  if (among(kMinus, text)) return {Kind::number, -kInfinity};
  if (first == '.') {
    if (const auto number = parse_float(text)) return {Kind::number, Value(*number)};
  } else if (digit_or_sign) {
    return number_like(tag, text);
  }
  return as_text(text);
}

std::string_view kind_tag(Kind kind) {
  switch (kind) {
    case Kind::null:
      return "null";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::number:
      return "float";
    case Kind::timestamp:
      return "timestamp";
    default:
      return "str";
  }
}

}  // namespace

std::string short_tag(std::string_view tag) {
  if (!tag.starts_with(kTagPrefix)) return std::string(tag);
  return "!!" + std::string(tag.substr(kTagPrefix.size()));
}

Resolved resolve(std::string_view tag, std::string_view text) {
  if (tag.empty()) return by_content(tag, text);
  const std::string_view name =
      tag.starts_with(kTagPrefix) ? tag.substr(kTagPrefix.size()) : std::string_view();
  if (name == "str") return as_text(text);
  if (name != "bool" && name != "int" && name != "float" && name != "null" && name != "timestamp")
    return {Kind::other, Value(text)};
  Resolved found = by_content(tag, text);
  if (kind_tag(found.kind) == name) return found;
  if (name == "float" && found.value.type() == Type::integer)
    return {Kind::number, static_cast<double>(found.value.as_int())};
  throw CallError{"yaml: cannot decode !!" + std::string(kind_tag(found.kind)) +
                  " `[masked]` as a " + short_tag(tag)};
}

}  // namespace keybearer::tmpl::yaml
