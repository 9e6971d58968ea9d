#include "config/keys.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "config/load.hpp"
#include "config/method.hpp"
#include "config/scalars.hpp"
#include "config/sections.hpp"

namespace keybearer::config {
namespace {

// Names of Vault Agent, consul-template and envconsul, and what is ours. `table`: the only one where
// it means that ("env" for each of its variables), "" for any.
struct Alias {
  std::string_view table, theirs, ours;
};
constexpr Alias kAliases[] = {
    {"", "env_template", "a variable in [env]: NAME = '{{ ... }}'"},
    {"", "kill_signal", "exec.restart_stop_signal"},
    {"", "kill_timeout", "exec.stop_timeout"},
    {"", "left_delim", "template.left_delimiter"},
    {"", "right_delim", "template.right_delimiter"},
    {"", "default_left_delimiter", "template.left_delimiter"},
    {"", "default_right_delimiter", "template.right_delimiter"},
    {"", "reload_signal", "exec.reload_signal"},
    {"", "splay", "exec.splay"},
    {"", "wait", "exec.debounce"},
    {"", "pristine", "exec.inherit_env = \"none\""},
    {"", "upcase", "env_from.uppercase"},
    {"", "no_prefix", "env_from.prefix"},
    {"", "vault_agent_token_file", "auto_auth.method.token_file_path, with type = \"token_file\""},
    {"", "token_path", "auto_auth.method.token_file_path"},
    {"", "unwrap_token", "auto_auth.method.secret_id_response_wrapping_path"},
    {"", "k8s_auth_role_name", "auto_auth.method.role, with type = \"kubernetes\""},
    {"", "default_lease_duration", "template_config.static_secret_render_interval"},
    {"", "lease_renewal_threshold", "lease.renew_at"},
    {"", "error_fatal", "template_config.exit_on_retry_failure"},
    {"", "syslog", "log_format = \"journal\""},
    {"", "ssl", "vault.ca_cert, vault.client_cert and their kin"},
    {"", "ca_file", "vault.ca_cert"},
    {"", "ca_cert_file", "vault.ca_cert"},
    {"", "skip_verify", "vault.tls_skip_verify"},
    {"", "attempts", "vault.retry.num_retries"},
    {"vault.retry", "backoff", "vault.retry.min_backoff"},
    {"vault", "request_timeout", "vault.timeout"},
    {"vault", "uri", "vault.address"},
    {"vault", "url", "vault.address"},
    {"", "vault_addr", "vault.address"},
    {"", "server", "the table [vault]"},
    {"", "pid", "pid_file"},
    {"", "telemetry", "/metrics of a [[listener]]"},
    {"auto_auth.sink", "file", "auto_auth.sink.path"},
    {"auto_auth.sink", "filename", "auto_auth.sink.path"},
    {"", "sinks", "auto_auth.sink"},
    {"exec", "restart_signal", "exec.restart_stop_signal"},
    {"exec", "cwd", "exec.working_directory"},
    {"exec", "dir", "exec.working_directory"},
    {"exec", "workdir", "exec.working_directory"},
    {"template", "src", "template.source"},
    {"template", "dst", "template.destination"},
    {"template", "path", "template.destination"},
    {"template", "file_mode", "template.perms"},
    {"", "mode", "template.perms"},
    {"", "owner", "template.user"},
    {"", "uid", "template.user"},
    {"", "gid", "template.group"},
    {"env", "path", "secret"},
    {"env", "field", "key"},
    {"env", "value", "contents"},
    {"env_from", "path", "env_from.secret"},
    {"secret", "secret", "secret.path"},
};

// Whole sentences, where no key is the counterpart.
constexpr Alias kSentences[] = {
    {"", "log", "log_level, log_format and log_file stand at the top here"},
    {"", "logging", "log_level, log_format and log_file stand at the top here"},
    {"", "once", "on the command line: render --once, run --once"},
    {"auto_auth.method", "config", "its keys stand in [auto_auth.method] itself here"},
    {"auto_auth.sink", "config", "its keys stand in [[auto_auth.sink]] itself here"},
    {"exec", "env", "the program's variables stand in [env] here"},
    {"exec", "args", "exec.command is an array of the program and its arguments here"},
    {"", "consul", "Consul's data is not read here"},
    {"", "nomad", "Nomad's data is not read here"},
    {"auto_auth.sink", "type", "a sink is always a file here; leave it out"},
    {"vault", "renew_token", "a token is always renewed here; leave it out"},
};

const Alias* find_alias(std::span<const Alias> all, std::string_view table, std::string_view key) {
  const bool variable = table.starts_with("env.");
  const auto found = std::ranges::find_if(all, [&](const Alias& alias) {
    return alias.theirs == key &&
           (alias.table.empty() || alias.table == table || (variable && alias.table == "env"));
  });
  return found == all.end() ? nullptr : &*found;
}

// "dest" of destination; the only key that begins so.
std::string_view begun(std::string_view key, std::span<const std::string_view> known) {
  std::string_view whole;
  for (const std::string_view candidate : known) {
    if (key.size() < 3 || !candidate.starts_with(key)) continue;
    if (!whole.empty()) return {};
    whole = candidate;
  }
  return whole;
}

std::string in_table(std::string_view table, std::string_view key) {
  return table.empty() ? std::string(key) : std::string(table) + "." + std::string(key);
}

// "template.on_change or env.NAME.on_change".
std::string homes_of(std::string_view key) {
  std::vector<std::string> homes;
  for (const std::string& full : known_keys()) {
    const auto dot = full.rfind('.');
    if (dot != std::string::npos && full.substr(dot + 1) == key) homes.push_back(full);
  }
  if (homes.empty() || homes.size() > 4) return {};
  std::string text = homes.front();
  for (std::size_t i = 1; i < homes.size(); ++i)
    text += (i + 1 == homes.size() ? " or " : ", ") + homes[i];
  return text;
}

// The first key of the table that a dotted key made: "check_interval" of lease.check_interval.
std::string first_key(const toml::node& node) {
  const auto* table = node.as_table();
  return table == nullptr || table->empty() ? "" : escaped(table->begin()->first.str());
}

std::string header_of(std::string_view table) {
  constexpr std::string_view kArrays[] = {"template", "secret", "env_from", "listener"};
  const std::string header = "[" + std::string(table) + "]";
  return std::ranges::find(kArrays, table) != std::end(kArrays) ? "[" + header + "]" : header;
}

}  // namespace

std::string advice_on_unknown(std::string_view table, std::string_view key,
                              std::span<const std::string_view> known, const toml::node& node,
                              bool dotted) {
  const auto& all = known_keys();
  if (const Alias* whole = find_alias(kSentences, table, key))
    return "; " + std::string(whole->ours);
  const bool of_top = std::ranges::any_of(all, [&](const std::string& full) {
    return full == key || full.starts_with(std::string(key) + ".");
  });
  const Alias* alias = find_alias(kAliases, table, key);
  if (!table.empty() && of_top && alias == nullptr) {  // lease.check_interval below [exec]
    if (node.is_table() && !dotted) return "; it is a table of its own: " + header_of(key);
    const std::string inner = first_key(node);
    const std::string full = in_table(key, inner);
    const bool exists = inner.empty() || std::ranges::find(all, full) != all.end();
    const std::string meant = inner.empty() ? std::string(key) : full;
    return std::string(inner.empty() ? "; a key of no table" : "; a dotted key") +
           " belongs above the first [table]; here it is " + in_table(table, meant) +
           (exists ? "; did you mean " + meant + "?" : "");
  }
  if (alias != nullptr) return "; it is " + std::string(alias->ours) + " here";
  if (const auto near = closest_match(key, known); !near.empty())
    return "; did you mean \"" + std::string(near) + "\"?";
  if (const auto whole = begun(key, known); !whole.empty())
    return "; did you mean \"" + std::string(whole) + "\"?";
  if (const std::string homes = homes_of(key); !homes.empty())
    return "; did you mean " + homes + "?";
  return {};
}

// By reading a file that has every table, and noting what is asked for.
const std::vector<std::string>& known_keys() {
  static const std::vector<std::string> keys = [] {
    std::set<std::string> names;
    for (const MethodSpec* method : MethodSpec::all()) {
      Context context;
      context.schema = &names;
      context.offline = true;
      context.env = [](const std::string&) { return std::optional<std::string>("x"); };
      const auto sample =
          toml::parse("[auto_auth.method]\ntype = \"" + std::string(method->type()) +
                          "\"\n[auto_auth.verify_identity]\n[[auto_auth.sink]]\n[[secret]]\nlease "
                          "= {}\n[[template]]\nexec = "
                          "{}\n[[env_from]]\n[[listener]]\nagent_api = {}\n[env.NAME]\n",
                      std::string("sample"));
      Config config;
      if (sample) read_all_sections(context, sample.table(), config);
    }
    return std::vector<std::string>(names.begin(), names.end());
  }();
  return keys;
}

}  // namespace keybearer::config
