#include "config/validate.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "config/files_in_use.hpp"
#include "config/method.hpp"
#include "config/scalars.hpp"

namespace keybearer::config {
namespace {

using Problems = std::vector<Problem>;

// Two durations of which one is the most of the other; either may be the default, which the user
// never saw.
void require_at_most(const LocationOf& location, const std::string& low, Duration least,
                     const std::string& high, Duration most, Problems& problems) {
  if (least <= most) return;
  const SourceLocation of_low = location(low), of_high = location(high);
  const auto shown = [](const SourceLocation& place, Duration value) {
    return (place.is_set() ? "" : "the default of ") + duration_text(value);
  };
  problems.push_back(
      {of_low.is_set() ? of_low : of_high,
       low + ": " + shown(of_low, least) + " is more than " + high + ", " + shown(of_high, most)});
}

enum class Expected { directory, file, file_or_pipe };

// Why it can't be read; "" when it can be.
std::string why_unreadable(const std::string& path, Expected expected) {
  if (path.empty()) return "";
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || access(path.c_str(), R_OK) != 0)
    return strerrordesc_np(errno);
  const bool directory = S_ISDIR(info.st_mode);
  if (expected == Expected::directory) return directory ? "" : "not a directory";
  if (directory) return "is a directory; expected a file";
  return expected == Expected::file && !S_ISREG(info.st_mode) ? "not a regular file" : "";
}

void readable(const std::string& path, Expected expected, const std::string& key,
              const SourceLocation& place, Problems& problems) {
  if (const auto why = why_unreadable(path, expected); !why.empty())
    problems.push_back({place, key + ": " + escaped(path) + ": " + why});
}

void no_control(const std::string& text, const std::string& key, const LocationOf& place,
                Problems& problems) {
  if (has_control(text))
    problems.push_back({place(key), key + ": has a line break or another control character"});
}

// "it, role_id_file_path, or VAULT_ROLE_ID"; "" when nothing but the key itself will do.
std::string ways_to_set(const MethodSpec& spec, const MethodKey& key) {
  std::vector<std::string> ways = {"it"};
  if (const MethodKey* file = spec.file_of(key)) ways.emplace_back(file->name);
  if (const MethodKey* named = spec.variable_of(key)) ways.emplace_back(named->name);
  if (!key.variables.empty()) ways.emplace_back(key.variables.front());
  if (ways.size() == 1) return "";
  std::string out = "; set it";
  for (std::size_t i = 1; i < ways.size(); ++i)
    out += (i + 1 < ways.size() ? ", " : ways.size() > 2 ? ", or " : " or ") + ways[i];
  return out;
}

// Whether it is one that the key may have.
void check_choice(const MethodKey& key, const std::string& name, const std::string& value,
                  const LocationOf& place_of, Problems& problems) {
  const auto found = std::ranges::find(key.choices, value, &MethodChoice::value);
  if (found != key.choices.end() && found->refused.empty()) return;
  std::string text = name + ": \"" + escaped(value) + "\": ";
  if (found != key.choices.end()) {
    text += found->refused;
  } else {
    text += "expected ";
    for (const MethodChoice& choice : key.choices) {
      if (!choice.refused.empty()) continue;
      text += (text.ends_with('"') ? " or \"" : "\"") + std::string(choice.value) + '"';
    }
  }
  problems.push_back({place_of(name), std::move(text)});
}

void check_method(const AutoAuth& auth, const LocationOf& place_of, Problems& problems) {
  const Method& m = auth.method;
  const SourceLocation& place = m.place;
  if (m.type.empty()) {
    if (!m.place.is_set()) {
      problems.push_back({place,
                          "no way to log in: set VAULT_TOKEN, or VAULT_ROLE_ID and "
                          "VAULT_SECRET_ID, or write [auto_auth.method] "
                          "(type, role_id_file_path, secret_id_file_path, token_file_path), "
                          "or give --token-file (`vault login` leaves one in ~/.vault-token)"});
    }
    return;
  }
  const std::string prefix = "auto_auth.method.";
  no_control(m.vault_namespace.value_or(""), prefix + "namespace", place_of, problems);
  const MethodSpec* spec = MethodSpec::find(m.type);
  if (spec == nullptr) return;
  for (const MethodKey& key : spec->keys()) {
    const std::string name = prefix + std::string(key.name);
    const MethodKey* file = spec->file_of(key);
    const std::shared_ptr<const Secret> secret = m.secret(key.name);
    const bool given = m.has(key.name) && (!key.missing.empty() || !secret || !secret->empty());
    const MethodKey* named = spec->variable_of(key);
    if (named != nullptr && m.has(named->name)) continue;  // said where it was read
    const MethodKey* supplier = spec->supplier_of(key);
    const bool supplied = supplier != nullptr && m.flag(supplier->name);
    const bool wrong = std::ranges::any_of(  // given, and told of already
        problems, [&name](const Problem& p) { return p.text.starts_with(name + ": "); });
    if (key.required && !given && !supplied && !wrong && !(file != nullptr && m.has(file->name))) {
      problems.push_back(
          {place, name + ": required" + ways_to_set(*spec, key) + std::string(key.missing)});
    }
    if (key.wrong != nullptr && m.has(key.name)) {
      const std::string_view why = key.wrong(secret ? secret->reveal() : m.text(key.name));
      if (!why.empty()) problems.push_back({place_of(name), name + ": " + std::string(why)});
    }
    if (!key.choices.empty() && m.has(key.name))
      check_choice(key, name, m.text(key.name), place_of, problems);
    if (key.type != MethodKey::Type::file) continue;
    const std::string& path = m.text(key.name);
    const auto why = why_unreadable(path, Expected::file);
    if (why.empty()) continue;
    const bool gone = access(path.c_str(), F_OK) != 0 && errno == ENOENT;
    problems.push_back({place_of(name), name + ": " + escaped(path) + ": " + why +
                                            (gone ? removal_hint(m, key.name) : "")});
  }
}

void check_vault(const Vault& vault, const LocationOf& place_of, Problems& problems) {
  const LocationOf& place = place_of;
  if (vault.client_cert.empty() != vault.client_key.empty()) {
    const bool cert = vault.client_key.empty();
    problems.push_back({place(cert ? "vault.client_cert" : "vault.client_key"),
                        "vault.client_cert and vault.client_key go together"});
  }
  const std::pair<const char*, const std::string&> files[] = {
      {"vault.ca_cert", vault.ca_cert},
      {"vault.client_cert", vault.client_cert},
      {"vault.client_key", vault.client_key}};
  for (const auto& [key, path] : files) readable(path, Expected::file, key, place(key), problems);
  readable(vault.ca_path, Expected::directory, "vault.ca_path", place("vault.ca_path"), problems);
  no_control(vault.vault_namespace, "vault.namespace", place, problems);
  require_at_most(place_of, "vault.retry.min_backoff", vault.retry.min_backoff,
                  "vault.retry.max_backoff", vault.retry.max_backoff, problems);
  if (vault.timeout < Duration(10))
    problems.push_back({place("vault.timeout"), "vault.timeout: must be more than zero"});
}

void check_environment(const Config& config, Problems& problems) {
  std::set<std::string> names;
  for (const EnvVar& variable : config.env) {
    const SourceLocation& place = variable.value.place;
    const std::string key = "env." + escaped(variable.name);
    if (!valid_variable_name(variable.name)) {
      problems.push_back({place, key + ": not a variable name; expected letters, digits and _"});
    } else if (reserved_variable_name(variable.name) && !config.exec.allow_reserved_env) {
      problems.push_back(
          {place, key + ": a reserved name; set exec.allow_reserved_env = true if you mean it"});
    }
    if (!names.insert(variable.name).second) problems.push_back({place, key + ": set twice"});
    readable(variable.value.source, Expected::file_or_pipe, key + ".source", place, problems);
  }
}

void check_templates(const Config& config, Scope scope, Problems& problems) {
  for (const Template& t : config.templates) {
    if (!t.enabled) continue;
    const SourceLocation& place = t.place;
    readable(t.source, Expected::file_or_pipe, "template.source", place, problems);
    if (t.destination == "-" && !scope.files_only && !config.exec.command.argv.empty()) {
      problems.push_back({place,
                          "template.destination: \"-\" is standard output, which is the "
                          "program's; expected a file"});
    }
  }
}

void check_sinks(const Config& config, Problems& problems) {
  for (const Sink& sink : config.auto_auth.sinks)
    if (sink.path == "-")
      problems.push_back({sink.place,
                          "auto_auth.sink.path: \"-\": a token never goes to standard output; "
                          "expected a file"});
}

// The namespace, the path, the version and what is written to it tell one secret from another.
std::string identity_of(const SecretRule& rule) {
  std::string out =
      plain_path(rule.path) + '\n' + rule.version + '\n' + rule.vault_namespace.value_or("");
  for (const auto& [key, value] : rule.data) out += '\n' + key + '\n' + value;
  return out;
}

void check_secrets(const Config& config, Problems& problems) {
  std::set<std::string> names;
  std::set<std::string> identities;
  for (const SecretRule& rule : config.secrets) {
    const std::string identity = identity_of(rule);
    if (!identities.insert(identity).second && !rule.path.empty()) {
      const auto first = std::ranges::find(config.secrets, identity, identity_of);
      problems.push_back({rule.place, "secret.path: \"" + escaped(rule.path) +
                                          "\" has a table already, at " + first->place.text() +
                                          "; make them one"});
    }
    if (!rule.name.empty() && !names.insert(rule.name).second) {
      problems.push_back({rule.place, "secret.name: \"" + escaped(rule.name) + "\" is used twice"});
    }
    const bool used = rule.optional || rule.on_error == OnError::use_default ||
                      rule.stale.on_stale == OnStale::use_default;
    if (!rule.defaults.empty() && !used) {
      problems.push_back({rule.place,
                          "secret.defaults: needs optional = true, on_error = \"default\" or "
                          "on_stale = \"default\""});
    }
  }
}

bool others_can_read(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && (info.st_mode & 044) != 0;
}

}  // namespace

