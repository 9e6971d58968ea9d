#include "tmpl/format.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tmpl/object.hpp"
#include "tmpl/strconv.hpp"
#include "tmpl/utf8.hpp"

namespace keybearer::tmpl {
namespace {

struct Flags {
  bool minus = false, plus = false, sharp = false, space = false, zero = false;
  bool plus_v = false, sharp_v = false;
  std::optional<int> width, precision;
};

class Printer {
 public:
  explicit Printer(std::string& out) : out_(out) {}

  void print(const Value& value, char32_t verb, int depth = 0);
  void format(std::string_view format, std::span<const Value> values);
  Flags flags;

 private:
  void pad(std::string_view text);
  void string(std::string_view text, char32_t verb, const Value& whole);
  void integer(std::uint64_t magnitude, bool negative, char32_t verb, const Value& whole,
               bool is_signed);
  void digits(std::uint64_t magnitude, bool negative, unsigned base, bool upper, char32_t verb);
  void floating(double value, char32_t verb, const Value& whole);
  void hex(std::string_view text, bool upper);
  void bad(char32_t verb, const Value& value);
  void list(const Value& value, char32_t verb, int depth);
  void map(const Value& value, char32_t verb, int depth);
  bool number_in(std::string_view format, std::size_t& i, std::optional<int>& number);
  bool argument_number(std::string_view format, std::size_t& i, std::size_t count);

