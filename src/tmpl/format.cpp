#include "tmpl/format.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/strconv.hpp"
#include "tmpl/utf8.hpp"

namespace keybearer::tmpl {
namespace {

struct Flags {
  bool minus = false, plus = false, sharp = false, space = false, zero = false;
  bool plus_v = false, sharp_v = false;  // of %+v and %#v
  std::optional<int> width, precision;
};

constexpr int kLargest = 1'000'000;  // width and precision beyond this are no numbers

bool is_one_of(char32_t verb, std::u32string_view verbs) {
  return verbs.find(verb) != std::u32string_view::npos;
}

// fmt.pp and fmt.fmt in one: a value with a verb and flags, appended to a text.
class Printer {
 public:
  explicit Printer(std::string& out) : out_(out) {}

  void argument(const Value& value, char32_t verb);  // fmt.pp.printArg
  void pointee(const Value& value);                  // %v of what it points to
  void format(std::string_view format, std::span<const Value> values);

 private:
  void value(const Value& value, char32_t verb, int depth);  // fmt.pp.printValue
  void boolean(const Value& value, char32_t verb);
  void string(std::string_view text, char32_t verb, const Value& whole);
  void integer(std::uint64_t magnitude, bool negative, char32_t verb, const Value& whole,
               bool is_signed);
  void digits(std::uint64_t magnitude, bool negative, unsigned base, bool upper, char32_t verb);
  void unicode(std::uint64_t code);
  void floating(double value, char32_t verb, const Value& whole);
  void complex(const Value& value, char32_t verb);
  void list(const Value& value, char32_t verb, int depth);
  void map(const Value& value, char32_t verb, int depth);
  void object(const Value& value, char32_t verb, int depth);
  bool by_method(const Struct& object, char32_t verb, const Value& whole);
  void structure(const Struct& object, char32_t verb, int depth);
  void pointer(const Struct& object, char32_t verb, const Value& whole);
  void hex(std::string_view text, bool upper);
  void bad(char32_t verb, const Value& value);
  void between(bool first) {
    if (!first) out_ += flags_.sharp_v ? ", " : " ";
  }

  void fill(int count) {
    if (count > 0)
      out_.append(static_cast<std::size_t>(count), flags_.zero && !flags_.minus ? '0' : ' ');
  }
  void pad(std::string_view text);
  // Without zeros, which were put among the digits already.
  void pad_blank(std::string_view text) {
    const bool zero = std::exchange(flags_.zero, false);
    pad(text);
    flags_.zero = zero;
  }

  void extra(std::span<const Value> values);
  void width(std::string_view format, std::size_t& i, std::span<const Value> values);
  void precision(std::string_view format, std::size_t& i, std::span<const Value> values);
  std::optional<int> star(std::span<const Value> values);
  void argument_number(std::string_view format, std::size_t& i, std::size_t count);

