#include "tmpl/funcs/write_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/fd.hpp"
#include "base/owner.hpp"

namespace keybearer::tmpl {
namespace {

namespace fs = std::filesystem;
using Done = std::expected<void, std::string>;

// "open a/b: no such file or directory".
std::unexpected<std::string> failed(const char* what, const std::string& path, int error) {
  std::string reason = std::generic_category().message(error);
  if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z')
    reason[0] = static_cast<char>(reason[0] + 32);
  return std::unexpected(std::string(what) + " " + path + ": " + reason);
}

// In a folder that others may write to, a link of theirs would lead our secret anywhere.
bool link_of_another(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return false;
  return info.st_uid != geteuid() && info.st_uid != 0;
}

std::string folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().lexically_normal().string();
  return folder.empty() ? "." : folder;
}

Done write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Done set_owner_and_mode(int fd, const FileWrite& write, const Owner& owner) {
  if ((owner.user || owner.group) &&
      fchown(fd, owner.user.value_or(geteuid()), owner.group.value_or(getegid())) != 0)
    return failed("chown", write.path, errno);
  if (fchmod(fd, static_cast<mode_t>(write.mode)) != 0) return failed("chmod", write.path, errno);
  return {};
}

Done write_in_place(const FileWrite& write, const Owner& owner) {
  const int how = write.append ? O_APPEND : O_TRUNC;
  const UniqueFd fd(open(write.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, 0600));
  if (!fd) return failed("open", write.path, errno);
  if (auto done = write_all(fd.get(), write.content, write.path); !done) return done;
  return set_owner_and_mode(fd.get(), write, owner);
}

// What the path means after links, if it can be replaced there; empty: in place.
std::string replaceable(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) return errno == ENOENT ? path : std::string();
  std::string target = path;
  if (S_ISLNK(info.st_mode)) {
    char* real = realpath(path.c_str(), nullptr);
    if (real == nullptr) return {};
    target = real;
    std::free(real);
    if (stat(target.c_str(), &info) != 0) return {};
  }
  return S_ISREG(info.st_mode) && info.st_nlink == 1 ? target : std::string();
}

// The new file has the old one's owner where none is asked for; false: it can't be given.
bool keep_owner(int fd, const std::string& target, const Owner& owner) {
  struct stat old{}, fresh{};
  if (owner.user || owner.group || stat(target.c_str(), &old) != 0) return true;
  if (fstat(fd, &fresh) != 0) return false;
  if (old.st_uid == fresh.st_uid && old.st_gid == fresh.st_gid) return true;
  return fchown(fd, old.st_uid, old.st_gid) == 0;
}

// false: it must be written in place.
std::expected<bool, std::string> replace(const std::string& target, const FileWrite& write,
                                         const Owner& owner) {
  std::string temporary =
      folder_of(target) + "/." + fs::path(target).filename().string() + ".XXXXXX";
  const UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return false;
  const auto give_up = [&temporary](auto result) {
    unlink(temporary.c_str());
    return result;
  };
  if (!keep_owner(fd.get(), target, owner)) return give_up(false);
  if (auto done = write_all(fd.get(), write.content, write.path); !done)
    return give_up(std::expected<bool, std::string>(std::unexpected(done.error())));
  if (auto done = set_owner_and_mode(fd.get(), write, owner); !done)
    return give_up(std::expected<bool, std::string>(std::unexpected(done.error())));
  fsync(fd.get());
  if (rename(temporary.c_str(), target.c_str()) != 0) return give_up(false);
  return true;
}

}  // namespace

Done write_file(const FileWrite& write) {
  const std::string folder = folder_of(write.path);
  for (const std::string& path : {write.path, folder}) {
    if (link_of_another(path)) return std::unexpected(path + " is a symbolic link of another user");
  }
  std::error_code error;
  if (!write.append && !fs::exists(folder, error) && !write.path.empty()) {
    fs::create_directories(folder, error);
    if (error) return failed("mkdir", folder, error.value());
  }
  const auto user = owner_of(write.user, {});
  const auto group = owner_of({}, write.group);
  const Owner owner{user && group ? user->user : std::nullopt,
                    user && group ? group->group : std::nullopt};
  const std::string target = write.append ? std::string() : replaceable(write.path);
  bool replaced = false;
  if (!target.empty()) {
    const auto done = replace(target, write, owner);
    if (!done) return std::unexpected(done.error());
    replaced = *done;
  }
  if (!replaced) {
    if (auto done = write_in_place(write, owner); !done) return done;
  }
  if (!user) return std::unexpected("user: unknown user " + write.user);
  if (!group) return std::unexpected("group: unknown group " + write.group);
  return {};
}

}  // namespace keybearer::tmpl
