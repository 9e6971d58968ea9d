#pragma once
// A pid file that tells whether its process lives: it stays locked, so a stale one is replaced and
// a live one refused.

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/fd.hpp"

namespace keybearer {

class PidFile {
 public:
  PidFile() = default;
  PidFile(PidFile&&) noexcept = default;
  PidFile& operator=(PidFile&&) noexcept = default;
  ~PidFile();  // removes the file

  // Error kind config: held by a live process, or can't be written.
  [[nodiscard]] static result<PidFile> write(const std::string& path);

 private:
  std::string path_;
  UniqueFd fd_;
};

// The number that the pid file of a daemon holds; nothing when there is none, or it is no number.
[[nodiscard]] std::optional<pid_t> read_pid_file(const std::string& path);

}  // namespace keybearer
