#include "tmpl/go/format.hpp"

#include <algorithm>

#include "base/utf8.hpp"
#include "tmpl/go/printer.hpp"
#include "tmpl/object.hpp"

namespace keybearer::tmpl {

// --- formats: fmt.pp.doPrintf ---

namespace {

constexpr int kLargest = 1'000'000;  // width and precision beyond this are no numbers

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

}  // namespace

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
    case Type::byte:
      break;
    case Type::uint64:
      if (value.as_int() < 0) return std::nullopt;
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
  if (i + 1 >= format.size() || format[i] != '.') return;  // one at the end is the verb
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
      if (verb.code == 'v' || verb.code == 'w') {
        flags_.sharp_v = std::exchange(flags_.sharp, false);
        flags_.plus_v = std::exchange(flags_.plus, false);
      }
      argument(values[next_++], verb.code);
    }
  }
  if (!reordered_ && next_ < values.size()) extra(values.subspan(next_));
}

std::string_view basic_kind(Type type) {
  switch (type) {
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
    default:
      return {};
  }
}

std::string type_name(const Value& value) {
  switch (value.type()) {
    case Type::nil:
      return "<nil>";
    case Type::boolean:
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::byte:
    case Type::float64:
    case Type::complex128:
      return std::string(basic_kind(value.type()));
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

std::string sprint(std::span<const Value> values, bool follow_pointers) {
  std::string out;
  bool was_text = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool text = values[i].is_text();
    if (i > 0 && !text && !was_text) out += ' ';
    follow_pointers ? append_printed(out, values[i]) : append_value(out, values[i]);
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
