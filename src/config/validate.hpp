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
// Where a key was set, by its full name; "" when it has its default.
using PlaceOf = std::function<std::string(std::string_view key)>;
void validate(const Config& config, const PlaceOf& place, bool offline,
              std::vector<Problem>& problems);
void add_warnings(Config& config);
// Before the environment overrides: what the file itself says.
void warn_of_readable_secret(Config& config);

}  // namespace keybearer::config
