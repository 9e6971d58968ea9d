#include "tmpl/go/ip_text.hpp"

#include <optional>

#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl {
namespace {

// What is wrong, and where; nothing: all is right.
struct Fault {
  std::string_view why, at;
};
using Verdict = std::optional<Fault>;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

Verdict check_v4(std::string_view text) {
  int value = 0, digits = 0, dots = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_digit(c)) {
      if (digits == 1 && value == 0) return Fault{"IPv4 field has octet with leading zero", {}};
      value = value * 10 + (c - '0');
      ++digits;
      if (value > 255) return Fault{"IPv4 field has value >255", {}};
    } else if (c == '.') {
      if (i == 0 || i + 1 == text.size() || text[i - 1] == '.')
        return Fault{"IPv4 field must have at least one digit", text.substr(i)};
      if (dots++ == 3) return Fault{"IPv4 address too long", {}};
      value = digits = 0;
    } else {
      return Fault{"unexpected character", text.substr(i)};
    }
  }
  if (dots < 3) return Fault{"IPv4 address too short", {}};
  return std::nullopt;
}

// An IPv6 address without its zone, field by field.
class V6 {
 public:
  explicit V6(std::string_view text) : rest_(text) {}

  Verdict check() {
    if (rest_.starts_with("::")) {
      ellipsis_ = true;
      rest_.remove_prefix(2);
      if (rest_.empty()) return std::nullopt;
    }
    while (bytes_ < 16) {
      const std::size_t digits = hex_digits();
      if (fault_) return fault_;
      if (rest_.substr(digits, 1) == ".") return embedded_v4().or_else([this] { return size(); });
      bytes_ += 2;
      rest_.remove_prefix(digits);
      if (rest_.empty() || at_end_after_colon()) break;
      if (fault_) return fault_;
    }
    if (!rest_.empty()) return Fault{"trailing garbage after address", rest_};
    return size();
  }

 private:
  std::string_view rest_;
  int bytes_ = 0;
  bool ellipsis_ = false;
  Verdict fault_;

  // How many are next; else fault_.
  std::size_t hex_digits() {
    std::size_t count = 0;
    while (count < rest_.size() && is_hex(rest_[count])) ++count;
    if (count > 4) fault_ = Fault{"each group must have 4 or less digits", rest_};
    if (count == 0)
      fault_ = Fault{"each colon-separated field must have at least one digit", rest_};
    return count;
  }

  Verdict embedded_v4() {
    if (!ellipsis_ && bytes_ != 12)
      return Fault{"embedded IPv4 address must replace the final 2 fields of the address", rest_};
    if (bytes_ + 4 > 16) {
      return Fault{"too many hex fields to fit an embedded IPv4 at the end of the address", rest_};
    }
    bytes_ += 4;
    return check_v4(rest_);
  }

  // ":" and what may follow; true: that was all ("1::"). Else fault_ may be set.
  bool at_end_after_colon() {
    if (rest_[0] != ':') {
      fault_ = Fault{"unexpected character, want colon", rest_};
      return false;
    }
    if (rest_.size() == 1) {
      fault_ = Fault{"colon must be followed by more characters", rest_};
      return false;
    }
    rest_.remove_prefix(1);
    if (rest_[0] != ':') return false;
    if (ellipsis_) {
      fault_ = Fault{"multiple :: in address", rest_};
      return false;
    }
    ellipsis_ = true;
    rest_.remove_prefix(1);
    return rest_.empty();
  }

  [[nodiscard]] Verdict size() const {
    if (bytes_ < 16 && !ellipsis_) return Fault{"address string too short", {}};
    if (bytes_ == 16 && ellipsis_)
      return Fault{"the :: must expand to at least one field of zeros", {}};
    return std::nullopt;
  }
};

Verdict check(std::string_view text) {
  const auto first = text.find_first_of(".:%");
  if (first == std::string_view::npos) return Fault{"unable to parse IP", {}};
  if (text[first] == '.') return check_v4(text);
  if (text[first] == '%') return Fault{"missing IPv6 address", {}};
  const auto zone = text.find('%');
  if (zone != std::string_view::npos && zone + 1 == text.size())
    return Fault{"zone must be a non-empty string", {}};
  return V6(text.substr(0, zone)).check();
}

}  // namespace

std::string ip_error(std::string_view text) {
  const Verdict wrong = check(text);
  if (!wrong) return {};
  std::string said = "ParseAddr(" + quote(text) + "): " + std::string(wrong->why);
  if (!wrong->at.empty()) said += " (at " + quote(wrong->at) + ")";
  return said;
}

}  // namespace keybearer::tmpl
