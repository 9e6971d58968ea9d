#include "base/secret.hpp"

#include <string.h>

#include <algorithm>
#include <utility>

namespace keybearer {

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    clear();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void Secret::append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (size_ + bytes.size() > capacity_) reserve(std::max(size_ + bytes.size(), capacity_ * 2));
  memcpy(data_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void Secret::reserve(std::size_t capacity) {
  if (capacity <= capacity_) return;
  char* grown = new char[capacity];
  if (size_ != 0) memcpy(grown, data_, size_);
  const std::size_t size = size_;
  clear();
  data_ = grown;
  size_ = size;
  capacity_ = capacity;
}

void Secret::clear() noexcept {
  if (data_ != nullptr) explicit_bzero(data_, capacity_);
  delete[] data_;
  data_ = nullptr;
  size_ = capacity_ = 0;
}

bool operator==(const Secret& a, const Secret& b) noexcept {
  if (a.size_ != b.size_) return false;
  unsigned char different = 0;
  for (std::size_t i = 0; i < a.size_; ++i) {
    different |= static_cast<unsigned char>(a.data_[i]) ^ static_cast<unsigned char>(b.data_[i]);
  }
  return different == 0;
}

}  // namespace keybearer
