#include "base/directory.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <fstream>
#include <string_view>
#include <utility>

namespace keybearer {
namespace {

constexpr int kMostLinks = 40;  // as the kernel (path_resolution(7))

std::unexpected<Error> refuse(std::string text) {
  return fail(ErrorKind::io, std::move(text));
}

bool is_group_of_ours(gid_t group) {
  if (group == 0 || group == getegid()) return true;
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, getgroups(0, nullptr))));
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(0, count)));
  return std::ranges::find(groups, group) != groups.end();
}

// In a user namespace that root itself is not in, root's files have this owner.
std::optional<uid_t> root_from_outside() {
  static const auto found = []() -> std::optional<uid_t> {
    std::ifstream map("/proc/self/uid_map"), overflow("/proc/sys/kernel/overflowuid");
    unsigned long inside = 0, outside = 0, count = 0;
    unsigned owner = 0;
    if (!(map >> inside >> outside >> count) || count >= 0xffffffff || !(overflow >> owner))
      return std::nullopt;
    return owner;
  }();
  return found;
}

// A bind mount of the same device is one, too, and only a newer kernel tells (statx(2)).
bool is_mount_point(int directory, dev_t device, dev_t parent) {
  if (device != parent) return true;
#ifdef STATX_ATTR_MOUNT_ROOT
  struct statx info{};
  return statx(directory, "", AT_EMPTY_PATH, 0, &info) == 0 &&
         (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
#else
  return false;
#endif
}

bool is_on_procfs(int directory) {
  struct statfs system{};
  return fstatfs(directory, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

// Exactly, whatever the umask is; and by a descriptor, so that nothing else can be meant.
bool set_mode(int directory, mode_t mode) {
  const std::string self = "/proc/self/fd/" + std::to_string(directory);
  return chmod(self.c_str(), mode) == 0;
}

class Walk {
 public:
  enum class Judge { all, links };

  Walk(const Recipient& recipient, Missing missing, const std::string& beneath,
       Judge judge = Judge::all)
      : recipient_(recipient), missing_(missing), beneath_(beneath), judge_(judge) {}

  result<std::optional<Directory>> to(const std::string& path) {
    std::string whole = path;
    if (!path.starts_with('/')) {
      char here[PATH_MAX];
      if (getcwd(here, sizeof here) == nullptr)
        return fail_errno(ErrorKind::io, "the working directory", errno);
      whole = std::string(here) + "/" + path;
    }
    queue(whole);
    if (auto started = start(); !started) return std::unexpected(started.error());
    while (!left_.empty()) {
      const std::string name = std::move(left_.front());
      left_.pop_front();
      auto there = step(name);
      if (!there) return std::unexpected(std::move(there).error());
      if (!*there) return std::nullopt;
    }
    return finish();
  }

 private:
  struct Passed {
    UniqueFd fd;
    std::string name;
    struct stat info{};
    bool shared = false, strange = false;
  };

  void queue(std::string_view path) {
    std::vector<std::string> names;
    while (!path.empty()) {
      const auto end = std::min(path.find('/'), path.size());
      if (end > 0) names.emplace_back(path.substr(0, end));
      path.remove_prefix(std::min(end + 1, path.size()));
    }
    left_.insert(left_.begin(), names.begin(), names.end());
  }

  result<> start() {
    way_.clear();
    Passed root{UniqueFd(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)), "", {}};
    if (!root.fd || fstat(root.fd.get(), &root.info) != 0)
      return fail_errno(ErrorKind::io, "/", errno);
    way_.push_back(std::move(root));
    return judge();
  }

  [[nodiscard]] std::string path() const {
    std::string out;
    for (std::size_t i = 1; i < way_.size(); ++i) out += "/" + way_[i].name;
    return out.empty() ? "/" : out;
  }
  [[nodiscard]] std::string path_of(const std::string& name) const {
    return way_.size() == 1 ? "/" + name : path() + "/" + name;
  }

  // False: it is not there, and that is an answer.
  result<bool> step(const std::string& name) {
    if (name == ".") return true;
    if (name == "..") {
      if (way_.size() > 1) way_.pop_back();
      return true;
    }
    Passed next{open_next(name), name, {}};
    if (!next.fd && errno == ENOENT && missing_ == Missing::nothing) return false;
    if (!next.fd && errno == ENOENT && missing_ == Missing::make) {
      if (auto made = make(name); !made) return std::unexpected(std::move(made).error());
      next.fd = open_next(name);
    }
    if (!next.fd || fstat(next.fd.get(), &next.info) != 0)
      return fail_errno(ErrorKind::io, "directory " + path_of(name), errno);
    if (judge_ == Judge::all && (way_.back().shared || way_.back().strange) &&
        !is_trusted_owner(next.info.st_uid, recipient_))
      return refuse(path_of(name) + " is another user's, in a directory that all may write");
    if (S_ISLNK(next.info.st_mode)) return follow(next);
    if (!S_ISDIR(next.info.st_mode)) {
      if (judge_ == Judge::links && left_.empty()) return true;
      return fail_errno(ErrorKind::io, "directory " + path_of(name), ENOTDIR);
    }
    way_.push_back(std::move(next));
    if (auto good = judge(); !good) return std::unexpected(std::move(good).error());
    return true;
  }

  [[nodiscard]] UniqueFd open_next(const std::string& name) const {
    return UniqueFd(openat(way_.back().fd.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }

  result<bool> follow(const Passed& link) {
    if (!is_trusted_owner(link.info.st_uid, recipient_))
      return refuse(path_of(link.name) + " is a link of another user; name the directory itself");
    if (++links_ > kMostLinks) return refuse("too many links at " + path_of(link.name));
    if (is_on_procfs(link.fd.get()) && way_.size() > 2) {
      if (judge_ == Judge::links) return left_.clear(), true;
      return refuse(path_of(link.name) +
                    " stands for what a process has open, not for a directory");
    }
    char target[PATH_MAX];
    const ssize_t size = readlinkat(link.fd.get(), "", target, sizeof target);
    if (size <= 0 || size == sizeof target)
      return refuse(path_of(link.name) + " is a link that can't be read");
    const std::string_view to(target, static_cast<std::size_t>(size));
    queue(to);
    if (to.starts_with('/')) {
      if (auto started = start(); !started) return std::unexpected(std::move(started).error());
    }
    return true;
  }

  // The last one of the way. What may come next in one that others can write is looked at there.
  result<> judge() {
    if (judge_ == Judge::links) return {};
    Passed& last = way_.back();
    const bool all = (last.info.st_mode & S_IWOTH) != 0;
    const bool group = (last.info.st_mode & S_IWGRP) != 0 && !is_group_of_ours(last.info.st_gid) &&
                       last.info.st_gid != recipient_.group;
    const bool sticky = (last.info.st_mode & S_ISVTX) != 0;
    last.shared = all || group;
    last.strange = !is_trusted_owner(last.info.st_uid, recipient_);
    if (last.strange && !sticky) {
      return refuse("directory " + path() + " belongs to another user (" +
                    std::to_string(last.info.st_uid) +
                    "), who could replace the file; use a directory of your own, or name its "
                    "owner as user");
    }
    if (!last.shared || sticky) return {};
    const dev_t parent = way_.size() > 1 ? way_[way_.size() - 2].info.st_dev : last.info.st_dev;
    if (last.strange || !is_mount_point(last.fd.get(), last.info.st_dev, parent)) {
      return refuse("directory " + path() +
                    " is writable by others: they could replace the file; " +
                    (all ? "chmod o-w it" : "chmod g-w it, or make its group the file's"));
    }
    warnings_.push_back("the mounted directory " + path() +
                        " is writable by others: who is in it with us can replace the file");
    return {};
  }

  [[nodiscard]] result<> check_sandbox() const {
    const std::string here = path();
    const bool inside =
        beneath_.empty() || beneath_ == "/" || here == beneath_ || here.starts_with(beneath_ + "/");
    return inside ? result<>() : refuse(here + " is outside of the sandbox " + beneath_);
  }

  result<> make(const std::string& name) {
    if (auto inside = check_sandbox(); !inside) return inside;
    const int parent = way_.back().fd.get();
    const auto failed = [&] {
      return fail_errno(ErrorKind::io, "can't make directory " + path_of(name), errno);
    };
    if (mkdirat(parent, name.c_str(), 0700) != 0) {
      if (errno == EEXIST) return {};  // somebody was faster; it is judged all the same
      return failed();
    }
    const UniqueFd made(
        openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!made) return failed();
    const uid_t user = recipient_.user.value_or(static_cast<uid_t>(-1));
    const gid_t group = recipient_.group.value_or(static_cast<gid_t>(-1));
    if ((recipient_.user || recipient_.group) &&
        fchownat(made.get(), "", user, group, AT_EMPTY_PATH) != 0)
      return failed();
    const mode_t mode = recipient_.group ? 0750 : 0700;
    if (!set_mode(made.get(), mode) && fchmodat(parent, name.c_str(), mode, 0) != 0)
      return failed();
    // The new name lasts; where that can't be done, the file's own sync still is.
    const UniqueFd readable(openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (readable) (void)fsync(readable.get());
    return {};
  }

  result<std::optional<Directory>> finish() {
    if (auto inside = check_sandbox(); !inside) return std::unexpected(std::move(inside).error());
    const Passed& last = way_.back();
    UniqueFd fd(openat(last.fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) fd.reset(openat(last.fd.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail_errno(ErrorKind::io, "directory " + path(), errno);
    const bool sticky = (last.info.st_mode & S_ISVTX) != 0;
    if (last.shared && sticky)
      warnings_.push_back("directory " + path() + " is shared with others; use one of its own");
    return Directory{.fd = std::move(fd),
                     .path = path(),
                     .device = last.info.st_dev,
                     .inode = last.info.st_ino,
                     .shared = last.shared || last.strange,
                     .strange = last.strange,
                     .warnings = std::move(warnings_)};
  }

  const Recipient& recipient_;
  Missing missing_;
  const std::string& beneath_;
  Judge judge_;
  std::vector<Passed> way_;
  std::deque<std::string> left_;
  std::vector<std::string> warnings_;
  int links_ = 0;
};

}  // namespace

bool is_trusted_owner(uid_t owner, const Recipient& recipient) {
  return owner == geteuid() || owner == 0 || owner == recipient.user ||
         owner == root_from_outside();
}

result<std::optional<Directory>> open_directory(const std::string& path, const Recipient& recipient,
                                                Missing missing, const std::string& beneath) {
  return Walk(recipient, missing, beneath).to(path);
}

result<> refuse_links_of_others(const std::string& path) {
  const std::string nowhere;
  const Recipient nobody;
  auto walked = Walk(nobody, Missing::nothing, nowhere, Walk::Judge::links).to(path);
  return walked ? result<>() : std::unexpected(std::move(walked).error());
}

UniqueFd open_for_appending(const std::string& path) {
  UniqueFd file(
      open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
  if (file) (void)fcntl(file.get(), F_SETFL, O_APPEND);
  return file;
}

result<> may_be_written_into(const Directory& directory, const struct stat& info,
                             const Recipient& recipient) {
  if (!directory.shared) return {};
  if (!is_trusted_owner(info.st_uid, recipient))
    return refuse("is another user's, in a directory that all may write");
  if (S_ISREG(info.st_mode) && info.st_nlink > 1)
    return refuse(
        "has another name, which others may have given it in a directory that all may "
        "write");
  return {};
}

namespace {

std::pair<std::string, std::string> split(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

result<std::optional<FilePlace>> find_file(std::string path, const Recipient& recipient,
                                           const OpenDirectory& open) {
  constexpr int kMostFileLinks = 8;
  for (int links = 0; links < kMostFileLinks; ++links) {
    const auto [directory_path, name] = split(path);
    if (name.empty() || name == "." || name == "..")
      return refuse("is a directory; the destination must be a file");
    auto directory = open(directory_path);
    if (!directory) return std::unexpected(std::move(directory).error());
    if (!*directory) return std::nullopt;
    FilePlace place{std::move(*directory), name, {}};

    struct stat info{};
    const bool there = fstatat(place.dir(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT) return fail_errno(ErrorKind::io, "destination", errno);
    const bool link = there && S_ISLNK(info.st_mode);
    if ((links > 0 || link) && place.directory->shared) {
      return refuse("is a link through " + place.directory->path +
                    ", which others can write; name the file itself");
    }
    if (link && !is_trusted_owner(info.st_uid, recipient))
      return refuse("is a link of another user; name the file itself");
    if (there && !link) place.existing = info;
    if (!link) return place;
    if (is_on_procfs(place.dir()))
      return refuse(
          "stands for an open descriptor; the destination must be a regular file (standard output "
          "is destination = \"-\")");
    char target[PATH_MAX];
    const ssize_t size = readlinkat(place.dir(), name.c_str(), target, sizeof target);
    if (size <= 0 || size == sizeof target) return refuse("is a link that can't be read");
    const std::string_view to(target, static_cast<std::size_t>(size));
    path = to.starts_with('/') ? std::string(to) : place.directory->path + "/" + std::string(to);
  }
  return refuse("too many links");
}

}  // namespace keybearer
