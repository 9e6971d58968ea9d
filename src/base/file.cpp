#include "base/file.hpp"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.hpp"

namespace keybearer {
namespace {

std::unexpected<ReadError> failed(int number) {
  return std::unexpected(ReadError{number, strerrordesc_np(number)});
}

std::string size_text(std::size_t bytes) {
  const bool mib = bytes >= 1 << 20;
  return std::to_string(bytes >> (mib ? 20 : 10)) + (mib ? " MiB" : " KiB");
}

}  // namespace

std::expected<std::string, ReadError> read_all(int fd, std::size_t limit) {
  std::string text;
  char buffer[16384];
  int error = 0;
  for (bool more = true; more && text.size() <= limit;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
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
  const int wait = options.regular ? O_NONBLOCK : 0;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | wait));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return failed(errno);
  if (S_ISDIR(info.st_mode)) return failed(EISDIR);
  if (options.regular && !S_ISREG(info.st_mode))
    return std::unexpected(ReadError{0, "not a regular file"});
  return read_all(fd.get(), options.limit);
}

}  // namespace keybearer
