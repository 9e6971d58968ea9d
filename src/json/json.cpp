#include "json/json.hpp"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <new>
#include <optional>
#include <vector>

#include "json/capacity.hpp"

namespace keybearer::json {
namespace {

// RapidJSON refuses numbers beyond a double, also when it only has to pass their text on. Those are
// handed to it as this number, padded with blanks, and put back in their order.
constexpr std::string_view kStandIn = "0e0";

// RapidJSON's own does not look whether there was any memory, and leaves what it has moved away
// behind unwiped.
struct Memory {
  void* Malloc(std::size_t size) { return size == 0 ? nullptr : ::operator new(size); }
  void* Realloc(void* old, std::size_t old_size, std::size_t size) {
    void* const grown = Malloc(size);
    if (old != nullptr && grown != nullptr) std::memcpy(grown, old, std::min(old_size, size));
    Free(old);
    return grown;
  }
  static void Free(void* memory) noexcept { ::operator delete(memory); }
};
using Reader = rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>, Memory>;

// Builds the Value from RapidJSON's events. Objects are collected unsorted and sorted once at their
// end.
class Builder {
 public:
  // `huge`: the numbers that kStandIn stands for, in order.
  Builder(Limits limits, const std::vector<std::string_view>& huge)
      : limits_(limits), huge_(huge) {}

  bool Null() { return add(Value()); }
  bool Bool(bool b) { return add(Value(b)); }
  bool RawNumber(const char* chars, rapidjson::SizeType size, bool) {
    const std::string_view text(chars, size);
    const bool stands_in = text == kStandIn && next_huge_ < huge_.size();
    return add(shared(stands_in ? huge_[next_huge_++] : text, Type::number));
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return add(shared({text, size}, Type::string));
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    stack_.push_back(shared({text, size}, Type::string));
    return true;
  }
  bool StartObject() { return start(); }
  bool StartArray() { return start(); }
  bool EndArray(rapidjson::SizeType count) {
    List items;
    // As much room as Go's decoder makes: a spew of the list shows it.
    items.reserve(go_appended(count));
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
  // Short texts that come again (keys above all) are one: text never changes. Otherwise an answer of
  // many small values would take many times its size.
  Value shared(std::string_view text, Type type) {
    const auto make = [&] { return type == Type::number ? Value::number(text) : Value(text); };
    if (text.size() > kShortText || values_ < kManyValues) return make();
    if (recent_.empty()) recent_.resize(kRecentTexts);
    const std::size_t hash = std::hash<std::string_view>{}(text) + (type == Type::number ? 1 : 0);
    Value& recent = recent_[hash % kRecentTexts];
    if (recent.type() != type || recent.as_text() != text) recent = make();
    return recent;
  }
  bool start() { return ++depth_ <= limits_.max_depth || refuse("nested too deeply"); }
  bool refuse(const char* why) {
    refused_ = why;
    return false;
  }

  static constexpr std::size_t kShortText = 32, kManyValues = 64, kRecentTexts = 1024;

  Limits limits_;
  std::vector<Value> recent_;
  const std::vector<std::string_view>& huge_;
  std::size_t next_huge_ = 0;
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
  if (append_literal(out, value)) return;
  switch (value.type()) {
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

// How long the UTF-8 character in front is; 0: it is none.
std::size_t character_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  }
  const auto second = static_cast<unsigned char>(length > 1 ? text[1] : 0);
  const bool is_wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second >= 0xA0) ||
                        (first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90);
  return is_wrong ? 0 : length;
}

// The number behind "\\u" in front; nothing: there is none.
std::optional<unsigned> escaped_unit(std::string_view text) {
  if (!text.starts_with("\\u") || text.size() < 6) return std::nullopt;
  unsigned unit = 0;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + 6, unit, 16);
  return error == std::errc{} && end == text.data() + 6 ? std::optional(unit) : std::nullopt;
}

// As Go reads: a byte that is no UTF-8, or half a surrogate pair, is U+FFFD.
std::string repaired(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t length = character_length(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      length = 1;
    } else if (const auto unit = escaped_unit(text); unit && (*unit & 0xF800) == 0xD800) {
      const auto next = escaped_unit(text.substr(6));
      const bool is_pair = *unit < 0xDC00 && next && (*next & 0xFC00) == 0xDC00;
      length = is_pair ? 12 : 6;
      out += is_pair ? text.substr(0, length) : std::string_view("\\ufffd");
    } else {
      if (text[0] == '\\' && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0x80)
        length = 2;
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

// Of the JSON number in front; 0: there is none, or it is wrong by itself.
std::size_t number_length(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - begin;
  };
  const auto one_of = [&](std::string_view set) {
    const bool found = at < text.size() && set.contains(text[at]);
    at += found ? 1 : 0;
    return found;
  };
  one_of("-");
  const bool zero = at < text.size() && text[at] == '0';
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return 0;
  if (one_of(".") && digits() == 0) return 0;
  if (one_of("eE")) {
    one_of("+-");
    if (digits() == 0) return 0;
  }
  return at;
}

// Whether RapidJSON may find it too big; also of the stand-in itself, so that each of those stands
// for one in the list.
bool may_be_huge(std::string_view number) {
  if (number == kStandIn || number.size() > 200) return true;
  const auto exponent = number.find_first_of("eE");
  return exponent != std::string_view::npos && number.size() - exponent > 2;
}

// One pass: the text with a stand-in for each number that may be too big.
std::string with_stand_ins(std::string_view text, std::vector<std::string_view>& huge) {
  std::string out(text);
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const std::size_t length = number_length(text.substr(at));
      if (length == 0) return out;  // the parser will say so
      if (const auto number = text.substr(at, length); may_be_huge(number)) {
        huge.push_back(number);
        std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(at), length, ' ');
        std::ranges::copy(kStandIn, out.begin() + static_cast<std::ptrdiff_t>(at));
      }
      at += length - 1;
    }
  }
  return out;
}

