#include "base/file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/fd.hpp"

namespace keybearer {
namespace {

std::atomic<bool> waits_for_pipes = true;

std::unexpected<ReadError> failed(int number) {
  return std::unexpected(ReadError{number, strerrordesc_np(number)});
}

std::string size_text(std::size_t bytes) {
  const bool mib = bytes >= 1 << 20;
  return std::to_string(bytes >> (mib ? 20 : 10)) + (mib ? " MiB" : " KiB");
}

}  // namespace

std::expected<std::string, ReadError> read_all(int fd, std::size_t limit,
                                               std::optional<int> silence_ms) {
  std::string text;
  char buffer[16384];
  int error = 0;
  bool wait = silence_ms.has_value();
  for (bool more = true; more && text.size() <= limit;) {
    pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
    if (wait && poll(&readable, 1, silence_ms.value_or(-1)) == 0)
      return std::unexpected(
          ReadError{ETIMEDOUT, *silence_ms == 0 ? "a pipe or device that has nothing to read"
                                                : "nothing came from it for " +
                                                      std::to_string(*silence_ms / 1000) + " s"});
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN) wait = true;
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    error = n < 0 ? errno : 0;
    more = n > 0;
    if (more) text.append(buffer, static_cast<std::size_t>(n));
  }
  explicit_bzero(buffer, sizeof buffer);
  if (error != 0) return failed(error);
  if (text.size() > limit)
    return std::unexpected(ReadError{EFBIG, "larger than " + size_text(limit)});
  return text;
}

std::expected<std::string, ReadError> read_file(const std::string& path, ReadOptions options) {
  // Without O_NONBLOCK a pipe that nobody writes to would hold us here.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return failed(errno);
  if (S_ISDIR(info.st_mode)) return failed(EISDIR);
  if (options.regular && !S_ISREG(info.st_mode))
    return std::unexpected(ReadError{0, "not a regular file"});
  if (S_ISREG(info.st_mode)) return read_all(fd.get(), options.limit);
  const int patience = isatty(fd.get()) == 1 ? -1 : options.silence_ms;
  return read_all(fd.get(), options.limit, waits_for_pipes ? patience : 0);
}

void wait_for_pipes(bool wait) {
  waits_for_pipes = wait;
}

}  // namespace keybearer
