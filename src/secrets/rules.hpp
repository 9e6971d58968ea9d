#pragma once
// The [[secret]] tables, and which of them a dependency goes by. Pure; a look-up does not depend on
// how many there are.

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/config.hpp"
#include "tmpl/template.hpp"

namespace keybearer::secrets {

class Rules {
 public:
  Rules() = default;
  explicit Rules(std::vector<config::SecretRule> tables);

  // The table of just this namespace, this version and these data; else the first of its path, in
  // the namespace that it is asked for in, if any is said. nullptr: none.
  [[nodiscard]] const config::SecretRule* find(const tmpl::Dependency& dependency) const;
  // Where it is asked for: in the namespace of its table; nullopt: vault.namespace.
  [[nodiscard]] std::optional<std::string> namespace_of(const tmpl::Dependency& dependency) const;
  [[nodiscard]] std::size_t size() const { return tables_.size(); }

 private:
  std::vector<config::SecretRule> tables_;
  std::unordered_map<std::string, std::size_t> firsts_, exact_;
};

}  // namespace keybearer::secrets
