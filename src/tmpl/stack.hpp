#pragma once
// Go's stack grows, ours does not: what recurses asks whether there is still room.

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace keybearer::tmpl {

class StackRoom {
 public:
  // From where it is made on, three quarters of the stack may be used, and `more` bytes.
  StackRoom() : base_(here()) {}
  [[nodiscard]] bool is_used_up(std::size_t more = 0) const {
    return base_ - here() > limit() + more;  // it grows downwards
  }

 private:
  [[nodiscard]] static std::uintptr_t here() {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  }
  [[nodiscard]] static std::size_t limit() {
    static const std::size_t bytes = [] {
      rlimit limit{};
      constexpr std::size_t kUsual = 8u << 20;
      const bool known = getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
      return (known ? std::min<std::size_t>(limit.rlim_cur, kUsual) : kUsual) / 4 * 3;
    }();
    return bytes;
  }

  std::uintptr_t base_;
};

}  // namespace keybearer::tmpl
