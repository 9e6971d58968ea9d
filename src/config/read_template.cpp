#include <algorithm>

#include "base/owner.hpp"
#include "config/sections.hpp"

namespace keybearer::config {
namespace {

void read_values(Context& context, const toml::table& table, const std::string& prefix,
                 std::vector<NamedValue>& out) {
  std::vector<std::pair<toml::source_position, NamedValue>> found;
  for (const auto& [key, node] : table) {
    const std::string name = prefix + "." + escaped(key.str());
    ValueNode value;
    const toml::table* inner = node.as_table();
    const bool is_value = inner == nullptr || inner->contains("contents") ||
                          inner->contains("secret") || inner->contains("source");
    if (is_value)
      value.value = read_value(context, node, name, nullptr);
    else
      read_values(context, *inner, name, value.children);
    found.emplace_back(node.source().begin, NamedValue{std::string(key.str()), std::move(value)});
  }
  std::ranges::sort(found, [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [at, entry] : found) out.push_back(std::move(entry));
}

// "the template of app.tmpl": which of several, when it has no destination.
std::string described(const Template& t, int number) {
  const std::string which = "; it is the " + std::to_string(number) + ". [[template]]";
  return t.source.empty() ? which : which + ", of " + escaped(t.source);
}

void read_hook(Context& context, Reader& r, const std::string& prefix, Template& t) {
  r.read("command", t.command);
  r.read("command_timeout", t.command_timeout);
  const toml::table* exec = r.table("exec");
  if (exec == nullptr) return;
  Reader hook(context, exec, prefix + ".exec");
  if (r.has("command") && hook.has("command"))
    hook.problem("command", "excludes " + prefix + ".command");
  if (r.has("command_timeout") && hook.has("timeout"))
    hook.problem("timeout", "excludes " + prefix + ".command_timeout");
  hook.read("command", t.command);
  hook.read("timeout", t.command_timeout);
}

void check_ways(Reader& r, const Template& t) {
  const int ways =
      (r.has("source") ? 1 : 0) + (r.has("contents") ? 1 : 0) + (r.has("values") ? 1 : 0);
  if (ways == 0) r.problem("source", "one of source, contents or values is required");
  if (ways > 1)
    r.problem(r.has("contents") ? "contents" : "values",
              "source, contents and values exclude each other");
  if (r.has("values") && t.format == Format::raw)
    r.problem("values", "needs a format, such as format = \"ini\"");
  if (!r.has("values") && t.format != Format::raw)
    r.problem("format", "needs values; for template text leave format out");
}

void read_template(Context& context, const toml::table& table, const std::string& prefix,
                   Config& config) {
  Reader r(context, &table, prefix);
  Template t;
  t.place = r.place();
  r.read("source", t.source);
  r.read_raw("contents", t.contents, t.contents_map);
  const std::size_t before = context.problems.size();
  r.read("destination", t.destination);
  if (t.destination.empty() && context.problems.size() == before)
    r.problem("destination", "required" + described(t, context.item));
  r.read_choice("format", t.format,
                {{"raw", Format::raw},
                 {"env", Format::env},
                 {"docker-env", Format::docker_env},
                 {"ini", Format::ini},
                 {"json", Format::json},
                 {"yaml", Format::yaml},
                 {"toml", Format::toml},
                 {"properties", Format::properties},
                 {"shell", Format::shell}});
  if (const toml::table* values = r.table("values"))
    read_values(context, *values, prefix + ".values", t.values);
  r.read("enabled", t.enabled);
  t.perms_given = r.has("perms");
  r.read_mode("perms", t.perms);
  r.read("user", t.user);
  r.describe_default("user", "an existing file's, else ours");
  r.read("group", t.group);
  r.describe_default("group", "an existing file's, else ours");
  if (!context.offline && t.enabled) {
    if (const auto user = owner_of(t.user, {}); !user) r.problem("user", user.error().text);
    if (const auto group = owner_of({}, t.group); !group) r.problem("group", group.error().text);
  }
  r.read("create_dest_dirs", t.create_dest_dirs);
  r.read("backup", t.backup);
  r.read("in_place", t.in_place);
  r.read("remove_on_exit", t.remove_on_exit);
  r.read("left_delimiter", t.left_delimiter);
  r.read("right_delimiter", t.right_delimiter);
  r.read("error_on_missing_key", t.error_on_missing_key);
  r.read("sandbox_path", t.sandbox_path);
  r.read("function_denylist", t.function_denylist);
  t.allow_plugin = config.template_config.allow_plugin;
  r.read("allow_plugin", t.allow_plugin);
  r.read("on_change", t.on_change);
  r.describe_default("on_change", "as exec.restart_on_secret_changes says");
  read_hook(context, r, prefix, t);
  r.unsupported({"atomic_group", "verify", "wait", "delivery", "max_reads", "path_env"});
  check_ways(r, t);
  if (t.left_delimiter.empty()) t.left_delimiter = Template{}.left_delimiter;  // as Go does
  if (t.right_delimiter.empty()) t.right_delimiter = Template{}.right_delimiter;
  config.templates.push_back(std::move(t));
}

}  // namespace

void read_template_config(Context& context, Reader& top, TemplateConfig& config) {
  Reader r(context, top.table("template_config"), "template_config");
  r.read("static_secret_render_interval", config.static_secret_render_interval);
  r.read("start_grace", config.start_grace);
  r.read("exit_on_retry_failure", config.exit_on_retry_failure);
  r.read("allow_plugin", config.allow_plugin);
  read_stale(r, config.stale);
}

void read_stale(Reader& r, Stale& stale) {
  r.read("max_stale", stale.max_stale);
  r.describe_default("max_stale", "none");
  r.read_choice(
      "on_stale", stale.on_stale,
      {{"keep", OnStale::keep}, {"stop", OnStale::stop}, {"default", OnStale::use_default}});
}

void read_templates(Context& context, Reader& top, Config& config) {
  top.each_table("template", [&](const toml::table& table, const std::string& name) {
    read_template(context, table, name, config);
  });
}

}  // namespace keybearer::config
