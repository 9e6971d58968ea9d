#pragma once
// The order of the command line, before CLI11 reads it. Pure.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keybearer::cli {

// Options may stand before the command: "-c agent.toml run" becomes "run -c agent.toml". The first
// word that is neither an option nor its value is the command. `takes_value`: of an option's name
// as it was written ("-c", "--config").
[[nodiscard]] std::vector<std::string> command_first(
    std::vector<std::string> arguments, const std::function<bool(std::string_view)>& takes_value);

// What to say of a word that is no command; `commands`: the ones there are.
[[nodiscard]] std::string unknown_command(std::string_view word,
                                          std::span<const std::string_view> commands);

}  // namespace keybearer::cli
