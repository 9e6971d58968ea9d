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

// Does a command line name an option? One that it does not name is not described to CLI11, which
// would take longer than all else that a start does with it; where help is asked for, all are.
class Named {
 public:
  Named() = default;  // all
  explicit Named(std::vector<std::string> words);
  // As it is described: "--address", for --address=URL too.
  [[nodiscard]] bool operator()(std::string_view option) const;

 private:
  std::vector<std::string> words_;
  bool all_ = true;
};

// What to say of a word that is no command; `commands`: the ones there are.
[[nodiscard]] std::string unknown_command(std::string_view word,
                                          std::span<const std::string_view> commands);

// What to say of "-once" and "-config=FILE", Go's way to write an option, which CLI11 takes for
// -o and -c with a value; "" of other command lines. `options`: what the command has, asked for only
// when a word may be such a one.
[[nodiscard]] std::string single_dash(std::span<const std::string> words,
                                      const std::function<std::vector<std::string>()>& options);

// What to say of a command line that CLI11 refuses: `why` is its text, `words` the command and what
// follows, `options` what the command has.
[[nodiscard]] std::string usage_problem(std::span<const std::string> words, std::string why,
                                        std::span<const std::string> options);

}  // namespace keybearer::cli
