// dump.go and format.go of go-spew.

#include "tmpl/formats/spew.hpp"

#include <algorithm>
#include <optional>

#include "base/utf8.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::spew {
namespace {

std::string complex_text(const Value& value) {
  const auto [re, im] = value.as_complex();
  return "(" + format_float(re, 'g', -1) + (im >= 0 ? "+" : "") + format_float(im, 'g', -1) + "i)";
}

// What is written in one word; nullopt for lists, maps and structs. Text as it is.
std::optional<std::string> simple(const Value& value) {
  switch (value.type()) {
    case Type::nil:
      return "<nil>";
    case Type::boolean:
      return value.as_bool() ? "true" : "false";
    case Type::integer:
    case Type::int64:
      return std::to_string(value.as_int());
    case Type::uint64:
    case Type::byte:
      return std::to_string(value.as_uint());
    case Type::float64:
      return format_float(value.as_double(), 'g', -1);
    case Type::complex128:
      return complex_text(value);
    case Type::number:
    case Type::string:
      return std::string(value.as_text());
    case Type::object: {
      const Struct* object = as_struct(value);
      if (object == nullptr || object->method("String") == nullptr) return std::nullopt;
      std::string out;
      object->print(out);
      return out;
    }
    default:
      return value.is_nil_of() ? std::optional<std::string>("<nil>") : std::nullopt;
  }
}

// The elements of these lists and maps are interfaces: each shows its own type.
bool holds_interfaces(const Value& value) {
  return value.type() == Type::list || value.type() == Type::map || value.type() == Type::any_map;
}

class Dumper {
 public:
  std::string out;
  void dump(const Value& value);

 private:
  void indent() {
    if (!skip_indent_) out.append(depth_, ' ');
    skip_indent_ = false;
  }
  void member(const Value& value) {
    skip_indent_ = true;
    dump(value);
  }
  void length(const Value& value);
  void body(const Value& value);
  void pointer(const Struct& object);
  void fields(const Struct& object);

  int nested_ = 0;
  std::size_t depth_ = 0;
  bool skip_indent_ = false;
};

void Dumper::length(const Value& value) {
  const std::size_t size = value.size();
  const std::size_t capacity = value.is_list() && !value.is_nil_of() ? value.capacity() : 0;
  if (size == 0 && capacity == 0) return;
  out += '(';
  if (size != 0) out += "len=" + std::to_string(size);
  if (capacity != 0) out += (size != 0 ? " cap=" : "cap=") + std::to_string(capacity);
  out += ") ";
}

void Dumper::fields(const Struct& object) {
  out += "{\n";
  ++depth_;
  const auto all = object.fields();
  for (std::size_t i = 0; i < all.size(); ++i) {
    indent();
    out += std::string(all[i].name) + ": ";
    member(all[i].value);
    out += i + 1 < all.size() ? ",\n" : "\n";
  }
  --depth_;
  indent();
  out += '}';
}

void Dumper::pointer(const Struct& object) {
  indent();
  out += "(" + std::string(object.type_name()) + ")(";
  std::string text;
  if (object.is_nil()) {
    out += "<nil>";
  } else if (object.method("String") != nullptr) {
    object.print(out);
  } else {
    fields(object);
  }
  out += ')';
}

void Dumper::body(const Value& value) {
  if (value.type() == Type::string) {
    out += quote(value.as_text());
    return;
  }
  if (const auto text = simple(value)) {
    out += *text;
    return;
  }
  if (const Struct* object = as_struct(value)) return fields(*object);
  out += "{\n";
  ++depth_;
  std::size_t left = value.size();
  const auto end = [&] { out += --left != 0 ? ",\n" : "\n"; };
  if (value.is_list()) {
    for (const Value& item : value.items()) {
      dump(item);
      end();
    }
  } else {
    for (const auto& [key, element] : value.entries()) {
      dump(key);
      out += ": ";
      member(element);
      end();
    }
  }
  --depth_;
  indent();
  out += '}';
}

void Dumper::dump(const Value& value) {
  const Nested here(nested_, "to be dumped");
  check_size(out);
  spend(50 + depth_);
  const Struct* object = as_struct(value);
  if (object != nullptr && object->type_name().starts_with('*')) return pointer(*object);
  indent();
  out += "(" + (value.is_nil() ? "interface {}" : type_name(value)) + ") ";
  length(value);
  body(value);
}

// %v and its kin.
class Formatter {
 public:
  Formatter(bool plus, bool sharp) : plus_(plus), sharp_(sharp) {}
  std::string out;
  void format(const Value& value, bool show_type);

 private:
  void fields(const Struct& object);

