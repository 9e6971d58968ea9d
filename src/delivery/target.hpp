#pragma once
// One file that is to be on the disk: where and how, and what. Values: nothing of the configuration
// is referred to, which may be another one by the time.

#include <memory>
#include <string>
#include <vector>

#include "base/secret.hpp"
#include "config/config.hpp"

namespace keybearer::delivery {

// Standard output, of `render`.
inline constexpr std::string_view kStandardOutput = "-";

struct FileTarget {
  std::string destination;  // names it everywhere
  unsigned perms = 0600;
  bool perms_given = false;  // else an existing file's narrower mode stays
  std::string user, group;   // empty: an existing file's, else ours
  bool create_dest_dirs = true;
  bool backup = false;
  bool in_place = false;
  bool remove_on_exit = false;
  config::Command command;  // to be run after a change; empty: none
  Duration command_timeout{};

  [[nodiscard]] bool has_action() const { return !command.argv.empty(); }
};

[[nodiscard]] FileTarget target_of(const config::Template& spec);

// Bytes [begin, end) of the content that are no text of the template's.
struct PrintedRange {
  std::size_t begin = 0, end = 0;
};

struct FileWrite {
  FileTarget target;
  std::shared_ptr<const Secret> content;
  std::vector<PrintedRange> printed = {};
};

}  // namespace keybearer::delivery
