#include "process/standard_streams.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <initializer_list>

namespace keybearer {
namespace {

std::array<bool, STDERR_FILENO + 1> was_closed{};

}  // namespace

void hold_standard_streams() noexcept {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    was_closed[static_cast<std::size_t>(fd)] = true;
    // The lowest free number is this one. Opened for the other direction, reading or writing fails.
    (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

bool standard_stream_was_closed(int fd) noexcept {
  return was_closed[static_cast<std::size_t>(fd)];
}

}  // namespace keybearer