  std::string& out_;
  std::size_t argument_ = 0;
  bool reordered_ = false, good_argument_ = true;
};

void Printer::pad(std::string_view text) {
  const int width = flags.width.value_or(0);
  const auto runes = static_cast<int>(count_runes(text));
  const auto fill = static_cast<std::size_t>(std::max(0, width - runes));
  if (flags.minus) {
    out_ += text;
    out_.append(fill, ' ');
  } else {
    out_.append(fill, flags.zero ? '0' : ' ');
    out_ += text;
  }
}

void Printer::bad(char32_t verb, const Value& value) {
  out_ += "%!";
  append_rune(out_, verb);
  out_ += '(';
  if (value.is_nil()) {
    out_ += "<nil>";
  } else {
    out_ += type_name(value);
    out_ += '=';
    const Flags kept = std::exchange(flags, {});
    print(value, 'v', 0);
    flags = kept;
  }
  out_ += ')';
}

void Printer::hex(std::string_view text, bool upper) {
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  if (flags.precision) text = text.substr(0, static_cast<std::size_t>(*flags.precision));
  std::string hex;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (flags.space && i > 0) hex += ' ';
    if (flags.sharp && (flags.space || i == 0)) hex += upper ? "0X" : "0x";
    hex += digits[static_cast<unsigned char>(text[i]) >> 4];
    hex += digits[static_cast<unsigned char>(text[i]) & 15];
  }
  pad(hex);
}

void Printer::string(std::string_view text, char32_t verb, const Value& whole) {
  const auto cut = [this](std::string_view t) {
    if (!flags.precision) return t;
    std::size_t bytes = 0;
    for (int n = 0; n < *flags.precision && bytes < t.size(); ++n)
      bytes += decode_rune(t.substr(bytes)).width;
    return t.substr(0, bytes);
  };
  switch (verb) {
    case 'v':
      if (flags.sharp_v) {
        pad(quote(cut(text)));
        return;
      }
      [[fallthrough]];
    case 's':
      pad(cut(text));
      break;
    case 'x':
      hex(text, false);
      break;
    case 'X':
      hex(text, true);
      break;
    case 'q': {
      text = cut(text);
      const bool backquotable =
          flags.sharp && text.find('`') == std::string_view::npos &&
          std::ranges::none_of(text, [](char c) {
            return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
          });
      pad(backquotable ? "`" + std::string(text) + "`" : quote(text, flags.plus));
      break;
    }
    default:
      bad(verb, whole);
  }
}

void Printer::digits(std::uint64_t u, bool negative, unsigned base, bool upper, char32_t verb) {
  std::string digits;
  int precision = 0;
  if (flags.precision) {
    precision = *flags.precision;
    if (precision == 0 && u == 0) {
      const bool zero = std::exchange(flags.zero, false);
      pad("");
      flags.zero = zero;
      return;
    }
  } else if (flags.zero && !flags.minus && flags.width) {
    precision = *flags.width - (negative || flags.plus || flags.space ? 1 : 0);
  }
  const char* alphabet = upper ? "0123456789ABCDEFX" : "0123456789abcdefx";
  do {
    digits += alphabet[u % base];
    u /= base;
  } while (u != 0);
  while (static_cast<int>(digits.size()) < precision) digits += '0';
  if (flags.sharp) {
    if (base == 2) digits += "b0";
    if (base == 8 && digits.back() != '0') digits += '0';
    if (base == 16) digits += {alphabet[16], '0'};
  }
  if (verb == 'O') digits += "o0";
  if (negative)
    digits += '-';
  else if (flags.plus)
    digits += '+';
  else if (flags.space)
    digits += ' ';
  std::ranges::reverse(digits);
  const bool zero = std::exchange(flags.zero, false);
  pad(digits);
  flags.zero = zero;
}

void Printer::integer(std::uint64_t magnitude, bool negative, char32_t verb, const Value& whole,
                      bool is_signed) {
  switch (verb) {
    case 'v':
      if (flags.sharp_v && !is_signed) {
        const bool sharp = std::exchange(flags.sharp, true);
        digits(magnitude, negative, 16, false, verb);
        flags.sharp = sharp;
        break;
      }
      [[fallthrough]];
    case 'd':
      digits(magnitude, negative, 10, false, verb);
      break;
    case 'b':
      digits(magnitude, negative, 2, false, verb);
      break;
    case 'o':
    case 'O':
      digits(magnitude, negative, 8, false, verb);
      break;
    case 'x':
      digits(magnitude, negative, 16, false, verb);
      break;
    case 'X':
      digits(magnitude, negative, 16, true, verb);
      break;
    case 'c': {
      std::string rune;
      append_rune(
          rune, negative || magnitude > 0x10FFFF ? kReplacement : static_cast<char32_t>(magnitude));
      pad(rune);
      break;
    }
    case 'q':
      pad(quote_rune(
          negative || magnitude > 0x10FFFF ? kReplacement : static_cast<char32_t>(magnitude),
          flags.plus));
      break;
    case 'U': {
      std::string text;
      std::uint64_t u = negative ? 0 - magnitude : magnitude;
      do {
        text += "0123456789ABCDEF"[u % 16];
        u /= 16;
      } while (u != 0);
      while (static_cast<int>(text.size()) < std::max(4, flags.precision.value_or(4))) text += '0';
      std::ranges::reverse(text);
      text.insert(0, "U+");
      if (flags.sharp && magnitude <= 0x10FFFF && !negative &&
          is_print(static_cast<char32_t>(magnitude))) {
        text += " '";
        append_rune(text, static_cast<char32_t>(magnitude));
        text += "'";
      }
      const bool zero = std::exchange(flags.zero, false);
      pad(text);
      flags.zero = zero;
      break;
    }
    default:
      bad(verb, whole);
  }
}

void Printer::floating(double value, char32_t verb, const Value& whole) {
  char kind = 'g';
  int precision = -1;
  switch (verb) {
    case 'v':
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
      kind = verb == 'F' ? 'f' : static_cast<char>(verb);
      precision = 6;
      break;
    case 'g':
    case 'G':
      kind = static_cast<char>(verb);
      break;
    default:
      return bad(verb, whole);
  }
  if (flags.precision) precision = *flags.precision;
  std::string text = format_float(value, kind, precision);
  if (text[0] != '-' && text[0] != '+') text.insert(0, "+");
  if (flags.space && text[0] == '+' && !flags.plus) text[0] = ' ';
  const bool special = text[1] == 'I' || text[1] == 'N';
  const bool zero = flags.zero;
  if (special) flags.zero = false;
  if (flags.sharp && !special) {
    // %#g keeps trailing zeros and the point.
    const auto e = std::min(text.find_first_of("eE"), text.size());
    std::string tail = text.substr(e);
    std::string mantissa = text.substr(0, e);
    int wanted = kind == 'g' || kind == 'G' ? (precision < 0 ? 6 : std::max(precision, 1)) : 0;
    const auto first = mantissa.find_first_of("123456789");
    int significant = 0;
    for (std::size_t i = first == std::string::npos ? mantissa.size() - 1 : first;
         i < mantissa.size(); ++i)
      significant += mantissa[i] != '.';
    if (mantissa.find('.') == std::string::npos) mantissa += '.';
    while (significant++ < wanted) mantissa += '0';
    text = mantissa + tail;
  }
  if (flags.plus || text[0] != '+') {
    if (flags.zero && !flags.minus && flags.width && *flags.width > static_cast<int>(text.size())) {
      out_ += text[0];
      out_.append(static_cast<std::size_t>(*flags.width) - text.size(), '0');
      out_ += text.substr(1);
    } else {
      pad(text);
    }
  } else {
    pad(text.substr(1));
  }
  flags.zero = zero;
}

void Printer::list(const Value& value, char32_t verb, int depth) {
  if (flags.sharp_v && value.is_nil_of()) {
    out_ += type_name(value) + "(nil)";
    return;
  }
  if (flags.sharp_v) {
    out_ += type_name(value) + "{";
    for (std::size_t i = 0; i < value.items().size(); ++i) {
      if (i > 0) out_ += ", ";
      print(value.items()[i], verb, depth + 1);
    }
    out_ += '}';
    return;
  }
  out_ += '[';
  for (std::size_t i = 0; i < value.items().size(); ++i) {
    if (i > 0) out_ += ' ';
    print(value.items()[i], verb, depth + 1);
  }
  out_ += ']';
}

void Printer::map(const Value& value, char32_t verb, int depth) {
  if (flags.sharp_v && value.is_nil_of()) {
    out_ += type_name(value) + "(nil)";
    return;
  }
  out_ += flags.sharp_v ? type_name(value) + "{" : std::string("map[");
  bool first = true;
  for (const auto& [key, member] : value.entries()) {
    if (!first) out_ += flags.sharp_v ? ", " : " ";
    first = false;
    print(key, verb, depth + 1);
    out_ += ':';
    print(member, verb, depth + 1);
  }
  out_ += flags.sharp_v ? '}' : ']';
}

void Printer::print(const Value& value, char32_t verb, int depth) {
  if (verb == 'T') {
    string(type_name(value), 's', value);
    return;
  }
  switch (value.type()) {
    case Type::nil:
      if (depth > 0) {
        if (flags.sharp_v)
          out_ += "interface {}(nil)";
        else
          out_ += "<nil>";
      } else if (verb == 'v') {
        pad("<nil>");
      } else {
        bad(verb, value);
      }
      break;
    case Type::boolean:
      if (verb == 't' || verb == 'v')
        pad(value.as_bool() ? "true" : "false");
      else
        bad(verb, value);
      break;
    case Type::integer:
    case Type::int64: {
      const std::int64_t i = value.as_int();
      integer(i < 0 ? 0 - static_cast<std::uint64_t>(i) : static_cast<std::uint64_t>(i), i < 0,
              verb, value, true);
      break;
    }
    case Type::uint64:
    case Type::byte:
      integer(value.as_uint(), false, verb, value, false);
      break;
    case Type::float64:
      floating(value.as_double(), verb, value);
      break;
    case Type::complex128: {
      if (std::u32string_view(U"vbgGxXfFeE").find(verb) == std::u32string_view::npos) {
        bad(verb, value);
        break;
      }
      const auto [re, im] = value.as_complex();
      out_ += '(';
      floating(re, verb, value);
      const bool plus = std::exchange(flags.plus, true);
      floating(im, verb, value);
      flags.plus = plus;
      out_ += "i)";
      break;
    }
    case Type::number:
    case Type::string:
      string(value.as_text(), verb, value);
      break;
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists:
      list(value, verb, depth);
      break;
    case Type::map:
    case Type::string_map:
    case Type::any_map:
      map(value, verb, depth);
      break;
    case Type::object: {
      const Struct* object = as_struct(value);
      std::string text;
      if (object == nullptr || object->is_nil()) {
        pad("<nil>");
        break;
      }
      const auto number = object->number();
      const bool as_text = std::u32string_view(U"vsxXq").find(verb) != std::u32string_view::npos;
      if (number && (flags.sharp_v || !as_text)) return print(*number, verb, depth);
      object->print(text);
      if (object->method("String") != nullptr && as_text && !flags.sharp_v)
        string(text, verb, value);
      else
        pad(text);
      break;
    }
  }
}

// A number in the format, or '*' from the arguments.
bool Printer::number_in(std::string_view format, std::size_t& i, std::optional<int>& number) {
  const std::size_t begin = i;
  int value = 0;
  while (i < format.size() && format[i] >= '0' && format[i] <= '9') {
    value = value * 10 + (format[i] - '0');
    if (value > 1'000'000) {
      number.reset();
      while (i < format.size() && format[i] >= '0' && format[i] <= '9') ++i;
      return true;
    }
    ++i;
  }
  if (i == begin) return false;
  number = value;
  return true;
}

// "[3]" before a verb, width or precision.
bool Printer::argument_number(std::string_view format, std::size_t& i, std::size_t count) {
  if (i >= format.size() || format[i] != '[') return false;
  reordered_ = true;
  const auto close = format.find(']', i);
  if (close == std::string_view::npos) {
    good_argument_ = false;
    ++i;
    return false;
  }
  const auto number = parse_uint(format.substr(i + 1, close - i - 1), 10);
  i = close + 1;
  if (!number || *number < 1 || *number > count) {
    good_argument_ = false;
    return false;
  }
  argument_ = static_cast<std::size_t>(*number) - 1;
  return true;
}

void Printer::format(std::string_view format, std::span<const Value> values) {
  bool after_index = false;
  for (std::size_t i = 0; i < format.size();) {
    good_argument_ = true;
    const auto percent = std::min(format.find('%', i), format.size());
    out_ += format.substr(i, percent - i);
    i = percent;
    if (i >= format.size()) break;
    ++i;
    flags = {};
    for (; i < format.size(); ++i) {
      const char c = format[i];
      if (c == '#')
        flags.sharp = true;
      else if (c == '0')
        flags.zero = true;
      else if (c == '+')
        flags.plus = true;
      else if (c == '-')
        flags.minus = true;
      else if (c == ' ')
        flags.space = true;
      else
        break;
    }
    after_index = argument_number(format, i, values.size());
    const auto star = [&](std::optional<int>& number, bool is_width) {
      ++i;
      const bool is_int = argument_ < values.size() && values[argument_].type() == Type::integer;
      const bool wide =
          argument_ < values.size() && (is_int || values[argument_].type() == Type::int64 ||
                                        values[argument_].type() == Type::uint64);
      if (wide && std::llabs(values[argument_].as_int()) <= 1'000'000) {
        number = static_cast<int>(values[argument_].as_int());
      } else {
        out_ += is_width ? "%!(BADWIDTH)" : "%!(BADPREC)";
      }
      if (argument_ < values.size()) ++argument_;
      after_index = false;
    };
    if (i < format.size() && format[i] == '*') {
      star(flags.width, true);
      if (flags.width && *flags.width < 0) {
        flags.width = -*flags.width;
        flags.minus = true;
        flags.zero = false;
      }
    } else if (number_in(format, i, flags.width) && after_index) {
      good_argument_ = false;  // "%[3]2d"
    }
    if (i + 1 <= format.size() && i < format.size() && format[i] == '.') {
      ++i;
      if (after_index) good_argument_ = false;  // "%[3].2d"
      after_index = argument_number(format, i, values.size());
      if (i < format.size() && format[i] == '*') {
        star(flags.precision, false);
        if (flags.precision && *flags.precision < 0) {
          flags.precision.reset();
          out_ += "%!(BADPREC)";
        }
      } else if (!number_in(format, i, flags.precision)) {
        flags.precision = 0;
      }
    }
    if (!after_index) after_index = argument_number(format, i, values.size());
    if (i >= format.size()) {
      out_ += "%!(NOVERB)";
      break;
    }
    const Rune verb = decode_rune(format.substr(i));
    i += verb.width;
    if (flags.minus) flags.zero = false;
    if (verb.code == '%') {
      out_ += '%';
    } else if (!good_argument_) {
      out_ += "%!";
      append_rune(out_, verb.code);
      out_ += "(BADINDEX)";
    } else if (argument_ >= values.size()) {
      out_ += "%!";
      append_rune(out_, verb.code);
      out_ += "(MISSING)";
    } else {
      if (verb.code == 'v') {
        flags.sharp_v = std::exchange(flags.sharp, false);
        flags.plus_v = std::exchange(flags.plus, false);
      }
      print(values[argument_], verb.code);
      ++argument_;
    }
  }
  if (!reordered_ && argument_ < values.size()) {
    flags = {};
    out_ += "%!(EXTRA ";
    for (std::size_t a = argument_; a < values.size(); ++a) {
      if (a > argument_) out_ += ", ";
      if (values[a].is_nil()) {
        out_ += "<nil>";
      } else {
        out_ += type_name(values[a]) + "=";
        print(values[a], 'v');
      }
    }
    out_ += ')';
  }
}

}  // namespace

