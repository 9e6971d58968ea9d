#include "json/pool.hpp"

#include <algorithm>
#include <compare>
#include <cstdint>
#include <memory>
#include <new>
#include <numeric>
#include <utility>

#include "json/sort.hpp"

namespace keybearer {

namespace {

constexpr std::size_t kEight = 8, kLeastBlock = 256, kMostBlock = 32 * 1024;
static_assert(ValuePool::kMostBytes <= kMostBlock / 2 && kMostBlock / kEight < 0xFFFF);

void drop(ValuePool::Block* block, std::uint32_t count) noexcept {
  if (block->used.fetch_sub(count, std::memory_order_acq_rel) == count) ::operator delete(block);
}

// What this thread let go of one block and did not tell it yet.
struct LetGo {
  ValuePool::Block* block = nullptr;
  std::uint32_t count = 0;
  bool batched = false;

  void tell() noexcept {
    if (count != 0) drop(block, std::exchange(count, 0));
  }
};
constinit thread_local LetGo let_go_last;

}  // namespace

ValuePool::ValuePool(std::size_t block_bytes)
    : block_bytes_(std::clamp(block_bytes, kLeastBlock, kMostBlock) / kEight * kEight) {}

ValuePool::~ValuePool() {
  close_block();
}

void ValuePool::close_block() noexcept {
  if (block_ != nullptr) drop(std::exchange(block_, nullptr), kAdding - placed_);
}

void ValuePool::next_block(std::size_t bytes) {
  close_block();
  block_bytes_ = std::max(block_bytes_, bytes + kEight);
  block_ = new (::operator new(block_bytes_)) Block{kAdding};
  used_ = kEight;
  placed_ = 0;
}

ValuePool::Batch::Batch() noexcept {
  let_go_last.batched = true;
}
ValuePool::Batch::~Batch() {
  let_go_last.batched = false;
  let_go_last.tell();
}

void ValuePool::let_go(const Value::Head* head) noexcept {
  const char* const at = reinterpret_cast<const char*>(head) - head->place * kEight;
  auto* const block = reinterpret_cast<Block*>(const_cast<char*>(at));
  LetGo& last = let_go_last;
  if (!last.batched) return drop(block, 1);
  if (last.block != block) {
    last.tell();
    last.block = block;
  }
  ++last.count;
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

namespace {

std::string_view key_of(const Value::Entry& member) {
  return member.key.as_text();
}
bool is_sorted(const std::vector<Value::Entry>& members) {
  for (std::size_t i = 1; i < members.size(); ++i) {
    if (key_of(members[i - 1]) >= key_of(members[i])) return false;
  }
  return true;
}
// Of those with one key the last.
void put_in_order(std::vector<Value::Entry>& members, const std::vector<std::uint32_t>& order) {
  std::vector<Value::Entry> out;
  out.reserve(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool again =
        i + 1 < order.size() && key_of(members[order[i]]) == key_of(members[order[i + 1]]);
    if (!again) out.push_back(std::move(members[order[i]]));  // it is not looked at again
  }
  members = std::move(out);
}

}  // namespace

// In little room: it counts for what an answer may cost.
void ValuePool::sort(std::vector<Value::Entry>& members) {
  if (is_sorted(members)) return;
  std::vector<std::uint32_t> order(members.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&members](std::uint32_t a, std::uint32_t b) {
    const auto which = key_of(members[a]) <=> key_of(members[b]);
    return which != 0 ? which < 0 : a < b;
  });
  put_in_order(members, order);
}

Value ValuePool::map_of(Type type, std::vector<Value::Entry> members) {
  if (!is_sorted(members))
    put_in_order(members, sorted_order(members.size(),
                                       [&members](std::size_t i) { return key_of(members[i]); }));
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
