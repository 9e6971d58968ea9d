#pragma once
// Where json::parse() puts what it makes: texts, lists and maps lie one after another in blocks of
// some kilobytes, with eight bytes in front of each. On the heap by themselves each would cost 32
// bytes at least: many times the text of an answer of small values.
//
// Values may outlive their pool, in any thread: a block is freed with the last of what lies in it,
// and what lies there is wiped when it is let go. What is too large for that is on the heap by
// itself. A list or map that is changed all the same moves out first.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "json/value.hpp"

namespace keybearer {

class ValuePool {
 public:
  explicit ValuePool(std::size_t block_bytes);
  ValuePool(const ValuePool&) = delete;
  ValuePool& operator=(const ValuePool&) = delete;
  ~ValuePool();

  [[gnu::always_inline]] Value text(Type type, std::string_view text) {  // string or number
    const bool is_number = type == Type::number;
    if (text.size() == 1)
      return Value(
          Value::Bits{Value::small(is_number ? Value::Tag::short_number : Value::Tag::short_string,
                                   1 << 8 | static_cast<unsigned char>(text[0]))});
    if (text.size() <= 2 || sizeof(Value::Head) + text.size() > kMostBytes)
      return Value(type, text, this);
    auto* const head =
        static_cast<Value::Head*>(place(sizeof(Value::Head) + text.size(), text.size()));
    put(reinterpret_cast<char*>(head + 1), text);
    Value::live_ += static_cast<std::int64_t>(text.size());
    return {is_number ? Value::Tag::number : Value::Tag::string, head};
  }
  // The same of a part of a longer text, which can be read up to `end`.
  [[gnu::always_inline]] Value part(Type type, std::string_view text, const char* end) {
    constexpr std::size_t kCopied = 16;  // at once, whatever the text needs of them
    const bool is_short = text.size() > 2 && text.size() <= kCopied &&
                          end - text.data() >= static_cast<std::ptrdiff_t>(kCopied) &&
                          block_ != nullptr && used_ + kEight + kCopied <= block_bytes_;
    if (!is_short) return this->text(type, text);
    auto* const head =
        static_cast<Value::Head*>(place(sizeof(Value::Head) + text.size(), text.size()));
    std::memcpy(head + 1, text.data(), kCopied);
    Value::live_ += static_cast<std::int64_t>(text.size());
    return {type == Type::number ? Value::Tag::number : Value::Tag::string, head};
  }
  Value list(std::span<Value> items);             // moved from
  Value map(std::vector<Value::Entry>& entries);  // moved from; sorted, each key once

  // What is longer than kMostBytes.
  static Value long_list(List items);
  static Value long_map(std::vector<Value::Entry> entries);
  // On the heap by itself. Keys are texts, in any order; of one that comes twice the last wins.
  static Value map_of(Type type, std::vector<Value::Entry> members);
  static void sort(std::vector<Value::Entry>& members);
  static constexpr std::size_t kMostBytes = 2048;

  // How many of what lies in it are in use, and a great many more while the pool adds to it. Counted
  // with locks: values of one answer may end in different threads.
  struct Block {
    std::atomic<std::uint32_t> used;
  };

 private:
  friend class Value;
  static constexpr std::size_t kEight = 8;
  static constexpr std::uint32_t kAdding = 1u << 31;  // in Block::used

  // While it lives, what this thread lets go is told to a block once for many in a row.
  class Batch {
   public:
    Batch() noexcept;
    ~Batch();
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
  };

  // Room for `bytes`, its head included, which is made with `size`.
  [[gnu::always_inline]] void* place(std::size_t bytes, std::size_t size) {
    static_assert(sizeof(Block) <= kEight && sizeof(Value::Head) == kEight);
    bytes = (bytes + kEight - 1) / kEight * kEight;
    if (block_ == nullptr || used_ + bytes > block_bytes_) next_block(bytes);
    ++placed_;
    void* const at = reinterpret_cast<char*>(block_) + used_;
    new (at) Value::Head{1, static_cast<std::uint16_t>(used_ / kEight),
                         static_cast<std::uint16_t>(size)};
    used_ += bytes;
    return at;
  }
  void next_block(std::size_t bytes);
  void close_block() noexcept;
  // The place of `head` is given back.
  static void let_go(const Value::Head* head) noexcept;

  std::size_t block_bytes_;
  Block* block_ = nullptr;
  std::size_t used_ = 0;
  std::uint32_t placed_ = 0;  // in the block
};

}  // namespace keybearer