// RapidJSON takes the second half of a pair for a character of its own.
bool may_be_second_half(std::string_view text) {
  for (std::size_t at = 0; (at = text.find("\\u", at)) != std::string_view::npos; ++at) {
    if (const auto unit = escaped_unit(text.substr(at)); unit && (*unit & 0xFC00) == 0xDC00)
      return true;
  }
  return false;
}

std::unexpected<Error> unusable(const char* why, std::size_t offset) {
  return fail(ErrorKind::bad_reply, "not JSON that can be used: " + std::string(why) +
                                        " (at byte " + std::to_string(offset) + ")");
}

// What the text may need before RapidJSON takes it as Go would. Each at most once.
struct Prepared {
  bool repaired = false, numbers = false;
};

result<Value> parse(std::string_view text, Limits limits, Prepared prepared,
                    const std::vector<std::string_view>& huge) {
  if (!prepared.repaired && may_be_second_half(text))
    return parse(repaired(text), limits, {.repaired = true, .numbers = prepared.numbers}, huge);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::ParseResult parsed;
  {
    Reader reader;
    Builder builder(limits, huge);
    constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                                rapidjson::kParseNumbersAsStringsFlag |
                                rapidjson::kParseValidateEncodingFlag;
    parsed = reader.Parse<kFlags>(stream, builder);
    if (builder.refused() != nullptr) return unusable(builder.refused(), parsed.Offset());
    // To RapidJSON a NUL is the end.
    if (!parsed.IsError() && stream.Tell() == text.size()) return builder.take();
  }  // what was built half is gone before the next try
  switch (parsed.Code()) {
    case rapidjson::kParseErrorNone:
      return fail(ErrorKind::bad_reply, "not JSON that can be used: a NUL after the value");
    case rapidjson::kParseErrorNumberTooBig:
      if (!prepared.numbers) {
        prepared.numbers = true;
        std::vector<std::string_view> found;
        const std::string marked = with_stand_ins(text, found);
        return parse(marked, limits, prepared, found);
      }
      break;
    case rapidjson::kParseErrorStringInvalidEncoding:
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid:
      if (!prepared.repaired)
        return parse(repaired(text), limits, {.repaired = true, .numbers = prepared.numbers}, huge);
      break;
    default:
      break;
  }
  return unusable(rapidjson::GetParseError_En(parsed.Code()), parsed.Offset());
}

}  // namespace

result<Value> parse(std::string_view text, Limits limits) {
  return parse(text, limits, {}, {});
}

bool append_literal(std::string& out, const Value& value) {
  switch (value.type()) {
    case Type::boolean:
      out += value.as_bool() ? "true" : "false";
      return true;
    case Type::integer:
    case Type::int64:
      out += std::to_string(value.as_int());
      return true;
    case Type::uint64:
    case Type::byte:
      out += std::to_string(value.as_uint());
      return true;
    default:
      return false;
  }
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
