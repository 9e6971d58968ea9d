#pragma once
// What CLI11's description of the command line names.

#include <string>
#include <string_view>
#include <vector>

#include "cli/completion.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace keybearer::cli {

[[nodiscard]] std::vector<CommandWords> words_of(CLI::App& app);
// "-c", "--config"
[[nodiscard]] bool takes_value(CLI::App& app, std::string_view option);
// Has some command the option that `word` begins with ("--name", "--name=x")?
[[nodiscard]] bool knows(CLI::App& app, const std::string& word);
// An empty word, such as a "$NAME" that is not set, is not the default: that may be everything, or
// another one.
void refuse_empty(CLI::Option* option);

}  // namespace keybearer::cli
