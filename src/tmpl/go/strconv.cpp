#include "tmpl/go/strconv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/utf8.hpp"
#include "tmpl/go/unicode.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::string_view kSyntax = "invalid syntax", kRange = "value out of range";

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

void append_escaped(std::string& out, char32_t code, unsigned char byte, bool valid, char quote,
                    bool ascii) {
  if (!valid) {
    constexpr char kHex[] = "0123456789abcdef";
    const char escape[] = {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    out.append(escape, sizeof(escape));
    return;
  }
  if (code == static_cast<char32_t>(quote) || code == '\\') {
    out += '\\';
    out += static_cast<char>(code);
    return;
  }
  if (code < 0x80 ? is_print(code) : (!ascii && is_print(code))) {
    append_rune(out, code);
    return;
  }
  switch (code) {
    case '\a':
      out += "\\a";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\v':
      out += "\\v";
      return;
    default:
      break;
  }
  const auto c = static_cast<unsigned>(code);
  if (c < ' ' || c == 0x7F) {
    append_escaped(out, code, static_cast<unsigned char>(c), false, quote, ascii);
  } else if (c < 0x10000) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
  } else {
    fmt::format_to(std::back_inserter(out), "\\U{:08x}", c);
  }
}

// One character or escape of a literal; advances `text`. `byte` tells that \x or octal gave a raw
// byte.
std::optional<char32_t> take_char(std::string_view& text, char quote, bool& byte) {
  byte = false;
  if (text.empty()) return std::nullopt;
  const char c = text[0];
  if (c == quote && (quote == '\'' || quote == '"')) return std::nullopt;
  if (static_cast<unsigned char>(c) >= 0x80) {
    const Rune rune = decode_rune(text);
    text.remove_prefix(rune.width);
    return rune.code;
  }
  text.remove_prefix(1);
  if (c != '\\') return static_cast<char32_t>(c);
  if (text.empty()) return std::nullopt;
  const char e = text[0];
  text.remove_prefix(1);
  const auto number = [&text](std::size_t digits, int base) -> std::optional<char32_t> {
    if (text.size() < digits) return std::nullopt;
    char32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const int d = digit_of(text[i]);
      if (d >= base) return std::nullopt;
      value = value * static_cast<char32_t>(base) + static_cast<char32_t>(d);
    }
    text.remove_prefix(digits);
    return value;
  };
  switch (e) {
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case '\\':
      return '\\';
    case '\'':
    case '"':
      return e == quote ? std::optional<char32_t>(e) : std::nullopt;
    case 'x':
      byte = true;
      return number(2, 16);
    case 'u':
    case 'U': {
      const auto value = number(e == 'u' ? 4 : 8, 16);
      if (!value || *value > 0x10FFFF || (*value >= 0xD800 && *value <= 0xDFFF))
        return std::nullopt;
      return value;
    }
    default:
      break;
  }
  if (e < '0' || e > '7') return std::nullopt;
  byte = true;
  text = std::string_view(text.data() - 1, text.size() + 1);
  const auto value = number(3, 8);
  return value && *value <= 255 ? value : std::nullopt;
}

// Go's rule for '_' in literals: between digits, or right after the base prefix.
bool underscores_ok(std::string_view text) {
  char last = '^';
  std::size_t i = 0;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) i = 1;
  bool hex = false;
  if (text.size() >= i + 2 && text[i] == '0') {
    const char p = static_cast<char>(text[i + 1] | 0x20);
    if (p == 'b' || p == 'o' || p == 'x') {
      hex = p == 'x';
      last = '0';  // the prefix counts as a digit
      i += 2;
    }
  }
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if ((c >= '0' && c <= '9') || (hex && digit_of(c) < 16)) {
      last = '0';
    } else if (c == '_') {
      if (last != '0') return false;
      last = '_';
    } else {
      if (last == '_') return false;
      last = '!';
    }
  }
  return last != '_';
}

}  // namespace

void append_quoted(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && text[plain] >= ' ' && text[plain] < 0x7F && text[plain] != '"' &&
           text[plain] != '\\')
      ++plain;
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const Rune rune = decode_rune(text);
    append_escaped(out, rune.code, static_cast<unsigned char>(text[0]), rune.valid(), '"', ascii);
    text.remove_prefix(rune.width);
  }
  out += '"';
}

std::string quote(std::string_view text, bool ascii) {
  std::string out;
  append_quoted(out, text, ascii);
  return out;
}

bool can_backquote(std::string_view text) {
  while (!text.empty()) {
    const Rune rune = decode_rune(text);
    text.remove_prefix(rune.width);
    if (rune.width > 1) {
      if (rune.code == 0xFEFF) return false;
      continue;
    }
    if (rune.code == kReplacement) return false;
    if ((rune.code < ' ' && rune.code != '\t') || rune.code == '`' || rune.code == 0x7F)
      return false;
  }
  return true;
}

