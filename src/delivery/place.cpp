#include "delivery/place.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "delivery/pending.hpp"

namespace keybearer::delivery {
namespace {

result<std::shared_ptr<const Directory>> directory_of(const std::string& path,
                                                      const Owner& recipient,
                                                      Directories& directories, Missing missing) {
  const auto number = [](const auto& id) { return id ? std::to_string(*id) : std::string("-"); };
  auto& known = directories[number(recipient.user) + ":" + number(recipient.group) + ":" + path];
  if (known) return known;
  auto opened = open_directory(path, recipient, missing);
  if (!opened) return std::unexpected(std::move(opened).error());
  if (*opened) known = std::make_shared<const Directory>(std::move(**opened));
  return known;
}

// The content of a file of just this size.
bool same_content(int fd, std::string_view content) {
  char buffer[16384];
  std::size_t at = 0;
  bool same = true;
  while (same) {
    const ssize_t n = pread(fd, buffer, sizeof buffer, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    const auto size = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    same = n >= 0 && content.substr(at, size) == std::string_view(buffer, size);
    at += size;
    if (n <= 0) break;
  }
  explicit_bzero(buffer, sizeof buffer);
  return same && at == content.size();
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
  constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz012345";
  unsigned char bytes[12] = {};
  (void)getrandom(bytes, sizeof bytes, 0);  // only to be unlike others
  std::string out;
  for (const unsigned char byte : bytes) out += kAlphabet[byte & 31];
  return out;
}

result<> set_mode_and_owner(int fd, const FileTarget& target, const Attributes& attributes) {
  constexpr auto kNoUser = static_cast<uid_t>(-1);
  constexpr auto kNoGroup = static_cast<gid_t>(-1);
  const Owner& owner = attributes.configured;
  if ((owner.user || owner.group) &&
      fchown(fd, owner.user.value_or(kNoUser), owner.group.value_or(kNoGroup)) != 0)
    return refuse_errno(target.destination, "owner", errno);
  // Who is not root can't give files away: then at least the group, and the owner is ours.
  const Owner& kept = attributes.kept;
  if (kept.user && fchown(fd, *kept.user, *kept.group) != 0) (void)fchown(fd, kNoUser, *kept.group);
  // After that: a change of owner may clear bits.
  if (fchmod(fd, attributes.mode) != 0) return refuse_errno(target.destination, "mode", errno);
  return {};
}

// Back to the state in which it may be swept, should another instance have done just that.
result<bool> claim_temporary(Prepared& prepared) {
  if (flock(prepared.fd.get(), LOCK_EX) != 0) return true;  // no locks here: no sweep either
  struct stat info{};
  if (fstat(prepared.fd.get(), &info) != 0)
    return refuse_errno(prepared.target->destination, "its temporary file", errno);
  return info.st_nlink > 0;
}

}  // namespace

std::unexpected<Error> refuse(const std::string& destination, const std::string& why) {
  return fail(ErrorKind::io, destination + ": " + why);
}

std::unexpected<Error> refuse_errno(const std::string& destination, const char* what, int error) {
  std::string text = std::string(what) + ": " + strerrordesc_np(error);
  if (error == EBUSY || error == EXDEV)
    text += "; a file that is mounted by itself can't be replaced: set in_place = true";
  if (error == EROFS) text += "; mount the directory writable, or choose another destination";
  return fail(ErrorKind::io, destination + ": " + text);
}

bool is_leftover(std::string_view name) {
  constexpr std::size_t kRandom = 12;
  return name.starts_with('.') && name.size() > kLeftover.size() + kRandom &&
         name.substr(name.size() - kRandom - kLeftover.size(), kLeftover.size()) == kLeftover;
}

result<Owner> owner_of(const FileTarget& target) {
  auto owner = keybearer::owner_of(target.user, target.group);
  if (!owner) return std::unexpected(std::move(owner).error().within(target.destination));
  return owner;
}

result<std::optional<Place>> locate(const FileTarget& target, const Owner& recipient,
                                    Directories& directories, Missing missing) {
  const std::string& destination = target.destination;
  if (missing == Missing::make && !target.create_dest_dirs) missing = Missing::refuse;
  auto place = find_file(destination, recipient, [&](const std::string& path) {
    return directory_of(path, recipient, directories, missing);
  });
  if (!place) return std::unexpected(std::move(place).error().within(destination));
  if (!*place || !(*place)->existing) return place;
  const struct stat& info = *(*place)->existing;
  if (S_ISDIR(info.st_mode))
    return refuse(destination, "is a directory; the destination must be a file");
  if (!S_ISREG(info.st_mode))
    return refuse(destination,
                  "is a pipe, socket or device; the destination must be a regular file");
  if ((*place)->directory->strange && !is_trusted_owner(info.st_uid, recipient))
    return refuse(destination, "is another user's, in a directory that all may write");
  return place;
}

Attributes attributes_of(const FileTarget& target, const Owner& configured, const Place& place) {
  Attributes out{.configured = configured, .kept = {}, .mode = target.perms};
  if (!place.existing) return out;
  if (!target.perms_given) out.mode = target.perms & place.existing->st_mode & 07777;
  // In a directory that others write in, a file of theirs is replaced, not adopted.
  const bool theirs =
      place.directory->shared && !is_trusted_owner(place.existing->st_uid, configured);
  if (!configured.user && !configured.group && !theirs)
    out.kept = {place.existing->st_uid, place.existing->st_gid};
  return out;
}

Prepared::Prepared(Prepared&& other) noexcept
    : index(other.index),
      place(std::move(other.place)),
      target(other.target),
      temporary(std::exchange(other.temporary, {})),
      fd(std::move(other.fd)),
      mode(other.mode) {}

Prepared::~Prepared() {
  if (!temporary.empty()) unlinkat(place.dir(), temporary.c_str(), 0);
}

OnDisk compare(const Place& place, const FileTarget& target, std::string_view content,
               const Attributes& attributes) {
  if (!place.existing) return OnDisk::other;
  const UniqueFd fd(
      openat(place.dir(), place.name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return OnDisk::other;
  const Owner& owner = attributes.configured;
  const bool strange = place.directory->shared && !is_trusted_owner(info.st_uid, owner);
  const bool same = static_cast<std::size_t>(info.st_size) == content.size() &&
                    (info.st_mode & 07777) == attributes.mode && !strange &&
                    (!owner.user || info.st_uid == *owner.user) &&
                    (!owner.group || info.st_gid == *owner.group) &&
                    same_content(fd.get(), content);
  if (!same) return OnDisk::other;
  const bool pending = target.has_action() && is_pending(fd.get(), place.dir(), place.name);
  return pending ? OnDisk::same_but_pending : OnDisk::same;
}

namespace {

result<> fill_in_place(int fd, const Place& place, const FileTarget& target,
                       std::string_view content, const Attributes& attributes) {
  const std::string& destination = target.destination;
  struct stat info{};
  if (fstat(fd, &info) != 0) return refuse_errno(destination, "opening", errno);
  if (auto good = may_be_written_into(*place.directory, info, attributes.configured); !good)
    return std::unexpected(std::move(good).error().within(destination));
  // Room for all of it first: half of a new value is worse than the old one (fallocate(2)).
  const auto size = static_cast<off_t>(content.size());
  if (size > 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) != 0 && errno != EOPNOTSUPP)
    return refuse_errno(destination, "writing", errno);
  if (target.has_action()) {
    if (const int error = set_pending(fd, place.dir(), place.name); error != 0)
      return refuse_errno(destination, "noting the command that is due", error);
  }
  if (auto set = set_mode_and_owner(fd, target, attributes); !set) return set;
  if (auto written = write_all(fd, content, destination); !written) return written;
  if (ftruncate(fd, size) != 0 || fsync(fd) != 0)
    return refuse_errno(destination, "writing", errno);
  return {};
}

}  // namespace

result<> write_in_place(const Place& place, const FileTarget& target, std::string_view content,
                        const Attributes& attributes) {
  const UniqueFd fd(openat(place.dir(), place.name.c_str(),
                           O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd) return refuse_errno(target.destination, "opening", errno);
  auto filled = fill_in_place(fd.get(), place, target, content, attributes);
  // One that was made for this, and is empty or half, is not left behind.
  if (!filled && !place.existing) unlinkat(place.dir(), place.name.c_str(), 0);
  return filled;
}

result<> write_temporary(Prepared& prepared, std::string_view content,
                         const Attributes& attributes) {
  const FileTarget& target = *prepared.target;
  const int directory = prepared.place.dir();
  prepared.mode = attributes.mode;
  for (bool ours = false; !ours;) {
    const std::string name =
        "." + prepared.place.name.substr(0, 200) + std::string(kLeftover) + random_suffix();
    prepared.fd = UniqueFd(openat(directory, name.c_str(),
                                  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!prepared.fd && errno == EEXIST) continue;
    if (!prepared.fd)
      return refuse_errno(target.destination, "can't write in its directory", errno);
    prepared.temporary = name;
    const auto claimed = claim_temporary(prepared);
    if (!claimed) return std::unexpected(claimed.error());
    ours = *claimed;
  }
  if (target.has_action()) {
    (void)fchmod(prepared.fd.get(), 0600);  // whatever the umask made of it: else no attribute
    if (const int error = set_pending(prepared.fd.get(), directory, prepared.place.name);
        error != 0)
      return refuse_errno(target.destination, "noting the command that is due", error);
  }
  if (auto set = set_mode_and_owner(prepared.fd.get(), target, attributes); !set) return set;
  return write_all(prepared.fd.get(), content, target.destination);
}

result<> put_in_place(Prepared& prepared, std::string& note) {
  const int directory = prepared.place.dir();
  const std::string& name = prepared.place.name;
  if (prepared.target->backup) {
    const std::string backup = name + std::string(kBackup);
    unlinkat(directory, backup.c_str(), 0);
    bool kept = linkat(directory, name.c_str(), directory, backup.c_str(), 0) == 0;
    int error = errno;
    if (kept && fchmodat(directory, backup.c_str(), prepared.mode, 0) != 0) {
      kept = false;  // with a wider mode than the new one has, rather none
      error = errno;
      unlinkat(directory, backup.c_str(), 0);
    }
    if (!kept && error != ENOENT) note = strerrordesc_np(error);
  }
  if (renameat(directory, prepared.temporary.c_str(), directory, name.c_str()) != 0)
    return refuse_errno(prepared.target->destination, "replacing", errno);
  prepared.temporary.clear();
  return {};
}

}  // namespace keybearer::delivery
