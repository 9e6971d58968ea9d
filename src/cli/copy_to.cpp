#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/exit_code.hpp"
#include "base/fd.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"

namespace keybearer::cli {
namespace {

int cant_write(const std::string& path) {
  complain("copy-to: " + config::escaped(path) + ": " + strerrordesc_np(errno));
  return kCantWrite;
}

}  // namespace

// Whole or not at all: another container may be waiting for the name to appear.
int copy_to(const std::string& directory) {
  const std::string path = directory + "/keybearer", temporary = path + ".new";
  const UniqueFd self(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!self || fstat(self.get(), &info) != 0) return cant_write("/proc/self/exe");
  const UniqueFd out(
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0755));
  if (!out) return cant_write(temporary);
  off_t at = 0;
  while (at < info.st_size) {
    const ssize_t sent =
        sendfile(out.get(), self.get(), &at, static_cast<std::size_t>(info.st_size - at));
    if (sent > 0 || (sent < 0 && errno == EINTR)) continue;
    const int error = sent == 0 ? EIO : errno;
    unlink(temporary.c_str());
    errno = error;
    return cant_write(temporary);
  }
  if (fchmod(out.get(), 0755) != 0 || fsync(out.get()) != 0 ||
      rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    errno = error;
    return cant_write(path);
  }
  std::printf("%s\n", config::escaped(path).c_str());
  return kOk;
}

}  // namespace keybearer::cli
