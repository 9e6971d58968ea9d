#pragma once
// Where a running keybearer listens for `status`, `rotate`, `reload` and `stop`, and where those
// commands look for it. Pure but for the two that say that they read files.

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace keybearer::config {

struct Surroundings {
  std::function<std::optional<std::string>(const std::string&)> env;
  uid_t uid = 0;  // effective
};

// The first of these that can be used: `control.socket`; control.sock in $RUNTIME_DIRECTORY;
// NAME.sock in /run/keybearer (root) or $XDG_RUNTIME_DIR/keybearer; where there is none of them, in
// /tmp/keybearer-UID. A name's characters other than letters, digits, "." "_" "-" become "_".
[[nodiscard]] std::vector<std::string> control_sockets(const Control& control,
                                                       const std::string& name,
                                                       const Surroundings& around);
// For an instance whose own place is taken: "/run/keybearer/app-812.sock".
[[nodiscard]] std::string with_pid(const std::string& socket, pid_t pid);

// Directories of NAME.sock files.
[[nodiscard]] std::vector<std::string> control_directories(const Surroundings& around);
// Sockets that may be those of instances, those of units too (/run/*/control.sock). Reads
// directories.
[[nodiscard]] std::vector<std::string> possible_control_sockets(const Surroundings& around);

// `socket`, and those with a pid beside it. Reads its directory. Of "": none.
[[nodiscard]] std::vector<std::string> sockets_beside(const std::string& socket);

// The two keys that lead to an instance, of files that need not be right otherwise; what is not
// there is empty. Reads the files.
struct InstanceKeys {
  std::vector<std::string> files;  // absolute, without links
  std::string name;
  std::string socket;
};
[[nodiscard]] InstanceKeys instance_keys(const std::vector<std::string>& paths,
                                         const Surroundings& around);
// Absolute and without links, as instances name their files.
[[nodiscard]] std::string absolute_path(const std::string& path);

}  // namespace keybearer::config
