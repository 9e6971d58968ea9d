// sprig's numeric.go. Whole numbers wrap as in Go; the f forms add, subtract, multiply and divide
// in decimal.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "base/random.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/decimal.hpp"
#include "tmpl/sprig/sprig.hpp"

namespace keybearer::tmpl::sprig {
namespace {

std::uint64_t bits(const Value& value) {
  return static_cast<std::uint64_t>(to_int64(value));
}
Value wrapped(std::uint64_t sum) {
  return Value::int64(static_cast<std::int64_t>(sum));
}

Value add(Evaluation&, Arguments a) {
  std::uint64_t sum = 0;
  for (const Value& value : a) sum += bits(value);
  return wrapped(sum);
}
Value add1(Evaluation&, Arguments a) {
  return wrapped(bits(a[0]) + 1);
}
Value sub(Evaluation&, Arguments a) {
  return wrapped(bits(a[0]) - bits(a[1]));
}
Value mul(Evaluation&, Arguments a) {
  std::uint64_t product = bits(a[0]);
  for (const Value& value : a.subspan(1)) product *= bits(value);
  return wrapped(product);
}
std::int64_t divisor(const Value& value) {
  const std::int64_t by = to_int64(value);
  if (by == 0) throw CallError{"runtime error: integer divide by zero"};
  return by;
}
Value div(Evaluation&, Arguments a) {
  const std::int64_t by = divisor(a[1]);
  if (by == -1) return wrapped(0 - bits(a[0]));  // the least int64 has no opposite
  return Value::int64(to_int64(a[0]) / by);
}
Value mod(Evaluation&, Arguments a) {
  const std::int64_t by = divisor(a[1]);
  return Value::int64(by == -1 ? 0 : to_int64(a[0]) % by);
}
Value max(Evaluation&, Arguments a) {
  std::int64_t most = to_int64(a[0]);
  for (const Value& value : a.subspan(1)) most = std::max(most, to_int64(value));
  return Value::int64(most);
}
Value min(Evaluation&, Arguments a) {
  std::int64_t least = to_int64(a[0]);
  for (const Value& value : a.subspan(1)) least = std::min(least, to_int64(value));
  return Value::int64(least);
}

// math.Max: +Inf wins over NaN, NaN over the rest, 0 over -0; math.Min its mirror.
double greater(double x, double y) {
  if (std::isinf(x) && x > 0) return x;
  if (std::isinf(y) && y > 0) return y;
  if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::quiet_NaN();
  if (x == 0 && y == 0) return std::signbit(x) ? y : x;
  return x > y ? x : y;
}
double less(double x, double y) {
  return -greater(-x, -y);
}
Value maxf(Evaluation&, Arguments a) {
  double most = to_float64(a[0]);
  for (const Value& value : a.subspan(1)) most = greater(most, to_float64(value));
  return most;
}
Value minf(Evaluation&, Arguments a) {
  double least = to_float64(a[0]);
  for (const Value& value : a.subspan(1)) least = less(least, to_float64(value));
  return least;
}

Value addf(Evaluation&, Arguments a) {
  Decimal sum(0);
  for (const Value& value : a) sum = sum + Decimal(to_float64(value));
  return sum.to_float64();
}
Value add1f(Evaluation&, Arguments a) {
  return (Decimal(to_float64(a[0])) + Decimal(1)).to_float64();
}
Value subf(Evaluation&, Arguments a) {
  Decimal rest(to_float64(a[0]));
  for (const Value& value : a.subspan(1)) rest = rest - Decimal(to_float64(value));
  return rest.to_float64();
}
Value mulf(Evaluation&, Arguments a) {
  Decimal product(to_float64(a[0]));
  for (const Value& value : a.subspan(1)) product = product * Decimal(to_float64(value));
  return product.to_float64();
}
Value divf(Evaluation&, Arguments a) {
  Decimal rest(to_float64(a[0]));
  for (const Value& value : a.subspan(1)) rest = rest / Decimal(to_float64(value));
  return rest.to_float64();
}

Value floor(Evaluation&, Arguments a) {
  return std::floor(to_float64(a[0]));
}
Value ceil(Evaluation&, Arguments a) {
  return std::ceil(to_float64(a[0]));
}

// math.Pow(10, exponent), by Go's own steps: the last digit may differ from a better pow.
double power_of_ten(std::int64_t exponent) {
  const auto magnitude = exponent < 0 ? 0 - static_cast<std::uint64_t>(exponent)
                                      : static_cast<std::uint64_t>(exponent);
  if (magnitude > 400) return exponent < 0 ? 0 : std::numeric_limits<double>::infinity();
  double product = 1;
  int product_exponent = 0, square_exponent = 0;
  double square = std::frexp(10.0, &square_exponent);
  for (std::uint64_t left = magnitude; left != 0; left >>= 1) {
    if ((left & 1) != 0) {
      product *= square;
      product_exponent += square_exponent;
    }
    square *= square;
    square_exponent *= 2;
    if (square < 0.5) {
      square += square;
      --square_exponent;
    }
  }
  return exponent < 0 ? std::ldexp(1 / product, -product_exponent)
                      : std::ldexp(product, product_exponent);
}
Value round(Evaluation&, Arguments a) {
  const double round_up_from = a.size() > 2 ? a[2].as_double() : 0.5;
  const double power = power_of_ten(a[1].as_int());
  const double digits = power * to_float64(a[0]);
  double whole = 0;
  const double fraction =
      std::isinf(digits) ? std::numeric_limits<double>::quiet_NaN() : std::modf(digits, &whole);
  return (fraction >= round_up_from ? std::ceil(digits) : std::floor(digits)) / power;
}

// Octal text to a number.
Value to_decimal(Evaluation&, Arguments a) {
  return Value::int64(parse_int(sprint(a.first(1)), 8).value_or(0));
}
Value to_int(Evaluation&, Arguments a) {
  return Value::integer(to_int64(a[0]));
}
Value to_int64_(Evaluation&, Arguments a) {
  return Value::int64(to_int64(a[0]));
}
Value to_float64_(Evaluation&, Arguments a) {
  return to_float64(a[0]);
}
Value atoi(Evaluation&, Arguments a) {
  const auto number = parse_int(a[0].as_text(), 10);
  if (number) return Value::integer(*number);
  // strconv.Atoi gives the nearest number with its error, and sprig drops the error.
  if (number.error() != "value out of range") return Value::integer(0);
  return Value::integer(a[0].as_text().starts_with('-') ? std::numeric_limits<std::int64_t>::min()
                                                        : std::numeric_limits<std::int64_t>::max());
}

List steps(std::int64_t start, std::int64_t stop, std::int64_t step) {
  List out;
  if ((stop < start && step >= 0) || (stop >= start && step <= 0)) return out;
  const auto add = [](std::int64_t x, std::int64_t y) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) + static_cast<std::uint64_t>(y));
  };
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop; i = add(i, step)) {
    if (out.size() >= kMostElements) throw CallError{"more than 4,000,000 numbers"};
    out.push_back(Value::integer(i));
  }
  return out;
}
Value until_step(Evaluation&, Arguments a) {
  return appended(steps(a[0].as_int(), a[1].as_int(), a[2].as_int()), Type::ints);
}
Value until(Evaluation&, Arguments a) {
  return appended(steps(0, a[0].as_int(), a[0].as_int() < 0 ? -1 : 1), Type::ints);
}
Value seq(Evaluation&, Arguments a) {
  if (a.empty() || a.size() > 3) return "";
  const std::int64_t start = a.size() == 1 ? 1 : a[0].as_int();
  const std::int64_t end = a.back().as_int();
  const std::int64_t towards = end < start ? -1 : 1;
  const std::int64_t step = a.size() == 3 ? a[1].as_int() : towards;
  if (a.size() == 3 && end < start && step > 0) return "";
  std::string out;
  const auto past = static_cast<std::int64_t>(static_cast<std::uint64_t>(end) +
                                              static_cast<std::uint64_t>(towards));
  for (const Value& number : steps(start, past, step)) {
    if (!out.empty()) out += ' ';
    out += std::to_string(number.as_int());
  }
  return out;
}

