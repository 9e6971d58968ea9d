#include "delivery/sync.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>

namespace keybearer::delivery {
namespace {

constexpr std::size_t kSyncfsThreshold = 16;

// Linux 5.8: before that syncfs(2) succeeds whatever became of the data.
bool syncfs_tells_errors() noexcept {
  static const bool known = [] {
    utsname system{};
    if (uname(&system) != 0) return false;
    const std::string_view release(system.release);
    unsigned major = 0, minor = 0;
    const auto [dot, error] = std::from_chars(release.begin(), release.end(), major);
    if (error != std::errc{} || dot == release.end()) return false;
    (void)std::from_chars(dot + 1, release.end(), minor);
    return major > 5 || (major == 5 && minor >= 8);
  }();
  return known;
}

}  // namespace

// Many of one device by one syncfs(2): a journalling file system commits once, and not for each.
void sync(std::span<Sync> files) noexcept {
  const bool at_once = files.size() >= kSyncfsThreshold && syncfs_tells_errors();
  for (std::size_t i = 0; i < files.size(); ++i) {
    Sync& file = files[i];
    const auto same_device = [&file](const Sync& other) { return other.device == file.device; };
    const auto before = files.first(i);
    if (at_once) {
      const auto earlier = std::ranges::find_if(before, same_device);
      file.device_error = earlier != before.end()        ? earlier->device_error
                          : syncfs(file.descriptor) == 0 ? 0
                                                         : errno;
      file.error = 0;
      if (file.device_error == 0) continue;
    }
    file.error = fsync(file.descriptor) == 0 ? 0 : errno;
  }
}

}  // namespace keybearer::delivery
