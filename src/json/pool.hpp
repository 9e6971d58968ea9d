#pragma once
// Where json::parse() puts what it makes: texts, lists and maps lie one after another in blocks of
// some kilobytes, with eight bytes in front of each. On the heap by themselves each would cost 32
// bytes at least: many times the text of an answer of small values.
//
// Values may outlive their pool, in any thread: a block is freed with the last of what lies in it,
// and what lies there is wiped when it is let go. What is too large for that is on the heap by
// itself. A list or map that is changed all the same moves out first.

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "json/value.hpp"

namespace keybearer {

class ValuePool {
 public:
  explicit ValuePool(std::size_t block_bytes);
  ValuePool(const ValuePool&) = delete;
  ValuePool& operator=(const ValuePool&) = delete;
  ~ValuePool();

  Value text(Type type, std::string_view text);   // string or number
  Value list(std::span<Value> items);             // moved from
  Value map(std::vector<Value::Entry>& entries);  // moved from; sorted, each key once

  // What is longer than kMostBytes.
  static Value long_list(List items);
  static Value long_map(std::vector<Value::Entry> entries);
  // On the heap by itself. Keys are texts, in any order; of one that comes twice the last wins.
  static Value map_of(Type type, std::vector<Value::Entry> members);
  static void sort(std::vector<Value::Entry>& members);
  static constexpr std::size_t kMostBytes = 2048;

  struct Block;

 private:
  friend class Value;
  void* place(std::size_t bytes, std::size_t size);
  // The place of `head` is given back.
  static void let_go(const Value::Head* head) noexcept;

  std::size_t block_bytes_;
  Block* block_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace keybearer