  bool plus_, sharp_;
  int nested_ = 0;
};

void Formatter::fields(const Struct& object) {
  out += '{';
  bool first = true;
  for (const auto& [name, value] : object.fields()) {
    if (!first) out += ' ';
    first = false;
    if (plus_ || sharp_) out += std::string(name) + ":";
    format(value, true);
  }
  out += '}';
}

void Formatter::format(const Value& value, bool show_type) {
  const Nested here(nested_, "to be dumped");
  spend(50);
  const Struct* object = as_struct(value);
  const bool typed = sharp_ && show_type;
  if (object != nullptr && object->type_name().starts_with('*')) {
    if (object->is_nil() && !typed) {
      out += "<nil>";
      return;
    }
    out += typed ? "(" + std::string(object->type_name()) + ")" : std::string("<*>");
    if (object->is_nil())
      out += "<nil>";
    else if (const auto text = simple(value))
      out += *text;
    else
      fields(*object);
    return;
  }
  if (typed) out += "(" + (value.is_nil() ? "interface {}" : type_name(value)) + ")";
  if (const auto text = simple(value)) {
    out += *text;
    return;
  }
  if (object != nullptr) return fields(*object);
  const bool inner = holds_interfaces(value) || value.type() == Type::lists;
  bool first = true;
  const auto blank = [&] {
    if (!std::exchange(first, false)) out += ' ';
  };
  out += value.is_list() ? "[" : "map[";
  if (value.is_list()) {
    for (const Value& item : value.items()) {
      blank();
      format(item, inner && value.type() != Type::lists);
    }
  } else {
    for (const auto& [key, element] : value.entries()) {
      blank();
      format(key, value.type() == Type::any_map);
      out += ':';
      format(element, inner);
    }
  }
  out += ']';
}

std::string formatted(const Value& value, bool plus, bool sharp) {
  if (value.is_nil()) return sharp ? "(interface {})<nil>" : "<nil>";
  Formatter formatter(plus, sharp);
  formatter.format(value, true);
  return std::move(formatter.out);
}

// Walks a format as fmt does and gives each directive to spew or to fmt.
class Directives {
 public:
  Directives(std::string_view format, std::span<const Value> values)
      : format_(format), values_(values) {}
  std::string run();

 private:
  void directive();
  void number();
  void index();
  void star(const char* what);
  void verb(std::string_view flags);
  void extra();
  [[nodiscard]] char peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  std::string_view format_;
  std::span<const Value> values_;
  std::string out_, numbers_;
  std::size_t at_ = 0, argument_ = 0;
  bool reordered_ = false, good_index_ = true, after_index_ = false;
};

void Directives::number() {
  const std::size_t begin = at_;
  while (peek() >= '0' && peek() <= '9') ++at_;
  numbers_ += format_.substr(begin, at_ - begin);
}

// "[3]": the argument that comes next.
void Directives::index() {
  after_index_ = false;
  if (peek() != '[') return;
  reordered_ = true;
  const std::size_t close = format_.find(']', at_);
  if (close == std::string_view::npos) {
    good_index_ = false;
    ++at_;
    return;
  }
  const auto number = parse_uint(format_.substr(at_ + 1, close - at_ - 1), 10);
  at_ = close + 1;
  after_index_ = number && *number >= 1 && *number <= values_.size();
  if (after_index_)
    argument_ = static_cast<std::size_t>(*number) - 1;
  else
    good_index_ = false;
}

// A width from the arguments: each is wrapped by spew, so none is an int.
void Directives::star(const char* what) {
  ++at_;
  out_ += what;
  if (argument_ < values_.size()) ++argument_;
  after_index_ = false;
}

void Directives::verb(std::string_view flags) {
  const Rune rune = decode_rune(format_.substr(at_));
  const std::string name(format_.substr(at_, rune.width));
  at_ += rune.width;
  if (name == "%") {
    out_ += '%';
  } else if (!good_index_) {
    out_ += "%!" + name + "(BADINDEX)";
  } else if (argument_ >= values_.size()) {
    out_ += "%!" + name + "(MISSING)";
  } else {
    const Value& value = values_[argument_++];
    if (name == "v") {
      out_ += formatted(value, flags.find('+') != std::string_view::npos,
                        flags.find('#') != std::string_view::npos);
    } else if (name == "T") {
      const Value type("*spew.formatState");
      out_ += tmpl::sprintf("%" + std::string(flags) + numbers_ + "s", {&type, 1});
    } else {
      out_ += tmpl::sprintf("%" + std::string(flags) + numbers_ + name, {&value, 1});
    }
  }
}

void Directives::directive() {
  ++at_;
  good_index_ = true;
  numbers_.clear();
  const std::size_t begin = at_;
  at_ = std::min(format_.find_first_not_of("#0+- ", at_), format_.size());
  const std::string_view flags = format_.substr(begin, at_ - begin);
  index();
  if (peek() == '*') {
    star("%!(BADWIDTH)");
  } else {
    const std::size_t before = at_;
    number();
    if (at_ != before && after_index_) good_index_ = false;
  }
  if (peek() == '.') {
    ++at_;
    if (after_index_) good_index_ = false;
    index();
    if (peek() == '*') {
      star("%!(BADPREC)");
    } else {
      numbers_ += '.';
      number();
    }
  }
  if (!after_index_) index();
  if (at_ >= format_.size())
    out_ += "%!(NOVERB)";
  else
    verb(flags);
}

void Directives::extra() {
  if (reordered_ || argument_ >= values_.size()) return;
  out_ += "%!(EXTRA ";
  for (std::size_t i = argument_; i < values_.size(); ++i) {
    if (i > argument_) out_ += ", ";
    out_ += "*spew.formatState=" + formatted(values_[i], false, false);
  }
  out_ += ')';
}

std::string Directives::run() {
  while (at_ < format_.size()) {
    const std::size_t percent = std::min(format_.find('%', at_), format_.size());
    out_ += format_.substr(at_, percent - at_);
    at_ = percent;
    if (at_ < format_.size()) directive();
  }
  extra();
  return std::move(out_);
}

}  // namespace

std::string dump(std::span<const Value> values) {
  Dumper dumper;
  for (const Value& value : values) {
    dumper.dump(value);
    dumper.out += '\n';
  }
  return std::move(dumper.out);
}

std::string sprintf(std::string_view format, std::span<const Value> values) {
  return Directives(format, values).run();
}

}  // namespace keybearer::tmpl::spew
