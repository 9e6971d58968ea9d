#include "tmpl/go/printer.hpp"

#include <algorithm>
#include <cmath>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

bool is_one_of(char32_t verb, std::u32string_view verbs) {
  return verbs.find(verb) != std::u32string_view::npos;
}

}  // namespace

void Printer::pad(std::string_view text) {
  if (!flags_.width) {
    out_ += text;
    return;
  }
  const int blanks = *flags_.width - static_cast<int>(count_runes(text));
  if (!flags_.minus) fill(blanks);
  out_ += text;
  if (flags_.minus) fill(blanks);
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
    const bool outer = std::exchange(erroring_, true);
    argument(value, 'v');
    erroring_ = outer;
  }
  out_ += ')';
}

void Printer::boolean(const Value& value, char32_t verb) {
  if (verb == 't' || verb == 'v')
    pad(value.as_bool() ? "true" : "false");
  else
    bad(verb, value);
}

void Printer::hex(std::string_view text, bool upper) {
  const char* alphabet = upper ? "0123456789ABCDEFX" : "0123456789abcdefx";
  if (flags_.precision) text = text.substr(0, static_cast<std::size_t>(*flags_.precision));
  std::string hex;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (flags_.space && i > 0) hex += ' ';
    if (flags_.sharp && (flags_.space || i == 0)) hex += {'0', alphabet[16]};
    hex += alphabet[static_cast<unsigned char>(text[i]) >> 4];
    hex += alphabet[static_cast<unsigned char>(text[i]) & 15];
  }
  pad(hex);
}

void Printer::string(std::string_view text, char32_t verb, const Value& whole) {
  if (verb == 'v') verb = flags_.sharp_v ? 'q' : 's';
  if (flags_.precision && (verb == 's' || verb == 'q')) {
    std::size_t bytes = 0;
    for (int n = 0; n < *flags_.precision && bytes < text.size(); ++n)
      bytes += decode_rune(text.substr(bytes)).width;
    text = text.substr(0, bytes);
  }
  switch (verb) {
    case 's':
      pad(text);
      break;
    case 'x':
      hex(text, false);
      break;
    case 'X':
      hex(text, true);
      break;
    case 'q':
      if (flags_.sharp && can_backquote(text))
        pad("`" + std::string(text) + "`");
      else if (flags_.width)
        pad(quote(text, flags_.plus));
      else
        append_quoted(out_, text, flags_.plus);
      break;
    default:
      bad(verb, whole);
  }
}

void Printer::digits(std::uint64_t u, bool negative, unsigned base, bool upper, char32_t verb) {
  std::string digits;
  int precision = 0;
  if (flags_.precision) {
    precision = *flags_.precision;
    if (precision == 0 && u == 0) return pad_blank("");
  } else if (flags_.zero && !flags_.minus && flags_.width) {
    precision = *flags_.width - (negative || flags_.plus || flags_.space ? 1 : 0);
  }
  const char* alphabet = upper ? "0123456789ABCDEFX" : "0123456789abcdefx";
  do {
    digits += alphabet[u % base];
    u /= base;
  } while (u != 0);
  if (precision > static_cast<int>(digits.size()))
    digits.append(static_cast<std::size_t>(precision) - digits.size(), '0');
  if (flags_.sharp) {
    if (base == 2) digits += "b0";
    if (base == 8 && digits.back() != '0') digits += '0';
    if (base == 16) digits += {alphabet[16], '0'};
  }
  if (verb == 'O') digits += "o0";
  if (negative)
    digits += '-';
  else if (flags_.plus)
    digits += '+';
  else if (flags_.space)
    digits += ' ';
  std::ranges::reverse(digits);
  pad_blank(digits);
}

void Printer::unicode(std::uint64_t code) {
  std::string text;
  const int least = std::max(4, flags_.precision.value_or(4));
  const std::uint64_t whole = code;
  do {
    text += "0123456789ABCDEF"[code % 16];
    code /= 16;
  } while (code != 0);
  while (static_cast<int>(text.size()) < least) text += '0';
  std::ranges::reverse(text);
  text.insert(0, "U+");
  if (flags_.sharp && whole <= 0x10FFFF && is_print(static_cast<char32_t>(whole))) {
    text += " '";
    append_rune(text, static_cast<char32_t>(whole));
    text += "'";
  }
  pad_blank(text);
}

