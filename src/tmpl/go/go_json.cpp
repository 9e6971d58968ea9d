#include "tmpl/go/go_json.hpp"

#include <cmath>
#include <optional>

#include "base/bytes.hpp"
#include "base/utf8.hpp"
#include "json/json.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/time_object.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/object.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr Escapes table(bool escape_html) {
  return escapes([escape_html](unsigned char c) -> std::optional<Escape> {
    if (c >= 0x80) return Escape{};
    const std::size_t known = std::string_view("\"\\\n\r\t\b\f").find(static_cast<char>(c));
    if (known != std::string_view::npos) {
      const char code[] = {'\\', "\"\\nrtbf"[known]};
      return escape_of({code, sizeof(code)});
    }
    if (c >= 0x20 && (!escape_html || (c != '<' && c != '>' && c != '&'))) return std::nullopt;
    const char code[] = {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
    return escape_of({code, sizeof(code)});
  });
}
constexpr Escapes kForHtml = table(true), kPlain = table(false);
// A character that is not ASCII.
std::size_t other(std::string_view text, char*& to) {
  const Rune rune = decode_rune(text);
  if (rune.valid() && rune.code != 0x2028 && rune.code != 0x2029) {
    for (unsigned i = 0; i < rune.width; ++i) *to++ = text.data()[i];
    return rune.width;
  }
  to = put(to, !rune.valid() ? "\\ufffd" : rune.code == 0x2028 ? "\\u2028" : "\\u2029");
  return rune.width;
}
class Encoder {
 public:
  Encoder(const char* function, bool escape_html, bool pretty)
      : function_(function), escape_html_(escape_html), pretty_(pretty) {}
  Output out;

  void append(const Value& value, int depth) {
    if (value.is_nil_of()) {
      out += "null";
      return;
    }
    if (out.size() > kMostText) throw CallError{"the text is larger than 64 MiB"};
    spend(20);
    check_depth(depth, "for JSON");
    switch (value.type()) {
      case Type::boolean:
      case Type::integer:
      case Type::int64:
      case Type::uint64:
      case Type::byte: {
        std::string literal;
        (void)json::append_literal(literal, value);
        out += literal;
        break;
      }
      case Type::nil:
        out += "null";
        break;
      case Type::float64:
        number(value.as_double());
        break;
      case Type::number:
        out += value.size() == 0 ? "0" : value.as_text();
        break;
      case Type::string:
        text(value.as_text());
        break;
      case Type::list:
      case Type::strings:
      case Type::ints:
      case Type::lists:
        list(value, depth);
        break;
      case Type::map:
      case Type::string_map:
        map(value, depth);
        break;
      case Type::object:
        if (const Struct* known = as_struct(value)) {
          object(*known, depth);
          break;
        }
        [[fallthrough]];
      default:
        throw CallError{std::string(function_) + ": json: unsupported type: " + type_name(value)};
    }
  }

 private:
  void line(int depth) {
    if (!pretty_) return;
    out += '\n';
    out.append(static_cast<std::size_t>(depth) * 2, ' ');
  }
  void list(const Value& value, int depth) {
    out += '[';
    bool first = true;
    for (const Value& item : value.items()) {
      if (!first) out += ',';
      first = false;
      line(depth + 1);
      append(item, depth + 1);
    }
    if (value.size() != 0) line(depth);
    out += ']';
  }
  void map(const Value& value, int depth) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.entries()) {
      if (!first) out += ',';
      first = false;
      line(depth + 1);
      text(key.as_text());
      out += pretty_ ? ": " : ":";
      append(member, depth + 1);
    }
    if (!first) line(depth);
    out += '}';
  }
  void object(const Struct& object, int depth) {
    if (object.is_nil()) {
      out += "null";
    } else if (const auto* time = dynamic_cast<const TimeObject*>(&object)) {
      out += '"' + strict_rfc3339(time->time) + '"';
    } else if (object.is_channel()) {
      throw CallError{std::string(function_) +
                      ": json: unsupported type: " + std::string(object.type_name())};
    } else if (const auto instead = object.in_json()) {
      append(*instead, depth);
    } else if (const auto number = object.number()) {
      append(*number, depth);
    } else {
      members(object.fields(), depth);
    }
  }
  void members(const std::vector<Struct::Field>& fields, int depth) {
    out += '{';
    for (const auto& [name, value] : fields) {
      if (&name != &fields.front().name) out += ',';
      line(depth + 1);
      text(name);
      out += pretty_ ? ": " : ":";
      append(value, depth + 1);
    }
    if (!fields.empty()) line(depth);
    out += '}';
  }
  // As ES6: exponent form below 1e-6 and from 1e21.
  void number(double value) {
    if (std::isnan(value) || std::isinf(value)) {
      throw CallError{std::string(function_) +
                      ": json: unsupported value: " + format_float(value, 'g', -1)};
    }
    const double magnitude = std::abs(value);
    const bool exponent = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
    std::string digits = format_float(value, exponent ? 'e' : 'f', -1);
    if (exponent && digits.size() >= 4 && digits[digits.size() - 4] == 'e' &&
        digits[digits.size() - 2] == '0') {
      digits.erase(digits.size() - 2, 1);  // e-09 is e-9
    }
    out += digits;
  }
  void text(std::string_view s) {
    spend(s.size() / 2 + 10);
    out += '"';
    append_escaped(
        out, s, escape_html_ ? kForHtml : kPlain,
        [](unsigned char c) {
          return (c >= 0x80) | (c < ' ') | (c == '\\') | (c == '"') | (c == '<') | (c == '>') |
                 (c == '&');
        },
        other, spend);
    out += '"';
  }

  const char* function_;
  bool escape_html_, pretty_;
};

}  // namespace

std::string go_json(const char* function, const Value& value, bool escape_html, bool pretty) {
  Encoder encoder(function, escape_html, pretty);
  encoder.append(value, 0);
  return encoder.out.take();
}

}  // namespace keybearer::tmpl
