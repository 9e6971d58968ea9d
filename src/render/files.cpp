#include "render/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>

#include "base/fd.hpp"
#include "base/log.hpp"
#include "render/owner.hpp"

namespace keybearer::render {
namespace {

constexpr std::string_view kLeftover = ".keybearer-";  // .NAME.keybearer-XXXXXXXXXXXX

struct Location {
  UniqueFd folder;
  std::string folder_path;
  std::string name;
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
result<> safe_folder(int folder, const std::string& folder_path, const std::string& destination) {
  struct stat info{};
  if (fstat(folder, &info) != 0) return refuse_errno(destination, "folder", errno);
  if ((info.st_mode & 002) == 0) return {};
  if ((info.st_mode & S_ISVTX) == 0) {
    return refuse(destination,
                  "folder " + folder_path +
                      " is writable by others: they could replace the file; chmod o-w it");
  }
  log::warn("file.shared_folder", "the folder is shared with others; better one of its own",
            {{"path", destination}});
  return {};
}

result<Location> locate(const config::Template& spec) {
  std::string path = spec.destination;
  for (int links = 0; links < 8; ++links) {
    auto [folder_path, name] = split(path);
    if (name.empty() || name == "." || name == "..")
      return refuse(spec.destination, "is a folder; the destination must be a file");
    if (spec.create_dest_dirs) {
      if (auto made = make_folders(folder_path, spec.destination); !made)
        return std::unexpected(made.error());
    }
    Location at{UniqueFd(open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                folder_path, name};
    if (!at.folder) return refuse_errno(spec.destination, ("folder " + folder_path).c_str(), errno);
    if (auto safe = safe_folder(at.folder.get(), folder_path, spec.destination); !safe)
      return std::unexpected(safe.error());

    struct stat info{};
    if (fstatat(at.folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return at;
      return refuse_errno(spec.destination, "destination", errno);
    }
    if (S_ISREG(info.st_mode)) return at;
    if (S_ISDIR(info.st_mode))
      return refuse(spec.destination, "is a folder; the destination must be a file");
    if (!S_ISLNK(info.st_mode))
      return refuse(spec.destination,
                    "is a pipe, socket or device; the destination must be a regular file");
    char target[4096];
    const ssize_t n = readlinkat(at.folder.get(), name.c_str(), target, sizeof target);
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
  static std::random_device device;
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
  Location at;
  std::string temporary;
  UniqueFd lock;  // the file itself, locked until it is in its place
  const config::Template* spec = nullptr;
  Prepared() = default;
  Prepared(Prepared&&) noexcept = default;
  Prepared& operator=(Prepared&&) noexcept = default;
  ~Prepared() {
    if (!temporary.empty()) unlinkat(at.folder.get(), temporary.c_str(), 0);
  }
};

result<> set_mode_and_owner(int fd, const config::Template& spec, const Owner& owner) {
  if (fchmod(fd, spec.perms) != 0) return refuse_errno(spec.destination, "mode", errno);
  if ((owner.user || owner.group) && fchown(fd, owner.user.value_or(static_cast<uid_t>(-1)),
                                            owner.group.value_or(static_cast<gid_t>(-1))) != 0) {
    return refuse_errno(spec.destination, "owner", errno);
  }
  // A change of owner may clear bits.
  if (fchmod(fd, spec.perms) != 0) return refuse_errno(spec.destination, "mode", errno);
  return {};
}

bool up_to_date(const Location& at, const FileWrite& file, const Owner& owner) {
  const UniqueFd fd(
      openat(at.folder.get(), at.name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return false;
  return static_cast<std::size_t>(info.st_size) == file.content.size() &&
         (info.st_mode & 07777) == file.spec->perms &&
         (!owner.user || info.st_uid == *owner.user) &&
         (!owner.group || info.st_gid == *owner.group) && same_content(fd.get(), file.content);
}

result<bool> write_in_place(const Location& at, const FileWrite& file, const Owner& owner) {
  const UniqueFd fd(
      openat(at.folder.get(), at.name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return refuse_errno(file.spec->destination, "opening", errno);
  if (auto set = set_mode_and_owner(fd.get(), *file.spec, owner); !set)
    return std::unexpected(set.error());
  if (auto written = write_all(fd.get(), file.content, file.spec->destination); !written)
    return std::unexpected(written.error());
  if (ftruncate(fd.get(), static_cast<off_t>(file.content.size())) != 0 || fsync(fd.get()) != 0) {
    return refuse_errno(file.spec->destination, "writing", errno);
  }
  return true;
}

result<Prepared> prepare(Location at, const FileWrite& file, const Owner& owner) {
  Prepared prepared;
  prepared.at = std::move(at);
  prepared.spec = file.spec;
  const std::string name =
      "." + prepared.at.name.substr(0, 200) + std::string(kLeftover) + random_suffix();
  UniqueFd fd(openat(prepared.at.folder.get(), name.c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return refuse_errno(file.spec->destination, "can't write in its folder", errno);
  prepared.temporary = name;
  flock(fd.get(),
        LOCK_EX | LOCK_NB);  // until it is closed: sweep_leftovers of another instance lets it be
  if (auto set = set_mode_and_owner(fd.get(), *file.spec, owner); !set)
    return std::unexpected(set.error());
  if (auto written = write_all(fd.get(), file.content, file.spec->destination); !written)
    return std::unexpected(written.error());
  if (fsync(fd.get()) != 0) return refuse_errno(file.spec->destination, "writing", errno);
  prepared.lock = std::move(fd);
  return prepared;
}

result<bool> put_in_place(Prepared& prepared) {
  const int folder = prepared.at.folder.get();
  const std::string& name = prepared.at.name;
  if (prepared.spec->backup) {
    const std::string backup = name + ".bak";
    unlinkat(folder, backup.c_str(), 0);
    if (linkat(folder, name.c_str(), folder, backup.c_str(), 0) != 0 && errno != ENOENT) {
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

std::vector<result<bool>> write_files(const std::vector<FileWrite>& files) {
  std::vector<result<bool>> results(files.size(), result<bool>(false));
  std::vector<std::pair<std::size_t, Prepared>> prepared;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto owner = owner_of(files[i].spec->user, files[i].spec->group);
    if (!owner) {
      results[i] = std::unexpected(Error(owner.error()).within(files[i].spec->destination));
      continue;
    }
    auto at = locate(*files[i].spec);
    if (!at) {
      results[i] = std::unexpected(at.error());
    } else if (up_to_date(*at, files[i], *owner)) {
      results[i] = false;
    } else if (files[i].spec->in_place) {
      results[i] = write_in_place(*at, files[i], *owner);
    } else if (auto ready = prepare(std::move(*at), files[i], *owner)) {
      prepared.emplace_back(i, std::move(*ready));
    } else {
      results[i] = std::unexpected(ready.error());
    }
  }
  std::map<std::string, int> folders;  // each is synced once
  for (auto& [i, ready] : prepared) {
    results[i] = put_in_place(ready);
    folders.emplace(ready.at.folder_path, ready.at.folder.get());
  }
  for (const auto& [path, fd] : folders) fsync(fd);
  return results;
}

result<> check_destination(const config::Template& spec) {
  const auto owner = owner_of(spec.user, spec.group);
  if (!owner) return std::unexpected(Error(owner.error()).within(spec.destination));
  config::Template probe = spec;
  const auto [folder_path, name] = split(spec.destination);
  struct stat info{};
  if (stat(folder_path.c_str(), &info) != 0) {
    if (errno == ENOENT && spec.create_dest_dirs) return {};
    return refuse_errno(spec.destination, ("folder " + folder_path).c_str(), errno);
  }
  probe.create_dest_dirs = false;
  const auto at = locate(probe);
  if (!at) return std::unexpected(at.error());
  if (faccessat(at->folder.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return refuse_errno(spec.destination, ("folder " + folder_path).c_str(), errno);
  }
  return {};
}

void sweep_leftovers(const std::vector<const config::Template*>& specs) {
  std::map<std::string, bool> folders;
  for (const config::Template* spec : specs) folders.emplace(split(spec->destination).first, true);
  for (const auto& [path, unused] : folders) {
    DIR* folder = opendir(path.c_str());
    if (folder == nullptr) continue;
    while (const dirent* entry = readdir(folder)) {
      const std::string_view name(entry->d_name);
      if (!name.starts_with('.') || name.size() < kLeftover.size() + 12) continue;
      if (name.substr(name.size() - 12 - kLeftover.size(), kLeftover.size()) != kLeftover) continue;
      const UniqueFd fd(
          openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      struct stat info{};
      // Who still writes one holds a lock on it.
      if (fd && fstat(fd.get(), &info) == 0 && info.st_uid == geteuid() && S_ISREG(info.st_mode) &&
          flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
        unlinkat(dirfd(folder), entry->d_name, 0);
      }
    }
    closedir(folder);
  }
}

void remove_files(const std::vector<const config::Template*>& specs) {
  for (const config::Template* spec : specs) {
    if (spec->remove_on_exit && unlink(spec->destination.c_str()) == 0) {
      log::info("file.removed", "file removed", {{"path", spec->destination}});
    }
  }
}

}  // namespace keybearer::render
