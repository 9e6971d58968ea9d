#include "child/environment.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace keybearer::child {

EnvBlock program_environment(const config::Exec& exec, const EnvBlock& ours,
                             const EnvBlock& rendered, std::span<const std::string> withheld) {
  EnvBlock out;
  if (exec.inherit_env != config::Exec::Inherit::none) {
    const EnvBlock inherited = exec.pass_credentials ? ours : without_credentials(ours, withheld);
    for (const auto& [name, value] : inherited.values()) {
      const bool listed =
          std::ranges::any_of(exec.inherit_names, [&name](const std::string& pattern) {
            return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
          });
      if (exec.inherit_env == config::Exec::Inherit::all || listed) out.set(name, value);
    }
  }
  for (const auto& [name, value] : rendered.values()) out.set(name, value);
  return out;
}

}  // namespace keybearer::child