std::string quote_rune(char32_t code, bool ascii) {
  std::string out = "'";
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) code = kReplacement;
  append_escaped(out, code, 0, true, '\'', ascii);
  return out + '\'';
}

std::optional<std::string> unquote(std::string_view literal) {
  if (literal.size() < 2 || literal.front() != literal.back()) return std::nullopt;
  const char quote = literal.front();
  std::string_view text = literal.substr(1, literal.size() - 2);
  std::string out;
  if (quote == '`') {
    if (text.find('`') != std::string_view::npos) return std::nullopt;
    std::ranges::copy_if(text, std::back_inserter(out), [](char c) { return c != '\r'; });
    return out;
  }
  if (quote != '"' || text.find('\n') != std::string_view::npos) return std::nullopt;
  while (!text.empty()) {
    bool byte = false;
    const std::string_view before = text;
    const auto c = take_char(text, '"', byte);
    if (!c) return std::nullopt;
    const bool raw = before[0] != '\\' && static_cast<unsigned char>(before[0]) >= 0x80;
    if (raw) {
      const Rune rune = decode_rune(before);
      if (rune.valid())
        out += before.substr(0, rune.width);
      else
        append_rune(out, kReplacement);
    } else if (byte) {
      out += static_cast<char>(*c);
    } else {
      append_rune(out, *c);
    }
  }
  return out;
}

std::optional<char32_t> unquote_char(std::string_view literal, bool& one) {
  std::string_view text = literal.substr(std::min<std::size_t>(1, literal.size()));
  bool byte = false;
  const auto c = take_char(text, '\'', byte);
  one = !c || text == "'";
  return c;
}

namespace {

// "4503599627370496p-52": the mantissa as a whole number.
std::string format_binary(double value) {
  int exponent = 0;
  const double fraction = std::frexp(std::abs(value), &exponent);
  std::int64_t mantissa = static_cast<std::int64_t>(std::ldexp(fraction, 53));
  exponent = mantissa == 0 ? -1074 : exponent - 53;
  if (exponent < -1074) {  // denormal
    mantissa >>= -1074 - exponent;
    exponent = -1074;
  }
  return fmt::format("{}{}p{:+}", std::signbit(value) ? "-" : "", mantissa, exponent);
}

// "0x1.8p+01": one digit before the point, an exponent of two digits at least.
std::string format_hex(double value, bool upper, int precision) {
  constexpr std::uint64_t kOne = std::uint64_t{1} << 60;  // the digit before the point
  int exponent = 0;
  auto mantissa =
      static_cast<std::uint64_t>(std::ldexp(std::frexp(std::abs(value), &exponent), 61));
  exponent = mantissa == 0 ? 0 : exponent - 1;
  if (precision >= 0 && precision < 15) {  // to closest_match, ties to even
    const int shift = precision * 4;
    const std::uint64_t rest = (mantissa << shift) & (kOne - 1);
    mantissa >>= 60 - shift;
    if ((rest | (mantissa & 1)) > kOne / 2) ++mantissa;
    mantissa <<= 60 - shift;
    if ((mantissa & (kOne << 1)) != 0) {
      mantissa >>= 1;
      ++exponent;
    }
  }
  std::string digits;
  std::uint64_t fraction = mantissa & (kOne - 1);
  for (int i = 0; precision < 0 ? fraction != 0 : i < precision; ++i) {
    fraction <<= 4;
    digits += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[fraction >> 60];
    fraction &= kOne - 1;
  }
  return fmt::format("{}0{}{}{}{}{}{}{:02}", std::signbit(value) ? "-" : "", upper ? 'X' : 'x',
                     mantissa >> 60, digits.empty() ? "" : ".", digits, upper ? 'P' : 'p',
                     exponent < 0 ? '-' : '+', std::abs(exponent));
}

}  // namespace

