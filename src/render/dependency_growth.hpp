#pragma once
// A template whose dependencies change with each evaluation (a path or an argument made of
// `timestamp` or `uuidv4`) is never complete: it would ask the server without end. Here its end is
// found. Pure. Rule: S2.

#include <set>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "tmpl/template.hpp"

namespace keybearer::render {

class DependencyGrowth {
 public:
  // An evaluation lacked something; `asked`: the ids of all that it asked for. False: more than 100
  // dependencies have been asked for and given up again since the last complete evaluation.
  [[nodiscard]] bool incomplete(std::set<std::string> asked);
  void complete();

 private:
  std::set<std::string> asked_, abandoned_;
};

// Error kind render: names the function that asks, and what in the template's text changes its
// argument.
[[nodiscard]] Error growth_error(std::string_view name, std::string_view template_text,
                                 const tmpl::Dependency& asked);

}  // namespace keybearer::render
