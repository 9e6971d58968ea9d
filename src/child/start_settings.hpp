#pragma once
// exec.user, group, umask, nice, rlimits, working_directory, stdout, stderr: as the program is
// started with.

#include <vector>

#include "base/fd.hpp"
#include "config/config.hpp"
#include "process/spawn.hpp"

namespace keybearer::child {

struct StartSettings {
  StartOptions options;
  std::vector<UniqueFd> files;  // that the options map; open until the program is started
};

// Error kind spawn: no such user (126), or an output file can't be opened (73).
[[nodiscard]] result<StartSettings> start_settings(const config::Exec& exec);

// The number of an [exec.rlimits] key ("nofile"); nothing for an unknown one.
[[nodiscard]] std::optional<int> rlimit_number(std::string_view name);

}  // namespace keybearer::child
