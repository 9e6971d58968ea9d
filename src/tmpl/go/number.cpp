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

// What fmt.Sscan takes for a float from the beginning of `text`, whether it is one or not.
std::string_view float_token(std::string_view text) {
  std::size_t at = 0;
  const auto accept = [&](std::string_view any) {
    const bool is = at < text.size() && any.contains(text[at]);
    at += is ? 1 : 0;
    return is;
  };
  const auto accept_all = [&](std::string_view any) {
    while (accept(any)) {
    }
  };
  if (accept("nN") && accept("aA") && accept("nN")) return text.substr(0, at);
  accept("+-");
  if (accept("iI") && accept("nN") && accept("fF")) return text.substr(0, at);  // of "i", too
  std::string_view digits = "0123456789_", exponent = "eEp";
  if (accept("0") && accept("xX")) {
    digits = "0123456789aAbBcCdDeEfF_";
    exponent = "pP";
  }
  accept_all(digits);
  if (accept(".")) accept_all(digits);
  if (accept(exponent)) {
    accept("+-");
    accept_all("0123456789_");
  }
  return text.substr(0, at);
}

std::expected<double, std::string> part_of_complex(std::string_view text) {
  const auto number = parse_float(text);
  if (number) return *number;
  return std::unexpected("strconv.ParseFloat: parsing " + quote(text) + ": " +
                         std::string(number.error()));
}

// "1+2i", as fmt.Sscan reads it: the parts are cut out first, then each is read.
std::expected<std::pair<double, double>, std::string> scan_complex(std::string_view text) {
  const std::string wrong = "syntax error scanning complex number";
  const std::string_view first = float_token(text);
  text.remove_prefix(first.size());
  if (!text.starts_with('+') && !text.starts_with('-')) return std::unexpected(wrong);
  // The sign is taken by itself, and another may follow.
  const std::string second =
      std::string(text.substr(0, 1)) + std::string(float_token(text.substr(1)));
  if (text.substr(second.size(), 1) != "i") return std::unexpected(wrong);
  const auto re = part_of_complex(first);
  if (!re) return std::unexpected(re.error());
  const auto im = part_of_complex(second);
  if (!im) return std::unexpected(im.error());
  return std::pair(*re, *im);
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
    const auto parts = scan_complex(text);
    if (!parts) return std::unexpected(parts.error());
    n.is_complex = true;
    n.re = parts->first;
    n.im = parts->second;
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