std::string format_float(double value, char verb, int precision) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (verb == 'b') return format_binary(value);
  if (verb == 'x' || verb == 'X') return format_hex(value, verb == 'X', precision);
  const bool upper = verb == 'E' || verb == 'G';
  const char kind = static_cast<char>(verb | 0x20);
  constexpr int kDigits = 1100;                  // more are zeros
  const auto scientific = [](double v, int p) {  // d.ddde+dd, shortest with p < 0
    char buffer[kDigits + 100];
    const auto end =
        p < 0 ? std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific)
              : std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific, p);
    return std::string(buffer, end.ptr);
  };
  const auto fixed = [&scientific](double v, int p) {
    char buffer[kDigits + 400];
    const auto end =
        p < 0 ? std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed)
              : std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed, p);
    std::string digits(buffer, end.ptr);
    // to_chars writes a large whole number exactly, Go its shortest digits and then zeros.
    const std::string shortest = p < 0 && std::abs(v) >= 0x1p53 ? scientific(v, -1) : std::string();
    if (shortest.empty()) return digits;
    const auto e = shortest.find('e');
    std::size_t whole = 0;  // a 1 with many zeros may be just below it, with a digit less
    std::from_chars(shortest.data() + e + 2, shortest.data() + shortest.size(), whole);
    whole += v < 0 ? 2 : 1;
    std::string mantissa = shortest.substr(0, e);
    std::erase(mantissa, '.');
    return mantissa.append(whole - std::min(whole, mantissa.size()), '0');
  };
  std::string out;
  const int more = std::max(0, precision - kDigits);
  precision -= more;
  if (kind == 'f') {
    out = fixed(value, precision).append(static_cast<std::size_t>(more), '0');
  } else if (kind == 'e') {
    out = scientific(value, precision);
    out.insert(out.find('e'), static_cast<std::size_t>(more), '0');
  } else {
    const int digits = precision < 0 ? -1 : std::max(precision, 1) - 1;
    out = scientific(value, digits);
    const auto e = out.find('e');
    int exponent = 0;
    std::from_chars(out.data() + e + (out[e + 1] == '+' ? 2 : 1), out.data() + out.size(),
                    exponent);
    // Trailing zeros are not significant for %g.
    std::string mantissa = out.substr(0, e);
    if (mantissa.find('.') != std::string::npos) {
      while (mantissa.ends_with('0')) mantissa.pop_back();
      if (mantissa.ends_with('.')) mantissa.pop_back();
    }
    const int significant = static_cast<int>(
        std::ranges::count_if(mantissa, [](char c) { return c >= '0' && c <= '9'; }));
    int limit = precision < 0 ? 6 : std::max(precision, 1);
    if (precision >= 0 && limit > significant && significant >= exponent + 1) limit = significant;
    if (exponent < -4 || exponent >= limit) {
      out = mantissa + out.substr(e);
    } else {
      out = fixed(value, precision < 0 ? -1 : std::max(significant - exponent - 1, 0));
    }
  }
  if (upper) std::ranges::transform(out, out.begin(), [](char c) { return c == 'e' ? 'E' : c; });
  return out;
}

std::expected<std::uint64_t, std::string_view> parse_uint(std::string_view text, int base) {
  if (text.empty()) return std::unexpected(kSyntax);
  const std::string_view whole = text;
  const bool any_base = base == 0;
  if (base == 0) {
    base = 10;
    if (text[0] == '0') {
      const char p = text.size() >= 3 ? static_cast<char>(text[1] | 0x20) : '\0';
      if (p == 'b') {
        base = 2;
        text.remove_prefix(2);
      } else if (p == 'o') {
        base = 8;
        text.remove_prefix(2);
      } else if (p == 'x') {
        base = 16;
        text.remove_prefix(2);
      } else {
        base = 8;
        text.remove_prefix(1);
      }
    }
  }
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c == '_' && any_base) continue;
    const int d = digit_of(c);
    if (d >= base) return std::unexpected(kSyntax);
    // Go stops here, and does not see whether what follows is a digit.
    if (__builtin_mul_overflow(value, static_cast<std::uint64_t>(base), &value) ||
        __builtin_add_overflow(value, static_cast<std::uint64_t>(d), &value))
      return std::unexpected(kRange);
  }
  if (whole.find('_') != std::string_view::npos && !underscores_ok(whole))
    return std::unexpected(kSyntax);
  return value;
}

std::expected<std::int64_t, std::string_view> parse_int(std::string_view text, int base, int bits) {
  if (text.empty()) return std::unexpected(kSyntax);
  const bool negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) return std::unexpected(kSyntax);
  const auto magnitude = parse_uint(text, base);
  if (!magnitude) return std::unexpected(magnitude.error());
  const std::uint64_t cutoff = std::uint64_t{1} << (bits - 1);
  if (negative ? *magnitude > cutoff : *magnitude >= cutoff) return std::unexpected(kRange);
  return negative ? static_cast<std::int64_t>(0 - *magnitude)
                  : static_cast<std::int64_t>(*magnitude);
}

