#include "delivery/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "base/event.hpp"
#include "base/fd.hpp"
#include "base/log.hpp"
#include "base/owner.hpp"
#include "base/random.hpp"

namespace keybearer::delivery {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kBackup = ".bak";
constexpr std::string_view kLeftover = ".keybearer-";  // .NAME.keybearer-XXXXXXXXXXXX

// A change set may have a thousand files: so many are written, synced and renamed together.
constexpr std::size_t kTogether = 100;
constexpr std::size_t kMany = 16;

struct Folder {
  UniqueFd fd;
  dev_t device{};
  bool shared = false;     // writable by others, with the sticky bit
  bool strangers = false;  // neither ours nor root's
};
using Folders = std::map<std::string, std::shared_ptr<const Folder>>;  // by path, each opened once

struct Location {
  std::shared_ptr<const Folder> folder;
  std::string name;
  [[nodiscard]] int dir() const { return folder->fd.get(); }
};

std::unexpected<Error> refuse(const std::string& path, const std::string& why) {
  return fail(ErrorKind::io, path + ": " + why);
}
std::unexpected<Error> refuse_errno(const std::string& path, const char* what, int error) {
  std::string text = std::string(what) + ": " + strerrordesc_np(error);
  if (error == EBUSY || error == EXDEV)
    text += "; a file that is mounted by itself can't be replaced: set in_place = true";
  if (error == EROFS) text += "; mount the folder writable, or choose another destination";
  return fail(ErrorKind::io, path + ": " + text);
}

std::pair<std::string, std::string> split(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

// mkdir -p with 0700.
result<> make_folders(const std::string& path, const std::string& destination) {
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return refuse_errno(destination, ("can't make folder " + part).c_str(), errno);
  }
  return {};
}

// Others must not be able to put something of theirs in our place.
result<std::shared_ptr<const Folder>> open_folder(const std::string& path,
                                                  const std::string& destination,
                                                  Folders& folders) {
  auto& known = folders[path];
  if (known) return known;
  Folder folder{UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
  struct stat info{};
  if (!folder.fd || fstat(folder.fd.get(), &info) != 0)
    return refuse_errno(destination, ("folder " + path).c_str(), errno);
  folder.device = info.st_dev;
  folder.shared = (info.st_mode & 002) != 0;
  folder.strangers = info.st_uid != geteuid() && info.st_uid != 0;
  if (folder.shared && (info.st_mode & S_ISVTX) == 0) {
    return refuse(
        destination,
        "folder " + path + " is writable by others: they could replace the file; chmod o-w it");
  }
  if (folder.shared) {
    log::warn("file.shared_folder", "the folder is shared with others; better one of its own",
              {{"path", destination}});
  }
  known = std::make_shared<const Folder>(std::move(folder));
  return known;
}

enum class Missing { make, leave };

// Follows links, but only where nobody else can have made them. A folder that is to be made and is
// not: no location.
result<std::optional<Location>> locate(const config::Template& spec, Folders& folders,
                                       Missing missing) {
  std::string path = spec.destination;
  for (int links = 0; links < 8; ++links) {
    auto [folder_path, name] = split(path);
    if (name.empty() || name == "." || name == "..")
      return refuse(spec.destination, "is a folder; the destination must be a file");
    if (spec.create_dest_dirs && missing == Missing::make) {
      if (auto made = make_folders(folder_path, spec.destination); !made)
        return std::unexpected(made.error());
    } else if (spec.create_dest_dirs && access(folder_path.c_str(), F_OK) != 0 && errno == ENOENT) {
      return std::nullopt;
    }
    auto folder = open_folder(folder_path, spec.destination, folders);
    if (!folder) return std::unexpected(folder.error());
    const Location at{std::move(*folder), name};

    struct stat info{};
    const bool there = fstatat(at.dir(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT) return refuse_errno(spec.destination, "destination", errno);
    if ((links > 0 || (there && S_ISLNK(info.st_mode))) &&
        (at.folder->shared || at.folder->strangers)) {
      return refuse(spec.destination, "is a link through " + folder_path +
                                          ", which others can write; name the file itself");
    }
    if (!there || S_ISREG(info.st_mode)) return at;
    if (S_ISDIR(info.st_mode))
      return refuse(spec.destination, "is a folder; the destination must be a file");
    if (!S_ISLNK(info.st_mode))
      return refuse(spec.destination,
                    "is a pipe, socket or device; the destination must be a regular file");
    char target[4096];
    const ssize_t n = readlinkat(at.dir(), name.c_str(), target, sizeof target);
    if (n <= 0 || n == sizeof target)
      return refuse(spec.destination, "is a link that can't be read");
    const std::string_view to(target, static_cast<std::size_t>(n));
    path = to.starts_with('/') ? std::string(to) : folder_path + "/" + std::string(to);
  }
  return refuse(spec.destination, "too many links");
}

// The file's content when it has just this size; nullopt otherwise.
bool same_content(int fd, std::string_view content) {
  char buffer[16384];
  std::size_t at = 0;
  for (;;) {
    const ssize_t n = pread(fd, buffer, sizeof buffer, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 && at == content.size();
    if (content.substr(at, static_cast<std::size_t>(n)) !=
        std::string_view(buffer, static_cast<std::size_t>(n)))
      return false;
    at += static_cast<std::size_t>(n);
  }
}

result<> write_all(int fd, std::string_view content, const std::string& destination) {
  while (!content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return refuse_errno(destination, "writing", errno);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

std::string random_suffix() {
  static std::random_device device = entropy();
  constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz012345";
  std::string out;
  for (int i = 0; i < 3; ++i) {
    const unsigned bits = device();
    for (int k = 0; k < 4; ++k) out += kAlphabet[bits >> (5 * k) & 31];
  }
  return out;
}

// A file that is written and waits for its rename.
struct Prepared {
  std::size_t index;  // of its result
  Location at;
  const config::Template* spec;
  std::string temporary;
  UniqueFd fd;  // locked until it is in its place, so that sweep_leftovers of another instance lets
                // it be
  Prepared(std::size_t i, Location where, const config::Template* of)
      : index(i), at(std::move(where)), spec(of) {}
  Prepared(Prepared&& other) noexcept
      : index(other.index),
        at(std::move(other.at)),
        spec(other.spec),
        temporary(std::exchange(other.temporary, {})),
        fd(std::move(other.fd)) {}
  Prepared& operator=(Prepared&&) = delete;
  ~Prepared() {
    if (!temporary.empty()) unlinkat(at.dir(), temporary.c_str(), 0);
  }
};

result<> set_mode_and_owner(int fd, const config::Template& spec, const Owner& owner) {
  if ((owner.user || owner.group) && fchown(fd, owner.user.value_or(static_cast<uid_t>(-1)),
                                            owner.group.value_or(static_cast<gid_t>(-1))) != 0) {
    return refuse_errno(spec.destination, "owner", errno);
  }
  // After that: a change of owner may clear bits.
  if (fchmod(fd, spec.perms) != 0) return refuse_errno(spec.destination, "mode", errno);
  return {};
}

bool up_to_date(const Location& at, const FileWrite& file, const Owner& owner) {
  const UniqueFd fd(
      openat(at.dir(), at.name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return false;
  return static_cast<std::size_t>(info.st_size) == file.content.size() &&
         (info.st_mode & 07777) == file.spec->perms &&
         (!owner.user || info.st_uid == *owner.user) &&
         (!owner.group || info.st_gid == *owner.group) && same_content(fd.get(), file.content);
}

result<bool> write_in_place(const Location& at, const FileWrite& file, const Owner& owner) {
  const UniqueFd fd(
      openat(at.dir(), at.name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return refuse_errno(file.spec->destination, "opening", errno);
  // Room for all of it first: half of a new value is worse than the old one (fallocate(2)).
  const auto size = static_cast<off_t>(file.content.size());
  if (size > 0 && fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, size) != 0 && errno != EOPNOTSUPP)
    return refuse_errno(file.spec->destination, "writing", errno);
  if (auto set = set_mode_and_owner(fd.get(), *file.spec, owner); !set)
    return std::unexpected(set.error());
  if (auto written = write_all(fd.get(), file.content, file.spec->destination); !written)
    return std::unexpected(written.error());
  if (ftruncate(fd.get(), size) != 0 || fsync(fd.get()) != 0) {
    return refuse_errno(file.spec->destination, "writing", errno);
  }
  return true;
}

result<> write_temporary(Prepared& prepared, std::string_view content, const Owner& owner) {
  const std::string& destination = prepared.spec->destination;
  const std::string name =
      "." + prepared.at.name.substr(0, 200) + std::string(kLeftover) + random_suffix();
  prepared.fd = UniqueFd(openat(prepared.at.dir(), name.c_str(),
                                O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!prepared.fd) return refuse_errno(destination, "can't write in its folder", errno);
  prepared.temporary = name;
  flock(prepared.fd.get(), LOCK_EX | LOCK_NB);
  if (auto set = set_mode_and_owner(prepared.fd.get(), *prepared.spec, owner); !set) return set;
  return write_all(prepared.fd.get(), content, destination);
}

result<bool> put_in_place(Prepared& prepared) {
  const int folder = prepared.at.dir();
  const std::string& name = prepared.at.name;
  if (prepared.spec->backup) {
    const std::string backup = name + std::string(kBackup);
    unlinkat(folder, backup.c_str(), 0);
    bool kept = linkat(folder, name.c_str(), folder, backup.c_str(), 0) == 0;
    if (kept && fchmodat(folder, backup.c_str(), prepared.spec->perms, 0) != 0) {
      kept = false;  // with a wider mode than the new one has, rather none
      unlinkat(folder, backup.c_str(), 0);
    }
    if (!kept && errno != ENOENT) {
      log::warn("file.no_backup", "no backup was kept",
                {{"path", prepared.spec->destination}, {"reason", strerrordesc_np(errno)}});
    }
  }
  if (renameat(folder, prepared.temporary.c_str(), folder, name.c_str()) != 0) {
    return refuse_errno(prepared.spec->destination, "replacing", errno);
  }
  prepared.temporary.clear();
  return true;
}

}  // namespace

namespace {

// nullopt: there is nothing left to do for this file, and its result says what was done.
std::optional<Prepared> begin(const FileWrite& file, std::size_t index, Folders& folders,
                              result<bool>& outcome) {
  const auto owner = owner_of(file.spec->user, file.spec->group);
  if (!owner) {
    outcome = std::unexpected(Error(owner.error()).within(file.spec->destination));
    return std::nullopt;
  }
  auto at = locate(*file.spec, folders, Missing::make);
  if (!at) {
    outcome = std::unexpected(at.error());
    return std::nullopt;
  }
  if (up_to_date(**at, file, *owner)) return std::nullopt;
  if (file.spec->in_place) {
    outcome = write_in_place(**at, file, *owner);
    return std::nullopt;
  }
  Prepared prepared(index, std::move(**at), file.spec);
  if (auto written = write_temporary(prepared, file.content, *owner); !written) {
    outcome = std::unexpected(written.error());
    return std::nullopt;
  }
  return prepared;
}

// A descriptor on its way to the disk.
struct Sync {
  int descriptor;
  dev_t device;
  int error = 0;
};

// Many at once by one syncfs(2): a journalling file system commits once, and not for each.
void sync(std::vector<Sync>& files) {
  std::map<dev_t, bool> devices;
  for (Sync& file : files) {
    if (files.size() >= kMany) {
      const auto [device, first] = devices.try_emplace(file.device, false);
      if (first) device->second = syncfs(file.descriptor) == 0;
      if (device->second) continue;
    }
    file.error = fsync(file.descriptor) == 0 ? 0 : errno;
  }
}

// Files of one change set, a batch after the other.
class ChangeSet {
 public:
  explicit ChangeSet(const std::vector<FileWrite>& files)
      : files_(files), results_(files.size(), result<bool>(false)) {}

  // Writes the next temporary files, which are to be synced. None: there is nothing more to do.
  [[nodiscard]] std::vector<Sync> prepare() {
    for (; next_ < files_.size() && prepared_.size() < kTogether; ++next_) {
      if (auto ready = begin(files_[next_], next_, folders_, results_[next_])) {
        changed_.insert(ready->at.folder);
        prepared_.push_back(std::move(*ready));
      }
    }
    std::vector<Sync> syncs;
    for (const Prepared& ready : prepared_)
      syncs.push_back({ready.fd.get(), ready.at.folder->device});
    return syncs;
  }

  // Renames what prepare() wrote.
  void finish(const std::vector<Sync>& synced) {
    for (std::size_t i = 0; i < prepared_.size(); ++i) {
      Prepared& ready = prepared_[i];
      if (synced[i].error != 0)
        results_[ready.index] = refuse_errno(ready.spec->destination, "writing", synced[i].error);
      else
        results_[ready.index] = put_in_place(ready);
    }
    prepared_.clear();
  }

  [[nodiscard]] std::vector<result<bool>> end() {
    for (const auto& folder : changed_) fsync(folder->fd.get());
    return std::move(results_);
  }

 private:
  const std::vector<FileWrite>& files_;
  std::vector<result<bool>> results_;
  Folders folders_;
  std::set<std::shared_ptr<const Folder>> changed_;
  std::vector<Prepared> prepared_;
  std::size_t next_ = 0;
};

// To sync is to wait: many are waited for by a helper, which touches nothing but their descriptors.
asio::awaitable<void> sync_while_others_run(std::vector<Sync>& files) {
  if (files.size() < kMany) co_return sync(files);
  const auto executor = co_await asio::this_coro::executor;
  const auto done = std::make_shared<Event>();  // its last word may come when we are gone
  std::jthread helper;                          // when we are cancelled, it is waited for
  try {
    helper = std::jthread([&files, executor, done] {
      sync(files);
      asio::post(executor, [done] { done->set(); });
    });
  } catch (const std::system_error&) {  // a limit on threads
    co_return sync(files);
  }
  co_await done->wait(0);
}

}  // namespace

std::vector<result<bool>> write_files(const std::vector<FileWrite>& files) {
  ChangeSet set(files);
  for (auto written = set.prepare(); !written.empty(); written = set.prepare()) {
    sync(written);
    set.finish(written);
  }
  return set.end();
}

asio::awaitable<std::vector<result<bool>>> async_write_files(std::vector<FileWrite> files) {
  ChangeSet set(files);
  for (auto written = set.prepare(); !written.empty(); written = set.prepare()) {
    co_await sync_while_others_run(written);
    set.finish(written);
  }
  co_return set.end();
}

result<> check_destination(const config::Template& spec) {
  const auto owner = owner_of(spec.user, spec.group);
  if (!owner) return std::unexpected(Error(owner.error()).within(spec.destination));
  Folders folders;
  const auto at = locate(spec, folders, Missing::leave);
  if (!at) return std::unexpected(at.error());
  if (!*at) return {};
  const Location& where = **at;
  if (spec.in_place && faccessat(where.dir(), where.name.c_str(), F_OK, AT_EACCESS) == 0) {
    if (faccessat(where.dir(), where.name.c_str(), W_OK, AT_EACCESS) != 0)
      return refuse_errno(spec.destination, "opening", errno);
    return {};
  }
  if (faccessat(where.dir(), ".", W_OK | X_OK, AT_EACCESS) != 0)
    return refuse_errno(spec.destination, "can't write in its folder", errno);
  if (owner->user && *owner->user != geteuid() && geteuid() != 0)
    return refuse_errno(spec.destination, "owner", EPERM);
  return {};
}

void sweep_leftovers(const std::vector<const config::Template*>& specs) {
  std::set<std::string> folders;
  for (const config::Template* spec : specs) {
    folders.insert(split(spec->destination).first);
    const std::unique_ptr<char, decltype(&std::free)> target(
        realpath(spec->destination.c_str(), nullptr), &std::free);
    if (target) folders.insert(split(target.get()).first);
  }
  for (const std::string& path : folders) {
    DIR* folder = opendir(path.c_str());
    if (folder == nullptr) continue;
    while (const dirent* entry = readdir(folder)) {
      const std::string_view name(entry->d_name);
      if (!name.starts_with('.') || name.size() < kLeftover.size() + 12) continue;
      if (name.substr(name.size() - 12 - kLeftover.size(), kLeftover.size()) != kLeftover) continue;
      const UniqueFd fd(
          openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      struct stat info{};
      // Who still writes one holds a lock on it. As root it may have been given to another user
      // already.
      if (fd && fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) &&
          (info.st_uid == geteuid() || geteuid() == 0) && flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
        unlinkat(dirfd(folder), entry->d_name, 0);
      }
    }
    closedir(folder);
  }
}

void remove_files(const std::vector<const config::Template*>& specs) {
  for (const config::Template* spec : specs) {
    if (!spec->remove_on_exit) continue;
    if (spec->backup) unlink((spec->destination + std::string(kBackup)).c_str());
    if (unlink(spec->destination.c_str()) == 0)
      log::info("file.removed", "file removed", {{"path", spec->destination}});
  }
}

}  // namespace keybearer::delivery
