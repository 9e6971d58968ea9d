#include "tmpl/go/number.hpp"

#include <cmath>

#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl {
namespace {

void simplify_complex(NumberNode& n) {
  n.is_float = n.im == 0;
  if (!n.is_float) return;
  n.float_value = n.re;
  if (std::abs(n.re) >= 9.2e18) return;
  n.is_int = static_cast<double>(static_cast<std::int64_t>(n.float_value)) == n.float_value;
  if (n.is_int) n.int_value = static_cast<std::int64_t>(n.float_value);
  n.is_uint = n.float_value >= 0 &&
              static_cast<double>(static_cast<std::uint64_t>(n.float_value)) == n.float_value;
  if (n.is_uint) n.uint_value = static_cast<std::uint64_t>(n.float_value);
}

// Go scans the real part first.
std::expected<double, std::string> part_of_complex(std::string_view text) {
  const auto number = parse_float(text);
  if (number) return *number;
  const bool hex = text.substr(0, 3).find_first_of("xX") != std::string_view::npos;
  if (number.error() != "value out of range" && !hex)
    return std::unexpected("syntax error scanning complex number");
  return std::unexpected("strconv.ParseFloat: parsing " + quote(text) + ": " +
                         std::string(number.error()));
}

// Where the second part of "1+2i" begins: at the last sign that is not an exponent's.
std::size_t split_at(std::string_view text) {
  for (std::size_t i = text.size() - 1; i > 0; --i) {
    if ((text[i] == '+' || text[i] == '-') &&
        std::string_view("eEpP").find(text[i - 1]) == std::string_view::npos)
      return i;
  }
  return 0;
}

}  // namespace

std::expected<NumberNode, std::string> make_number(Tok type, std::uint32_t pos,
                                                   std::string_view text) {
  NumberNode n{{NodeType::number, pos}, text};
  if (type == Tok::char_constant) {
    bool one = true;
    const auto rune = unquote_char(text, one);
    if (!one) return std::unexpected("malformed character constant: " + std::string(text));
    if (!rune) return std::unexpected("invalid syntax");
    n.is_char = n.is_int = n.is_uint = n.is_float = true;
    n.int_value = static_cast<std::int64_t>(*rune);
    n.uint_value = *rune;
    n.float_value = static_cast<double>(*rune);
    return n;
  }
  if (type == Tok::complex) {
    const std::size_t at = split_at(text);
    const auto re = part_of_complex(text.substr(0, at));
    if (!re) return std::unexpected(re.error());
    const auto im = part_of_complex(text.substr(at, text.size() - at - 1));
    if (!im) return std::unexpected(im.error());
    n.is_complex = true;
    n.re = *re;
    n.im = *im;
    simplify_complex(n);
    return n;
  }
  if (text.ends_with('i')) {
    if (const auto im = parse_float(text.substr(0, text.size() - 1))) {
      n.is_complex = true;
      n.im = *im;
      simplify_complex(n);
      return n;
    }
  }
  if (const auto u = parse_uint(text, 0); u && text[0] != '+') {
    n.is_uint = true;
    n.uint_value = *u;
  }
  if (const auto i = parse_int(text, 0)) {
    n.is_int = true;
    n.int_value = *i;
    if (*i == 0) n.is_uint = true;
  }
  if (n.is_int || n.is_uint) {
    n.is_float = true;
    n.float_value = n.is_int ? static_cast<double>(n.int_value) : static_cast<double>(n.uint_value);
  } else if (const auto f = parse_float(text)) {
    if (text.find_first_of(".eEpP") == std::string_view::npos)
      return std::unexpected("integer overflow: " + quote(text));
    n.is_float = true;
    n.float_value = *f;
    if (std::abs(*f) < 9.2e18 && static_cast<double>(static_cast<std::int64_t>(*f)) == *f) {
      n.is_int = true;
      n.int_value = static_cast<std::int64_t>(*f);
    }
    if (*f >= 0 && *f < 1.8e19 && static_cast<double>(static_cast<std::uint64_t>(*f)) == *f) {
      n.is_uint = true;
      n.uint_value = static_cast<std::uint64_t>(*f);
    }
  }
  if (!n.is_int && !n.is_uint && !n.is_float)
    return std::unexpected("illegal number syntax: " + quote(text));
  return n;
}

}  // namespace keybearer::tmpl
