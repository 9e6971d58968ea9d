#pragma once
// agent.toml, the environment and the command line's edits to one Config. Strict: every error of
// all files is reported at once, in the order of the lines, with file:line:column, the key's full
// name, what was expected and, for a typo, the likely name. Nothing is contacted. toml++ stays
// inside config/.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/config.hpp"
#include "config/location.hpp"

namespace keybearer::config {

struct Problem {
  SourceLocation place;
  std::string text;                    // "exec.debounse: unknown key; did you mean \"debounce\"?"
  ErrorKind kind = ErrorKind::config;  // render: a template is wrong by itself (65, not 78)
  // Of a place in a template's own file: where the configuration names that file; sorts it.
  std::optional<SourceLocation> declared = {};
};
// "agent.toml:3:1: exec.debounse: unknown key ...", as people see it.
[[nodiscard]] std::string problem_text(const Problem& problem);

struct Input {
  std::vector<std::string>
      paths;  // -c, in order: files, or directories (their *.toml, sorted by name). None: no file
  // What the command line gives; wins over everything.
  struct Flags {
    std::optional<std::string> address, vault_namespace, log_level, log_format;
    std::map<std::string, std::string> method;  // of the auth methods: "role-id-file" and its value
    std::vector<std::string> env;               // NAME=PATH#KEY
    std::vector<std::string> env_from;          // PATH
    std::vector<std::string> templates;         // SRC:DEST
    std::vector<std::string> command;           // after --
  } flags;
  std::function<std::optional<std::string>(const std::string&)> env;  // getenv, or a test's
  bool origins = false;                                               // wanted
  bool offline = false;     // no server is asked: how to reach it and log in is not checked
  bool files_only = false;  // keybearer render: no program; a destination "-" is standard output
  // What other layers find wrong with the configuration (addresses, templates), so that all comes
  // in one run. `wrong`: there are problems already.
  std::function<std::vector<Problem>(const Config&, bool wrong)> extra_checks = {};
};

// Where each effective value came from, for `check --show`.
struct Origin {
  std::string key;    // "vault.address"
  std::string value;  // secrets masked
  SourceLocation from;
};

struct Loaded {
  Config config;
  std::vector<Origin> origins;
};

[[nodiscard]] std::expected<Loaded, std::vector<Problem>> load(const Input& input);

// Full names of all keys that are read: "vault.address", "template.perms", "env.NAME.default".
[[nodiscard]] const std::vector<std::string>& known_keys();

// Go's syntax ("1h30m", "250ms") or whole seconds. Not negative.
[[nodiscard]] result<Duration> parse_duration(std::string_view text);
// "SIGTERM", "TERM" or a number.
[[nodiscard]] result<int> parse_signal(std::string_view text);
[[nodiscard]] std::string signal_name(int signal);  // "SIGTERM"

}  // namespace keybearer::config
