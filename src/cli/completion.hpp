#pragma once
// Shell completion, made from the command line's own description. Pure.

#include <string>
#include <string_view>
#include <vector>

namespace keybearer::cli {

struct CommandWords {
  std::string name, description;
  std::vector<std::string> options;  // "--config", "-c"
};

// "" when there is none for this shell.
[[nodiscard]] std::string completion_script(std::string_view shell,
                                            const std::vector<CommandWords>& commands);

}  // namespace keybearer::cli
