#pragma once
// A pid file that tells whether its process lives: it stays locked, so a stale one is replaced and
// a live one refused. Written where no other user could replace it, and over nothing of theirs (rule
// R10).

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/directory.hpp"
#include "base/error.hpp"
#include "base/fd.hpp"

namespace keybearer {

class PidFile {
 public:
  PidFile() = default;
  PidFile(PidFile&&) noexcept = default;
  PidFile& operator=(PidFile&&) noexcept = default;
  ~PidFile();  // removes the file

  // `trusted` may own it and its directory, beside us and root. Error kind config: held by a live
  // process, or can't be written.
  [[nodiscard]] static result<PidFile> write(const std::string& path,
                                             const Recipient& trusted = {});
  // Could it be written there? Nothing is made.
  [[nodiscard]] static result<> check(const std::string& path, const Recipient& trusted);

 private:
  UniqueFd directory_;
  std::string name_;
  UniqueFd fd_;
};

// The number that the pid file of a daemon holds; nothing when there is none, or it is no number.
[[nodiscard]] std::optional<pid_t> read_pid_file(const std::string& path);

}  // namespace keybearer
