#pragma once
// The directory that the files of a template are bound to (sandbox_path), as in consul-template
// 0.42: a path is in it when it still is after all symbolic links.
//
// What is checked when a template names a file is checked again when the file is opened, beneath
// the directory and without following a link: who swaps one in between wins nothing.

#include <string>

#include "base/error.hpp"
#include "base/fd.hpp"

namespace keybearer::tmpl {

// The directory without links, absolute. Resolved once, when the template is loaded. Error kind
// config.
[[nodiscard]] result<std::string> resolve_sandbox(const std::string& path);

// Error kinds: not_found when nothing is there (yet), denied when it is outside; Go's texts.
[[nodiscard]] result<std::string> resolve_beneath(const std::string& root, const std::string& path);

// For reading; never blocks on a FIFO. `root` is of resolve_sandbox. `old_kernel`: without openat2.
[[nodiscard]] result<UniqueFd> open_beneath(const std::string& root, const std::string& path,
                                            bool old_kernel = false);

}  // namespace keybearer::tmpl
