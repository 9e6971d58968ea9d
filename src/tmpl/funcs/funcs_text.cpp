// consul-template's functions on text and numbers: template/funcs.go.

#include <algorithm>
#include <array>
#include <cmath>

#include "base/bytes.hpp"
#include "base/utf8.hpp"
#include "crypto/digest.hpp"
#include "json/pool.hpp"
#include "tmpl/exec.hpp"
#include "tmpl/funcs/regex.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

Value to_lower(Evaluation&, Arguments a) {
  return mapped(a[0].as_text(), Case::lower);
}
Value to_upper(Evaluation&, Arguments a) {
  return mapped(a[0].as_text(), Case::upper);
}
// golang.org/x/text/cases: Title(language.Und, NoLower).
Value to_title(Evaluation&, Arguments a) {
  static const auto kAscii = [] {
    std::array<TitleClass, 0x80> classes{};
    for (std::size_t c = 0; c < classes.size(); ++c)
      classes[c] = title_class(static_cast<char32_t>(c));
    return classes;
  }();
  std::string_view text = a[0].as_text();
  std::string out;
  out.reserve(text.size());
  bool inside = false, middle = false;
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text[0]);
    const Rune rune = byte < 0x80 ? Rune{byte, 1} : decode_rune(text);
    const TitleClass type = byte < 0x80    ? kAscii[byte]
                            : rune.valid() ? title_class(rune.code)
                                           : TitleClass::separates;
    if (middle && type == TitleClass::middle) inside = false;
    middle = type == TitleClass::middle;
    if ((type != TitleClass::cased || inside) && byte < 0x80) {
      out += static_cast<char>(byte);
    } else if (type != TitleClass::cased || inside) {
      out += text.substr(0, rune.width);
    } else if (const auto special = long_title(rune.code); !special.empty()) {
      out += special;
    } else {
      append_rune(out, tmpl::to_title(rune.code));
    }
    inside = type == TitleClass::cased || (inside && type != TitleClass::separates);
    text.remove_prefix(rune.width);
    spend(4);
  }
  return out;
}
// A text of which all is left is not copied.
Value same_or(const Value& text, std::string_view part) {
  return part.size() == text.size() && text.type() == Type::string ? text : Value(part);
}
Value trim(Evaluation&, Arguments a) {
  return same_or(a[1], trimmed(a[1].as_text(), a[0].as_text()));
}
Value trim_space(Evaluation&, Arguments a) {
  return same_or(a[0], trimmed_space(a[0].as_text()));
}
Value trim_prefix(Evaluation&, Arguments a) {
  std::string_view text = a[1].as_text();
  if (text.starts_with(a[0].as_text())) text.remove_prefix(a[0].size());
  return text;
}
Value trim_suffix(Evaluation&, Arguments a) {
  std::string_view text = a[1].as_text();
  if (text.ends_with(a[0].as_text())) text.remove_suffix(a[0].size());
  return text;
}
Value replace_all(Evaluation&, Arguments a) {
  if (index_of(a[2].as_text(), a[0].as_text()) == std::string_view::npos)
    return same_or(a[2], a[2].as_text());
  return replaced(a[2].as_text(), a[0].as_text(), a[1].as_text());
}

