#include "render/renderer.hpp"

#include <algorithm>
#include <set>

#include "base/file.hpp"
#include "base/fingerprint.hpp"
#include "base/log.hpp"
#include "config/scalars.hpp"
#include "process/signals.hpp"
#include "render/env_from.hpp"
#include "render/format.hpp"
#include "render/template_problem.hpp"
#include "render/value.hpp"
#include "tmpl/sandbox.hpp"

namespace keybearer::render {
namespace {

using config::Problem;

// A file: one value, or several in a format.
struct FileTarget {
  std::vector<std::vector<std::string>> paths;        // with a format: of each value
  std::vector<const config::SourceLocation*> places;  // as many
  std::vector<RenderedValue> values;
  std::string nulls;           // names that are left out
  std::optional<Error> error;  // the format can't hold them
  bool changed = false;        // a value since the file was composed
};

struct VariableTarget {
  std::string name;
  std::optional<config::OnChange> on_change;
  RenderedValue value;
};

std::optional<std::string> read_source(const std::string& path) {
  auto text = read_file(path, {.regular = false});  // a shell's <( ) is a pipe
  return text ? std::optional(std::move(*text)) : std::nullopt;
}

}  // namespace

struct Renderer::Impl {
  explicit Impl(const config::Config& read) : config(&read), secrets(read) {}

  const config::Config* config;
  NamedSecrets secrets;
  std::vector<FileTarget> file_targets;
  std::vector<RenderedFile> files;  // as many
  std::vector<VariableTarget> variables;
  std::vector<EnvFromTarget> from;
  std::vector<Problem> problems;
  std::map<std::string, std::uint64_t> sources;
  bool quick = false;

