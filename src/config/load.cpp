#include "config/load.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "config/files.hpp"
#include "config/method.hpp"
#include "config/read_listener.hpp"
#include "config/sections.hpp"
#include "config/validate.hpp"

namespace keybearer::config {
void read_all_sections(Context& context, const toml::table& table, Config& config) {
  Reader top(context, &table, "");
  read_general(top, config);
  read_notify(context, top, config.notify);
  read_vault(context, top, config.vault);
  read_auto_auth(context, top, config.auto_auth, config.warnings);
  read_template_config(context, top, config.template_config);
  read_lease_table(context, top, config.lease);
  read_secrets(context, top, config);
  read_templates(context, top, config);
  read_env(context, top, config);
  read_exec(context, top, config.exec);
  read_env_from(context, top, config);
  read_outage(context, top, config.outage);
  read_metrics(context, top, config.metrics);
  read_control(context, top, config.control);
  read_listeners(context, top, config);
  read_api_proxy(context, top, config.api_proxy);
  read_cache(context, top, config.cache);
  read_state(context, top, config.state);
}

namespace {

// Of "vault.timeout"; unset when it has its default. What the environment and the command line set
// is among the origins always.
SourceLocation location_of_key(std::string_view key, const toml::table& table,
                               const std::vector<Origin>& origins) {
  using Kind = SourceLocation::Kind;
  for (const Origin& origin : origins) {
    if (origin.key == key && (origin.from.kind == Kind::variable || origin.from.kind == Kind::flag))
      return origin.from;
  }
  const toml::table* at = &table;
  for (;;) {
    const auto dot = key.find('.');
    const toml::node* node = at->get(key.substr(0, dot));
    if (node == nullptr || dot == std::string_view::npos)
      return node != nullptr ? place_of(*node) : SourceLocation{};
    at = node->as_table();
    if (at == nullptr) return {};
    key.remove_prefix(dot + 1);
  }
}

// In the order of the files and of their lines, then the environment's and the command line's; each
// once.
std::vector<Problem> sorted(std::vector<Problem> problems, const std::vector<std::string>& files) {
  using Kind = SourceLocation::Kind;
  const auto order = [&files](const Problem& problem) {
    const SourceLocation& place = problem.declared ? *problem.declared : problem.place;
    const int group = place.kind == Kind::unset ? 9 : static_cast<int>(place.kind);
    return std::tuple(group, std::ranges::find(files, place.name) - files.begin(), place.line,
                      place.column);
  };
  std::multimap<decltype(order(problems.front())), Problem> by_place;
  for (Problem& problem : problems) by_place.emplace(order(problem), std::move(problem));
  std::vector<Problem> out;
  std::set<std::string> seen;
  for (auto& [key, problem] : by_place)
    if (seen.insert(problem_text(problem)).second) out.push_back(std::move(problem));
  return out;
}

}  // namespace

std::string problem_text(const Problem& problem) {
  const std::string place = problem.place.is_set() ? problem.place.text() : "the configuration";
  return place + ": " + problem.text;
}

std::expected<Loaded, std::vector<Problem>> load(const Input& input) {
  Context context;
  context.with_origins = input.origins;
  context.offline = input.offline;
  // An empty variable counts as unset.
  context.env = [&input](const std::string& name) -> std::optional<std::string> {
    auto value = input.env ? input.env(name) : std::nullopt;
    return value && value->empty() ? std::nullopt : value;
  };
  Loaded loaded;
  Config& config = loaded.config;
  const toml::table table = read_files(input.paths, context, config.files);
  // What a file that can't be read would say is not complained of.
  const bool all_read = context.problems.empty();
  context.method_type = chosen_by_flags(input.flags, context.problems);
  if (!input.offline) check_owners(input.paths, config.files, context, config.warnings);
  read_all_sections(context, table, config);
  warn_of_readable_secret(config);
  choose_method(context.method_type, context.env, config.auto_auth.method, context.origins);
  apply_environment(context.env, config, context.origins, context.problems);
  apply_flags(input.flags, config, context.origins, context.problems);
  if (config.name.empty()) {
    name_instance(config);
    context.origin("name", config.name, {});
  }
  const auto location = [&](std::string_view key) {
    return location_of_key(key, table, context.origins);
  };
  for (const char* key :
       {"vault.ca_cert", "vault.ca_path", "vault.client_cert", "vault.client_key"})
    config.vault.file_places[key] = location(key);
  if (const MethodSpec* spec = MethodSpec::find(config.auto_auth.method.type)) {
    for (const char* variable : spec->credentials())
      if (context.env(variable)) context.credential_variables.insert(variable);
  }
  config.credential_variables.assign(context.credential_variables.begin(),
                                     context.credential_variables.end());
  validate(config, location,
           {.offline = input.offline || !all_read, .files_only = input.files_only},
           context.problems);
  if (input.extra_checks) {
    for (Problem& problem : input.extra_checks(config, !context.problems.empty()))
      context.problems.push_back(std::move(problem));
  }
  if (!context.problems.empty()) {
    return std::unexpected(sorted(std::move(context.problems), config.files));
  }
  add_warnings(config);
  loaded.origins = std::move(context.origins);
  return loaded;
}

}  // namespace keybearer::config
