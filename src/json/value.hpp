#pragma once
// A value as a template sees it: what a server's JSON answer holds, and what template functions
// make of it.
//
// Go's kinds are kept apart, because conversions between them are errors that users meet and work
// around: a number of an answer is a json.Number (text, never converted), parseInt gives an int64,
// LeaseDuration is an int, parseJSON gives float64 (Go: encoding/json with UseNumber; text/template
// compares and prints by kind).
//
// 8 bytes, cheap to copy: text, lists and maps are shared and counted (not thread-safe). Lists and
// maps are references, as in Go: a change through one copy is seen through the others. Answers of
// the server must not be changed in place: whoever changes makes its own with deep_copy().
//
// What json::parse() makes lies packed in blocks of its own (json/pool.hpp), so that an answer of
// any shape costs at most twelve times its text (rules: R8, "bounds").
//
// Values hold secrets. There is no operator<<; memory is wiped on free (base/wipe.cpp).

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keybearer {

enum class Type : std::uint8_t {
  nil,         // untyped nil: absent, null
  boolean,     // bool
  integer,     // int
  int64,       // int64
  uint64,      // uint64
  byte,        // uint8: what indexing a string gives
  float64,     // float64
  complex128,  // complex128
  number,      // json.Number: string kind, text as it came
  string,      // string
  list,        // []interface {}
  strings,     // []string
  ints,        // []int
  lists,       // [][]interface {}
  map,         // map[string]interface {}
  string_map,  // map[string]string
  any_map,     // map[interface {}]interface {}  (parseYAML)
  object,      // a Go struct or another thing with fields and methods: Object
};

class Value;
class ValueItems;
class ValuePool;
using List = std::vector<Value>;

// The Go structs that templates touch (Secret, scratch ...): tmpl/object.hpp has their fields and
// methods.
class Object {
 public:
  virtual ~Object() = default;
  [[nodiscard]] virtual std::string_view type_name() const = 0;  // as Go's %T: "*dependency.Secret"
  [[nodiscard]] virtual bool equals(const Object& other) const { return this == &other; }
  // Go: reflect.DeepEqual, which looks behind pointers.
  [[nodiscard]] virtual bool deep_equals(const Object& other) const {
    return type_name() == other.type_name() && equals(other);
  }
};

class Value {
 public:
  struct Entry;

  Value() noexcept = default;
  Value(bool b) noexcept : bits_(small(Tag::boolean, b ? 1 : 0)) {}
  Value(int i) noexcept : bits_(small(Tag::integer, i)) {}
  Value(double d) noexcept : bits_(std::bit_cast<std::uint64_t>(d)) {
    if (d != d) bits_ = std::bit_cast<std::uint64_t>(std::numeric_limits<double>::quiet_NaN());
  }
  Value(std::string_view text) : Value(Type::string, text) {}
  Value(const std::string& text) : Value(Type::string, text) {}
  Value(std::string&& text);  // a long one is taken over, not copied
  Value(const char* text) : Value(Type::string, text) {}
  Value(const Value& other) noexcept : bits_(other.bits_) {
    if (counted()) ++head()->count;
  }
  Value(Value&& other) noexcept : bits_(std::exchange(other.bits_, kNil)) {}
  Value& operator=(Value other) noexcept {
    std::swap(bits_, other.bits_);
    return *this;
  }
  ~Value() {
    if (counted() && --head()->count == 0) release();
  }

  static Value integer(std::int64_t i) { return {Tag::integer, Tag::big_integer, i}; }
  static Value int64(std::int64_t i) { return {Tag::int64, Tag::big_int64, i}; }
  static Value uint64(std::uint64_t u) {
    return {Tag::uint64, Tag::big_uint64, static_cast<std::int64_t>(u)};
  }
  static Value byte(std::uint8_t b) noexcept { return Value(Bits{small(Tag::byte, b)}); }
  static Value complex128(double re, double im);
  static Value number(std::string_view text) { return {Type::number, text}; }  // json.Number
  static Value list(List items) { return list(Type::list, std::move(items)); }
  static Value list(Type type, List items);  // list, strings, ints or lists
  static Value strings(List items) { return list(Type::strings, std::move(items)); }
  static Value map();           // an empty map[string]interface {}
  static Value map(Type type);  // map, string_map or any_map
  // Go's nil slice or map of a list's or map's type: empty, but null in JSON.
  static Value nil_of(Type type) noexcept { return Value(Bits{kBoxed | tag_bits(tag_of(type))}); }
  static Value object(std::shared_ptr<Object> object);

  [[nodiscard]] Type type() const noexcept { return kTypes[static_cast<std::size_t>(tag())]; }
  [[nodiscard]] bool is_nil() const noexcept { return bits_ == kNil; }
  [[nodiscard]] bool is_text() const noexcept {
    return type() == Type::string || type() == Type::number;
  }
  [[nodiscard]] bool is_list() const noexcept {
    return type() >= Type::list && type() <= Type::lists;
  }
  [[nodiscard]] bool is_nil_of() const noexcept {  // made by nil_of
    return (is_list() || is_map()) && (bits_ & kPayload) == 0;
  }
  // The very same list or map, not one that is equal.
  [[nodiscard]] bool is_same(const Value& other) const noexcept {
    return counted() && other.counted() && head() == other.head();
  }
  [[nodiscard]] bool is_map() const noexcept {
    return type() == Type::map || type() == Type::string_map || type() == Type::any_map;
  }

  // Each for its own types only.
  [[nodiscard]] bool as_bool() const noexcept { return (bits_ & 1) != 0; }
  [[nodiscard]] std::int64_t as_int() const noexcept {  // integer, int64, byte
    return counted() ? big_int() : static_cast<std::int64_t>(bits_ << 16) >> 16;
  }
  [[nodiscard]] std::uint64_t as_uint() const noexcept {
    return static_cast<std::uint64_t>(as_int());
  }
  [[nodiscard]] double as_double() const noexcept { return std::bit_cast<double>(bits_); }
  [[nodiscard]] std::pair<double, double> as_complex() const noexcept;
  [[nodiscard]] std::string_view as_text() const noexcept {  // string, number
    if (tag() < Tag::number) return short_text();
    const Head* const block = head();
    if (block->size >= kLongText) return long_text();
    return {reinterpret_cast<const char*>(block + 1), block->size};
  }
  // Until the list is changed.
  [[nodiscard]] ValueItems items() const noexcept;
  [[nodiscard]] List& own_items();                      // to change it
  [[nodiscard]] std::size_t capacity() const noexcept;  // of a list: the room that Go's has
  [[nodiscard]] const std::shared_ptr<Object>& as_object() const noexcept;

  // Maps: sorted by key (strings bytewise; other keys as Go's fmt sorts them), so that iteration is
  // Go's. Until the map is changed.
  [[nodiscard]] std::span<const Entry> entries() const noexcept;
  [[nodiscard]] const Value* find(
      std::string_view key) const noexcept;  // maps with string keys; else nullptr
  [[nodiscard]] const Value* find_key(const Value& key) const noexcept;
  void set(std::string_view key, Value value) { set_key(Value(key), std::move(value)); }
  void set_key(const Value& key, Value value);
  bool erase(const Value& key);
  // For builders that know that the keys come sorted and once each.
  void append_sorted(Value key, Value value);

  [[nodiscard]] std::size_t size() const noexcept;  // of text, lists and maps; else 0

  // Bytes of the texts that this thread made and that are still there.
  [[nodiscard]] static std::int64_t live_text() noexcept { return live_; }

  [[nodiscard]] Value deep_copy() const;
  // Same type and same content, deeply (Go: reflect.DeepEqual). Objects: the same object.
  [[nodiscard]] friend bool operator==(const Value& a, const Value& b) noexcept {
    return deep_equal(a, b);
  }

 private:
  friend class ValuePool;

  // A double is its own bits. All else stands where a double would be "not a number": five bits
  // say what it is, and 48 hold it or point to it. 0, 8 and 16 are Go's infinities and NaN.
  enum class Tag : std::uint8_t {
    real = 0,
    nil = 1,
    boolean,
    integer,
    int64,
    uint64,
    byte,
    short_string,      // of up to two characters, from tables
    short_number = 9,  // the same
    big_integer,       // from here on: on the heap, or a list or map that is nil or empty
    big_int64,
    big_uint64,
    complex128,
    number,
    string,
    list = 17,
    strings,
    ints,
    lists,
    map,
    string_map,
    any_map,
    object = 25,
  };
  struct Bits {
    std::uint64_t bits;
  };
  // Every block on the heap begins with it.
  struct Head {
    std::uint32_t count;
    std::uint16_t place;  // in eights of bytes from the start of its pool's block; 0: by itself
    std::uint16_t size;   // of what follows; from kOwn on it is told otherwise
  };
  struct Integer;
  struct Complex;
  struct LongText;
  struct Items;
  struct Map;
  struct OwnMap;
  struct Held;

  static constexpr std::uint64_t kBoxed = 0x7FF0'0000'0000'0000, kPayload = 0xFFFF'FFFF'FFFF;
  // A list or map of an answer that is empty, without a block. Whoever changes it has one of his own.
  static constexpr std::uint64_t kEmpty = 1;
  // In `place` of a list by itself: the room of Go's decoder, which is made when it is changed.
  static constexpr std::uint16_t kDecoded = 1;
  static constexpr std::uint16_t kThawed = 0xFFFE, kOwn = 0xFFFF;
  static constexpr std::size_t kLongText = 0xFFFF;  // a text of this size is a LongText

  static constexpr std::uint64_t tag_bits(Tag tag) noexcept {
    const auto code = static_cast<std::uint64_t>(tag);
    return (code & 16) << 59 | (code & 15) << 48;
  }
  static constexpr std::uint64_t small(Tag tag, std::int64_t payload) noexcept {
    return kBoxed | tag_bits(tag) | (static_cast<std::uint64_t>(payload) & kPayload);
  }
  static constexpr std::uint64_t kNil = 0x7FF1'0000'0000'0000;
  static const Type kTypes[32];
  static Tag tag_of(Type type) noexcept;

  explicit Value(Bits bits) noexcept : bits_(bits.bits) {}
  Value(Tag fits, Tag big, std::int64_t i);
  Value(Type type, std::string_view text, ValuePool* pool = nullptr);
  Value(Tag tag, Head* head) noexcept
      : bits_(small(tag, static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(head)))) {}

  [[nodiscard]] Tag tag() const noexcept {
    if ((bits_ & kBoxed) != kBoxed) return Tag::real;
    return static_cast<Tag>((bits_ >> 48 & 15) | (bits_ >> 59 & 16));
  }
  [[nodiscard]] Head* head() const noexcept {
    return reinterpret_cast<Head*>(bits_ & kPayload);  // NOLINT(performance-no-int-to-ptr)
  }
  [[nodiscard]] bool counted() const noexcept {
    return tag() >= Tag::big_integer && (bits_ & kPayload) > kEmpty;
  }
  [[nodiscard]] std::int64_t big_int() const noexcept;
  [[nodiscard]] std::string_view short_text() const noexcept;
  [[nodiscard]] std::string_view long_text() const noexcept;
  static Head* own_text(std::string text);
  void release() noexcept;
  static void release_text(Head* block) noexcept;
  std::uint64_t take_bits() noexcept { return std::exchange(bits_, kNil); }
  static bool drop_texts(List& all) noexcept;
  bool take_last(Value& out) noexcept;
  void free_block() noexcept;
  static bool deep_equal(const Value& a, const Value& b) noexcept;
  [[nodiscard]] List* own_list() const noexcept;  // nullptr: without a block, or packed
  [[nodiscard]] Map* own_map() const noexcept;    // the same
  [[nodiscard]] Map& map_to_change();
  void adopt(std::vector<Entry> sorted);

  static inline constinit thread_local std::int64_t live_ = 0;  // bytes of texts

  std::uint64_t bits_ = kNil;
};
static_assert(sizeof(Value) == 8 && sizeof(void*) == 8);

// A list's values, until it is changed.
class ValueItems : public std::span<const Value> {
 public:
  ValueItems() noexcept = default;
  ValueItems(const Value* first, std::size_t count) noexcept : span(first, count) {}
  [[nodiscard]] const Value& at(std::size_t index) const {
    if (index >= size()) throw std::out_of_range("Value");
    return (*this)[index];
  }
  operator List() const { return {begin(), end()}; }
};

struct Value::Entry {
  Value key;
  Value value;
};

// What a configuration or an answer often needs: the member NAME of a map as text, or "" when it is
// not there or no text.
[[nodiscard]] std::string_view text_at(const Value& map, std::string_view name);
// The same as a whole number; `otherwise` when it is not there or not one.
[[nodiscard]] std::int64_t int_at(const Value& map, std::string_view name,
                                  std::int64_t otherwise = 0);
[[nodiscard]] bool bool_at(const Value& map, std::string_view name, bool otherwise = false);
// The member itself, or a nil value that lives forever.
[[nodiscard]] const Value& value_at(const Value& map, std::string_view name);

}  // namespace keybearer