void Printer::integer(std::uint64_t magnitude, bool negative, char32_t verb, const Value& whole,
                      bool is_signed) {
  const std::uint64_t raw = negative ? 0 - magnitude : magnitude;
  const char32_t rune = raw > 0x10FFFF ? kReplacement : static_cast<char32_t>(raw);
  switch (verb) {
    case 'v':
      if (flags_.sharp_v && !is_signed) {
        const bool sharp = std::exchange(flags_.sharp, true);
        digits(magnitude, negative, 16, false, verb);
        flags_.sharp = sharp;
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
      std::string text;
      append_rune(text, rune);
      pad(text);
      break;
    }
    case 'q':
      pad(quote_rune(rune, flags_.plus));
      break;
    case 'U':
      unicode(raw);
      break;
    default:
      bad(verb, whole);
  }
}

namespace {

// %#g keeps the point and trailing zeros, up to `wanted` digits.
std::string with_point(std::string_view number, int wanted, bool is_hex) {
  const auto end = std::min(number.find_first_of(is_hex ? "pP" : "eEpP"), number.size());
  std::string out(number.substr(0, end));
  bool significant = false;
  for (const char c : std::string_view(out).substr(1)) {
    if (c == '.') continue;
    significant = significant || c != '0';
    if (significant) --wanted;
  }
  if (out.find('.') == std::string::npos) {
    if (out.size() == 2 && out[1] == '0') --wanted;
    out += '.';
  }
  if (wanted > 0) out.append(static_cast<std::size_t>(wanted), '0');
  return out.append(number.substr(end));
}

}  // namespace

void Printer::floating(double value, char32_t verb, const Value& whole) {
  if (!is_one_of(verb, U"vbgGxXfFeE")) return bad(verb, whole);
  const char kind = verb == 'v' ? 'g' : verb == 'F' ? 'f' : static_cast<char>(verb);
  const int precision = flags_.precision.value_or(is_one_of(verb, U"feEF") ? 6 : -1);
  std::string text = format_float(value, kind, precision);
  if (text[0] != '-' && text[0] != '+') text.insert(0, "+");
  if (flags_.space && text[0] == '+' && !flags_.plus) text[0] = ' ';
  if (text[1] == 'I' || text[1] == 'N') {
    if (text[1] == 'N' && !flags_.space && !flags_.plus) text.erase(0, 1);
    return pad_blank(text);
  }
  if (flags_.sharp && kind != 'b') {
    const bool counts = kind == 'g' || kind == 'G' || kind == 'x';
    text = with_point(text,
                      !counts         ? 0
                      : precision < 0 ? 6
                                      : precision,
                      kind == 'x' || kind == 'X');
  }
  if (!flags_.plus && text[0] == '+') return pad(std::string_view(text).substr(1));
  const auto size = static_cast<int>(text.size());
  if (flags_.zero && !flags_.minus && flags_.width.value_or(0) > size) {
    out_ += text[0];
    fill(*flags_.width - size);
    out_ += std::string_view(text).substr(1);
  } else {
    pad(text);
  }
}

void Printer::complex(const Value& value, char32_t verb) {
  if (!is_one_of(verb, U"vbgGxXfFeE")) return bad(verb, value);
  const auto [re, im] = value.as_complex();
  out_ += '(';
  floating(re, verb, value);
  const bool plus = std::exchange(flags_.plus, true);
  floating(im, verb, value);
  flags_.plus = plus;
  out_ += "i)";
}

void Printer::list(const Value& list, char32_t verb, int depth) {
  if (flags_.sharp_v) {
    out_ += type_name(list);
    if (list.is_nil_of()) {
      out_ += "(nil)";
      return;
    }
  }
  out_ += flags_.sharp_v ? '{' : '[';
  for (const Value& item : list.items()) {
    between(&item == list.items().data());
    value(item, verb, depth + 1);
  }
  out_ += flags_.sharp_v ? '}' : ']';
}

void Printer::map(const Value& map, char32_t verb, int depth) {
  if (flags_.sharp_v) {
    out_ += type_name(map);
    if (map.is_nil_of()) {
      out_ += "(nil)";
      return;
    }
    out_ += '{';
  } else {
    out_ += "map[";
  }
  bool first = true;
  for (const auto& [key, member] : map.entries()) {
    between(std::exchange(first, false));
    value(key, verb, depth + 1);
    out_ += ':';
    value(member, verb, depth + 1);
  }
  out_ += flags_.sharp_v ? '}' : ']';
}

