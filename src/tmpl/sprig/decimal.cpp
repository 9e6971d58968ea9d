#include "tmpl/sprig/decimal.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl::sprig {
namespace {

constexpr std::int64_t kPlaces = 16;        // of a quotient
constexpr std::size_t kMostDigits = 5'000;  // a chain of factors must not take the machine's time

void add_zeros(std::string& digits, std::int64_t count) {
  if (!digits.empty() && count > 0) digits.append(static_cast<std::size_t>(count), '0');
}
std::string without_leading_zeros(std::string digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}
bool is_less(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}
std::string sum(std::string a, const std::string& b) {
  a.insert(0, b.size() < a.size() ? 1 : b.size() + 1 - a.size(), '0');  // and room to carry
  int carry = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    char& digit = a[a.size() - 1 - i];
    const int more = i < b.size() ? b[b.size() - 1 - i] - '0' : 0;
    const int value = digit - '0' + more + carry;
    digit = static_cast<char>('0' + value % 10);
    carry = value / 10;
  }
  return without_leading_zeros(std::move(a));
}
// Of the greater and the lesser.
std::string difference(std::string a, const std::string& b) {
  int borrow = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    char& digit = a[a.size() - 1 - i];
    int value = digit - '0' - borrow - (i < b.size() ? b[b.size() - 1 - i] - '0' : 0);
    borrow = value < 0 ? 1 : 0;
    digit = static_cast<char>('0' + value + borrow * 10);
  }
  return without_leading_zeros(std::move(a));
}

}  // namespace

Decimal::Decimal(double number) {
  if (std::isnan(number) || std::isinf(number))
    throw CallError{"Cannot create a Decimal from " + format_float(number, 'g', -1)};
  const std::string text = format_float(std::abs(number), 'e', -1);  // d.ddde±dd
  const auto mark = text.find('e');
  negative_ = number < 0;
  exponent_ = std::stoi(text.substr(mark + 1));
  for (std::size_t i = 0; i < mark; ++i) {
    if (text[i] != '.') digits_ += text[i];
  }
  exponent_ -= static_cast<std::int64_t>(digits_.size()) - 1;
  *this = std::move(*this).normal();
}

Decimal Decimal::normal() && {
  digits_ = without_leading_zeros(std::move(digits_));
  const auto last = digits_.find_last_not_of('0');
  if (last == std::string::npos) return {};
  exponent_ += static_cast<std::int64_t>(digits_.size() - last - 1);
  digits_.resize(last + 1);
  if (digits_.size() > kMostDigits) throw CallError{"a decimal number has more than 5,000 digits"};
  return std::move(*this);
}

Decimal Decimal::operator+(const Decimal& other) const {
  if (is_zero()) return other;
  if (other.is_zero()) return *this;
  std::string a = digits_, b = other.digits_;
  Decimal out;
  out.exponent_ = std::min(exponent_, other.exponent_);
  if (std::max(exponent_, other.exponent_) - out.exponent_ > static_cast<std::int64_t>(kMostDigits))
    throw CallError{"a decimal number has more than 5,000 digits"};
  add_zeros(a, exponent_ - out.exponent_);
  add_zeros(b, other.exponent_ - out.exponent_);
  const bool swap = is_less(a, b);
  if (negative_ == other.negative_) {
    out.digits_ = swap ? sum(b, a) : sum(a, b);
  } else {
    out.digits_ = swap ? difference(b, a) : difference(a, b);
  }
  out.negative_ = swap ? other.negative_ : negative_;
  return std::move(out).normal();
}

Decimal Decimal::operator-(const Decimal& other) const {
  Decimal opposite = other;
  opposite.negative_ = !other.negative_;
  return *this + opposite;
}

Decimal Decimal::operator*(const Decimal& other) const {
  if (is_zero() || other.is_zero()) return {};
  std::vector<std::uint32_t> product(digits_.size() + other.digits_.size());
  for (std::size_t i = digits_.size(); i-- > 0;) {
    std::uint32_t carry = 0;
    const auto digit = static_cast<std::uint32_t>(digits_[i] - '0');
    for (std::size_t k = other.digits_.size(); k-- > 0;) {
      const std::uint32_t value =
          product[i + k + 1] + carry + digit * static_cast<std::uint32_t>(other.digits_[k] - '0');
      product[i + k + 1] = value % 10;
      carry = value / 10;
    }
    product[i] += carry;
  }
  Decimal out;
  for (const std::uint32_t digit : product) out.digits_ += static_cast<char>('0' + digit);
  out.exponent_ = exponent_ + other.exponent_;
  out.negative_ = negative_ != other.negative_;
  return std::move(out).normal();
}

Decimal Decimal::operator/(const Decimal& other) const {
  if (other.is_zero()) throw CallError{"decimal division by 0"};
  // The whole quotient in units of the last place kept, by long division.
  std::string dividend = digits_, divisor = other.digits_;
  const std::int64_t shift = exponent_ - other.exponent_ + kPlaces;
  if (std::abs(shift) > static_cast<std::int64_t>(kMostDigits))
    throw CallError{"a decimal number has more than 5,000 digits"};
  add_zeros(dividend, shift);
  add_zeros(divisor, -shift);
  Decimal out;
  std::string rest;
  for (const char digit : dividend) {
    if (!rest.empty() || digit != '0') rest += digit;
    char quotient = '0';
    for (; !is_less(rest, divisor); ++quotient) rest = difference(std::move(rest), divisor);
    out.digits_ += quotient;
  }
  if (!is_less(sum(rest, rest), divisor)) out.digits_ = sum(out.digits_, "1");
  out.exponent_ = -kPlaces;
  out.negative_ = negative_ != other.negative_;
  return std::move(out).normal();
}

double Decimal::to_float64() const {
  if (is_zero()) return 0;
  const std::int64_t magnitude = exponent_ + static_cast<std::int64_t>(digits_.size());
  const double sign = negative_ ? -1 : 1;
  if (magnitude > 310) return sign * std::numeric_limits<double>::infinity();
  if (magnitude < -330) return sign * 0.0;
  const auto number = parse_float(digits_ + "e" + std::to_string(exponent_));
  return sign * number.value_or(std::numeric_limits<double>::infinity());
}

}  // namespace keybearer::tmpl::sprig
