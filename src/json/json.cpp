#include "json/json.hpp"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <deque>
#include <iterator>
#include <new>
#include <optional>
#include <vector>

#include "json/pool.hpp"

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

// Builds the Value from RapidJSON's events. What is not finished waits in pieces that never move and
// are freed as it goes: a vector that grows would need three times its size. Objects are collected
// unsorted and sorted once at their end.
class Builder {
 public:
  // `huge`: where the numbers lie in `text` that kStandIn stands for, in order.
  Builder(Limits limits, std::string_view text, const std::deque<std::uint32_t>& huge)
      : limits_(limits), pool_(text.size()), text_(text), huge_(huge) {}

  bool Null() { return add(Value()); }
  bool Bool(bool b) { return add(Value(b)); }
  bool RawNumber(const char* chars, rapidjson::SizeType size, bool) {
    const std::string_view text(chars, size);
    const bool stands_in = text == kStandIn && next_huge_ < huge_.size();
    return add(pool_.text(Type::number, stands_in ? next_huge() : text));
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return add(pool_.text(Type::string, {text, size}));
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    stack_.push_back(pool_.text(Type::string, {text, size}));
    return true;
  }
  bool StartObject() { return start(); }
  bool StartArray() { return start(); }
  bool EndArray(rapidjson::SizeType count) {
    List items;
    const bool packed = count * sizeof(Value) <= ValuePool::kMostBytes;
    if (packed) items.swap(items_);
    if (!packed) items.reserve(count);
    items.assign(std::make_move_iterator(stack_.end() - count),
                 std::make_move_iterator(stack_.end()));
    pop(count);
    --depth_;
    if (!packed) return add(ValuePool::long_list(std::move(items)));
    items_.swap(items);
    return add(pool_.list(items_));
  }
  bool EndObject(rapidjson::SizeType count) {
    const bool packed = count * sizeof(Value::Entry) <= ValuePool::kMostBytes;
    std::vector<Value::Entry> members;
    if (packed) members.swap(members_);
    members.clear();
    members.reserve(count);
    for (auto it = stack_.end() - static_cast<std::ptrdiff_t>(count) * 2; it != stack_.end();
         it += 2)
      members.push_back({std::move(it[0]), std::move(it[1])});
    pop(count * std::size_t{2});
    ValuePool::sort(members);
    --depth_;
    if (!packed) return add(ValuePool::long_map(std::move(members)));
    members_.swap(members);
    return add(pool_.map(members_));
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
  void pop(std::size_t count) {
    stack_.erase(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
  }
  std::string_view next_huge() {
    const std::string_view rest = text_.substr(huge_[next_huge_++]);
    return rest.substr(0, number_length(rest));
  }
  bool start() { return ++depth_ <= limits_.max_depth || refuse("nested too deeply"); }
  bool refuse(const char* why) {
    refused_ = why;
    return false;
  }

  Limits limits_;
  ValuePool pool_;
  std::string_view text_;
  const std::deque<std::uint32_t>& huge_;
  std::size_t next_huge_ = 0;
  std::deque<Value> stack_;
  List items_;                         // of one list, used again
  std::vector<Value::Entry> members_;  // of one object, the same
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

// As Go reads: a byte that is no UTF-8, or half a surrogate pair, is U+FFFD. `add` is given what
// comes out, piece by piece.
template <class Add>
void repair(std::string_view text, Add add) {
  while (!text.empty()) {
    std::size_t length = character_length(text);
    if (length == 0) {
      add(std::string_view("\xEF\xBF\xBD"));
      length = 1;
    } else if (const auto unit = escaped_unit(text); unit && (*unit & 0xF800) == 0xD800) {
      const auto next = escaped_unit(text.substr(6));
      const bool is_pair = *unit < 0xDC00 && next && (*next & 0xFC00) == 0xDC00;
      length = is_pair ? 12 : 6;
      add(is_pair ? text.substr(0, length) : std::string_view("\\ufffd"));
    } else {
      if (text[0] == '\\' && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0x80)
        length = 2;
      add(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
}

std::string repaired(std::string_view text) {
  std::size_t size = 0;
  repair(text, [&size](std::string_view part) { size += part.size(); });
  std::string out;
  out.reserve(size);  // exactly: it may be three times the text
  repair(text, [&out](std::string_view part) { out += part; });
  return out;
}

// Whether RapidJSON may find it too big; also of the stand-in itself, so that each of those stands
// for one in the list.
bool may_be_huge(std::string_view number) {
  if (number == kStandIn || number.size() > 200) return true;
  const auto exponent = number.find_first_of("eE");
  return exponent != std::string_view::npos && number.size() - exponent > 2;
}

// One pass: the text with a stand-in for each number that may be too big.
std::string with_stand_ins(std::string_view text, std::deque<std::uint32_t>& huge) {
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
        huge.push_back(static_cast<std::uint32_t>(at));
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

// One try. `original` is the text that `huge` has the places in.
result<Value> build(std::string_view text, Limits limits, std::string_view original,
                    const std::deque<std::uint32_t>& huge, rapidjson::ParseResult& parsed) {
  rapidjson::MemoryStream stream(text.data(), text.size());
  Reader reader;
  Builder builder(limits, original, huge);
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag |
                              rapidjson::kParseValidateEncodingFlag;
  parsed = reader.Parse<kFlags>(stream, builder);
  if (builder.refused() != nullptr) return unusable(builder.refused(), parsed.Offset());
  if (parsed.IsError())
    return unusable(rapidjson::GetParseError_En(parsed.Code()), parsed.Offset());
  // To RapidJSON a NUL is the end.
  if (stream.Tell() != text.size())
    return fail(ErrorKind::bad_reply, "not JSON that can be used: a NUL after the value");
  return builder.take();
}

}  // namespace

result<Value> parse(std::string_view text, Limits limits) {
  // What the text may need before RapidJSON takes it as Go would, each at most once: copies with
  // U+FFFD for what is no character, and with a stand-in for each number that may be too big.
  std::string whole, marked;
  std::deque<std::uint32_t> huge;
  bool is_repaired = may_be_second_half(text), is_marked = false;
  if (is_repaired) whole = repaired(text);
  for (;;) {
    const std::string_view original = is_repaired ? whole : text;
    rapidjson::ParseResult parsed;
    auto value = build(is_marked ? marked : original, limits, original, huge, parsed);
    if (value) return value;
    switch (parsed.Code()) {
      case rapidjson::kParseErrorNumberTooBig:
        if (is_marked) return value;
        marked = with_stand_ins(original, huge);
        is_marked = true;
        break;
      case rapidjson::kParseErrorStringInvalidEncoding:
      case rapidjson::kParseErrorStringUnicodeSurrogateInvalid:
        if (is_repaired) return value;
        marked = std::string();
        huge.clear();
        is_marked = false;
        whole = repaired(text);
        is_repaired = true;
        break;
      default:
        return value;
    }
  }
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
