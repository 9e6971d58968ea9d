#include "auth/credential.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "base/fd.hpp"
#include "base/log.hpp"
#include "base/redactor.hpp"

namespace keybearer::auth {
namespace {

constexpr std::size_t kMaxCredential = 64 << 10;
constexpr std::size_t kMaxAttempts = 64;
constexpr std::string_view kBlanks(" \t\r\n\v\f\0", 7);
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // of an editor's UTF-8

std::string_view trimmed(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// The file system's clock ticks every few milliseconds: what was written at the same tick looks the
// same.
bool is_recent(const struct stat& status) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t age = nanoseconds(now) - nanoseconds(status.st_mtim);
  return age > -50'000'000 && age < 50'000'000;
}

// In a volume that Kubernetes mounts files are readable by design: who may enter the pod is what
// protects them. It is known by the link ..data, which the kubelet swaps.
bool in_kubernetes_volume(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string link = (slash == path.npos ? "" : path.substr(0, slash + 1)) + "..data";
  struct stat status{};
  return lstat(link.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

result<Secret> read_all(int fd, const std::string& path) {
  Secret content;
  std::array<char, 4096> buffer;
  ssize_t count = 0;
  while ((count = ::read(fd, buffer.data(), buffer.size())) > 0 &&
         content.size() <= kMaxCredential) {
    content.append({buffer.data(), static_cast<std::size_t>(count)});
  }
  const int error = errno;
  explicit_bzero(buffer.data(), buffer.size());
  if (count < 0) return fail_errno(ErrorKind::config, path, error);
  if (content.size() > kMaxCredential) {
    return fail(ErrorKind::config, path + ": larger than 64 KiB: not a credential");
  }
  return content;
}

}  // namespace

CredentialFile::Identity CredentialFile::identity_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = status.st_size,
          .modified_ns = nanoseconds(status.st_mtim),
          .changed_ns = nanoseconds(status.st_ctim)};  // a mode or an owner that was put right
}

result<> CredentialFile::look() {
  struct stat status{};
  if (stat(path_.c_str(), &status) != 0) {
    seen_.reset();
    return fail_errno(ErrorKind::config, path_, errno);
  }
  if (seen_ == identity_of(status)) return last_;
  seen_ = identity_of(status);
  auto content = read();
  if (!content) return last_ = std::unexpected(std::move(content).error());
  last_ = {};
  content_ = *std::move(content);
  if (is_recent(status)) seen_.reset();
  return last_;
}

result<Secret> CredentialFile::read() {
  const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!fd || fstat(fd.get(), &status) != 0) return fail_errno(ErrorKind::config, path_, errno);
  seen_ = identity_of(status);
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::config, path_ + ": not a regular file");
  auto content = read_all(fd.get(), path_);
  if (!content) return content;
  const auto text = trimmed(content->reveal());
  if (text.empty()) return fail(ErrorKind::config, path_ + ": the file is empty");
  if (text.contains('\0')) {
    return fail(ErrorKind::config,
                path_ + ": has NUL bytes in it: it is UTF-16, or no text; write it as UTF-8");
  }
  if (holds_ == Holds::credential) redactor().add_credential(text);
  read_ = seen_;
  if ((status.st_mode & 077) != 0 && !in_kubernetes_volume(path_) && std::exchange(warns_, false)) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777);
    log::warn("credential.insecure_mode",
              path_ + ": its mode " + mode + ": others may read this credential; set it to 0600");
  }
  return Secret(text);
}

result<bool> CredentialFile::remove() {
  const auto slash = path_.rfind('/');
  const std::string directory = slash == path_.npos ? "." : path_.substr(0, slash + 1);
  const char* name = path_.c_str() + (slash == path_.npos ? 0 : slash + 1);
  const UniqueFd dir(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat status{};
  if (!dir || fstatat(dir.get(), name, &status, 0) != 0) {
    if (errno == ENOENT) return false;  // gone since
    return fail_errno(ErrorKind::io, path_, errno);
  }
  auto now = identity_of(status);
  if (!read_) return false;
  now.changed_ns = read_->changed_ns;  // a link or a mode more is no other content
  if (now != *read_) return false;
  if (unlinkat(dir.get(), name, 0) == 0) return true;
  if (errno == ENOENT) return false;
  return fail_errno(ErrorKind::io, path_, errno);
}

void Attempts::record(ContentId content, Outcome outcome) {
  // One content at a time is in force: what it replaced may come back.
  if (outcome == Outcome::accepted)
    std::erase_if(known_, [](const Attempt& each) { return each.outcome == Outcome::accepted; });
  std::erase_if(known_, [content](const Attempt& each) { return each.content == content; });
  if (known_.size() == kMaxAttempts) known_.pop_front();
  known_.push_back({content, outcome});
}

std::optional<Attempts::Outcome> Attempts::of(ContentId content) const {
  const auto found = std::ranges::find(known_, content, &Attempt::content);
  if (found == known_.end()) return std::nullopt;
  return found->outcome;
}

}  // namespace keybearer::auth
