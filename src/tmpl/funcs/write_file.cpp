#include "tmpl/funcs/write_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "base/directory.hpp"

namespace keybearer::tmpl {
namespace {

using Done = std::expected<void, std::string>;

// "open a/b: no such file or directory".
std::unexpected<std::string> failed(const char* what, const std::string& path, int error) {
  std::string reason = std::generic_category().message(error);
  if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z')
    reason[0] = static_cast<char>(reason[0] + 32);
  return std::unexpected(std::string(what) + " " + path + ": " + reason);
}

std::expected<std::string, std::string> resolved(const std::string& sandbox) {
  if (sandbox.empty()) return std::string();
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(sandbox.c_str(), nullptr),
                                                         &std::free);
  if (!real) return failed("sandbox", sandbox, errno);
  return std::string(real.get());
}

// What Go would say of it before anything is tried.
Done check_path(const FileWrite& write) {
  const auto slash = write.path.rfind('/');
  if (write.path.empty()) return failed("open", write.path, ENOENT);
  if (slash + 1 == write.path.size()) return failed("open", write.path, EISDIR);
  const std::string directory = slash == std::string::npos ? "." : write.path.substr(0, slash + 1);
  struct stat info{};
  const bool there = stat(directory.c_str(), &info) == 0;
  if (!there && errno == ENOTDIR) return failed("open", write.path, ENOTDIR);
  if (!there && errno == ENOENT && write.append) return failed("open", write.path, ENOENT);
  return {};
}

std::expected<FilePlace, std::string> place_of(const FileWrite& write, const Owner& owner) {
  if (auto good = check_path(write); !good) return std::unexpected(good.error());
  const auto sandbox = resolved(write.sandbox);
  if (!sandbox) return std::unexpected(sandbox.error());
  const auto missing = write.append ? Missing::refuse : Missing::make;
  auto place = find_file(write.path, owner,
                         [&](const std::string& path) -> result<std::shared_ptr<const Directory>> {
                           auto opened = open_directory(path, owner, missing, *sandbox);
                           if (!opened) return std::unexpected(std::move(opened).error());
                           return std::make_shared<const Directory>(std::move(**opened));
                         });
  if (!place) return std::unexpected("open " + write.path + ": " + place.error().text);
  if ((*place)->existing && S_ISDIR((*place)->existing->st_mode))
    return failed("open", write.path, EISDIR);
  return std::move(**place);
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

Done write_in_place(const FilePlace& place, const FileWrite& write, const Owner& owner) {
  const bool regular = !place.existing || S_ISREG(place.existing->st_mode);
  const int how = (write.append ? O_APPEND : 0) | (regular ? O_CREAT : 0);
  const UniqueFd fd(openat(place.dir(), place.name.c_str(),
                           O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | how, 0600));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return failed("open", write.path, errno);
  if (auto good = may_be_written_into(*place.directory, info, owner); !good)
    return std::unexpected("open " + write.path + ": " + good.error().text);
  fcntl(fd.get(), F_SETFL, write.append ? O_APPEND : 0);
  if (regular) {
    if (!write.append && ftruncate(fd.get(), 0) != 0) return failed("write", write.path, errno);
    if (auto set = set_owner_and_mode(fd.get(), write, owner); !set) return set;
  }
  return write_all(fd.get(), write.content, write.path);
}

// The new file has the old one's owner where none is asked for; false: it can't be given. What
// another user put into a directory that all may write is replaced, not adopted.
bool keep_owner(int fd, const FilePlace& place, const Owner& owner) {
  if (owner.user || owner.group || !place.existing) return true;
  if (place.directory->shared && !is_trusted_owner(place.existing->st_uid, owner)) return true;
  struct stat fresh{};
  if (fstat(fd, &fresh) != 0) return false;
  const struct stat& old = *place.existing;
  if (old.st_uid == fresh.st_uid && old.st_gid == fresh.st_gid) return true;
  return fchown(fd, old.st_uid, old.st_gid) == 0;
}

// false: it must be written in place.
std::expected<bool, std::string> replace(const FilePlace& place, const FileWrite& write,
                                         const Owner& owner) {
  std::uint64_t random = 0;
  (void)getrandom(&random, sizeof random, 0);  // only to be unlike others
  // A name that the sweep for leftovers of a killed run knows (delivery/place.hpp), and a lock
  // against another instance's.
  const std::string digits = std::to_string(random % 900'000'000'000 + 100'000'000'000);
  const std::string temporary = "." + place.name.substr(0, 200) + ".keybearer-" + digits;
  const UniqueFd fd(openat(place.dir(), temporary.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return false;
  flock(fd.get(), LOCK_EX | LOCK_NB);
  const auto give_up = [&](std::expected<bool, std::string> outcome) {
    unlinkat(place.dir(), temporary.c_str(), 0);
    return outcome;
  };
  if (!keep_owner(fd.get(), place, owner)) return give_up(false);
  if (auto set = set_owner_and_mode(fd.get(), write, owner); !set)
    return give_up(std::unexpected(set.error()));
  if (auto done = write_all(fd.get(), write.content, write.path); !done)
    return give_up(std::unexpected(done.error()));
  if (fsync(fd.get()) != 0) return give_up(failed("write", write.path, errno));
  if (renameat(place.dir(), temporary.c_str(), place.dir(), place.name.c_str()) != 0)
    return give_up(false);
  (void)fsync(place.dir());
  return true;
}

}  // namespace

Done write_file(const FileWrite& write) {
  const auto user = owner_of(write.user, {});
  const auto group = owner_of({}, write.group);
  const Owner owner{user && group ? user->user : std::nullopt,
                    user && group ? group->group : std::nullopt};
  const auto place = place_of(write, owner);
  if (!place) return std::unexpected(place.error());
  const bool replaceable =
      !place->existing || (S_ISREG(place->existing->st_mode) &&
                           (place->existing->st_nlink == 1 || place->directory->shared));
  bool replaced = false;
  if (replaceable && !write.append) {
    const auto done = replace(*place, write, owner);
    if (!done) return std::unexpected(done.error());
    replaced = *done;
  }
  if (!replaced) {
    if (auto done = write_in_place(*place, write, owner); !done) return done;
  }
  if (!user) return std::unexpected("user: unknown user " + write.user);
  if (!group) return std::unexpected("group: unknown group " + write.group);
  return {};
}

}  // namespace keybearer::tmpl
