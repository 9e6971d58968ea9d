#include "config/load.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "base/fd.hpp"
#include "base/owner.hpp"
#include "config/method.hpp"
#include "config/read_child.hpp"
#include "config/reader.hpp"
#include "config/validate.hpp"

namespace keybearer::config {
namespace {

// --- files to one table ---

// The later file's scalars and tables override, its arrays of tables append. Moves, because copies
// lose their places.
void merge(toml::table& into, toml::table&& from) {
  for (auto&& [key, node] : from) {
    toml::node* present = into.get(key);
    if (present != nullptr && present->is_table() && node.is_table()) {
      merge(*present->as_table(), std::move(*node.as_table()));
    } else if (present != nullptr && present->is_array_of_tables() && node.is_array_of_tables()) {
      for (auto& item : *node.as_array())
        present->as_array()->push_back(std::move(*item.as_table()));
    } else {
      node.visit(
          [&into, &key](auto& concrete) { into.insert_or_assign(key, std::move(concrete)); });
    }
  }
}

std::vector<std::string> files_of(const std::string& path, std::vector<Problem>& problems) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) {
    problems.push_back({path, std::string("can't be read: ") + strerrordesc_np(errno)});
    return {};
  }
  if (!S_ISDIR(info.st_mode)) return {path};
  std::vector<std::string> files;
  if (DIR* folder = opendir(path.c_str())) {
    while (const dirent* entry = readdir(folder)) {
      const std::string_view name(entry->d_name);
      if (name.ends_with(".toml") && !name.starts_with('.'))  // an editor's lock is .#agent.toml
        files.push_back(path + "/" + entry->d_name);
    }
    closedir(folder);
  }
  std::ranges::sort(files);
  if (files.empty()) problems.push_back({path, "a folder without any *.toml in it"});
  return files;
}

std::optional<std::string> read_all(const std::string& path) {
  std::string text;
  FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return std::nullopt;
  char buffer[16384];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;)
    text.append(buffer, n);
  const bool bad = std::ferror(file) != 0;
  std::fclose(file);
  return bad ? std::nullopt : std::optional(std::move(text));
}

toml::table read_files(const Input& input, Context& context, std::vector<std::string>& files) {
  toml::table all;
  for (const std::string& path : input.paths) {
    for (const std::string& file : files_of(path, context.problems)) {
      const auto text = read_all(file);
      if (!text) {
        context.problems.push_back({file, std::string("can't be read: ") + strerrordesc_np(errno)});
        continue;
      }
      if (file.ends_with(".hcl") || file.ends_with(".json")) {
        context.problems.push_back(
            {file, "Vault Agent's own format is not supported yet; write it as TOML"});
        continue;
      }
      auto parsed = toml::parse(*text, file);
      if (!parsed) {
        const auto& at = parsed.error().source().begin;
        const std::string_view why = parsed.error().description();
        context.problems.push_back(
            {file + ":" + std::to_string(at.line) + ":" + std::to_string(at.column),
             "not valid TOML: " + std::string(why) +
                 (why.contains("zero") ? "; a file mode is a string: \"0644\"" : "")});
        continue;
      }
      files.push_back(file);
      merge(all, std::move(parsed).table());
    }
  }
  return all;
}

// --- tables to structs ---

constexpr const char* kRevokes = "true, with render --once false";

void read_lease(Reader& r, Lease& lease) {
  r.read_choice("strategy", lease.strategy,
                {{"renew", LeaseStrategy::renew}, {"refetch", LeaseStrategy::refetch}});
  r.read_fraction("renew_at", lease.renew_at);
  r.read_fraction("refetch_at", lease.refetch_at);
  r.read("min_remaining", lease.min_remaining);
  r.read("increment", lease.increment);
  r.read("check_interval", lease.check_interval);
  r.read("revoke_on_exit", lease.revoke_on_exit);
  r.read("revoke_replaced", lease.revoke_replaced);
  r.read("drain", lease.drain);
}

