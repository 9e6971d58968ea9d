#include "json/value.hpp"

#include <string.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>

#include "json/capacity.hpp"
#include "json/pool.hpp"
#include "json/value_parts.hpp"

namespace keybearer {

const Type Value::kTypes[32] = {
    Type::float64, Type::nil,        Type::boolean, Type::integer, Type::int64,      Type::uint64,
    Type::byte,    Type::string,     Type::float64, Type::number,  Type::integer,    Type::int64,
    Type::uint64,  Type::complex128, Type::number,  Type::string,  Type::float64,    Type::list,
    Type::strings, Type::ints,       Type::lists,   Type::map,     Type::string_map, Type::any_map,
    Type::float64, Type::object,     Type::nil,     Type::nil,     Type::nil,        Type::nil,
    Type::nil,     Type::nil};

Value::Tag Value::tag_of(Type type) noexcept {
  if (type == Type::number) return Tag::number;
  if (type == Type::string) return Tag::string;
  if (type == Type::object) return Tag::object;
  return static_cast<Tag>(static_cast<int>(Tag::list) + static_cast<int>(type) -
                          static_cast<int>(Type::list));
}

namespace {

// The characters of short texts: of one byte each byte, of two the numbers from 00 to 99 and from -0
// to -9.
constexpr auto kBytes = [] {
  std::array<char, 256> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i);
  return all;
}();
constexpr auto kPairs = [] {
  std::array<char, 220> all{};
  for (std::size_t i = 0; i < all.size() / 2; ++i) {
    all[2 * i] = i < 100 ? static_cast<char>('0' + i / 10) : '-';
    all[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return all;
}();

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

Value::Value(Type type, std::string_view text, ValuePool* pool) {
  const bool is_number = type == Type::number;
  const std::size_t size = text.size();
  const bool pair = size == 2 && (is_digit(text[0]) || text[0] == '-') && is_digit(text[1]);
  if (size < 2 || pair) {
    const int at = pair        ? (text[0] == '-' ? 10 : text[0] - '0') * 10 + (text[1] - '0')
                   : size == 1 ? static_cast<unsigned char>(text[0])
                               : 0;
    bits_ = small(is_number ? Tag::short_number : Tag::short_string,
                  static_cast<std::int64_t>(size) << 8 | at);
    return;
  }
  Head* block = nullptr;
  if (size >= kLongText) {
    block = own_text(std::string(text));
  } else {
    const std::size_t bytes = sizeof(Head) + size;
    block = pool != nullptr && bytes <= ValuePool::kMostBytes
                ? static_cast<Head*>(pool->place(bytes, size))
                : new (::operator new(bytes)) Head{1, 0, static_cast<std::uint16_t>(size)};
    std::memcpy(block + 1, text.data(), size);
  }
  live_ += static_cast<std::int64_t>(size);
  bits_ = Value(is_number ? Tag::number : Tag::string, block).take_bits();
}

Value::Head* Value::own_text(std::string text) {
  return new LongText{{1, 0, kLongText}, std::move(text)};
}

// Room that the text does not need is not kept for long.
Value::Value(std::string&& text) {
  if (text.size() < kLongText || text.capacity() > 2 * text.size()) {
    *this = Value(Type::string, text);
    return;
  }
  live_ += static_cast<std::int64_t>(text.size());
  bits_ = Value(Tag::string, own_text(std::move(text))).take_bits();
}

Value::Value(Tag fits, Tag big, std::int64_t i) : bits_(small(fits, i)) {
  if (as_int() != i) *this = Value(big, new Integer{{1, 0, 0}, i});
}

std::int64_t Value::big_int() const noexcept {
  return static_cast<const Integer*>(head())->i;
}

Value Value::complex128(double re, double im) {
  return {Tag::complex128, new Complex{{1, 0, 0}, re, im}};
}

Value Value::list(Type type, List items) {
  return {tag_of(type), new Items{{1, 0, kOwn}, std::move(items)}};
}

Value Value::map() {
  return map(Type::map);
}

Value Value::map(Type type) {
  return {tag_of(type), new OwnMap{{1, 0, kOwn}, {}}};
}

Value Value::object(std::shared_ptr<Object> object) {
  return {Tag::object, new Held{{1, 0, 0}, std::move(object)}};
}

namespace {

// Lists and maps that nobody uses any more, while they are emptied: one value at a time, from the
// last, and those in it first, so that a chain of any depth needs no stack and a list of any length
// no room.
thread_local List* falling = nullptr;

}  // namespace

// The last of what this list or map holds; false: it is empty.
bool Value::take_last(Value& out) noexcept {
  Head* const block = head();
  const bool packed = block->size < kThawed;
  if (is_list()) {
    if (packed) {
      if (block->size == 0) return false;
      out = std::move(reinterpret_cast<Value*>(block + 1)[--block->size]);
      return true;
    }
    List& all = *own_list();
    if (drop_texts(all)) return false;
    out = std::move(all.back());
    all.pop_back();
    return true;
  }
  if (packed) {
    if (block->size == 0) return false;
    Entry& last = reinterpret_cast<Entry*>(block + 1)[--block->size];
    out = std::move(last.value);
    last.key = Value();
    return true;
  }
  auto& all = own_map()->entries;
  if (all.empty()) return false;
  out = std::move(all.back().value);
  all.pop_back();
  return true;
}

// Of a list's own values those from the last on that hold no others; false: another is the last.
bool Value::drop_texts(List& all) noexcept {
  while (!all.empty()) {
    Value& last = all.back();
    if ((last.is_list() || last.is_map()) && last.counted()) return false;
    if (last.tag() == Tag::string && --last.head()->count == 0) release_text(last.head());
    if (last.tag() == Tag::string) last.bits_ = kNil;
    all.pop_back();
  }
  return true;
}

// The block of a list or map that is empty by now.
void Value::free_block() noexcept {
  Head* const block = head();
  if (block->size == kOwn) {
    if (is_list()) {
      delete static_cast<Items*>(block);
    } else {
      delete static_cast<OwnMap*>(block);
    }
    return;
  }
  if (block->size == kThawed) {
    if (is_list()) {
      delete own_list();
    } else {
      delete own_map();
    }
  }
  ValuePool::let_go(block);
}

void Value::release_text(Head* block) noexcept {
  if (block->size >= kLongText) {
    auto* const text = static_cast<LongText*>(block);
    live_ -= static_cast<std::int64_t>(text->text.size());
    delete text;
    return;
  }
  live_ -= block->size;
  if (block->place == 0) return ::operator delete(block);
  // In eights of bytes, as it was placed; not left out although nobody reads it again.
  auto* const end = reinterpret_cast<volatile std::uint64_t*>(block + 1) + (block->size + 7) / 8;
  for (auto* at = reinterpret_cast<volatile std::uint64_t*>(block + 1); at != end; ++at) *at = 0;
  ValuePool::let_go(block);
}

void Value::release() noexcept {
  Head* const block = head();
  switch (type()) {
    case Type::integer:
    case Type::int64:
    case Type::uint64:
      delete static_cast<Integer*>(block);
      return;
    case Type::complex128:
      delete static_cast<Complex*>(block);
      return;
    case Type::number:
    case Type::string:
      return release_text(block);
    case Type::object:
      delete static_cast<Held*>(block);
      return;
    default:
      break;
  }
  block->count = 1;  // `falling` has it until it is freed
  if (falling != nullptr) return falling->push_back(Value(Bits{std::exchange(bits_, kNil)}));
  List all;
  falling = &all;
  const ValuePool::Batch batch;
  all.push_back(Value(Bits{std::exchange(bits_, kNil)}));
  while (!all.empty()) {
    Value part;
    if (all.back().take_last(part)) continue;  // a list or map in it comes next, by its destructor
    Value& empty = all.back();
    empty.free_block();
    empty.bits_ = kNil;
    all.pop_back();
  }
  falling = nullptr;
}

std::pair<double, double> Value::as_complex() const noexcept {
  const auto* complex = static_cast<const Complex*>(head());
  return {complex->re, complex->im};
}

std::string_view Value::short_text() const noexcept {
  const std::size_t size = bits_ >> 8 & 3, at = bits_ & 0xFF;
  return {size == 2 ? kPairs.data() + 2 * at : kBytes.data() + at, size};
}

std::string_view Value::long_text() const noexcept {
  return static_cast<const LongText*>(head())->text;
}

List* Value::own_list() const noexcept {
  if (!counted() || head()->size < kThawed) return nullptr;
  Head* const block = head();
  if (block->size == kOwn) return &static_cast<Items*>(block)->items;
  return *reinterpret_cast<List**>(block + 1);
}

ValueItems Value::items() const noexcept {
  if (!counted()) return {};
  const Head* const block = head();
  if (block->size < kThawed) return {reinterpret_cast<const Value*>(block + 1), block->size};
  const List& own = *own_list();
  return {own.data(), own.size()};
}

List& Value::own_items() {
  if (!counted()) *this = list(type(), {});
  if (List* own = own_list()) {
    if (std::exchange(head()->place, std::uint16_t{0}) == kDecoded)
      own->reserve(go_appended(own->size()));
    return *own;
  }
  Head* const block = head();
  const std::span<Value> packed(reinterpret_cast<Value*>(block + 1), block->size);
  auto out = std::make_unique<List>();
  out->reserve(capacity());
  out->assign(std::make_move_iterator(packed.begin()), std::make_move_iterator(packed.end()));
  std::ranges::destroy(packed);
  block->size = kThawed;
  return **new (block + 1) List*(out.release());
}

std::size_t Value::capacity() const noexcept {
  const List* own = own_list();
  if (own != nullptr && head()->place != kDecoded) return own->capacity();
  return go_appended(size());  // as much as Go's decoder makes: a spew of the list shows it
}

const std::shared_ptr<Object>& Value::as_object() const noexcept {
  return static_cast<const Held*>(head())->object;
}

std::size_t Value::size() const noexcept {
  if (is_text()) return as_text().size();
  if (is_list()) return items().size();
  if (!is_map() || !counted()) return 0;
  const Map* const own = own_map();
  return own != nullptr ? own->entries.size() : head()->size;
}

Value Value::deep_copy() const {
  if (is_nil_of()) return *this;
  if (is_list()) {
    List copy;
    copy.reserve(capacity());
    for (const Value& item : items()) copy.push_back(item.deep_copy());
    return list(type(), std::move(copy));
  }
  if (is_map()) {
    Value copy = map(type());
    auto& all = copy.map_to_change().entries;
    all.reserve(size());
    for (const auto& [key, value] : entries()) all.push_back({key, value.deep_copy()});
    return copy;
  }
  return *this;
}

bool Value::deep_equal(const Value& a, const Value& b) noexcept {
  if (a.type() != b.type() || a.is_nil_of() != b.is_nil_of()) return false;
  switch (a.type()) {
    case Type::nil:
      return true;
    case Type::boolean:
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::byte:
      return a.as_int() == b.as_int();
    case Type::float64:
      return a.as_double() == b.as_double();
    case Type::complex128:
      return a.as_complex() == b.as_complex();
    case Type::number:
    case Type::string:
      return a.as_text() == b.as_text();
    case Type::list:
    case Type::strings:
    case Type::ints:
    case Type::lists:
      return a.is_same(b) || std::ranges::equal(a.items(), b.items());
    case Type::object:
      return a.as_object()->deep_equals(*b.as_object());
    default:
      break;
  }
  return a.is_same(b) ||
         std::ranges::equal(a.entries(), b.entries(), [](const Entry& x, const Entry& y) {
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
