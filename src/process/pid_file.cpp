#include "process/pid_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/directory.hpp"

namespace keybearer {

result<PidFile> PidFile::write(const std::string& path) {
  if (auto good = refuse_links_of_others(path); !good)
    return fail(ErrorKind::config, path + ": " + good.error().text);
  PidFile file;
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return fail_errno(ErrorKind::config, path, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    char pid[16] = {};
    const ssize_t n = pread(fd.get(), pid, sizeof pid - 1, 0);
    const std::string other(pid, n > 1 ? static_cast<std::size_t>(n) - 1 : 0);
    return fail(ErrorKind::config,
                path + ": another keybearer runs with it (pid " + other + "); stop it first");
  }
  const std::string text = std::to_string(getpid()) + "\n";
  if (ftruncate(fd.get(), 0) != 0 ||
      pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail_errno(ErrorKind::config, path, errno);
  }
  file.path_ = path;
  file.fd_ = std::move(fd);
  return file;
}

PidFile::~PidFile() {
  if (fd_) unlink(path_.c_str());
}

std::optional<pid_t> read_pid_file(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  char text[32];
  const ssize_t n = file ? read(file.get(), text, sizeof text) : -1;
  if (n <= 0) return std::nullopt;
  const char* begin = text;
  const char* end = text + n;
  while (begin != end && (*begin == ' ' || *begin == '\t')) ++begin;
  pid_t pid = 0;
  const auto [after, error] = std::from_chars(begin, end, pid);
  if (error != std::errc{} || pid <= 1) return std::nullopt;
  if (after != end && *after != '\n' && *after != ' ' && *after != '\r') return std::nullopt;
  return pid;
}

}  // namespace keybearer
