#pragma once
// Names and values to the bytes of a file, escaped so that no value can add a line, a key or a
// section. Pure.
//
//   env         NAME="value": a POSIX shell's `.` and systemd's EnvironmentFile (systemd.exec(5))
//   both read it back exactly docker-env  NAME=value, raw, for docker's --env-file: a newline can't
//   be written ini         Python's configparser (ConfigParser(), with its %-interpolation) reads
//   it back exactly
//   shell       export NAME='value', for a POSIX shell
//   json, yaml, toml   strings, in the nesting of `values`
//   properties  java.util.Properties; sections become SECTION.name
//
// What a format can't hold is refused (kind render), naming the key and why, never the value.

#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "config/config.hpp"

namespace keybearer::render {

struct FormatEntry {
  std::vector<std::string> path;  // sections, then the name
  const Secret* value;            // not owned
};

[[nodiscard]] result<Secret> write_format(config::Format format,
                                          const std::vector<FormatEntry>& entries);

}  // namespace keybearer::render
