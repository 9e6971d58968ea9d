#include "cli/command_words.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace keybearer::cli {

std::vector<CommandWords> words_of(CLI::App& app) {
  std::vector<CommandWords> all;
  for (const CLI::App* command : app.get_subcommands({})) {
    CommandWords words{command->get_name(), command->get_description(), {}};
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) words.options.push_back("--" + name);
      for (const std::string& name : option->get_snames()) words.options.push_back("-" + name);
    }
    all.push_back(std::move(words));
  }
  return all;
}

bool takes_value(CLI::App& app, std::string_view name) {
  for (CLI::App* command : app.get_subcommands({})) {
    const CLI::Option* option = command->get_option_no_throw(std::string(name));
    if (option != nullptr) return option->get_expected_min() > 0;
  }
  return false;
}

bool knows(CLI::App& app, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  return std::ranges::any_of(app.get_subcommands({}), [&name](const CLI::App* command) {
    return command->get_option_no_throw(name) != nullptr;
  });
}

void refuse_empty(CLI::Option* option) {
  option->check([](const std::string& text) { return std::string(text.empty() ? "empty" : ""); });
}

}  // namespace keybearer::cli
