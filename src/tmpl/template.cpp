#include "tmpl/template.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/utf8.hpp"
#include "tmpl/exec.hpp"
#include "tmpl/hints.hpp"
#include "tmpl/parse.hpp"
#include "tmpl/place.hpp"
#include "tmpl/quick.hpp"
#include "tmpl/sandbox.hpp"

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

// What a terminal may be shown of a template's line: no control characters, and of a long line the
// part around the column, which becomes the one within that part.
std::string shown_line(std::string_view line, std::size_t& column) {
  constexpr std::size_t kWidth = 160, kBefore = 100;
  column = std::min(column, line.size());
  std::size_t from = column > kBefore && line.size() > kWidth ? column - kBefore : 0;
  while (from > 0 && (line[from] & '\xc0') == '\x80') --from;
  std::size_t to = std::min(line.size(), from + kWidth);
  while (to < line.size() && (line[to] & '\xc0') == '\x80') ++to;
  std::string shown = from > 0 ? "..." : "";
  column -= from;
  column += shown.size();
  for (const char c : line.substr(from, to - from))
    shown += (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == '\x7f' ? '?' : c;
  return to < line.size() ? shown + "..." : shown;
}

// As many columns of a terminal as the text takes.
std::string blanks_under(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Rune rune = decode_rune(text);
    const char32_t c = rune.code;
    const bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
                      (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
                      (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
                      (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) ||
                      (c >= 0x20000 && c <= 0x3fffd);
    out += c == '\t' ? "\t" : wide ? "  " : " ";
    text.remove_prefix(rune.width);
  }
  return out;
}

// The lexer's place is where the word begins that a dash ends.
std::size_t place_of(const ParseError& error, std::string_view text) {
  if (error.text.find("bad character U+002D") == std::string::npos) return error.pos;
  const auto dash = text.find('-', error.pos);
  return dash == std::string_view::npos ? error.pos : dash;
}

// A first pass left a plugin out after `before` dependencies were missing. What it asked for after
// that may hang on what the plugin says: reads are fetched first, unless there will be no answer;
// writes are not believed.
bool is_worth_plugins(const Execution& first, std::size_t before, const DataSource& source) {
  if (before > 0) return false;
  return std::ranges::none_of(first.missing, [&source](const Dependency& dependency) {
    return !dependency.has_effect() && source.absence(dependency) == DataSource::Absence::pending;
  });
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
std::optional<std::size_t> Template::quick_actions() const {
  return tmpl::quick_actions(impl_->trees);
}

std::expected<Template, TemplateError> Template::parse(std::string name, std::string text,
                                                       Options options) {
  auto impl =
      std::make_unique<Impl>(Impl{std::move(name), std::move(text), std::move(options), {}});
  if (!impl->options.env) impl->options.env = process_environment;
  if (!impl->options.now) impl->options.now = wall_now;
  if (impl->options.left_delimiter.empty()) impl->options.left_delimiter = "{{";
  if (impl->options.right_delimiter.empty()) impl->options.right_delimiter = "}}";
  if (std::string& sandbox = impl->options.sandbox_path; !sandbox.empty()) {
    auto root = resolve_sandbox(sandbox);
    if (!root) return std::unexpected(TemplateError{.text = root.error().text});
    sandbox = std::move(*root);
  }
  auto trees = tmpl::parse(impl->text, "", impl->name, impl->options.left_delimiter,
                           impl->options.right_delimiter);
  if (!trees) {
    const ParseError& error = trees.error();
    const auto line = static_cast<std::size_t>(error.line);
    const std::size_t pos = place_of(error, impl->text);
    const bool known = line_of(impl->text, pos) == line;
    const ErrorSite site{error.text, impl->text, error.pos, impl->options.left_delimiter,
                         impl->options.right_delimiter};
    return std::unexpected(TemplateError{.text = error.text,
                                         .line = line,
                                         .column = known ? column_of(impl->text, pos) : 0,
                                         .hint = hint_for(site)});
  }
  impl->trees = std::move(*trees);
  return Template(std::move(impl));
}

Execution Template::execute(DataSource& source, const std::atomic<bool>* stop) const {
  using Pass = Evaluation::Pass;
  Work work(impl_->options.max_time, stop);
  const Working working(work);
  const auto run = [&](Pass pass, std::optional<std::size_t>& left_out) {
    Evaluation evaluation(impl_->trees, impl_->name, impl_->text, impl_->options, source, work,
                          pass);
    Execution result = evaluation.run("");
    left_out = evaluation.plugin_left_out();
    return result;
  };
  std::optional<std::size_t> left_out;
  Execution first = run(Pass::first, left_out);
  if (!left_out || !is_worth_plugins(first, *left_out, source)) return first;
  return run(Pass::with_plugins, left_out);
}

// "template: NAME:3:9: executing ...", with no or one number more; NAME may hold colons.
std::string_view TemplateError::message() const {
  const std::string at = ":" + std::to_string(line);
  const std::string_view all = text;
  for (const std::string& place : {at + ":" + std::to_string(column) + ": ", at + ": "}) {
    const auto found = all.find(place);
    if (line > 0 && all.starts_with("template: ") && found != std::string_view::npos)
      return all.substr(found + place.size());
  }
  return all;
}

std::string TemplateError::with_source(std::string_view template_text,
                                       std::string_view name) const {
  if (line == 0) return text;
  for (std::size_t i = 1; i < line; ++i) {
    const auto newline = template_text.find('\n');
    if (newline == std::string_view::npos) return text;
    template_text.remove_prefix(newline + 1);
  }
  std::size_t at = column;
  const std::string source = shown_line(template_text.substr(0, template_text.find('\n')), at);
  const std::string at_line = std::to_string(line), at_column = std::to_string(column + 1);
  const std::string place = name.empty() ? "line " + at_line + ", column " + at_column
                                         : std::string(name) + ":" + at_line + ":" + at_column;
  return text + "\n  --> " + place + "\n  | " + source + "\n  | " +
         blanks_under(std::string_view(source).substr(0, at)) + "^" +
         (hint.empty() ? std::string() : "\n  hint: " + hint);
}

}  // namespace keybearer::tmpl
