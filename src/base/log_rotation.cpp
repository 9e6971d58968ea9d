#include "base/log_rotation.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.hpp"

namespace keybearer::log {
namespace {

struct Parts {
  std::string_view stem, extension;
};

Parts parts_of(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return {name, ".log"};
  return {name.substr(0, dot), name.substr(dot)};
}

// The digits of a rotated file's name; "": it is none.
std::string_view stamp_of(std::string_view file, std::string_view name) {
  const auto [stem, extension] = parts_of(name);
  if (file.size() <= stem.size() + 1 + extension.size() || !file.starts_with(stem) ||
      file[stem.size()] != '-' || !file.ends_with(extension))
    return {};
  file = file.substr(stem.size() + 1, file.size() - stem.size() - 1 - extension.size());
  return std::ranges::all_of(file, [](char c) { return c >= '0' && c <= '9'; })
             ? file
             : std::string_view();
}

std::vector<std::string> names_in(int directory) {
  std::vector<std::string> names;
  const int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* list = own < 0 ? nullptr : fdopendir(own);
  if (list == nullptr) return names;
  while (const dirent* entry = readdir(list)) names.emplace_back(entry->d_name);
  closedir(list);
  return names;
}

}  // namespace

bool is_due(const Rotation& rotation, std::size_t written, std::size_t next, Duration age) {
  if (written == 0) return false;
  return (rotation.bytes && written + next > *rotation.bytes) ||
         (rotation.age && age >= *rotation.age);
}

std::string rotated_name(std::string_view name, WallTime at) {
  const auto [stem, extension] = parts_of(name);
  const auto stamp =
      std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
  return std::string(stem) + "-" + std::to_string(stamp) + std::string(extension);
}

std::vector<std::string> surplus(std::vector<std::string> names, std::string_view name,
                                 int max_files) {
  if (max_files == 0) return {};
  std::erase_if(names, [&](const std::string& each) { return stamp_of(each, name).empty(); });
  std::ranges::sort(names, [&](const std::string& a, const std::string& b) {
    const auto of_a = stamp_of(a, name), of_b = stamp_of(b, name);
    return std::pair(of_a.size(), of_a) < std::pair(of_b.size(), of_b);
  });
  const auto kept = static_cast<std::size_t>(std::max(max_files, 0));
  names.resize(names.size() > kept ? names.size() - kept : 0);
  return names;
}

result<> rotate(const std::string& path, int fd, const Rotation& rotation, WallTime now) {
  const auto slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  const UniqueFd directory(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno(ErrorKind::io, parent, errno);
  struct stat ours{}, there{};
  const bool same = fstat(fd, &ours) == 0 &&
                    fstatat(directory.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                    ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
  if (!same) return {};
  const std::string rotated = rotated_name(name, now);
  if (renameat(directory.get(), name.c_str(), directory.get(), rotated.c_str()) != 0)
    return fail_errno(ErrorKind::io, path + ": renaming it", errno);
  for (const std::string& old : surplus(names_in(directory.get()), name, rotation.max_files))
    unlinkat(directory.get(), old.c_str(), 0);
  return {};
}

WallTime begun(int fd, WallTime now) {
  struct statx info{};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_SIZE, &info) != 0 ||
      (info.stx_mask & STATX_BTIME) == 0 || info.stx_size == 0)
    return now;
  // By a clock that has been set back since, nothing was begun later than now.
  return std::min(WallTime(std::chrono::seconds(info.stx_btime.tv_sec)), now);
}

}  // namespace keybearer::log