Value split(Evaluation&, Arguments a) {
  const std::string_view text = trimmed_space(a[1].as_text());
  return Value::strings(text.empty() ? List{} : split_text(text, a[0].as_text()));
}
Value split_to_map(Evaluation&, Arguments a) {
  const std::string_view text = trimmed_space(a[2].as_text()), equals = a[1].as_text();
  if (text.empty()) return Value::map(Type::string_map);
  std::vector<Value::Entry> members;
  ValuePool pool(2 * text.size());
  const auto add = [&](std::string_view pair) {
    const auto at = index_of(pair, equals);
    if (at == std::string_view::npos) return;
    spend(50);
    const char* const end = pair.data() + pair.size();
    members.push_back({pool.part(Type::string, pair.substr(0, at), end),
                       pool.text(Type::string, pair.substr(at + equals.size()))});
  };
  if (a[0].size() == 0) {
    for (const Value& part : split_text(text, "")) add(part.as_text());
  } else {
    const auto parts = cut_text(text, a[0].as_text());
    members.reserve(parts.size());
    std::ranges::for_each(parts, add);
  }
  return ValuePool::map_of(Type::string_map, std::move(members));
}
Value join(Evaluation&, Arguments a) {
  return joined(a[1].items(), a[0].as_text());
}
Value indent(Evaluation&, Arguments a) {
  const std::int64_t spaces = a[0].as_int();
  if (spaces < 0) throw CallError{"indent value must be a positive integer"};
  if (spaces > 1'000'000) throw CallError{"indent value is too large"};
  const auto blanks = static_cast<std::size_t>(spaces);
  const std::string_view text = a[1].as_text();
  const auto lines = count_byte(text, '\n') + 1;
  Output out(text.size() + lines * std::min<std::size_t>(blanks, 64));
  std::size_t begin = 0;
  const auto line = [&](std::size_t end) {
    if (text[begin] != '\n') out.append(blanks, ' ');
    out += text.substr(begin, end - begin);
    spend(10 + (blanks + end - begin) / 4);
    if (out.size() > kMostText) throw CallError{"the text is larger than 64 MiB"};
    begin = end;
  };
  each_byte(text, '\n', [&](std::size_t at) { line(at + 1); });
  if (begin < text.size()) line(text.size());
  return out.take();
}

// consul-template: template/funcs.go wraps what strconv says.
CallError not_parsed(const Evaluation& e, std::string_view kind, const Value& text,
                     std::string_view reason) {
  return {"parse" + std::string(kind) + ": strconv.Parse" + std::string(kind) + ": parsing " +
          e.shown(text, quote(text.as_text())) + ": " + std::string(reason)};
}

Value parse_bool_(Evaluation& e, Arguments a) {
  if (a[0].as_text().empty()) return false;
  const auto value = parse_bool(a[0].as_text());
  if (!value) throw not_parsed(e, "Bool", a[0], "invalid syntax");
  return *value;
}
Value parse_float_(Evaluation& e, Arguments a) {
  if (a[0].as_text().empty()) return 0.0;
  const auto value = parse_float(a[0].as_text());
  if (!value) throw not_parsed(e, "Float", a[0], value.error());
  return *value;
}
std::int64_t whole_number(const Evaluation& e, const Value& text) {
  if (text.as_text().empty()) return 0;
  const auto value = parse_int(text.as_text(), 10);
  if (!value) throw not_parsed(e, "Int", text, value.error());
  return *value;
}
Value parse_int_(Evaluation& e, Arguments a) {
  return Value::int64(whole_number(e, a[0]));
}
Value parse_uint_(Evaluation& e, Arguments a) {
  if (a[0].as_text().empty()) return Value::uint64(0);
  const auto value = parse_uint(a[0].as_text(), 10);
  if (!value) throw not_parsed(e, "Uint", a[0], value.error());
  return Value::uint64(*value);
}

Value regex_match(Evaluation& e, Arguments a) {
  return e.regexes.get(a[0].as_text()).matches(a[1].as_text());
}
Value regex_replace_all(Evaluation& e, Arguments a) {
  return e.regexes.get(a[0].as_text()).replace_all(a[2].as_text(), a[1].as_text());
}

Value sha256_hex_(Evaluation&, Arguments a) {
  return sha256_hex(a[0].as_text());
}
Value md5sum(Evaluation&, Arguments a) {
  return md5_hex(a[0].as_text());
}
Value hmac_sha256_hex_(Evaluation&, Arguments a) {
  return hmac_sha256_hex(a[1].as_text(), a[0].as_text());
}

// --- arithmetic: Go's numeric kinds only; the second operand comes first, for pipes ---

bool is_signed(const Value& v) {
  return v.type() == Type::integer || v.type() == Type::int64;
}
bool is_unsigned(const Value& v) {
  return v.type() == Type::uint64 || v.type() == Type::byte;
}
bool is_float(const Value& v) {
  return v.type() == Type::float64;
}
double as_float(const Value& v) {
  return is_float(v)      ? v.as_double()
         : is_unsigned(v) ? static_cast<double>(v.as_uint())
                          : static_cast<double>(v.as_int());
}

