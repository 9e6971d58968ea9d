#pragma once
// No two writers of one file, and none of a file that keybearer itself reads. Internal to config/.

#include <vector>

#include "config/load.hpp"

namespace keybearer::config {

// Paths are compared as the files that they lead to: through links in their directories, too.
void check_files_in_use(const Config& config, std::vector<Problem>& problems);

}  // namespace keybearer::config
