#pragma once
// What `check` warns of beside errors: credentials that stand as text in a configuration or a
// template, variables whose names somebody else chooses, files that leave memory. Pure, but for the
// kind of file system a file is on.

#include <functional>
#include <string>
#include <vector>

#include "config/load.hpp"

namespace keybearer::cli {

// Each with its place, in the order of the file's sections. `origins`: where the values came from.
[[nodiscard]] std::vector<std::string> warnings(const config::Config& config,
                                                const std::vector<config::Origin>& origins);

// Of files that are written to a disk, which keeps them: one line, or "" when there are none.
// `in_memory`: whether a directory (or where it will be made) is on a tmpfs or ramfs.
[[nodiscard]] std::string note_on_disks(const config::Config& config,
                                        const std::function<bool(const std::string&)>& in_memory);
[[nodiscard]] bool is_in_memory(const std::string& directory);

}  // namespace keybearer::cli
