#include "render/renderer.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/file.hpp"
#include "base/log.hpp"
#include "config/scalars.hpp"
#include "process/signals.hpp"
#include "render/format.hpp"
#include "render/value.hpp"
#include "tmpl/absence.hpp"
#include "tmpl/sandbox.hpp"

namespace keybearer::render {
namespace {

using config::Problem;

using Variables = std::vector<std::pair<std::string, std::shared_ptr<const Secret>>>;

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

// Every key of a secret as a variable.
struct EnvFromTarget {
  const config::EnvFrom* spec;
  tmpl::Dependency dependency;
  std::uint64_t generation = 0;
  std::uint64_t value_generation = 0;  // that `variables` are made of
  Variables variables;                 // the last good ones
  std::string nulls;                   // keys that are left out
  std::set<std::string> warned;        // names that replace a variable of the environment
  std::optional<Error> error;
  bool has_value = false;
};

std::optional<std::string> read_source(const std::string& path) {
  auto text = read_file(path, {.regular = false});  // a shell's <( ) is a pipe
  return text ? std::optional(std::move(*text)) : std::nullopt;
}

std::string variable_name(const config::EnvFrom& spec, std::string_view key) {
  const auto renamed = spec.names.find(std::string(key));
  if (renamed != spec.names.end()) return spec.prefix + renamed->second;
  std::string name = spec.prefix;
  for (const char c : key) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool plain = lower || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    name += !plain ? '_' : lower && spec.uppercase ? static_cast<char>(c - 32) : c;
  }
  if (!name.empty() && name[0] >= '0' && name[0] <= '9') name.insert(0, "_");
  return name;
}

// A template that is wrong by itself, at the place in its own file or inside agent.toml; Go's
// prefix, "template: NAME:3:9: ", would be a second place.
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

// Who writes the secret chooses the keys: a name that takes over the program is refused. `nulls`
// becomes the keys that are left out.
result<Variables> variables_of(const config::EnvFrom& spec, const Value& data,
                               const std::string& path, bool allow_reserved, std::string& nulls) {
  for (const std::string& key : spec.keys) {
    if (data.find(key) == nullptr)
      return fail(ErrorKind::not_found, tmpl::missing_key_text(data, key, path));
  }
  if (!data.is_map()) return fail(ErrorKind::not_found, "has no keys");
  Variables made;
  for (const auto& [key, member] : data.entries()) {
    if (!spec.keys.empty() && std::ranges::find(spec.keys, key.as_text()) == spec.keys.end())
      continue;
    if (member.is_nil()) {
      nulls += (nulls.empty() ? "" : ", ") + std::string(key.as_text());
      continue;
    }
    std::string name = variable_name(spec, key.as_text());
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      return fail(ErrorKind::render, "a key that makes no variable name; use names or keys");
    }
    if (!allow_reserved && config::reserved_variable_name(name)) {
      return fail(
          ErrorKind::render,
          name + " is a reserved name; use prefix, names or keys, or exec.allow_reserved_env");
    }
    // A bare env_from: names that the program's surroundings have a meaning for are not the
    // secret's to choose.
    const bool chosen = !spec.prefix.empty() || !spec.keys.empty() ||
                        spec.names.contains(std::string(key.as_text()));
    if (!allow_reserved && !chosen) {
      const bool ours = std::getenv(name.c_str()) != nullptr;
      if (ours || config::steering_variable_name(name)) {
        return fail(ErrorKind::render,
                    name +
                        (ours ? " would replace a variable of the environment"
                              : " steers what the program does") +
                        ": not taken from a secret's key by itself; name it in keys or names, or "
                        "give a prefix");
      }
    }
    if (std::ranges::find(made, name, &Variables::value_type::first) != made.end()) {
      return fail(ErrorKind::render, "two keys make the variable " + name + "; use names or keys");
    }
    made.emplace_back(std::move(name), std::make_shared<const Secret>(text_of(member)));
  }
  return made;
}

}  // namespace

struct Renderer::Impl {
  const config::Config* config;
  std::vector<FileTarget> file_targets;
  std::vector<RenderedFile> files;  // as many
  std::vector<VariableTarget> variables;
  std::vector<EnvFromTarget> from;
  std::vector<Problem> problems;

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
  void update_from(EnvFromTarget& target, tmpl::DataSource& source, Evaluation& evaluation) const;
  void reject_duplicate_names(Evaluation& evaluation) const;
};

Renderer::Renderer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Renderer::Renderer(Renderer&&) noexcept = default;
Renderer& Renderer::operator=(Renderer&&) noexcept = default;
Renderer::~Renderer() = default;

