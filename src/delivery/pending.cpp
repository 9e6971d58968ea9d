#include "delivery/pending.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.hpp"

namespace keybearer::delivery {
namespace {

constexpr const char* kAttribute = "user.keybearer.pending";

std::string beside(const std::string& name) {
  return "." + name.substr(0, 200) + ".keybearer-pending";
}

}  // namespace

int set_pending(int fd, int directory, const std::string& name) {
  if (fsetxattr(fd, kAttribute, "1", 1, 0) == 0) return 0;
  const UniqueFd mark(openat(directory, beside(name).c_str(),
                             O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  return mark && fchmod(mark.get(), 0600) == 0 ? 0 : errno;
}

bool is_pending(int fd, int directory, const std::string& name) {
  char value[8];
  if (fgetxattr(fd, kAttribute, value, sizeof value) >= 0) return true;
  struct stat info{};
  return fstatat(directory, beside(name).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISREG(info.st_mode) && (info.st_uid == geteuid() || info.st_uid == 0);
}

void clear_pending(int fd, int directory, const std::string& name) {
  (void)unlinkat(directory, beside(name).c_str(), 0);
  if (fremovexattr(fd, kAttribute) == 0 || errno != EACCES) return;
  struct stat info{};
  if (fstat(fd, &info) != 0) return;  // read-only for its owner, too: writable for a moment
  if (fchmod(fd, (info.st_mode & 07777) | S_IWUSR) != 0) return;
  (void)fremovexattr(fd, kAttribute);
  (void)fchmod(fd, info.st_mode & 07777);
}

}  // namespace keybearer::delivery
