#include "json/json.hpp"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <bit>
#include <vector>

namespace keybearer::json {
namespace {

// RapidJSON refuses numbers beyond a double, also when it only has to pass their text on: those are
// handed to it as strings that begin with this.
constexpr std::string_view kHugeNumber("\0number ", 8);

// Builds the Value from RapidJSON's events. Objects are collected unsorted and sorted once at their
// end.
class Builder {
 public:
  explicit Builder(Limits limits) : limits_(limits) {}

  bool Null() { return add(Value()); }
  bool Bool(bool b) { return add(Value(b)); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return add(Value::number({text, size}));
  }
  bool String(const char* chars, rapidjson::SizeType size, bool) {
    const std::string_view text(chars, size);
    if (text.starts_with(kHugeNumber)) return add(Value::number(text.substr(kHugeNumber.size())));
    return add(Value(text));
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    stack_.push_back(Value(std::string_view(text, size)));
    return true;
  }
  bool StartObject() { return start(); }
  bool StartArray() { return start(); }
  bool EndArray(rapidjson::SizeType count) {
    List items;
    // As much room as Go's decoder makes: a spew of the list shows it.
    if (count != 0) items.reserve(std::bit_ceil(std::size_t{count}));
    items.assign(std::make_move_iterator(stack_.end() - count),
                 std::make_move_iterator(stack_.end()));
    stack_.resize(stack_.size() - count);
    --depth_;
    return add(Value::list(std::move(items)));
  }
  bool EndObject(rapidjson::SizeType count) {
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count) * 2;
    std::vector<std::pair<Value, Value>> members;
    members.reserve(count);
    for (auto it = first; it != stack_.end(); it += 2)
      members.emplace_back(std::move(it[0]), std::move(it[1]));
    stack_.erase(first, stack_.end());
    std::ranges::stable_sort(members, [](const auto& a, const auto& b) {
      return a.first.as_text() < b.first.as_text();
    });
    Value map = Value::map();
    for (std::size_t i = 0; i < members.size(); ++i) {
      const bool again =
          i + 1 < members.size() && members[i].first.as_text() == members[i + 1].first.as_text();
      if (!again)
        map.append_sorted(std::move(members[i].first),
                          std::move(members[i].second));  // the last wins
    }
    --depth_;
    return add(std::move(map));
  }
  // Never called: numbers come raw.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }

  [[nodiscard]] Value take() { return std::move(stack_.front()); }
  [[nodiscard]] const char* refused() const { return refused_; }

 private:
  bool add(Value value) {
    if (++values_ > limits_.max_values) return refuse("too many values");
    stack_.push_back(std::move(value));
    return true;
  }
  bool start() { return ++depth_ <= limits_.max_depth || refuse("nested too deeply"); }
  bool refuse(const char* why) {
    refused_ = why;
    return false;
  }

  Limits limits_;
  std::vector<Value> stack_;
  std::size_t values_ = 0;
  std::size_t depth_ = 0;
  const char* refused_ = nullptr;
};

void append_quoted(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte >= 0x20) {
          out += c;
        } else {
          out += "\\u00";
          out += kHex[byte >> 4];
          out += kHex[byte & 15];
        }
    }
  }
  out += '"';
}

void append(std::string& out, const Value& value) {
  switch (value.type()) {
    case Type::boolean:
      out += value.as_bool() ? "true" : "false";
      break;
    case Type::integer:
    case Type::int64:
      out += std::to_string(value.as_int());
      break;
    case Type::uint64:
    case Type::byte:
      out += std::to_string(value.as_uint());
      break;
    case Type::number:
      out += value.as_text();
      break;
    case Type::string:
      append_quoted(out, value.as_text());
      break;
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists: {
      out += '[';
      for (const Value& item : value.items()) {
        if (out.back() != '[') out += ',';
        append(out, item);
      }
      out += ']';
      break;
    }
    case Type::map:
    case Type::string_map:
    case Type::any_map: {
      out += '{';
      bool first = true;
      for (const auto& [key, member] : value.entries()) {
        if (!key.is_text()) continue;
        if (!first) out += ',';
        first = false;
        append_quoted(out, key.as_text());
        out += ':';
        append(out, member);
      }
      out += '}';
      break;
    }
    default:
      out += "null";
  }
}

}  // namespace

namespace {

// How many bytes the character at the beginning of `text` has; 0: it is not valid UTF-8.
std::size_t valid_character(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned second = byte(1);
  const bool bad = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                   (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return bad ? 0 : size;
}

// 'h' or 'l' for the half of a surrogate pair that an escape "\\uD83D" is.
char surrogate(std::string_view text) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u' || (text[2] | 0x20) != 'd') return 0;
  const char c = static_cast<char>(text[3] | 0x20);
  return c == '8' || c == '9' || c == 'a' || c == 'b' ? 'h' : c >= 'c' && c <= 'f' ? 'l' : char{};
}

// What Go's decoder puts up with: a byte that is not UTF-8 and half a surrogate pair are U+FFFD.
std::string repaired(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t size = valid_character(text);
    if (size == 0) {
      out += "\xEF\xBF\xBD";
      size = 1;
    } else if (const char half = surrogate(text); half == 'h' && surrogate(text.substr(6)) == 'l') {
      out += text.substr(0, size = 12);
    } else if (half != 0) {
      out += "\\ufffd";
      size = 6;
    } else {
      if (text[0] == '\\' && text.size() > 1) size = 2;  // the escaped character is none of ours
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return out;
}

result<Value> parse(std::string_view text, Limits limits, int huge_numbers_left,
                    bool repaired_once = false) {
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  Builder builder(limits);
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag |
                              rapidjson::kParseValidateEncodingFlag;
  const auto parsed = reader.Parse<kFlags>(stream, builder);
  if (parsed.Code() == rapidjson::kParseErrorNumberTooBig && huge_numbers_left > 0) {
    const std::size_t begin = parsed.Offset();
    const std::size_t end = std::min(text.size(), text.find_first_not_of("+-.0123456789eE", begin));
    std::string quoted(text.substr(0, begin));
    quoted.append("\"\\u0000number ")
        .append(text.substr(begin, end - begin))
        .append("\"")
        .append(text.substr(end));
    return parse(quoted, limits, huge_numbers_left - 1, repaired_once);
  }
  const bool encoding = parsed.Code() == rapidjson::kParseErrorStringInvalidEncoding ||
                        parsed.Code() == rapidjson::kParseErrorStringUnicodeSurrogateInvalid;
  if (encoding && !repaired_once) return parse(repaired(text), limits, huge_numbers_left, true);
  if (parsed.IsError()) {
    const char* why = builder.refused() != nullptr ? builder.refused()
                                                   : rapidjson::GetParseError_En(parsed.Code());
    return fail(ErrorKind::bad_reply, "not JSON that can be used: " + std::string(why) +
                                          " (at byte " + std::to_string(parsed.Offset()) + ")");
  }
  return builder.take();
}

}  // namespace

result<Value> parse(std::string_view text, Limits limits) {
  constexpr int kHugeNumbers = 100;  // each costs another pass
  return parse(text, limits, kHugeNumbers);
}

std::string write(const Value& value) {
  std::string out;
  append(out, value);
  return out;
}

std::string quote(std::string_view text) {
  std::string out;
  append_quoted(out, text);
  return out;
}

}  // namespace keybearer::json