void name_instance(Config& config) {
  if (!config.name.empty()) return;
  std::string_view path;
  if (!config.files.empty())
    path = config.files.front();
  else if (!config.exec.command.argv.empty())
    path = config.exec.command.argv.front();
  path.remove_prefix(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  if (!config.files.empty()) path = path.substr(0, path.rfind('.'));
  config.name = path.empty() ? "keybearer" : path;
}

namespace {

bool has_scheme(std::string_view address, std::string_view scheme) {
  const auto same = [](unsigned char a, unsigned char b) { return std::tolower(a) == b; };
  return std::ranges::equal(address.substr(0, scheme.size()), scheme, same);
}

// "127.0.0.1:8200" of "https://localhost:8200/prefix"; a path of a unix socket as it is.
std::string place_of_address(std::string_view address) {
  if (const auto scheme = address.find("://"); scheme != address.npos) {
    const bool local = has_scheme(address, "unix");
    address.remove_prefix(scheme + 3);
    if (!local) address = address.substr(0, address.find('/'));
  }
  std::string out(address);
  for (const std::string_view loopback : {"localhost:", "[::1]:"})
    if (out.starts_with(loopback)) out.replace(0, loopback.size(), "127.0.0.1:");
  return out;
}

// Requests would go round in a circle until there are no ports left.
void check_listeners(const Config& config, Problems& problems) {
  for (const Listener& listener : config.listeners) {
    for (const std::string& address : config.vault.address) {
      if (place_of_address(address) != place_of_address(listener.address)) continue;
      problems.push_back({listener.place, "listener.address: " + escaped(listener.address) +
                                              " is vault.address, too: keybearer would ask "
                                              "itself; give one of them another port"});
    }
  }
}

}  // namespace

void validate(const Config& config, const LocationOf& place, Scope scope, Problems& problems) {
  check_listeners(config, problems);
  if (!scope.offline) {
    check_method(config.auto_auth, place, problems);
    check_vault(config.vault, place, problems);
  }
  check_environment(config, problems);
  check_templates(config, scope, problems);
  check_sinks(config, problems);
  check_files_in_use(config, problems);
  check_secrets(config, problems);
  require_at_most(place, "auto_auth.min_backoff", config.auto_auth.min_backoff,
                  "auto_auth.max_backoff", config.auto_auth.max_backoff, problems);
  if (config.exit_after_auth && !config.exec.command.argv.empty()) {
    problems.push_back({place("exit_after_auth"),
                        "exit_after_auth and exec.command exclude each other: it ends once sinks "
                        "and files are written (for a job: keybearer run --once)"});
  }
  const std::string& directory = config.exec.working_directory;
  if (std::error_code none; !directory.empty() && !std::filesystem::is_directory(directory, none)) {
    problems.push_back(
        {place("exec.working_directory"),
         "exec.working_directory: " + escaped(directory) + ": No such file or directory"});
  }
  if (config.outage.on_start == Outage::OnStart::use_state && config.state.path.empty()) {
    problems.push_back(
        {place("outage.on_start"),
         "outage.on_start: \"state\" needs [state], where the last good values are kept"});
  }
  const Exec& exec = config.exec;
  require_at_most(place, "exec.debounce", exec.debounce, "exec.debounce_max", exec.debounce_max,
                  problems);
  require_at_most(place, "exec.restart_backoff", exec.restart_backoff, "exec.restart_backoff_max",
                  exec.restart_backoff_max, problems);
}

void add_warnings(Config& config) {
  if (config.lease.revoke_on_exit == false && config.auto_auth.revoke_on_exit != false) {
    config.warnings.push_back(
        "lease.revoke_on_exit = false keeps no lease alive: the token is revoked at the end and "
        "takes its leases along; set auto_auth.revoke_on_exit = false, too");
  }
  for (const Sink& sink : config.auto_auth.sinks) {
    if ((sink.mode & 0004) == 0) continue;
    config.warnings.push_back("auto_auth.sink " + sink.path + ": mode " + mode_text(sink.mode) +
                              " lets everybody on this machine read the token");
  }
  const Config::LogRotate& rotate = config.log_rotate;
  if (config.log_file.empty() && (rotate.bytes || rotate.duration)) {
    config.warnings.emplace_back(
        "log_rotate_bytes and log_rotate_duration have no effect without log_file");
  }
  const bool https = std::ranges::any_of(
      config.vault.address, [](const auto& address) { return has_scheme(address, "https://"); });
  if (!config.vault.tls_pin_sha256.empty() && !https) {
    config.warnings.emplace_back(
        "vault.tls_pin_sha256 has no effect: no address of vault.address is https");
  }
  if (config.vault.tls_skip_verify) {
    config.warnings.push_back(
        "vault.tls_skip_verify is on: the server's identity is not checked, and the token goes to "
        "whoever answers");
  }
}

void warn_of_readable_secret(Config& config) {
  const Method& method = config.auto_auth.method;
  const MethodSpec* spec = MethodSpec::find(method.type);
  if (spec == nullptr) return;
  for (const MethodKey& key : spec->keys()) {
    const auto secret = method.secret(key.name);
    if (!secret || secret->empty()) continue;
    for (const std::string& file : config.files) {
      if (method.place.kind != SourceLocation::Kind::file || method.place.name != file ||
          !others_can_read(file))
        continue;
      config.warnings.push_back(
          file + " holds a " + std::string(key.name) +
          " and others can read it: chmod 600, or keep it in a file of its own");
    }
  }
}

}  // namespace keybearer::config