  std::string& out_;
  Flags flags_;
  std::size_t next_ = 0;   // argument
  bool erroring_ = false;  // inside %!v(...)
  bool reordered_ = false, good_number_ = true, after_number_ = false;
};

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
    if (text) pad(*text);
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
  if (verb == 'T') return string(type_name(value), 's', value);
  if (verb == 'p' && value.type() != Type::object) return bad(verb, value);
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

// --- formats: fmt.pp.doPrintf ---

// A number in the format; one that is too large eats the rest (fmt.parsenum).
std::optional<int> number_in(std::string_view format, std::size_t& i) {
  int number = 0;
  const std::size_t begin = i;
  for (; i < format.size() && format[i] >= '0' && format[i] <= '9'; ++i) {
    if (number > kLargest) {
      i = format.size();
      return std::nullopt;
    }
    number = number * 10 + (format[i] - '0');
  }
  return i == begin ? std::nullopt : std::optional(number);
}

// "[3]" before a verb, width or precision (fmt.pp.argNumber).
void Printer::argument_number(std::string_view format, std::size_t& i, std::size_t count) {
  after_number_ = false;
  if (i >= format.size() || format[i] != '[') return;
  reordered_ = true;
  const auto close = format.find(']', i + 1);
  if (close == std::string_view::npos || format.size() - i < 3) {
    good_number_ = false;
    ++i;
    return;
  }
  const std::string_view inside = format.substr(i + 1, close - i - 1);
  std::size_t read = 0;
  const auto number = number_in(inside, read);
  i = close + 1;
  after_number_ = number && read == inside.size();
  if (after_number_ && *number >= 1 && static_cast<std::size_t>(*number) <= count)
    next_ = static_cast<std::size_t>(*number) - 1;
  else
    good_number_ = false;
}

// '*': the number is the next argument.
std::optional<int> Printer::star(std::span<const Value> values) {
  after_number_ = false;
  if (next_ >= values.size()) return std::nullopt;
  const Value value = plain(values[next_++]);
  switch (value.type()) {
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::byte:
      break;
    default:
      return std::nullopt;
  }
  const std::int64_t number = value.as_int();
  if (number > kLargest || number < -kLargest) return std::nullopt;
  return static_cast<int>(number);
}

void Printer::width(std::string_view format, std::size_t& i, std::span<const Value> values) {
  if (i >= format.size() || format[i] != '*') {
    flags_.width = number_in(format, i);
    if (after_number_ && flags_.width) good_number_ = false;  // "%[3]2d"
    return;
  }
  ++i;
  flags_.width = star(values);
  if (!flags_.width) out_ += "%!(BADWIDTH)";
  if (flags_.width.value_or(0) < 0) {
    flags_.width = -*flags_.width;
    flags_.minus = true;
    flags_.zero = false;
  }
}

void Printer::precision(std::string_view format, std::size_t& i, std::span<const Value> values) {
  if (i >= format.size() || format[i] != '.') return;
  ++i;
  if (after_number_) good_number_ = false;  // "%[3].2d"
  argument_number(format, i, values.size());
  if (i >= format.size() || format[i] != '*') {
    flags_.precision = number_in(format, i).value_or(0);
    return;
  }
  ++i;
  flags_.precision = star(values);
  if (flags_.precision.value_or(0) < 0) flags_.precision.reset();
  if (!flags_.precision) out_ += "%!(BADPREC)";
}

void Printer::extra(std::span<const Value> values) {
  flags_ = {};
  out_ += "%!(EXTRA ";
  for (const Value& value : values) {
    if (&value != values.data()) out_ += ", ";
    if (value.is_nil()) {
      out_ += "<nil>";
    } else {
      out_ += type_name(value);
      out_ += '=';
      argument(value, 'v');
    }
  }
  out_ += ')';
}

void Printer::format(std::string_view format, std::span<const Value> values) {
  for (std::size_t i = 0; i < format.size();) {
    const auto percent = std::min(format.find('%', i), format.size());
    out_ += format.substr(i, percent - i);
    i = percent;
    if (i++ >= format.size()) break;
    good_number_ = true;
    flags_ = {};
    for (; i < format.size(); ++i) {
      bool* const flag = format[i] == '#'   ? &flags_.sharp
                         : format[i] == '0' ? &flags_.zero
                         : format[i] == '+' ? &flags_.plus
                         : format[i] == '-' ? &flags_.minus
                         : format[i] == ' ' ? &flags_.space
                                            : nullptr;
      if (flag == nullptr) break;
      *flag = true;
    }
    argument_number(format, i, values.size());
    width(format, i, values);
    precision(format, i, values);
    if (!after_number_) argument_number(format, i, values.size());
    if (i >= format.size()) {
      out_ += "%!(NOVERB)";
      break;
    }
    const Rune verb = decode_rune(format.substr(i));
    i += verb.width;
    if (verb.code == '%') {
      out_ += '%';
    } else if (!good_number_ || next_ >= values.size()) {
      out_ += "%!";
      append_rune(out_, verb.code);
      out_ += good_number_ ? "(MISSING)" : "(BADINDEX)";
    } else {
      if (verb.code == 'v') {
        flags_.sharp_v = std::exchange(flags_.sharp, false);
        flags_.plus_v = std::exchange(flags_.plus, false);
      }
      argument(values[next_++], verb.code);
    }
  }
  if (!reordered_ && next_ < values.size()) extra(values.subspan(next_));
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
  Printer(out).argument(value, 'v');
}

void append_printed(std::string& out, const Value& value) {
  const Struct* object = as_struct(value);
  if (object != nullptr && is_pointer(*object) && !object->is_nil())
    Printer(out).pointee(value);
  else
    append_value(out, value);
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
