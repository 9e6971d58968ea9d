#include "json/pool.hpp"

#include <algorithm>
#include <atomic>
#include <compare>
#include <cstdint>
#include <memory>
#include <new>
#include <numeric>
#include <utility>

namespace keybearer {

// How many of what lies in it are in use, and one more while the pool adds to it. Counted with
// locks: values of one answer may end in different threads.
struct ValuePool::Block {
  std::atomic<std::uint32_t> used;
};

namespace {

constexpr std::size_t kEight = 8, kLeastBlock = 256, kMostBlock = 32 * 1024;
static_assert(ValuePool::kMostBytes <= kMostBlock / 2 && kMostBlock / kEight < 0xFFFF);

void drop(ValuePool::Block* block) noexcept;

}  // namespace

ValuePool::ValuePool(std::size_t block_bytes)
    : block_bytes_(std::clamp(block_bytes, kLeastBlock, kMostBlock) / kEight * kEight) {}

ValuePool::~ValuePool() {
  if (block_ != nullptr) drop(block_);
}

namespace {

void drop(ValuePool::Block* block) noexcept {
  if (block->used.fetch_sub(1, std::memory_order_acq_rel) == 1) ::operator delete(block);
}

}  // namespace

// Room for `bytes`, its head included, which is made with `size`.
void* ValuePool::place(std::size_t bytes, std::size_t size) {
  static_assert(sizeof(Block) <= kEight && sizeof(Value::Head) == kEight);
  bytes = (bytes + kEight - 1) / kEight * kEight;
  if (block_ == nullptr || used_ + bytes > block_bytes_) {
    if (block_ != nullptr) drop(std::exchange(block_, nullptr));
    block_bytes_ = std::max(block_bytes_, bytes + kEight);
    block_ = new (::operator new(block_bytes_)) Block{1};
    used_ = kEight;
  }
  block_->used.fetch_add(1, std::memory_order_relaxed);
  void* const at = reinterpret_cast<char*>(block_) + used_;
  new (at)
      Value::Head{1, static_cast<std::uint16_t>(used_ / kEight), static_cast<std::uint16_t>(size)};
  used_ += bytes;
  return at;
}

void ValuePool::let_go(const Value::Head* head) noexcept {
  const char* const at = reinterpret_cast<const char*>(head) - head->place * kEight;
  drop(reinterpret_cast<Block*>(const_cast<char*>(at)));
}

Value ValuePool::text(Type type, std::string_view text) {
  return Value(type, text, this);
}

Value ValuePool::list(std::span<Value> items) {
  if (items.empty()) return Value(Value::Bits{Value::small(Value::Tag::list, Value::kEmpty)});
  const std::size_t bytes = sizeof(Value::Head) + items.size_bytes();
  auto* const head = static_cast<Value::Head*>(place(bytes, items.size()));
  std::uninitialized_move(items.begin(), items.end(), reinterpret_cast<Value*>(head + 1));
  return {Value::Tag::list, head};
}

Value ValuePool::long_list(List items) {
  Value value = Value::list(std::move(items));
  value.head()->place = Value::kDecoded;
  return value;
}

Value ValuePool::long_map(std::vector<Value::Entry> entries) {
  Value value = Value::map();
  value.adopt(std::move(entries));
  return value;
}

void ValuePool::sort(std::vector<Value::Entry>& members) {
  const auto key = [&members](std::size_t i) { return members[i].key.as_text(); };
  bool sorted = true;
  for (std::size_t i = 1; i < members.size() && sorted; ++i) sorted = key(i - 1) < key(i);
  if (sorted) return;
  std::vector<std::uint32_t> order(members.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&key](std::uint32_t a, std::uint32_t b) {
    const auto which = key(a) <=> key(b);
    return which != 0 ? which < 0 : a < b;
  });
  std::vector<Value::Entry> out;
  out.reserve(members.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool again = i + 1 < order.size() && key(order[i]) == key(order[i + 1]);
    if (!again) out.push_back(members[order[i]]);
  }
  members = std::move(out);
}

Value ValuePool::map_of(Type type, std::vector<Value::Entry> members) {
  sort(members);
  Value out = Value::map(type);
  out.adopt(std::move(members));
  return out;
}

Value ValuePool::map(std::vector<Value::Entry>& entries) {
  if (entries.empty()) return Value(Value::Bits{Value::small(Value::Tag::map, Value::kEmpty)});
  const std::size_t bytes = sizeof(Value::Head) + entries.size() * sizeof(Value::Entry);
  auto* const head = static_cast<Value::Head*>(place(bytes, entries.size()));
  std::uninitialized_move(entries.begin(), entries.end(),
                          reinterpret_cast<Value::Entry*>(head + 1));
  return {Value::Tag::map, head};
}

}  // namespace keybearer
