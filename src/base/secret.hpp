#pragma once
// Bytes that must not be seen: a token, a password, a rendered file, a response body.
//
// Always on the heap, wiped when destroyed and when grown, move-only, and not printable: there is
// no operator<<, no formatter and no conversion, so that logging one does not compile. Beyond this
// type, the program's operator delete wipes all memory on free (base/wipe.cpp), which covers
// parsers and library buffers.

#include <cstddef>
#include <string_view>

namespace keybearer {

class Secret {
 public:
  Secret() noexcept = default;
  explicit Secret(std::string_view bytes) { append(bytes); }
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { clear(); }

  [[nodiscard]] Secret clone() const { return Secret(reveal()); }

  // The bytes themselves; the view ends with the next change. Never keep it past the statement.
  [[nodiscard]] std::string_view reveal() const noexcept { return {data_, size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  void append(std::string_view bytes);
  void push_back(char byte) { append({&byte, 1}); }
  void reserve(std::size_t capacity);
  void clear() noexcept;

  // In a time that depends on the sizes only.
  friend bool operator==(const Secret& a, const Secret& b) noexcept;

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace keybearer
