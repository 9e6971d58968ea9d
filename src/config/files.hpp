#pragma once
// -c to one table: files and directories, read and merged. Internal to config/.

#include <string>
#include <vector>

#include "config/reader.hpp"

namespace keybearer::config {

// The later file's scalars and tables override, its arrays of tables append. What can't be read or
// parsed is a problem of the context. `files`: those that were read.
[[nodiscard]] toml::table read_files(const std::vector<std::string>& paths, Context& context,
                                     std::vector<std::string>& files);

// Who may write a configuration names the commands that it runs: problems when we are root,
// warnings else.
void check_owners(const std::vector<std::string>& paths, const std::vector<std::string>& files,
                  Context& context, std::vector<std::string>& warnings);

}  // namespace keybearer::config
