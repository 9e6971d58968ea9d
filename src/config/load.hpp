#pragma once
// agent.toml, the environment and the command line's edits to one Config. Strict: every error of
// all files is reported at once, with file:line:column, the key's full name, what was expected and,
// for a typo, the likely name. Nothing is contacted. toml++ stays behind load.cpp.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace keybearer::config {

struct Input {
  std::vector<std::string>
      paths;  // -c, in order: files, or folders (their *.toml, sorted by name). None: no file
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
  bool offline = false;  // no server is asked: how to reach it and log in is not checked
  // Asked for its own problems with the configuration when that has some, so that all come in one
  // run.
  std::function<std::vector<struct Problem>(const Config&)> also = {};
};

struct Problem {
  std::string place;  // "agent.toml:12:3", or "command line", "environment VAULT_SKIP_VERIFY"
  std::string text;   // "exec.debounse: unknown key; did you mean \"debounce\"?"
};

// Where each effective value came from, for `check --show`.
struct Origin {
  std::string key;    // "vault.address"
  std::string value;  // secrets masked
  std::string from;   // "agent.toml:3:1", "environment VAULT_ADDR", "default", "command line"
};

struct Loaded {
  Config config;
  std::vector<Origin> origins;
};

[[nodiscard]] std::expected<Loaded, std::vector<Problem>> load(const Input& input);

// Go's syntax ("1h30m", "250ms") or whole seconds. Not negative.
[[nodiscard]] result<Duration> parse_duration(std::string_view text);
// "SIGTERM", "TERM" or a number.
[[nodiscard]] result<int> parse_signal(std::string_view text);
[[nodiscard]] std::string signal_name(int signal);  // "SIGTERM"

}  // namespace keybearer::config