void Renderer::Impl::add_value(std::vector<RenderedValue>& out, const config::ValueSource& source,
                               const std::string& name, tmpl::Options options, bool null_allowed) {
  if (!source.secret.empty()) {
    auto dependency = dependency_of(*config, source.secret);
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
      problems.push_back({source.place, name + ": " + source.source + " can't be read"});
      return;
    }
    text = std::move(*read);
    shown = source.source;
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

std::expected<Renderer, std::vector<Problem>> Renderer::make(const config::Config& config) {
  auto impl = std::make_unique<Impl>();
  impl->config = &config;
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
    auto dependency = dependency_of(config, spec.secret);
    if (!dependency) {
      impl->problems.push_back({spec.place, "env_from.secret: " + dependency.error().text});
      continue;
    }
    EnvFromTarget target;
    target.spec = &spec;
    target.dependency = std::move(*dependency);
    impl->from.push_back(std::move(target));
  }
  if (!impl->problems.empty()) return std::unexpected(std::move(impl->problems));
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
      for (const tmpl::Use& use : value.used()) evaluation.used.push_back(use.dependency.id);
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

namespace {

// The configuration names them, so it may be meant; said once.
void note_replaced(EnvFromTarget& target, Evaluation& evaluation) {
  for (const auto& [name, value] : target.variables) {
    const char* present = std::getenv(name.c_str());
    if (present == nullptr || value->reveal() == present || !target.warned.insert(name).second)
      continue;
    evaluation.notes.push_back({Note::Kind::variable_replaced, target.dependency.path, name});
  }
}

}  // namespace

void Renderer::Impl::update_from(EnvFromTarget& target, tmpl::DataSource& source,
                                 Evaluation& evaluation) const {
  const Value* answer = source.find(target.dependency);
  if (answer == nullptr) {
    evaluation.missing.push_back(target.dependency);
    evaluation.required_by.emplace(target.dependency.id, "env_from");
    evaluation.complete = false;
    return;
  }
  const std::uint64_t generation = source.generation(target.dependency);
  if (target.generation == 0 || generation != target.generation) {
    target.generation = generation;
    target.error.reset();
    std::string nulls;
    if (auto made = variables_of(*target.spec, data_of(*answer), target.dependency.path,
                                 config->exec.allow_reserved_env, nulls)) {
      target.variables = std::move(*made);
      target.has_value = true;
      target.value_generation = generation;
      note_replaced(target, evaluation);
    } else {
      target.error = std::move(made).error().within("env_from " + target.dependency.path);
    }
    if (!nulls.empty() && nulls != target.nulls)
      evaluation.notes.push_back(
          {Note::Kind::null_left_out, "env_from " + target.dependency.path, nulls});
    target.nulls = std::move(nulls);
  }
  if (target.error) {
    evaluation.errors.push_back(*target.error);
    evaluation.used.push_back(target.dependency.id);
  }
  evaluation.complete = evaluation.complete && target.has_value;
}

// Two secrets with the same key: which of them is meant is not ours to guess. A variable of [env]
// is.
void Renderer::Impl::reject_duplicate_names(Evaluation& evaluation) const {
  std::map<std::string, const EnvFromTarget*> makers;
  for (const EnvFromTarget& target : from) {
    for (const auto& [name, value] : target.variables) {
      const auto [maker, first] = makers.try_emplace(name, &target);
      if (first || std::ranges::find(variables, name, &VariableTarget::name) != variables.end())
        continue;
      evaluation.complete = false;
      evaluation.errors.push_back({ErrorKind::render, "env_from " + target.dependency.path + ": " +
                                                          name + " is made of " +
                                                          maker->second->dependency.path +
                                                          ", too; use prefix, names or keys"});
    }
  }
}

void log_notes(const std::vector<Note>& notes) {
  for (const Note& note : notes) {
    switch (note.kind) {
      case Note::Kind::default_used:
        log::warn("value.default_used", "not there: its default is used", {{"value", note.target}});
        break;
      case Note::Kind::left_out:
        log::warn("value.left_out", "not there, and not required: left out",
                  {{"value", note.target}});
        break;
      case Note::Kind::null_left_out:
        log::info("value.null_left_out", "null: left out",
                  {{"target", note.target}, {"keys", note.keys}});
        break;
      case Note::Kind::variable_replaced:
        log::warn("env.replaced", "a variable of the environment is replaced by a secret's key",
                  {{"variable", note.keys}, {"secret", note.target}});
        break;
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
  for (EnvFromTarget& target : impl_->from) impl_->update_from(target, source, evaluation);
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
    for (const auto& [name, value] : target.variables) {
      if (!named.contains(name)) out.push_back({name, value, {}, {target.dependency.id}});
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
  for (const EnvFromTarget& target : impl_->from) out.insert(target.dependency.id);
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
    if (target.has_value) add(target.dependency.id, target.value_generation);
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

bool Renderer::empty() const {
  return impl_->files.empty() && impl_->variables.empty() && impl_->from.empty();
}

}  // namespace keybearer::render
