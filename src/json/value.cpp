#include "json/value.hpp"

#include <algorithm>
#include <charconv>
#include <compare>
#include <iterator>
#include <memory>

namespace keybearer {

// The heap parts. Each begins with its count, so that Value can count without knowing which it is.
struct Value::Text {  // one block: the characters follow
  std::uint32_t count;
  std::size_t size;
  [[nodiscard]] char* data() { return reinterpret_cast<char*>(this + 1); }
};
struct Value::Items {
  std::uint32_t count;
  List items;
};
// Entries are sorted where they are looked at as a whole. Between that and the last insertion they
// are a few sorted runs, each less than half as long as the one before: an insertion costs O(log n)
// moves on average and a look-up O(log² n) comparisons, in whatever order the keys come.
struct Value::Entries {
  std::uint32_t count;
  std::vector<Entry> entries;
  std::unique_ptr<std::vector<std::size_t>> starts =
      {};  // of the runs but the first; null: one run
};
struct Value::Held {
  std::uint32_t count;
  std::shared_ptr<Object> object;
};
struct Value::Complex {
  std::uint32_t count;
  double re, im;
};

namespace {

// Go's internal/fmtsort for keys of one map: nil, then by the addresses of the types in the
// reference's program, then by value; text bytewise.
int rank(Type type) {
  switch (type) {
    case Type::nil:
      return 0;
    case Type::uint64:
    case Type::byte:
      return 2;
    case Type::integer:
    case Type::int64:
      return 3;
    case Type::float64:
      return 4;
    case Type::boolean:
      return 5;
    default:
      return 1;
  }
}

std::strong_ordering compare_keys(const Value& a, const Value& b) {
  if (a.is_text() && b.is_text()) return a.as_text() <=> b.as_text();
  if (rank(a.type()) != rank(b.type())) return rank(a.type()) <=> rank(b.type());
  switch (rank(a.type())) {
    case 2:
      return a.as_uint() <=> b.as_uint();
    case 3:
    case 5:
      return a.as_int() <=> b.as_int();
    case 4:
      return std::strong_order(a.as_double(), b.as_double());
    default:
      return std::strong_ordering::equal;
  }
}

constexpr auto kBefore = [](const Value::Entry& entry, const Value& key) {
  return compare_keys(entry.key, key) < 0;
};
constexpr auto kBeforeText = [](const Value::Entry& entry, std::string_view key) {
  return entry.key.is_text() ? entry.key.as_text() < key : entry.key.is_nil();
};

// What `look` finds in one of the runs of a map; the newest ones are the shortest.
template <class Map, class Look>
Value::Entry* find_in(Map& map, const Look& look) {
  auto end = map.entries.end();
  if (map.starts != nullptr) {
    for (std::size_t run = map.starts->size(); run-- > 0;) {
      const auto begin = map.entries.begin() + static_cast<std::ptrdiff_t>((*map.starts)[run]);
      if (auto* found = look(begin, end)) return found;
      end = begin;
    }
  }
  return look(map.entries.begin(), end);
}

template <class Map>
Value::Entry* find_entry(Map& map, const Value& key) {
  return find_in(map, [&key](auto begin, auto end) {
    const auto at = std::lower_bound(begin, end, key, kBefore);
    return at != end && compare_keys(at->key, key) == 0 ? &*at : nullptr;
  });
}

// Merges the sorted entries from `right` on into those from `left` on.
void merge_tail(std::vector<Value::Entry>& all, std::size_t left, std::size_t right) {
  std::vector<Value::Entry> tail(std::make_move_iterator(all.begin() + static_cast<long>(right)),
                                 std::make_move_iterator(all.end()));
  std::size_t out = all.size(), from = right;
  while (!tail.empty()) {
    const bool larger = from > left && compare_keys(all[from - 1].key, tail.back().key) > 0;
    all[--out] = larger ? std::move(all[--from]) : std::move(tail.back());
    if (!larger) tail.pop_back();
  }
}

// Makes one run of the runs from `first` on (0 is the first one).
template <class Map>
void merge_runs(Map& map, std::size_t first) {
  while (map.starts->size() > first) {
    const std::size_t last = map.starts->size();
    merge_tail(map.entries, last > 1 ? (*map.starts)[last - 2] : 0, map.starts->back());
    map.starts->pop_back();
  }
  if (map.starts->empty()) map.starts.reset();
}

// After an insertion: no run is longer than half of the one before.
template <class Map>
void balance_runs(Map& map) {
  if (map.starts == nullptr) return;
  const auto start = [&map](std::size_t run) { return run == 0 ? 0 : (*map.starts)[run - 1]; };
  std::size_t first = map.starts->size();
  while (first > 0 && 2 * (map.entries.size() - start(first)) > start(first) - start(first - 1)) {
    --first;
  }
  if (first < map.starts->size()) merge_runs(map, first);
}

}  // namespace

namespace {

constinit thread_local std::int64_t live = 0;

}  // namespace

std::int64_t Value::live_text() noexcept {
  return live;
}

Value::Value(Type type, std::string_view text) : type_(type) {
  live += static_cast<std::int64_t>(text.size());
  bits_.text = new (::operator new(sizeof(Text) + text.size())) Text{1, text.size()};
  std::copy(text.begin(), text.end(), bits_.text->data());
}

Value Value::complex128(double re, double im) {
  Value value(Type::complex128, std::int64_t{0});
  value.bits_.complex = new Complex{1, re, im};
  return value;
}

Value Value::list(Type type, List items) {
  Value value(type, std::int64_t{0});
  value.bits_.items = new Items{1, std::move(items)};
  return value;
}

Value Value::map() {
  return map(Type::map);
}

Value Value::map(Type type) {
  Value value(type, std::int64_t{0});
  value.bits_.entries = new Entries{1, {}};
  return value;
}

Value Value::object(std::shared_ptr<Object> object) {
  Value value(Type::object, std::int64_t{0});
  value.bits_.held = new Held{1, std::move(object)};
  return value;
}

Value::Value(const Value& other) noexcept : type_(other.type_), bits_(other.bits_) {
  if (counted()) ++*bits_.count;
}

Value::Value(Value&& other) noexcept
    : type_(std::exchange(other.type_, Type::nil)), bits_(other.bits_) {
  other.bits_.i = 0;
}

namespace {

// What lists and maps held when they were freed, while one is being freed: they are emptied one
// after the other, so that a chain of any depth needs no stack.
thread_local List* falling = nullptr;

}  // namespace

void Value::free_parts() noexcept {
  const auto keep = [](Value& part) {
    if (part.counted() && part.type_ != Type::string && part.type_ != Type::number)
      falling->push_back(std::move(part));
  };
  if (is_list()) {
    for (Value& item : bits_.items->items) keep(item);
    delete bits_.items;
  } else {
    for (Entry& entry : bits_.entries->entries) keep(entry.value);
    delete bits_.entries;
  }
}

void Value::release() noexcept {
  switch (type_) {
    case Type::complex128:
      delete bits_.complex;
      return;
    case Type::number:
    case Type::string:
      live -= static_cast<std::int64_t>(bits_.text->size);
      ::operator delete(bits_.text);
      return;
    case Type::object:
      delete bits_.held;
      return;
    default:
      break;
  }
  if (falling != nullptr) return free_parts();
  List all;
  falling = &all;
  free_parts();
  while (!all.empty()) {
    const Value next = std::move(all.back());
    all.pop_back();
  }
  falling = nullptr;
}

Value::~Value() {
  if (counted() && --*bits_.count == 0) release();
}

std::pair<double, double> Value::as_complex() const noexcept {
  return {bits_.complex->re, bits_.complex->im};
}
std::string_view Value::as_text() const noexcept {
  return {bits_.text->data(), bits_.text->size};
}
const List& Value::items() const noexcept {
  static const List none;
  return bits_.items != nullptr ? bits_.items->items : none;
}
List& Value::items() noexcept {
  if (bits_.items == nullptr) bits_.items = new Items{1, {}};
  return bits_.items->items;
}
const std::shared_ptr<Object>& Value::as_object() const noexcept {
  return bits_.held->object;
}
const std::vector<Value::Entry>& Value::entries() const noexcept {
  static const std::vector<Entry> none;
  if (bits_.entries == nullptr) return none;
  if (bits_.entries->starts != nullptr) merge_runs(*bits_.entries, 0);
  return bits_.entries->entries;
}
std::vector<Value::Entry>& Value::own_entries() {
  if (bits_.entries == nullptr) bits_.entries = new Entries{1, {}};
  return bits_.entries->entries;
}

const Value* Value::find(std::string_view key) const noexcept {
  if (!is_map() || bits_.entries == nullptr) return nullptr;
  const Entry* found = find_in(*bits_.entries, [key](auto begin, auto end) {
    const auto at = std::lower_bound(begin, end, key, kBeforeText);
    return at != end && at->key.is_text() && at->key.as_text() == key ? &*at : nullptr;
  });
  return found == nullptr ? nullptr : &found->value;
}

const Value* Value::find_key(const Value& key) const noexcept {
  if (!is_map() || bits_.entries == nullptr) return nullptr;
  const Entry* found = find_entry(*bits_.entries, key);
  return found == nullptr ? nullptr : &found->value;
}

void Value::set_key(const Value& key, Value value) {
  auto& all = own_entries();
  Entries& map = *bits_.entries;
  if (!all.empty() && compare_keys(all.back().key, key) >= 0) {
    if (Entry* known = find_entry(map, key)) {
      known->value = std::move(value);
      return;
    }
    if (map.starts == nullptr) map.starts = std::make_unique<std::vector<std::size_t>>();
    map.starts->push_back(all.size());
  } else if (map.starts != nullptr) {
    if (Entry* known = find_entry(map, key)) {  // in another run
      known->value = std::move(value);
      return;
    }
  }
  all.push_back(Entry{key, std::move(value)});
  balance_runs(map);
}

bool Value::erase(const Value& key) {
  auto& all = own_entries();
  Entries& map = *bits_.entries;
  const Entry* found = find_entry(map, key);
  if (found == nullptr) return false;
  const auto index = static_cast<std::size_t>(found - all.data());
  all.erase(all.begin() + static_cast<std::ptrdiff_t>(index));
  if (map.starts == nullptr) return true;
  for (std::size_t& start : *map.starts) start -= start > index ? 1 : 0;
  return true;
}

void Value::append_sorted(Value key, Value value) {
  own_entries().push_back(Entry{std::move(key), std::move(value)});
}

std::size_t Value::size() const noexcept {
  if (is_text()) return as_text().size();
  if (is_list()) return items().size();
  if (is_map()) return bits_.entries == nullptr ? 0 : bits_.entries->entries.size();
  return 0;
}

Value Value::deep_copy() const {
  if (is_nil_of()) return *this;
  if (is_list()) {
    List copy;
    copy.reserve(items().capacity());
    for (const Value& item : items()) copy.push_back(item.deep_copy());
    return list(type_, std::move(copy));
  }
  if (is_map()) {
    Value copy = map(type_);
    copy.own_entries().reserve(entries().size());
    for (const auto& [key, value] : entries()) copy.append_sorted(key, value.deep_copy());
    return copy;
  }
  return *this;
}

bool Value::deep_equal(const Value& a, const Value& b) noexcept {
  if (a.type_ != b.type_ || a.is_nil_of() != b.is_nil_of()) return false;
  switch (a.type_) {
    case Type::nil:
      return true;
    case Type::boolean:
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::byte:
      return a.bits_.i == b.bits_.i;
    case Type::float64:
      return a.bits_.d == b.bits_.d;
    case Type::complex128:
      return a.as_complex() == b.as_complex();
    case Type::number:
    case Type::string:
      return a.as_text() == b.as_text();
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists:
      return a.bits_.items == b.bits_.items || a.items() == b.items();
    case Type::object:
      return a.as_object()->deep_equals(*b.as_object());
    default:
      break;
  }
  if (a.bits_.entries == b.bits_.entries) return true;
  return std::equal(a.entries().begin(), a.entries().end(), b.entries().begin(), b.entries().end(),
                    [](const Entry& x, const Entry& y) {
                      return deep_equal(x.key, y.key) && deep_equal(x.value, y.value);
                    });
}

const Value& value_at(const Value& map, std::string_view name) {
  static const Value nil;
  const Value* found = map.find(name);
  return found != nullptr ? *found : nil;
}

std::string_view text_at(const Value& map, std::string_view name) {
  const Value& value = value_at(map, name);
  return value.is_text() ? value.as_text() : std::string_view{};
}

std::int64_t int_at(const Value& map, std::string_view name, std::int64_t otherwise) {
  const std::string_view text = text_at(map, name);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty() ? number
                                                                                   : otherwise;
}

bool bool_at(const Value& map, std::string_view name, bool otherwise) {
  const Value& value = value_at(map, name);
  return value.type() == Type::boolean ? value.as_bool() : otherwise;
}

}  // namespace keybearer
