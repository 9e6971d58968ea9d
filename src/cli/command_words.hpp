#pragma once
// What CLI11's description of the command line names.

#include <string_view>
#include <vector>

#include "cli/completion.hpp"

namespace CLI {
class App;
}

namespace keybearer::cli {

[[nodiscard]] std::vector<CommandWords> words_of(CLI::App& app);
// "-c", "--config"
[[nodiscard]] bool takes_value(CLI::App& app, std::string_view option);

}  // namespace keybearer::cli