// In [min, max): Go's rand.Intn panics when there is none.
Value rand_int(Evaluation&, Arguments a) {
  const std::int64_t least = a[0].as_int();
  const std::uint64_t span =
      static_cast<std::uint64_t>(a[1].as_int()) - static_cast<std::uint64_t>(least);
  if (static_cast<std::int64_t>(span) <= 0) throw CallError{"invalid argument to Intn"};
  std::random_device source = entropy();
  const std::uint64_t drawn = std::uniform_int_distribution<std::uint64_t>(0, span - 1)(source);
  return Value::integer(static_cast<std::int64_t>(static_cast<std::uint64_t>(least) + drawn));
}

constexpr Function kFunctions[] = {
    {"sprig_add", add, "a", true},     {"sprig_add1", add1, "a"},
    {"sprig_add1f", add1f, "a"},       {"sprig_addf", addf, "a", true},
    {"sprig_atoi", atoi, "s"},         {"sprig_biggest", max, "aa", true},
    {"sprig_ceil", ceil, "a"},         {"sprig_div", div, "aa"},
    {"sprig_divf", divf, "aa", true},  {"sprig_float64", to_float64_, "a"},
    {"sprig_floor", floor, "a"},       {"sprig_int", to_int, "a"},
    {"sprig_int64", to_int64_, "a"},   {"sprig_max", max, "aa", true},
    {"sprig_maxf", maxf, "aa", true},  {"sprig_min", min, "aa", true},
    {"sprig_minf", minf, "aa", true},  {"sprig_mod", mod, "aa"},
    {"sprig_mul", mul, "aa", true},    {"sprig_mulf", mulf, "aa", true},
    {"sprig_randInt", rand_int, "ii"}, {"sprig_round", round, "aif", true},
    {"sprig_seq", seq, "i", true},     {"sprig_sub", sub, "aa"},
    {"sprig_subf", subf, "aa", true},  {"sprig_toDecimal", to_decimal, "a"},
    {"sprig_until", until, "i"},       {"sprig_untilStep", until_step, "iii"},
};

}  // namespace

std::span<const Function> number_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