std::string type_name(const Value& value) {
  switch (value.type()) {
    case Type::nil:
      return "<nil>";
    case Type::boolean:
      return "bool";
    case Type::integer:
      return "int";
    case Type::int64:
      return "int64";
    case Type::uint64:
      return "uint64";
    case Type::byte:
      return "uint8";
    case Type::float64:
      return "float64";
    case Type::complex128:
      return "complex128";
    case Type::number:
      return "json.Number";
    case Type::string:
      return "string";
    case Type::list:
      return "[]interface {}";
    case Type::strings:
      return "[]string";
    case Type::ints:
      return "[]int";
    case Type::lists:
      return "[][]interface {}";
    case Type::map:
      return "map[string]interface {}";
    case Type::string_map:
      return "map[string]string";
    case Type::any_map:
      return "map[interface {}]interface {}";
    case Type::object:
      return std::string(value.as_object()->type_name());
  }
  return {};
}

void append_value(std::string& out, const Value& value) {
  if (value.is_text()) {
    out += value.as_text();
    return;
  }
  Printer(out).print(value, 'v');
}

std::string sprint(std::span<const Value> values) {
  std::string out;
  bool was_text = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool text = values[i].is_text();
    if (i > 0 && !text && !was_text) out += ' ';
    append_value(out, values[i]);
    was_text = text;
  }
  return out;
}

std::string sprintln(std::span<const Value> values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ' ';
    append_value(out, values[i]);
  }
  return out + '\n';
}

std::string sprintf(std::string_view format, std::span<const Value> values) {
  std::string out;
  Printer(out).format(format, values);
  return out;
}

}  // namespace keybearer::tmpl
