#include "tmpl/template.hpp"

#include <algorithm>
#include <cstdlib>

#include "tmpl/exec.hpp"
#include "tmpl/parse.hpp"

namespace keybearer::tmpl {

struct Template::Impl {
  std::string name, text;
  Options options;
  TreeSet trees;
};

namespace {

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::size_t line_of(std::string_view text, std::size_t pos) {
  return 1 + static_cast<std::size_t>(std::count(
                 text.begin(),
                 text.begin() + static_cast<std::ptrdiff_t>(std::min(pos, text.size())), '\n'));
}

}  // namespace

Template::Template(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

const std::string& Template::name() const {
  return impl_->name;
}
const std::string& Template::text() const {
  return impl_->text;
}

std::expected<Template, TemplateError> Template::parse(std::string name, std::string text,
                                                       Options options) {
  auto impl =
      std::make_unique<Impl>(Impl{std::move(name), std::move(text), std::move(options), {}});
  if (!impl->options.env) impl->options.env = process_environment;
  if (!impl->options.now) impl->options.now = wall_now;
  auto trees = tmpl::parse(impl->text, "", impl->name, impl->options.left_delimiter,
                           impl->options.right_delimiter);
  if (!trees)
    return std::unexpected(
        TemplateError{trees.error().text, static_cast<std::size_t>(trees.error().line), 0});
  impl->trees = std::move(*trees);
  return Template(std::move(impl));
}

std::expected<Output, TemplateError> Template::evaluate(DataSource& source) const {
  Evaluation evaluation(impl_->trees, impl_->name, impl_->text, impl_->options, source);
  try {
    return evaluation.run("");
  } catch (const ExecError& error) {
    const std::string_view text = impl_->text;
    const std::size_t line = line_of(text, error.pos);
    const auto newline = error.pos == 0 ? std::string_view::npos : text.rfind('\n', error.pos - 1);
    const std::size_t column =
        newline == std::string_view::npos ? error.pos : error.pos - newline - 1;
    return std::unexpected(TemplateError{error.text, line, column, error.missing_key,
                                         std::move(evaluation.asked().used),
                                         std::move(evaluation.asked().missing)});
  }
}

std::string TemplateError::with_source(std::string_view template_text) const {
  if (line == 0) return text;
  for (std::size_t i = 1; i < line; ++i) {
    const auto newline = template_text.find('\n');
    if (newline == std::string_view::npos) return text;
    template_text.remove_prefix(newline + 1);
  }
  const std::string_view source = template_text.substr(0, template_text.find('\n'));
  std::string caret;
  for (const char c : source.substr(0, std::min(column, source.size())))
    caret += c == '\t' ? '\t' : ' ';
  return text + "\n  | " + std::string(source) + "\n  | " + caret + "^";
}

}  // namespace keybearer::tmpl
