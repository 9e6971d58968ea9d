#pragma once
// The mark on a file whose change has an action yet to do: it goes with the file through a kill and
// a restart, and is taken off once the command has succeeded (rule R9).
//
// An extended attribute of the file (xattr(7)), set before the file is in its place; where the file
// system has none, an empty file .NAME.keybearer-pending beside it, 0600.

#include <string>

#include "base/error.hpp"

namespace keybearer::delivery {

// `fd`: of the file, writable, perhaps not in its place yet; `directory` and `name`: its place.
// Error: the errno.
[[nodiscard]] int set_pending(int fd, int directory, const std::string& name);
[[nodiscard]] bool is_pending(int fd, int directory, const std::string& name);
void clear_pending(int fd, int directory, const std::string& name);

}  // namespace keybearer::delivery
