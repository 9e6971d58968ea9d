#pragma once
// The log file's own rotation: when, under which name, and how many are kept. Names and numbers as
// Vault Agent has them: agent.log becomes agent-1764412800123456789.log (nanoseconds since 1970).
//
//     if (is_due(rotation, written, size_of_line, age)) rotate(path, fd, rotation, now);
//
// Source: Vault Agent's log_rotate_bytes, log_rotate_duration, log_rotate_max_files.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"

namespace keybearer::log {

struct Rotation {
  std::optional<std::size_t> bytes = {};  // none: never by size
  std::optional<Duration> age = {};       // none: never by age
  int max_files = 0;                      // rotated ones that are kept; 0: all, -1: none
};

// Before `next` bytes are written to a file that has `written` and is `age` old. An empty file is
// never due: a line longer than the limit has a file of its own.
[[nodiscard]] bool is_due(const Rotation& rotation, std::size_t written, std::size_t next,
                          Duration age);

// "agent-1764412800123456789.log" of "agent.log"; "agent-....log" of "agent".
[[nodiscard]] std::string rotated_name(std::string_view name, WallTime at);
// Those of `names` that are rotated files of `name` and too many, oldest first.
[[nodiscard]] std::vector<std::string> surplus(std::vector<std::string> names,
                                               std::string_view name, int max_files);

// Renames the log file `path`, which `fd` is open on, and removes what is too many. A file that
// somebody else has moved away already stays where it is. Error kind io.
[[nodiscard]] result<> rotate(const std::string& path, int fd, const Rotation& rotation,
                              WallTime now);

// When the file was begun, for its age: when it was made, where the file system tells (statx(2)).
[[nodiscard]] WallTime begun(int fd, WallTime now);

}  // namespace keybearer::log
