#pragma once
// What comes after reading the files: the environment and the command line override, then rules
// over several keys. Internal to config/.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/load.hpp"

namespace keybearer::config {

using Environment = std::function<std::optional<std::string>(const std::string&)>;

// The method that flags of the command line speak of; "" when none does.
[[nodiscard]] std::string chosen_by_flags(const Input::Flags& flags,
                                          std::vector<Problem>& problems);
// What decides how to log in, strongest first: `by_flags`, the file, the environment.
void choose_method(const std::string& by_flags, const Environment& env, Method& method,
                   std::vector<Origin>& origins);
void apply_environment(const Environment& env, Config& config, std::vector<Origin>& origins,
                       std::vector<Problem>& problems);
void apply_flags(const Input::Flags& flags, Config& config, std::vector<Origin>& origins,
                 std::vector<Problem>& problems);
void name_instance(Config& config);
// Where a key was set, by its full name; unset when it has its default.
using LocationOf = std::function<SourceLocation(std::string_view key)>;
struct Scope {
  bool offline = false;     // how to reach the server and log in is not checked
  bool files_only = false;  // keybearer render
};
void validate(const Config& config, const LocationOf& location, Scope scope,
              std::vector<Problem>& problems);
void add_warnings(Config& config);
// Before the environment overrides: what the file itself says.
void warn_of_readable_secret(Config& config);

}  // namespace keybearer::config
