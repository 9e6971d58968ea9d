#include "auth/login.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cstdio>

#include <array>
#include <cerrno>

#include "base/fd.hpp"
#include "base/log.hpp"

namespace keybearer::auth {
namespace {

constexpr std::size_t kMaxCredential = 64 << 10;
constexpr std::string_view kBlanks = " \t\r\n\v\f";

constinit const AuthMethodRegistration* first_method = nullptr;

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

result<Secret> read_all(int fd, const std::string& path) {
  Secret content;
  std::array<char, 4096> buffer;
  ssize_t count = 0;
  while ((count = ::read(fd, buffer.data(), buffer.size())) > 0 &&
         content.size() <= kMaxCredential) {
    content.append({buffer.data(), static_cast<std::size_t>(count)});
  }
  explicit_bzero(buffer.data(), buffer.size());
  if (count < 0) return fail_errno(ErrorKind::config, path, errno);
  if (content.size() > kMaxCredential) {
    return fail(ErrorKind::config, path + ": larger than 64 KiB: not a credential");
  }
  return content;
}

}  // namespace

AuthMethodRegistration::AuthMethodRegistration(std::string_view type, Make make) noexcept
    : type_(type), make_(make), next_(first_method) {
  first_method = this;
}

result<std::unique_ptr<Login>> make_auth_method(const config::Method& method) {
  std::string known;
  for (const auto* each = first_method; each != nullptr; each = each->next_) {
    if (each->type_ == method.type) return each->make_(method);
    known.append(known.empty() ? "" : ", ").append(each->type_);
  }
  return fail(ErrorKind::config, method.place.text + ": auto_auth.method.type: \"" + method.type +
                                     "\" is not supported; known are " + known);
}

std::string mount_path(const config::Method& method) {
  std::string path = method.mount_path.empty() ? method.type : method.mount_path;
  path.erase(0, path.find_first_not_of('/'));
  path.erase(path.find_last_not_of('/') + 1);
  return path.starts_with("auth/") ? path : "auth/" + path;
}

result<Secret> CredentialFile::read() {
  const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!fd || fstat(fd.get(), &status) != 0) return fail_errno(ErrorKind::config, path_, errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::config, path_ + ": not a regular file");
  const auto content = read_all(fd.get(), path_);
  if (!content) return std::unexpected(content.error());
  last_ = identity_of(status);
  const auto text = trimmed(content->reveal());
  if (text.empty()) return fail(ErrorKind::config, path_ + ": the file is empty");
  if ((status.st_mode & 077) != 0 && !std::exchange(warned_, true)) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777);
    log::warn("credential.open",
              path_ + ": its mode " + mode + ": others may read this credential; set it to 0600");
  }
  return Secret(text);
}

bool CredentialFile::changed() const {
  struct stat status{};
  if (path_.empty() || stat(path_.c_str(), &status) != 0) return false;
  return identity_of(status) != last_;
}

void CredentialFile::remove() const {
  if (unlink(path_.c_str()) == 0 || errno == ENOENT) return;  // gone since an earlier login
  const auto error = fail_errno(ErrorKind::io, path_, errno).error();
  log::warn("credential.kept", "a used credential could not be removed: " + error.text);
}

CredentialFile::Identity CredentialFile::identity_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = status.st_size,
          .modified_ns = status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec};
}

}  // namespace keybearer::auth