// HTTP's rules (RFC 9110, 5.1 and 5.5), and the headers that are ours to send.
const char* wrong_header(const std::string& name, std::string_view value) {
  constexpr std::string_view kOurs[] = {"connection",        "content-length", "host",
                                        "transfer-encoding", "x-vault-token",  "x-vault-namespace",
                                        "x-vault-request"};
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  std::string lower;
  for (const char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (!upper && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !kMarks.contains(c))
      return "not a header's name; expected letters, digits and -";
    lower += upper ? static_cast<char>(c + 32) : c;
  }
  if (lower.empty()) return "a header without a name";
  if (std::ranges::find(kOurs, lower) != std::end(kOurs)) return "a header that we set ourselves";
  if (has_control(value)) return "has a line break or another control character";
  return nullptr;
}

void read_vault(Context& context, Reader& top, Vault& vault) {
  Reader r(context, top.table("vault"), "vault");
  if (const toml::node* node = r.find("address")) {
    vault.address_place = {place_of(*node)};
    if (node->as_array() != nullptr)
      r.read("address", vault.address);
    else
      r.read("address", vault.address.front());
    if (vault.address.empty()) r.problem("address", "empty; expected at least one address");
  } else {
    context.origin("vault.address", vault.address.front(), "default");
  }
  r.read("namespace", vault.vault_namespace);
  r.read("ca_cert", vault.ca_cert);
  r.read("ca_path", vault.ca_path);
  r.read("client_cert", vault.client_cert);
  r.read("client_key", vault.client_key);
  r.read("tls_server_name", vault.tls_server_name);
  r.read_choice("tls_min_version", vault.tls13_only, {{"tls12", false}, {"tls13", true}});
  r.read("tls_skip_verify", vault.tls_skip_verify);
  r.read("connect_timeout", vault.connect_timeout);
  r.read("timeout", vault.timeout);
  r.read_size("max_response_size", vault.max_response_size);
  r.read("max_connections", vault.max_connections, 1, 1000);
  r.read("headers", vault.headers);
  for (const auto& [name, value] : vault.headers) {
    if (const char* why = wrong_header(name, value))
      context.problem(*r.find("headers")->as_table()->get(name), "vault.headers." + name, why);
  }
  {
    Reader retry(context, r.table("retry"), "vault.retry");
    retry.read("num_retries", vault.retry.num_retries);
    retry.read("min_backoff", vault.retry.min_backoff);
    retry.read("max_backoff", vault.retry.max_backoff);
  }
  Reader budget(context, r.table("budget"), "vault.budget");
  budget.read("requests_per_minute", vault.budget.requests_per_minute, 1);
  budget.read("burst", vault.budget.burst, 1);
  r.read_masked("proxy_address", vault.proxy_address);
  r.unsupported({"tls_pin_sha256"});
}

void read_method_key(Reader& r, const MethodKey& key, Method& method) {
  switch (key.type) {
    case MethodKey::Type::text:
    case MethodKey::Type::file: {
      std::string value;
      r.read(key.name, value);
      if (r.has(key.name) && !value.empty()) method.set(key.name, std::move(value));
      return;
    }
    case MethodKey::Type::secret: {
      Secret value;
      bool given = false;
      r.read_secret(key.name, value, given);
      if (given) method.set(key.name, std::move(value));
      return;
    }
    case MethodKey::Type::boolean: {
      bool on = key.on;
      r.read(key.name, on);
      method.set_flag(key.name, on);
      return;
    }
  }
}

void wrong_method(Reader& r, const std::string& type) {
  constexpr std::string_view kLater[] = {"aws", "gcp", "azure"};
  constexpr std::string_view kNever[] = {"kerberos", "oci", "cf", "alicloud"};
  const bool later = std::ranges::find(kLater, type) != std::end(kLater);
  const bool never = std::ranges::find(kNever, type) != std::end(kNever);
  r.ignore_unknown_keys();
  if (type.empty()) return r.problem("type", "required; expected " + method_types());
  r.problem("type", "auth method \"" + type + "\"" +
                        (later   ? ": not supported yet"
                         : never ? ": not supported"
                                 : ": unknown; expected " + method_types()));
}

void read_method_keys(Reader& r, Method& method) {
  r.read("mount_path", method.mount_path);
  const MethodSpec* spec = MethodSpec::find(method.type);
  if (spec == nullptr) return wrong_method(r, method.type);
  for (const MethodKey& key : spec->keys()) {
    read_method_key(r, key, method);
    if (!key.instead_of.empty() && method.has(key.name) && method.has(key.instead_of))
      r.problem(key.name, "excludes " + std::string(key.instead_of));
  }
  r.unsupported(spec->unsupported());
}

