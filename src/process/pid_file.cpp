#include "process/pid_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <utility>

namespace keybearer {

namespace {

struct Place {
  UniqueFd directory;
  std::string name;
};

result<Place> place_of(const std::string& path, const Recipient& trusted) {
  const std::filesystem::path whole(path);
  const std::string parent = whole.has_parent_path() ? whole.parent_path().string() : ".";
  auto directory = open_directory(parent, trusted, Missing::refuse);
  if (!directory) return std::unexpected(std::move(directory).error());
  return Place{std::move((*directory)->fd), whole.filename().string()};
}

// Why what is there is nothing to write into; null when it is.
const char* why_not(const struct stat& info, const Recipient& trusted) {
  if (S_ISLNK(info.st_mode)) return "is a link; name the file itself";
  if (!S_ISREG(info.st_mode)) return "not a regular file";
  if (!is_trusted_owner(info.st_uid, trusted))
    return "belongs to another user; remove it, or use a directory of your own";
  return info.st_nlink > 1 ? "has another name, too; remove it" : nullptr;
}

std::unexpected<Error> wrong(const std::string& path, const std::string& why) {
  return fail(ErrorKind::config, path + ": " + why);
}

}  // namespace

result<> PidFile::check(const std::string& path, const Recipient& trusted) {
  const auto place = place_of(path, trusted);
  if (!place) return wrong(path, place.error().text);
  struct stat info{};
  if (fstatat(place->directory.get(), place->name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? result<>{} : fail_errno(ErrorKind::config, path, errno);
  if (const char* why = why_not(info, trusted)) return wrong(path, why);
  return {};
}

result<PidFile> PidFile::write(const std::string& path, const Recipient& trusted) {
  if (auto good = check(path, trusted); !good) return std::unexpected(std::move(good).error());
  auto place = place_of(path, trusted);
  if (!place) return wrong(path, place.error().text);
  UniqueFd fd(openat(place->directory.get(), place->name.c_str(),
                     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return fail_errno(ErrorKind::config, path, errno);
  if (const char* why = why_not(info, trusted)) return wrong(path, why);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    char pid[16] = {};
    const ssize_t n = pread(fd.get(), pid, sizeof pid - 1, 0);
    const std::string other(pid, n > 1 ? static_cast<std::size_t>(n) - 1 : 0);
    return wrong(path, "another keybearer runs with it (pid " + other + "); stop it first");
  }
  const std::string text = std::to_string(getpid()) + "\n";
  if (ftruncate(fd.get(), 0) != 0 ||
      pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail_errno(ErrorKind::config, path, errno);
  }
  PidFile file;
  file.directory_ = std::move(place->directory);
  file.name_ = std::move(place->name);
  file.fd_ = std::move(fd);
  return file;
}

// What somebody else has put in its place stays.
PidFile::~PidFile() {
  struct stat ours{}, there{};
  if (fd_ && fstat(fd_.get(), &ours) == 0 &&
      fstatat(directory_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
    (void)unlinkat(directory_.get(), name_.c_str(), 0);
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
