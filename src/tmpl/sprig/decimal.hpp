#pragma once
// Exact decimal numbers, as sprig's addf, subf, mulf and divf calculate.
//
// Source: github.com/shopspring/decimal v1.4.0: NewFromFloat takes the shortest digits that read
// back, Div rounds to 16 places, half away from zero.

#include <cstdint>
#include <string>

namespace keybearer::tmpl::sprig {

class Decimal {
 public:
  // Throws CallError for NaN and infinities.
  explicit Decimal(double number);

  [[nodiscard]] Decimal operator+(const Decimal& other) const;
  [[nodiscard]] Decimal operator-(const Decimal& other) const;
  [[nodiscard]] Decimal operator*(const Decimal& other) const;
  [[nodiscard]] Decimal operator/(const Decimal& other) const;  // by 0: throws CallError
  // The nearest double; infinite when it is too great.
  [[nodiscard]] double to_float64() const;

 private:
  Decimal() = default;
  [[nodiscard]] Decimal normal() &&;
  [[nodiscard]] bool is_zero() const { return digits_.empty(); }

  bool negative_ = false;
  std::string digits_;         // most significant first, no leading zeros; empty: 0
  std::int64_t exponent_ = 0;  // of the last digit
};

}  // namespace keybearer::tmpl::sprig
