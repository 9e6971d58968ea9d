#include "cli/arguments.hpp"

#include <algorithm>

#include "config/scalars.hpp"

namespace keybearer::cli {

std::vector<std::string> command_first(std::vector<std::string> arguments,
                                       const std::function<bool(std::string_view)>& takes_value) {
  std::size_t word = 0;
  while (word < arguments.size() && arguments[word].size() > 1 && arguments[word].starts_with('-'))
    word += !arguments[word].contains('=') && takes_value(arguments[word]) ? 2 : 1;
  if (word == 0 || word >= arguments.size()) return arguments;
  std::rotate(arguments.begin(), arguments.begin() + static_cast<std::ptrdiff_t>(word),
              arguments.begin() + static_cast<std::ptrdiff_t>(word) + 1);
  return arguments;
}

namespace {

bool asks_for_help(std::string_view word) {
  if (word.starts_with("--")) return word.starts_with("--help");
  return word.starts_with('-') && word.contains('h');
}

}  // namespace

Named::Named(std::vector<std::string> words)
    : words_(std::move(words)), all_(std::ranges::any_of(words_, asks_for_help)) {}

bool Named::operator()(std::string_view option) const {
  return all_ || std::ranges::any_of(
                     words_, [option](const auto& word) { return word.starts_with(option); });
}

std::string unknown_command(std::string_view word, std::span<const std::string_view> commands) {
  const std::string_view meant = config::closest_match(word, commands);
  std::string text = "no command \"" + config::escaped(word) + "\"; ";
  if (!meant.empty()) return text + "did you mean \"" + std::string(meant) + "\"?";
  text += "there are ";
  for (std::size_t i = 0; i < commands.size(); ++i)
    text += (i == 0 ? "" : i + 1 == commands.size() ? " and " : ", ") + std::string(commands[i]);
  return text;
}

std::string single_dash(std::span<const std::string> words,
                        const std::function<std::vector<std::string>()>& options) {
  for (const std::string& word : words) {
    if (!word.starts_with('-') || word.starts_with("--")) continue;
    const std::string meant = "-" + word.substr(0, word.find('='));
    if (meant.size() <= 3) continue;
    const std::vector<std::string> known = options();
    if (std::ranges::find(known, meant) != known.end())
      return config::escaped(words.front()) + ": an option has two dashes: " + meant;
  }
  return {};
}

std::string usage_problem(std::span<const std::string> words, std::string why,
                          std::span<const std::string> options) {
  const bool alone = words.empty() || words.front().starts_with('-');
  const std::string command = alone ? "" : words.front();
  const std::vector<std::string_view> known(options.begin(), options.end());
  for (const std::string& word : words) {
    const std::string option = word.substr(0, word.find('='));
    if (!option.starts_with("--") || std::ranges::find(known, option) != known.end()) continue;
    const std::string_view meant = config::closest_match(option, known);
    why = "unknown option " + config::escaped(option);
    if (!meant.empty()) why += "; did you mean " + std::string(meant) + "?";
    break;
  }
  for (char& letter : why)
    if (letter == '\n') letter = ' ';
  if (why.size() > 1 && std::isupper(static_cast<unsigned char>(why[0])) != 0 &&
      std::islower(static_cast<unsigned char>(why[1])) != 0)
    why[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(why[0])));
  return (command.empty() ? "" : config::escaped(command) + ": ") + config::escaped(why) +
         " (keybearer " + (command.empty() ? "" : config::escaped(command) + " ") + "--help)";
}

}  // namespace keybearer::cli
