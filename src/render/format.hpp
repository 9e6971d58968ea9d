#pragma once
// Names and values to the bytes of a file, escaped so that no value can add a line, a key or a
// section. Pure. The readers that give back exactly the value:
//
//   env         NAME="value": a POSIX shell's `.` and systemd's EnvironmentFile. systemd
//   (env-file.c,
//               env-util.c): between double quotes everything stands for itself but a backslash
//               before one of "\`$ or a newline; a value that is not UTF-8 is dropped
//   docker-env  NAME=value, raw: docker's --env-file. docker (cli/opts, Go's bufio.Scanner): a line
//               is a variable, lines of at most 64 KiB, a carriage return at its end is dropped,
//               the file must be UTF-8; so a line break can't be written
//   ini         Python's configparser (ConfigParser(), with its %-interpolation)
//   shell       export NAME='value': a POSIX shell
//   json, yaml, toml   strings, in the nesting of `values`: JSON, YAML 1.1 and 1.2, TOML 1.0
//   properties  java.util.Properties; sections become SECTION.name
//
// A null is null in json and yaml; the others have none and leave it out (behaviour.md R5).
//
// What a format can't hold is refused (kind render), naming the key and why, never the value.

#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "config/config.hpp"
#include "tmpl/template.hpp"

namespace keybearer::render {

struct FormatEntry {
  std::vector<std::string> path;  // sections, then the name
  const Secret* value;            // not owned; nullptr: null
  mutable tmpl::Range at = {};    // set by write_format: where in its text the value stands
};

[[nodiscard]] bool has_null(config::Format format);
[[nodiscard]] result<Secret> write_format(config::Format format,
                                          const std::vector<FormatEntry>& entries);

}  // namespace keybearer::render