// Stringer and GoStringer.
bool Printer::by_method(const Struct& object, char32_t verb, const Value& whole) {
  if (erroring_) return false;
  if (flags_.sharp_v) {
    const auto text = object.go_string();
    if (text) string(*text, 's', whole);
    return text.has_value();
  }
  if (!is_one_of(verb, U"vsxXq") || object.method("String") == nullptr) return false;
  if (object.is_nil()) {
    out_ += "<nil>";
  } else {
    std::string text;
    object.print(text);
    string(text, verb, whole);
  }
  return true;
}

void Printer::pointer(const Struct& object, char32_t verb, const Value& whole) {
  // Go prints an address, which differs in each run: so do we not.
  const std::uint64_t address = object.is_nil() ? 0 : 0xC000000000;
  const auto print_address = [&](bool sharp) {
    const bool outer = std::exchange(flags_.sharp, sharp);
    digits(address, false, 16, false, 'v');
    flags_.sharp = outer;
  };
  switch (verb) {
    case 'v':
      if (flags_.sharp_v) {
        out_ += "(" + std::string(object.type_name()) + ")(";
        if (address == 0)
          out_ += "nil";
        else
          print_address(true);
        out_ += ')';
      } else if (address == 0) {
        pad("<nil>");
      } else {
        print_address(!flags_.sharp);
      }
      break;
    case 'p':
      print_address(!flags_.sharp);
      break;
    case 'b':
    case 'o':
    case 'd':
    case 'x':
    case 'X':
      integer(address, false, verb, whole, false);
      break;
    default:
      bad(verb, whole);
  }
}

void Printer::structure(const Struct& object, char32_t verb, int depth) {
  const auto fields = object.all_fields();
  if (fields.empty()) return object.print(out_);
  std::string_view type = object.type_name();
  if (type.starts_with('*')) type.remove_prefix(1);
  if (flags_.sharp_v) out_ += type;
  out_ += '{';
  for (const Struct::Field& field : fields) {
    between(&field == fields.data());
    if (flags_.plus_v || flags_.sharp_v) {
      out_ += field.name;
      out_ += ':';
    }
    value(field.value, verb, depth + 1);
  }
  out_ += '}';
}

void Printer::object(const Value& value, char32_t verb, int depth) {
  const Struct& object = *as_struct(value);
  if (by_method(object, verb, value)) return;
  if (const auto number = object.number()) {
    const std::int64_t i = number->as_int();
    return integer(i < 0 ? 0 - static_cast<std::uint64_t>(i) : static_cast<std::uint64_t>(i), i < 0,
                   verb, value, true);
  }
  const bool points = is_pointer(object);
  if (object.is_channel() || (points && (depth > 0 || object.is_nil())))
    return pointer(object, verb, value);
  if (points) out_ += '&';
  structure(object, verb, points ? depth + 1 : depth);
}

void Printer::pointee(const Value& value) {
  if (!by_method(*as_struct(value), 'v', value)) structure(*as_struct(value), 'v', 0);
}

void Printer::argument(const Value& value, char32_t verb) {
  if (verb == 'T' && value.is_nil()) return pad("<nil>");
  if (verb == 'T') return string(type_name(value), 's', value);
  const Struct* object = as_struct(value);
  const bool points = object != nullptr && (is_pointer(*object) || object->is_channel());
  if (verb == 'w' || (verb == 'p' && !points)) return bad(verb, value);
  if (value.is_nil()) {
    if (verb == 'v')
      pad("<nil>");
    else
      bad(verb, value);
    return;
  }
  this->value(value, verb, 0);
}

void Printer::value(const Value& value, char32_t verb, int depth) {
  check_size(out_);
  check_depth(depth, "to be printed");
  spend(10);
  switch (value.type()) {
    case Type::nil:
      out_ += flags_.sharp_v ? "interface {}(nil)" : "<nil>";
      break;
    case Type::boolean:
      boolean(value, verb);
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
    case Type::complex128:
      complex(value, verb);
      break;
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
    case Type::object:
      object(value, verb, depth);
      break;
  }
}

}  // namespace keybearer::tmpl
