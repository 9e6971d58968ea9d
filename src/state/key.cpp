#include "state/key.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/fd.hpp"
#include "base/file.hpp"
#include "crypto/aead.hpp"

namespace keybearer::state {
namespace {

std::filesystem::path directory_of(const std::string& path) {
  std::error_code none;
  const auto whole = std::filesystem::weakly_canonical(std::filesystem::absolute(path), none);
  return whole.parent_path();
}

// Whoever takes the one must not have the other with it.
result<> refuse_beside(const config::State& state) {
  if (directory_of(state.path) != directory_of(state.key_file)) return {};
  return fail(ErrorKind::config, "state.key_file: " + state.key_file +
                                     ": stands beside the data it protects (" + state.path +
                                     "); keep it in another directory");
}

result<> check_access(const std::string& shown, const struct stat& info, bool from_systemd) {
  if (info.st_uid != geteuid() && info.st_uid != 0)
    return fail(ErrorKind::config, shown + ": belongs to user " + std::to_string(info.st_uid) +
                                       ", neither to us nor to root");
  // What systemd mounts is for us alone, whatever its mode says.
  if (!from_systemd && (info.st_mode & 077) != 0)
    return fail(ErrorKind::config, shown + ": others can read it or write to it; chmod 600 " +
                                       shown.substr(shown.rfind(' ') + 1));
  return {};
}

}  // namespace

result<Secret> read_key(const config::State& state, const Environment& environment) {
  const bool from_systemd = state.key_from == config::State::KeyFrom::systemd;
  std::string path = state.key_file, shown = "state.key_file: " + path;
  if (from_systemd) {
    const auto directory = environment("CREDENTIALS_DIRECTORY");
    if (!directory || directory->empty())
      return fail(ErrorKind::config,
                  "state.key_from: systemd has given no credentials (CREDENTIALS_DIRECTORY is not "
                  "set); add LoadCredential=state-key:PATH to the unit");
    path = *directory + "/" + kCredentialName;
    shown = "state.key_from: " + path;
  } else if (auto elsewhere = refuse_beside(state); !elsewhere) {
    return std::unexpected(std::move(elsewhere).error());
  }
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info{};
  if (!fd || fstat(fd.get(), &info) != 0) return fail_errno(ErrorKind::config, shown, errno);
  if (!S_ISREG(info.st_mode)) return fail(ErrorKind::config, shown + ": not a regular file");
  if (auto good = check_access(shown, info, from_systemd); !good)
    return std::unexpected(std::move(good).error());
  const auto bytes = read_all(fd.get(), 64 * 1024);
  if (!bytes) return fail(ErrorKind::config, shown + ": " + bytes.error().text);
  if (bytes->size() != kAeadKeySize)
    return fail(ErrorKind::config, shown + ": expected exactly 32 bytes, found " +
                                       std::to_string(bytes->size()) +
                                       " (make one with: head -c 32 /dev/urandom > FILE)");
  return Secret(*bytes);
}

}  // namespace keybearer::state
