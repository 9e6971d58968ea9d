#pragma once
// Numbers, texts and values as bytes and back. Pure. A reader never reads beyond its bytes, never
// recurses deeper than kMaxDepth and never allocates more than they hold: whatever is wrong, all
// that follows is empty and ok() is false.

#include <cstdint>
#include <string>
#include <string_view>

#include "json/value.hpp"

namespace keybearer::state {

inline constexpr int kMaxDepth = 128;

class Writer {
 public:
  void number(std::uint64_t value);        // LEB128
  void signed_number(std::int64_t value);  // zigzag
  void flag(bool value) { number(value ? 1 : 0); }
  void text(std::string_view bytes);
  // False: it holds what can't be written (an object of the template language), or is too deep.
  // Takes no part of it, so that another thread may count references meanwhile.
  [[nodiscard]] bool value(const Value& value, int depth = 0);

  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  void truncate(std::size_t size) { bytes_.resize(size); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] std::uint64_t number();
  [[nodiscard]] std::int64_t signed_number();
  [[nodiscard]] bool flag();
  [[nodiscard]] std::string_view text();
  [[nodiscard]] Value value(int depth = 0);
  // How many items follow, of at least one byte each.
  [[nodiscard]] std::size_t count();

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return ok_ && rest_.empty(); }
  void fail() {
    ok_ = false;
    rest_ = {};
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace keybearer::state