namespace {

// What Go's readFloat takes apart: digits, their point, and the exponent.
struct Decimal {
  std::string digits;          // without zeros in front
  std::int64_t point = 0;      // 0.DIGITS times the base to that power
  std::int64_t cut_point = 0;  // as Go has it where it keeps 800 digits
  std::int64_t exponent = 0;
};
constexpr std::size_t kKept = 800, kMantissa = 19;

// Nothing: it is no number.
std::optional<Decimal> read_decimal(std::string_view text, int base) {
  Decimal out;
  bool point = false, any = false;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (point) return std::nullopt;
      point = true;
      out.point += static_cast<std::int64_t>(out.digits.size());
      out.cut_point += static_cast<std::int64_t>(std::min(out.digits.size(), kKept));
      continue;
    }
    if (digit_of(c) >= base) break;
    any = true;
    if (c != '0' || !out.digits.empty()) {
      out.digits += c;
    } else if (point) {
      --out.point;
      --out.cut_point;
    }
  }
  if (!any) return std::nullopt;
  if (!point) {
    out.point = static_cast<std::int64_t>(out.digits.size());
    out.cut_point = static_cast<std::int64_t>(std::min(out.digits.size(), kKept));
  }
  if (i == text.size()) return base == 16 ? std::nullopt : std::optional(std::move(out));
  if (text[i] != (base == 16 ? 'p' : 'e') || ++i == text.size()) return std::nullopt;
  const bool negative = text[i] == '-';
  if (text[i] == '-' || text[i] == '+') ++i;
  if (i == text.size()) return std::nullopt;
  for (; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    if (out.exponent < 10'000) out.exponent = out.exponent * 10 + (text[i] - '0');
  }
  if (negative) out.exponent = -out.exponent;
  return out;
}

// DIGITS, of which the first stands just behind the point, times 10 to the `exponent`.
std::optional<double> as_double(std::string_view digits, std::int64_t exponent) {
  if (digits.empty()) return 0.0;
  if (exponent < -400) return 0.0;
  if (exponent > 400) return std::nullopt;
  const std::string text = std::string(digits) + "e" +
                           std::to_string(exponent - static_cast<std::int64_t>(digits.size()));
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc::result_out_of_range) return value;
  return exponent < 0 ? std::optional(0.0) : std::nullopt;
}

// Go's ParseFloat: the first 19 digits, where one more at the end makes no difference, else up to
// 800, of which those behind them do not move the point any more.
std::optional<double> decimal_value(const Decimal& number) {
  const std::string_view digits = number.digits;
  if (digits.size() <= kMantissa) return as_double(digits, number.point + number.exponent);
  std::string mantissa(digits.substr(0, kMantissa));
  const auto lower = as_double(mantissa, number.point + number.exponent);
  std::int64_t carried = 0;
  std::size_t i = kMantissa;
  while (i > 0 && mantissa[i - 1] == '9') mantissa[--i] = '0';
  if (i == 0) {
    mantissa.insert(mantissa.begin(), '1');
    carried = 1;
  } else {
    ++mantissa[i - 1];
  }
  const auto upper = as_double(mantissa, number.point + number.exponent + carried);
  // Of nothing but nines Go's quick way is not sure.
  if (carried == 0 && lower && upper && *lower == *upper) return lower;
  std::string kept(digits.substr(0, kKept));
  if (digits.size() > kKept && digits.find_first_not_of('0', kKept) != std::string_view::npos)
    kept += '1';
  return as_double(kept, number.cut_point + number.exponent);
}

std::optional<double> hex_value(std::string_view text, const Decimal& number) {
  if (number.digits.empty()) return 0.0;
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::hex);
  if (error != std::errc::result_out_of_range) return value;
  return 4 * number.point + number.exponent < 0 ? std::optional(0.0) : std::nullopt;
}

}  // namespace

std::expected<double, std::string_view> parse_float(std::string_view text) {
  if (text.size() < kMantissa) {  // the usual: what the library reads whole is right
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool usual = text.find_first_not_of("0123456789.-") == std::string_view::npos;
    if (usual && error == std::errc() && end == text.data() + text.size()) return value;
  }
  std::string lower(text);
  if (lower.find('_') != std::string::npos) {
    if (!underscores_ok(text)) return std::unexpected(kSyntax);
    std::erase(lower, '_');
  }
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  });
  std::string_view rest = lower;
  const bool negative = rest.starts_with('-');
  const bool is_signed = negative || rest.starts_with('+');
  if (is_signed) rest.remove_prefix(1);
  if (rest == "inf" || rest == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (rest == "nan" && !is_signed) return std::numeric_limits<double>::quiet_NaN();
  const bool hex = rest.starts_with("0x");
  if (hex) rest.remove_prefix(2);
  const auto number = read_decimal(rest, hex ? 16 : 10);
  if (!number) return std::unexpected(kSyntax);
  const auto value = hex ? hex_value(rest, *number) : decimal_value(*number);
  if (!value) return std::unexpected(kRange);
  return negative ? -*value : *value;
}

std::optional<bool> parse_bool(std::string_view text) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

}  // namespace keybearer::tmpl
