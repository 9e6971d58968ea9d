#include "render/template_problem.hpp"

namespace keybearer::render {

using config::Problem;

Problem template_problem(const config::ValueSource& source, const std::string& name,
                         std::string_view text, const tmpl::TemplateError& error) {
  Problem problem{source.place, error.with_source(text, source.source), ErrorKind::render};
  if (error.line == 0) return problem;
  const auto column = static_cast<std::uint32_t>(error.column + 1);
  problem.place = source.source.empty()
                      ? source.contents_map.at(text, error.line, error.column)
                      : config::SourceLocation::in_file(
                            source.source, static_cast<std::uint32_t>(error.line), column);
  if (!problem.place.is_set()) {
    problem.place = source.place;
    return problem;
  }
  problem.declared = source.place;
  const std::string prefix = "template: " + (source.source.empty() ? name : source.source) + ":";
  if (problem.text.starts_with(prefix)) {
    const auto end = problem.text.find(": ", prefix.size());
    if (end != std::string::npos) problem.text.erase(0, end + 2);
  }
  const auto arrow = problem.text.find("\n  --> ");
  if (arrow != std::string::npos)
    problem.text.erase(arrow, problem.text.find('\n', arrow + 1) - arrow);
  return problem;
}

}  // namespace keybearer::render