bool is_numeric(const Value& v) {
  return is_signed(v) || is_unsigned(v) || is_float(v);
}

// The operands as Go's reflection sees them; both are numbers.
struct Operands {
  Value left, right;  // the second argument, the first
  [[nodiscard]] bool floating() const { return is_float(left) || is_float(right); }
  [[nodiscard]] bool is_signed_pair() const { return is_signed(left) || is_signed(right); }
};

Operands operands(const Evaluation& e, const char* name, Arguments a, bool floats = true) {
  const Operands both{plain(a[1]), plain(a[0])};
  for (const auto& [value, argument] : {std::pair(&both.left, &a[1]), {&both.right, &a[0]}}) {
    if (is_numeric(*value) && (floats || !is_float(*value))) continue;
    const std::string text =
        argument->is_nil() ? "<invalid reflect.Value>" : sprintf("%q", {argument, 1});
    throw CallError{std::string(name) + ": unknown type for " + e.shown(*argument, text) + " (" +
                    type_name(*argument) + ")"};
  }
  return both;
}

template <class Int, class Uint, class Float>
Value arithmetic(const Operands& both, Int on_int, Uint on_uint, Float on_float) {
  const auto& [left, right] = both;
  if (both.floating()) return on_float(as_float(left), as_float(right));
  if (both.is_signed_pair()) return Value::int64(on_int(left.as_int(), right.as_int()));
  return Value::uint64(on_uint(left.as_uint(), right.as_uint()));
}
std::int64_t wrap(std::uint64_t u) {
  return static_cast<std::int64_t>(u);
}
std::uint64_t u64(std::int64_t i) {
  return static_cast<std::uint64_t>(i);
}
template <class T>
T not_zero(T divisor) {
  if (divisor == 0) throw CallError{"runtime error: integer divide by zero"};
  return divisor;
}

Value add(Evaluation& e, Arguments a) {
  return arithmetic(
      operands(e, "add", a), [](auto x, auto y) { return wrap(u64(x) + u64(y)); },
      [](auto x, auto y) { return x + y; }, [](double x, double y) { return x + y; });
}
Value subtract(Evaluation& e, Arguments a) {
  return arithmetic(
      operands(e, "subtract", a), [](auto x, auto y) { return wrap(u64(x) - u64(y)); },
      [](auto x, auto y) { return x - y; }, [](double x, double y) { return x - y; });
}
Value multiply(Evaluation& e, Arguments a) {
  return arithmetic(
      operands(e, "multiply", a), [](auto x, auto y) { return wrap(u64(x) * u64(y)); },
      [](auto x, auto y) { return x * y; }, [](double x, double y) { return x * y; });
}
Value divide(Evaluation& e, Arguments a) {
  return arithmetic(
      operands(e, "divide", a),
      [](auto x, auto y) { return not_zero(y) == -1 ? wrap(0 - u64(x)) : x / y; },
      [](auto x, auto y) { return x / not_zero(y); }, [](double x, double y) { return x / y; });
}
Value modulo(Evaluation& e, Arguments a) {
  return arithmetic(
      operands(e, "modulo", a, false),
      [](auto x, auto y) { return not_zero(y) == -1 ? std::int64_t{0} : x % y; },
      [](auto x, auto y) { return x % not_zero(y); }, [](double, double) { return 0.0; });
}

// The chosen one keeps its kind, widened.
Value widened(const Value& v) {
  return is_signed(v) ? Value::int64(v.as_int()) : is_float(v) ? v : Value::uint64(v.as_uint());
}
bool is_less(const Operands& both) {
  const auto& [left, right] = both;
  if (both.floating()) return as_float(left) < as_float(right);
  return both.is_signed_pair() ? left.as_int() < right.as_int() : left.as_uint() < right.as_uint();
}
Value minimum(Evaluation& e, Arguments a) {
  const Operands both = operands(e, "minimum", a);
  return widened(is_less(both) ? both.left : both.right);
}
Value maximum(Evaluation& e, Arguments a) {
  const Operands both = operands(e, "maximum", a);
  return widened(is_less({both.right, both.left}) ? both.left : both.right);
}

