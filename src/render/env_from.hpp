#pragma once
// [[env_from]]: every key of a secret as a variable of the environment.

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "render/renderer.hpp"
#include "tmpl/template.hpp"

namespace keybearer::render {

class EnvFromTarget {
 public:
  using Variables = std::vector<std::pair<std::string, std::shared_ptr<const Secret>>>;

  // `spec` must outlive it.
  EnvFromTarget(const config::EnvFrom& spec, tmpl::Dependency dependency)
      : spec_(&spec), dependency_(std::move(dependency)) {}

  // Takes another value of the secret; one that makes no variables is an error, and those of before
  // stay. `allow_reserved`: exec.allow_reserved_env.
  void update(tmpl::DataSource& source, bool allow_reserved, Evaluation& evaluation);

  [[nodiscard]] const tmpl::Dependency& dependency() const { return dependency_; }
  [[nodiscard]] const Variables& variables() const { return variables_; }  // the last good ones
  [[nodiscard]] bool has_value() const { return has_value_; }
  // Of the value that they are made of.
  [[nodiscard]] std::uint64_t value_generation() const { return value_generation_; }

 private:
  void take(const Value& answer, bool allow_reserved, Evaluation& evaluation);
  void note_replaced(Evaluation& evaluation);

  const config::EnvFrom* spec_;
  tmpl::Dependency dependency_;
  std::uint64_t generation_ = 0;
  std::uint64_t value_generation_ = 0;
  Variables variables_;
  std::string nulls_;             // keys that are left out
  std::set<std::string> warned_;  // names that replace a variable of the environment
  std::optional<Error> error_;
  bool has_value_ = false;
};

}  // namespace keybearer::render
