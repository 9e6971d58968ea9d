#include "tmpl/sandbox.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>

namespace keybearer::tmpl {
namespace {

constexpr int kTries = 8;  // while links are changed under our hands

std::string reason(int error) {
  std::string text = std::generic_category().message(error);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}

// Without links; the error is errno.
std::expected<std::string, int> real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (!real) return std::unexpected(errno);
  return std::string(real.get());
}

// As filepath.EvalSymlinks says it.
Error failed(const std::string& path, int error) {
  if (error == ELOOP) return {ErrorKind::denied, "EvalSymlinks: too many links"};
  if (error == ENOTDIR) return {ErrorKind::not_found, "not a directory"};
  return {error == ENOENT ? ErrorKind::not_found : ErrorKind::denied,
          "lstat " + path + ": " + reason(error)};
}

bool is_beneath(const std::string& root, const std::string& real) {
  return real == root || root == "/" || real.starts_with(root + "/");
}

std::unexpected<Error> outside(const std::string& path) {
  return fail(ErrorKind::denied, "'" + path + "' is outside of sandbox");
}

// A path without links, that is without one component that became a link meanwhile. -1 and errno.
int open_without_links(int directory, const char* path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  if (directory != AT_FDCWD) how.resolve |= RESOLVE_BENEATH;
  return static_cast<int>(syscall(SYS_openat2, directory, path, &how, sizeof how));
}

// The same where there is no openat2 (an old kernel, a seccomp filter): part after part.
int walk_without_links(int directory, std::string_view path, int flags) {
  UniqueFd at(directory == AT_FDCWD ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)
                                    : fcntl(directory, F_DUPFD_CLOEXEC, 0));
  while (at) {
    while (path.starts_with('/')) path.remove_prefix(1);
    const auto slash = path.find('/');
    const std::string part(path.substr(0, slash));
    if (part == "..") {
      errno = EXDEV;
      return -1;
    }
    const bool last = slash == std::string_view::npos;
    const int next = openat(at.get(), part.empty() ? "." : part.c_str(),
                            (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
    if (last || next < 0) return next;
    at = UniqueFd(next);
    path.remove_prefix(slash);
  }
  return -1;
}

int open_beneath_once(int directory, const std::string& path, int flags, bool old_kernel) {
  if (old_kernel) return walk_without_links(directory, path, flags);
  const int fd = open_without_links(directory, path.c_str(), static_cast<std::uint64_t>(flags));
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM && errno != EINVAL)) return fd;
  return walk_without_links(directory, path, flags);
}

bool is_swapped(int error) {
  return error == ELOOP || error == EXDEV || error == EAGAIN || error == ENOENT || error == ENOTDIR;
}

}  // namespace

result<std::string> resolve_sandbox(const std::string& path) {
  auto real = real_path(path);
  if (!real) return fail(ErrorKind::config, "sandbox_path " + path + ": " + reason(real.error()));
  const UniqueFd fd(open(real->c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(ErrorKind::config, "sandbox_path " + path + ": " + reason(errno));
  return std::move(*real);
}

result<std::string> resolve_beneath(const std::string& root, const std::string& path) {
  auto real = real_path(path);
  if (!real) {
    // A link that leads nowhere may lead outside, and so may the way to what is not there.
    return std::unexpected(failed(path, real.error()));
  }
  if (!is_beneath(root, *real)) return outside(path);
  return std::move(*real);
}

result<UniqueFd> open_beneath(const std::string& root, const std::string& path, bool old_kernel) {
  int error = ENOENT;
  for (int i = 0; i < kTries; ++i) {
    const auto real = resolve_beneath(root, path);
    if (!real) return std::unexpected(real.error());
    const UniqueFd directory(open_beneath_once(AT_FDCWD, root, O_PATH | O_DIRECTORY, old_kernel));
    if (!directory) return std::unexpected(failed(root, errno));
    const std::string rest = *real == root ? "."
                             : root == "/" ? real->substr(1)
                                           : real->substr(root.size() + 1);
    UniqueFd fd(
        open_beneath_once(directory.get(), rest, O_RDONLY | O_NONBLOCK | O_NOCTTY, old_kernel));
    if (fd) return fd;
    error = errno;
    if (!is_swapped(error)) break;
  }
  return fail(error == EACCES ? ErrorKind::denied : ErrorKind::not_found,
              "open " + path + ": " + reason(error));
}

}  // namespace keybearer::tmpl
