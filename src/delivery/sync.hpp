#pragma once
// Many files to the disk at once (fsync(2), syncfs(2)).

#include <sys/types.h>

#include <span>

namespace keybearer::delivery {

struct Sync {
  int descriptor;
  dev_t device;
  int error = 0;         // an errno, afterwards
  int device_error = 0;  // of the device's syncfs(2)
};

// Waits for the disk. Allocates nothing and throws nothing.
void sync(std::span<Sync> files) noexcept;

}  // namespace keybearer::delivery
