#pragma once
// A value as a template sees it: what a server's JSON answer holds, and what template functions
// make of it.
//
// Go's kinds are kept apart, because conversions between them are errors that users meet and work
// around: a number of an answer is a json.Number (text, never converted), parseInt gives an int64,
// LeaseDuration is an int, parseJSON gives float64 (Go: encoding/json with UseNumber; text/template
// compares and prints by kind).
//
// 16 bytes, cheap to copy: text, lists and maps are shared and counted (not thread-safe). Lists and
// maps are references, as in Go: a change through one copy is seen through the others. Answers of
// the server must not be changed in place: whoever changes makes its own with deep_copy().
//
// Values hold secrets. There is no operator<<; memory is wiped on free (base/wipe.cpp).

#include <cstddef>
#include <cstdint>
#include <memory>
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
  Value() noexcept : type_(Type::nil) { bits_.i = 0; }
  Value(bool b) noexcept : type_(Type::boolean) { bits_.i = b ? 1 : 0; }
  Value(int i) noexcept : type_(Type::integer) { bits_.i = i; }
  Value(double d) noexcept : type_(Type::float64) { bits_.d = d; }
  Value(std::string_view text) : Value(Type::string, text) {}
  Value(const std::string& text) : Value(Type::string, text) {}
  Value(const char* text) : Value(Type::string, text) {}
  Value(const Value& other) noexcept;
  Value(Value&& other) noexcept;
  Value& operator=(Value other) noexcept {
    std::swap(type_, other.type_);
    std::swap(bits_, other.bits_);
    return *this;
  }
  ~Value();

  static Value integer(std::int64_t i) noexcept { return {Type::integer, i}; }
  static Value int64(std::int64_t i) noexcept { return {Type::int64, i}; }
  static Value uint64(std::uint64_t u) noexcept {
    return {Type::uint64, static_cast<std::int64_t>(u)};
  }
  static Value byte(std::uint8_t b) noexcept { return {Type::byte, b}; }
  static Value complex128(double re, double im);
  static Value number(std::string_view text) { return {Type::number, text}; }  // json.Number
  static Value list(List items) { return list(Type::list, std::move(items)); }
  static Value list(Type type, List items);  // list, strings, ints or lists
  static Value strings(List items) { return list(Type::strings, std::move(items)); }
  static Value map();           // an empty map[string]interface {}
  static Value map(Type type);  // map, string_map or any_map
  // Go's nil slice or map of a list's or map's type: empty, but null in JSON.
  static Value nil_of(Type type) noexcept { return {type, std::int64_t{0}}; }
  static Value object(std::shared_ptr<Object> object);

  [[nodiscard]] Type type() const noexcept { return type_; }
  [[nodiscard]] bool is_nil() const noexcept { return type_ == Type::nil; }
  [[nodiscard]] bool is_text() const noexcept {
    return type_ == Type::string || type_ == Type::number;
  }
  [[nodiscard]] bool is_list() const noexcept {
    return type_ >= Type::list && type_ <= Type::lists;
  }
  [[nodiscard]] bool is_nil_of() const noexcept {  // made by nil_of
    return (is_list() || is_map()) && bits_.count == nullptr;
  }
  // The very same list or map, not one that is equal.
  [[nodiscard]] bool is_same(const Value& other) const noexcept {
    return counted() && other.counted() && bits_.count == other.bits_.count;
  }
  [[nodiscard]] bool is_map() const noexcept {
    return type_ == Type::map || type_ == Type::string_map || type_ == Type::any_map;
  }

  // Each for its own types only (checked in debug builds).
  [[nodiscard]] bool as_bool() const noexcept { return bits_.i != 0; }
  [[nodiscard]] std::int64_t as_int() const noexcept { return bits_.i; }  // integer, int64, byte
  [[nodiscard]] std::uint64_t as_uint() const noexcept {
    return static_cast<std::uint64_t>(bits_.i);
  }
  [[nodiscard]] double as_double() const noexcept { return bits_.d; }
  [[nodiscard]] std::pair<double, double> as_complex() const noexcept;
  [[nodiscard]] std::string_view as_text() const noexcept;  // string, number
  [[nodiscard]] const List& items() const noexcept;         // lists
  [[nodiscard]] List& items() noexcept;
  [[nodiscard]] const std::shared_ptr<Object>& as_object() const noexcept;

  // Maps: sorted by key (strings bytewise; other keys as Go's fmt sorts them), so that iteration is
  // Go's.
  struct Entry;
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept;
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
  [[nodiscard]] static std::int64_t live_text() noexcept;

  [[nodiscard]] Value deep_copy() const;
  // Same type and same content, deeply (Go: reflect.DeepEqual). Objects: the same object.
  [[nodiscard]] friend bool operator==(const Value& a, const Value& b) noexcept {
    return deep_equal(a, b);
  }

 private:
  struct Text;
  struct Items;
  struct Entries;
  struct Held;
  struct Complex;

  Value(Type type, std::int64_t i) noexcept : type_(type) { bits_.i = i; }
  Value(Type type, std::string_view text);
  void release() noexcept;
  void free_parts() noexcept;
  static bool deep_equal(const Value& a, const Value& b) noexcept;
  [[nodiscard]] std::vector<Entry>& own_entries();
  [[nodiscard]] bool counted() const noexcept {
    // Everything from here on lives on the heap, but for nil lists and maps.
    return type_ >= Type::complex128 && bits_.count != nullptr;
  }

  Type type_;
  union {
    std::int64_t i;
    double d;
    Text* text;
    Items* items;
    Entries* entries;
    Held* held;
    Complex* complex;
    std::uint32_t* count;  // each heap part begins with its count
  } bits_;
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
// The member itself, or a nil value that lives for ever.
[[nodiscard]] const Value& value_at(const Value& map, std::string_view name);

}  // namespace keybearer