void read_method(Context& context, Reader& auth, Method& method) {
  Reader r(context, auth.table("method"), "auto_auth.method");
  if (r.raw() == nullptr) return;
  method.place = r.place();
  r.read("namespace", method.vault_namespace);
  const bool origins = context.with_origins;
  r.read("type", method.type);
  if (method.type.empty()) method.type = context.method_type;
  // Read all the same when the command line chooses another: what is wrong in it is said.
  const bool replaced = !context.method_type.empty() && method.type != context.method_type;
  if (replaced) context.with_origins = false;
  read_method_keys(r, method);
  context.with_origins = origins;
  if (!replaced) return;
  auto vault_namespace = std::move(method.vault_namespace);
  method = {};
  method.type = context.method_type;
  method.vault_namespace = std::move(vault_namespace);
  method.place = {"command line"};
}

void read_auto_auth(Context& context, Reader& top, AutoAuth& auth) {
  Reader r(context, top.table("auto_auth"), "auto_auth");
  read_method(context, r, auth.method);
  r.read_fraction("renew_at", auth.renew_at);
  r.read("min_remaining", auth.min_remaining);
  r.read("increment", auth.increment);
  r.read_choice("on_renew_failure", auth.on_renew_failure,
                {{"relogin", OnRenewFailure::relogin},
                 {"exit", OnRenewFailure::exit},
                 {"keep", OnRenewFailure::keep}});
  r.read("revoke_on_exit", auth.revoke_on_exit);
  if (!auth.revoke_on_exit) context.origin("auto_auth.revoke_on_exit", kRevokes, "default");
  r.read("min_backoff", auth.min_backoff);
  r.read("max_backoff", auth.max_backoff);
  r.read("exit_on_err", auth.exit_on_err);
  r.unsupported({"verify_identity", "sink", "enable_reauth_on_new_credentials"});
}

void read_secret_rule(Context& context, const toml::table& table, const std::string& prefix,
                      Config& config) {
  Reader r(context, &table, prefix);
  SecretRule rule;
  rule.place = r.place();
  rule.interval = config.template_config.static_secret_render_interval;
  rule.lease = config.lease;
  const std::size_t before = context.problems.size();
  r.read("path", rule.path);
  while (rule.path.starts_with('/')) rule.path.erase(0, 1);
  while (rule.path.ends_with('/')) rule.path.pop_back();
  if (rule.path.empty() && context.problems.size() == before) r.problem("path", "required");
  r.read("name", rule.name);
  r.read("data", rule.data);
  if (const toml::node* version = r.find("version")) {
    if (version->as_integer() != nullptr)
      rule.version = std::to_string(version->as_integer()->get());
    else
      r.read("version", rule.version);
    if (!rule.version.empty() &&
        (rule.version.find_first_not_of("0123456789") != std::string::npos ||
         rule.version.starts_with('0')))
      r.problem("version", "expected a whole number from 1");
  }
  r.read("optional", rule.optional);
  r.read_json("defaults", rule.defaults);
  r.read("enabled", rule.enabled);
  r.read("static_secret_render_interval", rule.interval);
  if (const toml::table* lease = r.table("lease")) {
    Reader lease_reader(context, lease, prefix + ".lease");
    read_lease(lease_reader, rule.lease);
  }
  read_lease(r, rule.lease);
  r.unsupported(
      {"on_error", "namespace", "max_stale", "on_stale", "start_grace", "exit_on_retry_failure"});
  config.secrets.push_back(std::move(rule));
}

// Text is template text; a table has contents, source, or secret and key.
ValueSource read_value(Context& context, const toml::node& node, const std::string& name, bool env,
                       EnvVar* variable) {
  ValueSource value;
  value.place = {place_of(node)};
  if (node.as_string() != nullptr) {
    value.contents = node.as_string()->get();
    return value;
  }
  if (node.as_table() == nullptr) {
    context.problem(node, name,
                    "expected template text, or a table with contents, source, or secret and key");
    return value;
  }
  Reader r(context, node.as_table(), name);
  r.read_raw("contents", value.contents);
  r.read("source", value.source);
  r.read("secret", value.secret);
  r.read("key", value.key);
  r.read_masked("default", value.default_value);
  r.read("error_on_missing_key", value.error_on_missing_key);
  if (env && variable != nullptr) {
    r.read("enabled", variable->enabled);
    r.read("on_change", variable->on_change);
  }
  const int ways =
      (r.has("contents") ? 1 : 0) + (r.has("source") ? 1 : 0) + (r.has("secret") ? 1 : 0);
  if (ways != 1)
    context.problem(node, name,
                    ways == 0 ? "one of contents, source, or secret and key is required"
                              : "contents, source and secret exclude each other");
  if (r.has("secret") != r.has("key")) context.problem(node, name, "secret and key go together");
  return value;
}

