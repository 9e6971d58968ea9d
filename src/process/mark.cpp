#include "process/mark.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/fd.hpp"

namespace keybearer {
namespace {

Marks drawn() {
  rlimit limit{};
  std::uint64_t number = 0;
  if (getrlimit(RLIMIT_LOCKS, &limit) != 0 || limit.rlim_max != RLIM_INFINITY ||
      getrandom(&number, sizeof number, 0) != sizeof number) {
    return {0, 0};
  }
  number = (number >> 3) | (std::uint64_t{1} << 60);  // large, and far from RLIM_INFINITY
  return {number & ~std::uint64_t{1}, number | 1};
}

}  // namespace

const Marks& marks() {
  static const Marks both = drawn();
  return both;
}

std::uint64_t mark_of(pid_t pid) noexcept {
  rlimit limit{};
  if (prlimit(pid, RLIMIT_LOCKS, nullptr, &limit) == 0) return limit.rlim_cur;
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/limits", pid);  // another user's
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = file ? read(file.get(), text, sizeof text - 1) : -1;
  if (n <= 0) return 0;
  text[n] = '\0';
  constexpr char kName[] = "Max file locks";
  const char* at = std::strstr(text, kName);
  return at == nullptr ? 0 : std::strtoull(at + sizeof kName - 1, nullptr, 10);
}

}  // namespace keybearer