std::int64_t loop_bound(const Evaluation& e, const Value& value) {
  const Value number = plain(value);
  if (is_signed(number)) return number.as_int();
  if (is_unsigned(number)) return static_cast<std::int64_t>(number.as_uint());
  if (value.is_text()) return whole_number(e, value);
  throw CallError{"loop: bad argument type: " + type_name(value)};
}

// Go's channel of the numbers, which a range empties.
class Counter final : public Struct {
 public:
  Counter(std::int64_t next, std::int64_t stop) : next_(next), stop_(stop) {}
  [[nodiscard]] std::string_view type_name() const override { return "<-chan int64"; }
  [[nodiscard]] bool equals(const Object& other) const override { return this == &other; }
  [[nodiscard]] std::optional<Value> field(std::string_view) const override { return std::nullopt; }
  [[nodiscard]] bool is_channel() const override { return true; }
  [[nodiscard]] std::optional<Value> receive() const override {
    return next_ < stop_ ? std::optional(Value::int64(next_++)) : std::nullopt;
  }

 private:
  mutable std::int64_t next_;
  const std::int64_t stop_;
};

// --- methods of json.Number ---

Value number_string(Evaluation& e, Arguments) {
  return Value(e.called_on.as_text());
}
Value number_int64(Evaluation& e, Arguments) {
  const auto value = parse_int(e.called_on.as_text(), 10);
  if (!value)
    throw CallError{"strconv.ParseInt: parsing " +
                    e.shown(e.called_on, quote(e.called_on.as_text())) + ": " +
                    std::string(value.error())};
  return Value::int64(*value);
}
Value number_float64(Evaluation& e, Arguments) {
  const auto value = parse_float(e.called_on.as_text());
  if (!value)
    throw CallError{"strconv.ParseFloat: parsing " +
                    e.shown(e.called_on, quote(e.called_on.as_text())) + ": " +
                    std::string(value.error())};
  return *value;
}

constexpr Function kNumberMethods[] = {
    {"Float64", number_float64, ""},
    {"Int64", number_int64, ""},
    {"String", number_string, ""},
};

Value loop(Evaluation& e, Arguments a) {
  if (a.empty() || a.size() > 2)
    throw CallError{"loop: wrong number of arguments, expected 1 or 2, but got " +
                    std::to_string(a.size())};
  const std::int64_t start = a.size() == 2 ? loop_bound(e, a[0]) : 0;
  const std::int64_t stop = loop_bound(e, a.back());
  return Value::object(std::make_shared<Counter>(start, stop));
}

constexpr Function kFunctions[] = {
    {"add", add, "aa"},
    {"divide", divide, "aa"},
    {"hmacSHA256Hex", hmac_sha256_hex_, "ss"},
    {"indent", indent, "is"},
    {"join", join, "sS"},
    {"loop", loop, "a", true},
    {"maximum", maximum, "aa"},
    {"md5sum", md5sum, "s"},
    {"minimum", minimum, "aa"},
    {"modulo", modulo, "aa"},
    {"multiply", multiply, "aa"},
    {"parseBool", parse_bool_, "s"},
    {"parseFloat", parse_float_, "s"},
    {"parseInt", parse_int_, "s"},
    {"parseUint", parse_uint_, "s"},
    {"regexMatch", regex_match, "ss"},
    {"regexReplaceAll", regex_replace_all, "sss"},
    {"replaceAll", replace_all, "sss"},
    {"sha256Hex", sha256_hex_, "s"},
    {"split", split, "ss"},
    {"splitToMap", split_to_map, "sss"},
    {"subtract", subtract, "aa"},
    {"toLower", to_lower, "s"},
    {"toTitle", to_title, "s"},
    {"toUpper", to_upper, "s"},
    {"trim", trim, "ss"},
    {"trimPrefix", trim_prefix, "ss"},
    {"trimSpace", trim_space, "s"},
    {"trimSuffix", trim_suffix, "ss"},
};

}  // namespace

const Function* number_method(std::string_view name) {
  const auto* at = std::ranges::find(kNumberMethods, name, &Function::name);
  return at == std::end(kNumberMethods) ? nullptr : at;
}

std::span<const Function> text_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl
