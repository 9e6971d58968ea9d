#pragma once
// Go's fmt at work, behind format.hpp: a value with a verb and flags, appended to a text. Mirrors
// fmt/print.go and fmt/format.go.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "json/value.hpp"
#include "tmpl/object.hpp"

namespace keybearer::tmpl {

struct FormatFlags {
  bool minus = false, plus = false, sharp = false, space = false, zero = false;
  bool plus_v = false, sharp_v = false;  // of %+v and %#v
  std::optional<int> width, precision;
};

// fmt.pp and fmt.fmt in one. Throws CallError when the text becomes too large.
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
  FormatFlags flags_;
  std::size_t next_ = 0;   // argument
  bool erroring_ = false;  // inside %!v(...)
  bool reordered_ = false, good_number_ = true, after_number_ = false;
};

}  // namespace keybearer::tmpl