void read_values(Context& context, const toml::table& table, const std::string& prefix,
                 std::vector<NamedValue>& out) {
  std::vector<std::pair<toml::source_position, NamedValue>> found;
  for (const auto& [key, node] : table) {
    const std::string name = prefix + "." + std::string(key.str());
    ValueNode value;
    const toml::table* inner = node.as_table();
    const bool is_value = inner == nullptr || inner->contains("contents") ||
                          inner->contains("secret") || inner->contains("source");
    if (is_value)
      value.value = read_value(context, node, name, false, nullptr);
    else
      read_values(context, *inner, name, value.children);
    found.emplace_back(node.source().begin, NamedValue{std::string(key.str()), std::move(value)});
  }
  std::ranges::sort(found, [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [at, entry] : found) out.push_back(std::move(entry));
}

void read_template(Context& context, const toml::table& table, const std::string& prefix,
                   Config& config) {
  Reader r(context, &table, prefix);
  Template t;
  t.place = r.place();
  r.read("source", t.source);
  r.read_raw("contents", t.contents);
  const std::size_t before = context.problems.size();
  r.read("destination", t.destination);
  if (t.destination.empty() && context.problems.size() == before)
    r.problem("destination", "required");
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
  r.read_mode("perms", t.perms);
  r.read("user", t.user);
  r.read("group", t.group);
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
  r.read("allow_plugin", t.allow_plugin);
  r.read("on_change", t.on_change);
  r.read("command", t.command);
  r.read("command_timeout", t.command_timeout);
  if (const toml::table* exec = r.table("exec")) {
    Reader hook(context, exec, prefix + ".exec");
    if (r.has("command") && hook.has("command"))
      hook.problem("command", "excludes " + prefix + ".command");
    if (r.has("command_timeout") && hook.has("timeout"))
      hook.problem("timeout", "excludes " + prefix + ".command_timeout");
    hook.read("command", t.command);
    hook.read("timeout", t.command_timeout);
  }
  r.unsupported({"atomic_group", "verify", "wait", "delivery", "max_reads", "path_env"});
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
  if (t.left_delimiter.empty()) t.left_delimiter = Template{}.left_delimiter;  // as Go does
  if (t.right_delimiter.empty()) t.right_delimiter = Template{}.right_delimiter;
  config.templates.push_back(std::move(t));
}

void read_env(Context& context, Reader& top, Config& config) {
  const toml::table* table = top.table("env");
  if (table == nullptr) return;
  for (const auto& [key, node] : *table) {
    EnvVar variable;
    variable.name = key.str();
    variable.value = read_value(context, node, "env." + variable.name, true, &variable);
    const ValueSource& value = variable.value;
    if (value.secret.empty() && value.source.empty())
      context.origin("env." + variable.name, "(template text)", value.place.text);
    config.env.push_back(std::move(variable));
  }
}

// Names that are given are checked here; what keys make is known with the secret only.
void check_given_names(Context& context, const toml::table& table, const std::string& prefix,
                       const EnvFrom& from, bool allow_reserved) {
  if (!valid_variable_name("_" + from.prefix)) {
    return context.problem(*table.get("prefix"), prefix + ".prefix",
                           "begins no variable name; expected letters, digits and _");
  }
  std::vector<std::string> seen;
  for (const auto& [key, given] : from.names) {
    const toml::node& node = *table.get("names")->as_table()->get(key);
    const std::string name = from.prefix + given;
    const char* why = nullptr;
    if (!valid_variable_name(name))
      why = " is no variable name; expected letters, digits and _";
    else if (reserved_variable_name(name) && !allow_reserved)
      why = " is a reserved name; set exec.allow_reserved_env = true if you mean it";
    else if (std::ranges::find(seen, name) != seen.end())
      why = " is the name of another key, too";
    if (why != nullptr) context.problem(node, prefix + ".names." + key, name + why);
    seen.push_back(name);
  }
}

void read_env_from(Context& context, const toml::table& table, const std::string& prefix,
                   Config& config) {
  Reader r(context, &table, prefix);
  EnvFrom from;
  from.place = r.place();
  r.read("secret", from.secret);
  if (from.secret.empty()) r.problem("secret", "required");
  r.read("prefix", from.prefix);
  r.read("uppercase", from.uppercase);
  r.read("keys", from.keys);
  r.read("names", from.names);
  check_given_names(context, table, prefix, from, config.exec.allow_reserved_env);
  config.env_from.push_back(std::move(from));
}

void read_exec(Context& context, Reader& top, Exec& exec) {
  Reader r(context, top.table("exec"), "exec");
  r.read("command", exec.command);
  r.read_choice("restart_on_secret_changes", exec.restart_on_secret_changes,
                {{"always", RestartOnSecretChanges::always},
                 {"signal", RestartOnSecretChanges::signal},
                 {"never", RestartOnSecretChanges::never}});
  r.read_signal("restart_stop_signal", exec.restart_stop_signal);
  r.read_signal("reload_signal", exec.reload_signal);
  r.read("stop_timeout", exec.stop_timeout);
  r.read("debounce", exec.debounce);
  r.read("debounce_max", exec.debounce_max);
  r.read("splay", exec.splay);
  r.read_choice("restart_on_exit", exec.restart_on_exit,
                {{"never", RestartOnExit::never},
                 {"on-failure", RestartOnExit::on_failure},
                 {"always", RestartOnExit::always}});
  r.read("max_restarts", exec.max_restarts);
  r.read("restart_window", exec.restart_window);
  r.read("restart_backoff", exec.restart_backoff);
  r.read("restart_backoff_max", exec.restart_backoff_max);
  r.read("success_codes", exec.success_codes);
  r.read("fatal_codes", exec.fatal_codes);
  r.read("working_directory", exec.working_directory);
  r.read("allow_reserved_env", exec.allow_reserved_env);
  r.read("pass_credentials", exec.pass_credentials);
  if (const toml::node* inherit = r.find("inherit_env")) {
    const auto* text = inherit->as_string();
    if (inherit->as_array() != nullptr) {
      exec.inherit_env = Exec::Inherit::listed;
      r.read("inherit_env", exec.inherit_names);
    } else if (text != nullptr && (text->get() == "all" || text->get() == "none")) {
      exec.inherit_env = text->get() == "all" ? Exec::Inherit::all : Exec::Inherit::none;
      context.origin("exec.inherit_env", text->get(), place_of(*inherit));
    } else {
      r.problem("inherit_env", "expected \"all\", \"none\" or an array of names");
    }
  } else {
    context.origin("exec.inherit_env", "all", "default");
  }
  {
    Reader verify(context, r.table("verify"), "exec.verify");
    verify.read("command", exec.verify.command);
    verify.read("attempts", exec.verify.attempts, 1, 100);
    verify.read("backoff", exec.verify.backoff);
    verify.read("timeout", exec.verify.timeout);
    if (verify.raw() != nullptr && exec.verify.command.argv.empty())
      verify.problem("command", "required");
  }
  read_child(context, r, exec);
  r.unsupported({"ready", "rollback", "overlap", "sockets", "mask_output", "watchdog"});
}

void read_top(Context& context, const toml::table& table, Config& config) {
  Reader r(context, &table, "");
  r.read("name", config.name);
  r.read("pid_file", config.pid_file);
  r.read("exit_after_auth", config.exit_after_auth);
  if (r.has("log_level")) {
    auto level = log::Level::info;
    r.read_choice("log_level", level,
                  {{"trace", log::Level::trace},
                   {"debug", log::Level::debug},
                   {"info", log::Level::info},
                   {"warn", log::Level::warn},
                   {"error", log::Level::error}});
    config.log_level = level;
  } else {
    (void)r.find("log_level");
    context.origin("log_level", "info", "default");
  }
  if (r.has("log_format")) {
    auto format = log::Format::text;
    r.read_choice("log_format", format,
                  {{"text", log::Format::text},
                   {"json", log::Format::json},
                   {"journal", log::Format::journal}});
    config.log_format = format;
  } else {
    (void)r.find("log_format");
    context.origin("log_format", "text on a terminal, else journal or json", "default");
  }
  r.read("log_file", config.log_file);
  r.read("hardening", config.hardening);
  {
    Reader notify(context, r.table("notify"), "notify");
    notify.read("command", config.notify.command);
    notify.read("timeout", config.notify.timeout);
  }
  read_vault(context, r, config.vault);
  read_auto_auth(context, r, config.auto_auth);
  {
    Reader t(context, r.table("template_config"), "template_config");
    t.read("static_secret_render_interval", config.template_config.static_secret_render_interval);
    t.read("start_grace", config.template_config.start_grace);
    t.read("exit_on_retry_failure", config.template_config.exit_on_retry_failure);
    t.unsupported({"max_stale", "on_stale"});
  }
  {
    Reader lease(context, r.table("lease"), "lease");
    read_lease(lease, config.lease);
    if (!config.lease.revoke_on_exit) context.origin("lease.revoke_on_exit", kRevokes, "default");
  }
  r.each_table("secret", [&](const toml::table& t, const std::string& name) {
    read_secret_rule(context, t, name, config);
  });
  r.each_table("template", [&](const toml::table& t, const std::string& name) {
    read_template(context, t, name, config);
  });
  read_env(context, r, config);
  read_exec(context, r, config.exec);  // before what it allows
  r.each_table("env_from", [&](const toml::table& t, const std::string& name) {
    read_env_from(context, t, name, config);
  });
  {
    Reader outage(context, r.table("outage"), "outage");
    if (const toml::node* node = outage.find("on_start");
        node != nullptr && node->value<std::string_view>() == "state")
      outage.problem("on_start", "\"state\": not supported yet");
    else
      outage.read_choice("on_start", config.outage.on_start,
                         {{"wait", Outage::OnStart::wait},
                          {"fail", Outage::OnStart::fail},
                          {"default", Outage::OnStart::use_default}});
    outage.read("start_timeout", config.outage.start_timeout);
  }
  r.unsupported({"log_rotate_bytes", "log_rotate_duration", "log_rotate_max_files", "state",
                 "listener", "api_proxy", "cache", "metrics", "control", "agent_api"});
}

// Of "vault.timeout"; "" when nobody has set it. What the environment and the command line set is
// among the origins always.
std::string place_of_key(std::string_view key, const toml::table& table,
                         const std::vector<Origin>& origins) {
  for (const Origin& origin : origins) {
    if (origin.key == key &&
        (origin.from.starts_with("environment ") || origin.from == "command line"))
      return origin.from;
  }
  const toml::table* at = &table;
  for (;;) {
    const auto dot = key.find('.');
    const toml::node* node = at->get(key.substr(0, dot));
    if (node == nullptr || dot == std::string_view::npos)
      return node != nullptr ? place_of(*node) : std::string{};
    at = node->as_table();
    if (at == nullptr) return {};
    key.remove_prefix(dot + 1);
  }
}

}  // namespace

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
  const toml::table table = read_files(input, context, loaded.config.files);
  // What a file that can't be read would say is not complained of.
  const bool all_read = context.problems.empty();
  context.method_type = chosen_by_flags(input.flags, context.problems);
  read_top(context, table, loaded.config);
  warn_of_readable_secret(loaded.config);
  choose_method(context.method_type, context.env, loaded.config.auto_auth.method, context.origins);
  apply_environment(context.env, loaded.config, context.origins, context.problems);
  apply_flags(input.flags, loaded.config, context.origins, context.problems);
  if (loaded.config.name.empty()) {
    name_instance(loaded.config);
    context.origin("name", loaded.config.name, "default");
  }
  const auto place = [&](std::string_view key) {
    return place_of_key(key, table, context.origins);
  };
  for (const char* key :
       {"vault.ca_cert", "vault.ca_path", "vault.client_cert", "vault.client_key"})
    loaded.config.vault.file_places[key] = place(key);
  validate(loaded.config, place, input.offline || !all_read, context.problems);
  if (!context.problems.empty()) {
    if (input.also) {
      for (Problem& problem : input.also(loaded.config))
        context.problems.push_back(std::move(problem));
    }
    return std::unexpected(std::move(context.problems));
  }
  add_warnings(loaded.config);
  loaded.origins = std::move(context.origins);
  return loaded;
}

}  // namespace keybearer::config