  void add_value(std::vector<RenderedValue>& out, const config::ValueSource& source,
                 const std::string& name, tmpl::Options options, bool null_allowed = false);
  void add_rule(const config::EnvVar& variable, RenderedValue& value);
  void add_nodes(FileTarget& target, const std::vector<config::NamedValue>& nodes,
                 std::vector<std::string> path, const std::string& name,
                 const tmpl::Options& options);
  void check_format(const config::Template& spec, const FileTarget& target);
  void add_file(const config::Template& spec);
  void update_file(std::size_t i, tmpl::DataSource& source, bool use_defaults,
                   const std::atomic<bool>* stop, Evaluation& evaluation);
  static void compose(FileTarget& target, RenderedFile& file, Evaluation& evaluation);
  [[nodiscard]] bool is_quick() const;
  void reject_duplicate_names(Evaluation& evaluation) const;
};

Renderer::Renderer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Renderer::Renderer(Renderer&&) noexcept = default;
Renderer& Renderer::operator=(Renderer&&) noexcept = default;
Renderer::~Renderer() = default;

void Renderer::Impl::add_value(std::vector<RenderedValue>& out, const config::ValueSource& source,
                               const std::string& name, tmpl::Options options, bool null_allowed) {
  if (!source.secret.empty()) {
    auto dependency = secrets.dependency_of(source.secret);
    if (!dependency) {
      problems.push_back({source.place, name + ": " + dependency.error().text});
      return;
    }
    out.emplace_back(name, RenderedValue::Key{std::move(*dependency), source.key, null_allowed},
                     source.default_value);
    return;
  }
  std::string text = source.contents;
  std::string shown = name;
  if (!source.source.empty()) {
    auto read = read_source(source.source);
    if (!read) {
      problems.push_back(
          {source.place, name + ": " + source.source + " can't be read", ErrorKind::io});
      return;
    }
    text = std::move(*read);
    shown = source.source;
    sources.emplace(source.source, fingerprint(text));
  }
  options.error_on_missing_key = source.error_on_missing_key.value_or(options.error_on_missing_key);
  if (!source.left_delimiter.empty()) options.left_delimiter = source.left_delimiter;
  if (!source.right_delimiter.empty()) options.right_delimiter = source.right_delimiter;
  options.interrupted = stop_signal_pending;
  auto parsed = tmpl::Template::parse(shown, text, std::move(options));
  if (!parsed) {
    problems.push_back(template_problem(source, name, text, parsed.error()));
    return;
  }
  out.emplace_back(name, std::move(*parsed), source.default_value, source.source);
}

void Renderer::Impl::add_rule(const config::EnvVar& variable, RenderedValue& value) {
  if (!variable.required) value.make_optional();
  if (variable.rule == config::ValueRule{}) return;
  const config::SourceLocation& place = variable.value.place;
  const std::string name = "env." + config::escaped(variable.name);
  auto check = ValueCheck::make(variable.rule);
  if (!check) {
    problems.push_back({place, name + ".pattern: " + check.error().text});
    return;
  }
  const auto& fallback = variable.value.default_value;
  if (const std::string fault = fallback ? (*check)->fault(*fallback) : ""; !fault.empty())
    problems.push_back({place, name + ".default: " + fault});
  value.restrict_to(*std::move(check));
}

void Renderer::Impl::add_nodes(FileTarget& target, const std::vector<config::NamedValue>& nodes,
                               std::vector<std::string> path, const std::string& name,
                               const tmpl::Options& options) {
  for (const config::NamedValue& named : nodes) {
    path.push_back(named.name);
    if (named.node.children.empty()) {
      const std::size_t before = target.values.size();
      add_value(target.values, named.node.value, name + " " + named.name, options, true);
      if (target.values.size() > before) {
        target.paths.push_back(path);
        target.places.push_back(&named.node.value.place);
      }
    } else {
      add_nodes(target, named.node.children, path, name, options);
    }
    path.pop_back();
  }
}

// Names and sections are known before any value is: what the format can't hold of them is an error
// of the configuration.
void Renderer::Impl::check_format(const config::Template& spec, const FileTarget& target) {
  const Secret empty;
  std::vector<FormatEntry> entries;
  for (const auto& path : target.paths) entries.push_back({path, &empty});
  if (write_format(spec.format, entries)) return;
  entries.clear();
  for (std::size_t i = 0; i < target.paths.size(); ++i) {  // the first that is too much
    entries.push_back({target.paths[i], &empty});
    const auto written = write_format(spec.format, entries);
    if (written) continue;
    problems.push_back(
        {*target.places[i], "template.values." + config::escaped(written.error().text)});
    return;
  }
}

void Renderer::Impl::add_file(const config::Template& spec) {
  if (!spec.sandbox_path.empty()) {
    if (const auto root = tmpl::resolve_sandbox(spec.sandbox_path); !root) {
      problems.push_back({spec.place, "template." + root.error().text});
      return;
    }
  }
  const tmpl::Options options{.left_delimiter = spec.left_delimiter,
                              .right_delimiter = spec.right_delimiter,
                              .error_on_missing_key = spec.error_on_missing_key,
                              .sandbox_path = spec.sandbox_path,
                              .function_denylist = spec.function_denylist,
                              .allow_plugin = spec.allow_plugin,
                              .destination = spec.destination};
  FileTarget target;
  if (spec.format == config::Format::raw) {
    config::ValueSource whole;
    whole.contents = spec.contents;
    whole.contents_map = spec.contents_map;
    whole.source = spec.source;
    whole.place = spec.place;
    add_value(target.values, whole, spec.destination, options);
  } else {
    add_nodes(target, spec.values, {}, spec.destination, options);
    check_format(spec, target);
  }
  file_targets.push_back(std::move(target));
  RenderedFile file;
  file.spec = &spec;
  files.push_back(std::move(file));
}

bool Renderer::Impl::is_quick() const {
  constexpr std::size_t kMost = 32;
  std::size_t actions = 0;
  const auto few = [&actions](const RenderedValue& value) {
    const auto own = value.quick_actions();
    return own && (actions += *own) <= kMost;
  };
  return from.empty() && std::ranges::all_of(variables, few, &VariableTarget::value) &&
         std::ranges::all_of(file_targets, [&few](const FileTarget& target) {
           return std::ranges::all_of(target.values, few);
         });
}

std::expected<Renderer, std::vector<Problem>> Renderer::make(const config::Config& config) {
  auto impl = std::make_unique<Impl>(config);
  for (const config::Template& spec : config.templates) {
    if (spec.enabled) impl->add_file(spec);
  }
  for (const config::EnvVar& variable : config.env) {
    if (!variable.enabled) continue;
    std::vector<RenderedValue> value;
    impl->add_value(value, variable.value, "env." + variable.name,
                    {.allow_plugin = config.template_config.allow_plugin});
    if (value.empty()) continue;
    impl->add_rule(variable, value.front());
    impl->variables.push_back({variable.name, variable.on_change, std::move(value.front())});
  }
  for (const config::EnvFrom& spec : config.env_from) {
    auto dependency = impl->secrets.dependency_of(spec.secret);
    if (!dependency) {
      impl->problems.push_back({spec.place, "env_from.secret: " + dependency.error().text});
      continue;
    }
    impl->from.emplace_back(spec, std::move(*dependency));
  }
  if (!impl->problems.empty()) return std::unexpected(std::move(impl->problems));
  impl->quick = impl->is_quick();
  return Renderer(std::move(impl));
}

namespace {

// What one value contributes: what is missing, or why it failed. False: it has no value yet.
bool collect(const RenderedValue& value, Evaluation& evaluation) {
  // What is written may depend on what is not there yet: reads first, then one write after another.
  const auto& missing = value.missing();
  const bool only_writes = std::ranges::all_of(missing, &tmpl::Dependency::has_effect);
  for (const tmpl::Dependency& dependency : missing) {
    if (dependency.has_effect() && (!only_writes || &dependency != &missing.front())) continue;
    evaluation.missing.push_back(dependency);
    evaluation.required_by.emplace(dependency.id, value.name());
  }
  if (value.error()) {
    evaluation.errors.push_back(*value.error());
    if (value.error()->kind == ErrorKind::not_found) {
      const bool had_it = value.has_value() && !value.uses_default();
      for (const tmpl::Use& use : value.used()) {
        evaluation.used.push_back(use.dependency.id);
        if (had_it) evaluation.lost.push_back(use.dependency.id);
      }
    }
  }
  return value.has_value();
}

// True: it was evaluated.
bool update(RenderedValue& value, tmpl::DataSource& source, bool use_defaults,
            const std::atomic<bool>* stop, Evaluation& evaluation) {
  const bool before = value.uses_default();
  const bool evaluated = value.update(source, use_defaults, stop);
  if (value.uses_default() && !before)
    evaluation.notes.push_back(
        {value.value() ? Note::Kind::default_used : Note::Kind::left_out, value.name()});
  return evaluated;
}

std::vector<std::string> ids(const std::vector<tmpl::Use>& uses) {
  std::vector<std::string> out;
  for (const tmpl::Use& use : uses) out.push_back(use.dependency.id);
  return out;
}

}  // namespace

void Renderer::Impl::update_file(std::size_t i, tmpl::DataSource& source, bool use_defaults,
                                 const std::atomic<bool>* stop, Evaluation& evaluation) {
  FileTarget& target = file_targets[i];
  RenderedFile& file = files[i];
  bool evaluated = file.generation == 0, all = true;
  for (RenderedValue& value : target.values) {
    const auto before = value.value();
    evaluated = update(value, source, use_defaults, stop, evaluation) || evaluated;
    target.changed = target.changed || value.value() != before;
    all = collect(value, evaluation) && all;
  }
  if (all && evaluated) compose(target, file, evaluation);
  if (target.error) evaluation.errors.push_back(*target.error);
  evaluation.complete = evaluation.complete && all && file.generation > 0;
}

namespace {

// Once, while the same ones are null.
void note_nulls(FileTarget& target, const RenderedFile& file,
                const std::vector<FormatEntry>& entries, Evaluation& evaluation) {
  std::string nulls;
  for (const FormatEntry& entry : entries) {
    if (entry.value != nullptr || has_null(file.spec->format)) continue;
    if (!nulls.empty()) nulls += ", ";
    for (const std::string& part : entry.path) nulls += (&part == &entry.path[0] ? "" : ".") + part;
  }
  if (!nulls.empty() && nulls != target.nulls)
    evaluation.notes.push_back({Note::Kind::null_left_out, file.spec->destination, nulls});
  target.nulls = std::move(nulls);
}

}  // namespace

// The file's content from its values.
void Renderer::Impl::compose(FileTarget& target, RenderedFile& file, Evaluation& evaluation) {
  target.error.reset();
  file.used.clear();
  file.effects.clear();
  for (const RenderedValue& value : target.values) {
    for (std::string& id : ids(value.used())) file.used.push_back(std::move(id));
    std::ranges::copy(value.effects(), std::back_inserter(file.effects));
  }
  if (file.spec->format == config::Format::raw) {
    file.content = target.values.front().value();
    file.printed = target.values.front().printed();
  } else {
    std::vector<FormatEntry> entries;
    for (std::size_t k = 0; k < target.values.size(); ++k)
      entries.push_back({target.paths[k], target.values[k].value().get()});
    auto written = write_format(file.spec->format, entries);
    note_nulls(target, file, entries, evaluation);
    if (!written) {
      target.error = std::move(written).error().within(file.spec->destination);
      return;
    }
    file.content = std::make_shared<const Secret>(std::move(*written));
    file.printed.clear();
    for (const FormatEntry& entry : entries) file.printed.push_back(entry.at);
  }
  if (std::exchange(target.changed, false) || file.generation == 0) ++file.generation;
}

// Two secrets with the same key: which of them is meant is not ours to guess. A variable of [env]
// is.
void Renderer::Impl::reject_duplicate_names(Evaluation& evaluation) const {
  std::map<std::string, const EnvFromTarget*> makers;
  for (const EnvFromTarget& target : from) {
    for (const auto& [name, value] : target.variables()) {
      const auto [maker, first] = makers.try_emplace(name, &target);
      if (first || std::ranges::find(variables, name, &VariableTarget::name) != variables.end())
        continue;
      evaluation.complete = false;
      evaluation.errors.push_back({ErrorKind::render, "env_from " + target.dependency().path +
                                                          ": " + name + " is made of " +
                                                          maker->second->dependency().path +
                                                          ", too; use prefix, names or keys"});
    }
  }
}

Evaluation Renderer::evaluate(tmpl::DataSource& source, bool use_defaults,
                              const std::atomic<bool>* stop) {
  Evaluation evaluation;
  evaluation.complete = true;
  for (std::size_t i = 0; i < impl_->files.size(); ++i)
    impl_->update_file(i, source, use_defaults, stop, evaluation);
  for (VariableTarget& variable : impl_->variables) {
    (void)update(variable.value, source, use_defaults, stop, evaluation);
    evaluation.complete = collect(variable.value, evaluation) && evaluation.complete;
  }
  for (EnvFromTarget& target : impl_->from)
    target.update(source, impl_->config->exec.allow_reserved_env, evaluation);
  impl_->reject_duplicate_names(evaluation);
  return evaluation;
}

const std::vector<RenderedFile>& Renderer::files() const {
  return impl_->files;
}

std::vector<RenderedVariable> Renderer::variables() const {
  std::set<std::string_view> named;  // [env] goes before a key of env_from
  for (const VariableTarget& variable : impl_->variables) named.insert(variable.name);
  std::vector<RenderedVariable> out;
  for (const EnvFromTarget& target : impl_->from) {
    for (const auto& [name, value] : target.variables()) {
      if (!named.contains(name)) out.push_back({name, value, {}, {target.dependency().id}});
    }
  }
  for (const auto& [name, on_change, value] : impl_->variables) {
    if (!value.value()) continue;
    out.push_back({name, value.value(), on_change, ids(value.used()), value.effects()});
  }
  return out;
}

std::set<std::string> Renderer::dependencies() const {
  std::set<std::string> out;
  const auto add = [&out](const RenderedValue& value) {
    for (const tmpl::Use& use : value.used()) out.insert(use.dependency.id);
  };
  for (const FileTarget& target : impl_->file_targets) std::ranges::for_each(target.values, add);
  for (const VariableTarget& variable : impl_->variables) add(variable.value);
  for (const EnvFromTarget& target : impl_->from) out.insert(target.dependency().id);
  return out;
}

std::map<std::string, std::uint64_t, std::less<>> Renderer::in_use() const {
  std::map<std::string, std::uint64_t, std::less<>> oldest;
  const auto add = [&oldest](const std::string& id, std::uint64_t generation) {
    const auto [at, first] = oldest.emplace(id, generation);
    if (!first) at->second = std::min(at->second, generation);
  };
  const auto add_value = [&add](const RenderedValue& value) {
    for (const tmpl::Use& use : value.sources()) add(use.dependency.id, use.generation);
  };
  for (const FileTarget& target : impl_->file_targets)
    std::ranges::for_each(target.values, add_value);
  for (const VariableTarget& variable : impl_->variables) add_value(variable.value);
  for (const EnvFromTarget& target : impl_->from) {
    if (target.has_value()) add(target.dependency().id, target.value_generation());
  }
  return oldest;
}

bool Renderer::says(std::string_view word) const {
  const auto in = [word](const RenderedValue& value) { return value.says(word); };
  return std::ranges::any_of(impl_->variables, in, &VariableTarget::value) ||
         std::ranges::any_of(impl_->file_targets, [&in](const FileTarget& target) {
           return std::ranges::any_of(target.values, in);
         });
}

const std::map<std::string, std::uint64_t>& Renderer::sources() const {
  return impl_->sources;
}

bool Renderer::is_quick() const {
  return impl_->quick;
}

bool Renderer::empty() const {
  return impl_->files.empty() && impl_->variables.empty() && impl_->from.empty();
}

}  // namespace keybearer::render
