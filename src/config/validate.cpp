#include "config/validate.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "config/scalars.hpp"

namespace keybearer::config {
namespace {

using Problems = std::vector<Problem>;

std::string where(const Place& place, const char* otherwise) {
  return place.text.empty() ? otherwise : place.text;
}

void readable(const std::string& path, const std::string& key, const std::string& place,
              Problems& problems) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return;
  problems.push_back({place, key + ": " + path + ": " + strerrordesc_np(errno)});
}

void readable_file(const std::string& path, const std::string& key, const std::string& place,
                   Problems& problems) {
  std::error_code none;
  if (!path.empty() && std::filesystem::is_directory(path, none))
    problems.push_back({place, key + ": " + path + ": is a folder; expected a file"});
  else
    readable(path, key, place, problems);
}

void check_method(const AutoAuth& auth, Problems& problems) {
  const Method& m = auth.method;
  const std::string place = where(m.place, "the configuration");
  if (m.type.empty()) {
    if (m.place.text.empty()) {
      problems.push_back({place,
                          "no way to log in: set VAULT_TOKEN, or VAULT_ROLE_ID and "
                          "VAULT_SECRET_ID, or write [auto_auth.method] "
                          "(type, role_id_file_path, secret_id_file_path, token_file_path)"});
    }
    return;
  }
  const std::string prefix = "auto_auth.method.";
  if (m.type == "approle") {
    if (m.role_id.empty() && m.role_id_file_path.empty()) {
      problems.push_back(
          {place, prefix + "role_id: required; set it, role_id_file_path, or VAULT_ROLE_ID"});
    }
    if (!m.secret_id_given && m.secret_id_file_path.empty()) {
      problems.push_back({place, prefix + "secret_id: required; set it, secret_id_file_path, or "
                                          "VAULT_SECRET_ID (\"\" for roles without)"});
    }
    if (m.role_id.empty())
      readable(m.role_id_file_path, prefix + "role_id_file_path", place, problems);
    if (!m.secret_id_given)
      readable(m.secret_id_file_path, prefix + "secret_id_file_path", place, problems);
  } else if (m.type == "token_file") {
    if (m.token_file_path.empty())
      problems.push_back({place, prefix + "token_file_path: required"});
    readable(m.token_file_path, prefix + "token_file_path", place, problems);
  } else if (m.type == "token" && m.token.empty()) {
    problems.push_back({place, prefix + "token: required; set VAULT_TOKEN"});
  }
}

void check_vault(const Vault& vault, Problems& problems) {
  const std::string place = "the configuration";
  if (vault.client_cert.empty() != vault.client_key.empty()) {
    problems.push_back({place, "vault.client_cert and vault.client_key go together"});
  }
  readable(vault.ca_cert, "vault.ca_cert", place, problems);
  readable(vault.ca_path, "vault.ca_path", place, problems);
  readable(vault.client_cert, "vault.client_cert", place, problems);
  readable(vault.client_key, "vault.client_key", place, problems);
  if (vault.retry.min_backoff > vault.retry.max_backoff) {
    problems.push_back({place, "vault.retry.min_backoff is more than max_backoff"});
  }
  if (vault.timeout < Duration(10))
    problems.push_back({place, "vault.timeout: must be more than zero"});
}

void check_environment(const Config& config, Problems& problems) {
  std::set<std::string> names;
  for (const EnvVar& variable : config.env) {
    const std::string place = where(variable.value.place, "the configuration");
    const std::string key = "env." + variable.name;
    if (!valid_variable_name(variable.name)) {
      problems.push_back({place, key + ": not a variable name; expected letters, digits and _"});
    } else if (reserved_variable_name(variable.name) && !config.exec.allow_reserved_env) {
      problems.push_back(
          {place, key + ": a reserved name; set exec.allow_reserved_env = true if you mean it"});
    }
    if (!names.insert(variable.name).second) problems.push_back({place, key + ": set twice"});
    readable_file(variable.value.source, key + ".source", place, problems);
  }
}

void check_templates(const Config& config, Problems& problems) {
  std::set<std::string> destinations;
  for (const Template& t : config.templates) {
    if (!t.enabled) continue;
    const std::string place = where(t.place, "the configuration");
    readable_file(t.source, "template.source", place, problems);
    std::error_code none;
    if (!t.source.empty() && std::filesystem::equivalent(t.source, t.destination, none))
      problems.push_back({place, "template.destination: is the source itself"});
    const std::string destination =
        std::filesystem::path(t.destination).lexically_normal().string();
    if (!t.destination.empty() && !destinations.insert(destination).second) {
      problems.push_back(
          {place, "template.destination: " + t.destination + " is written by another template"});
    }
  }
}

void check_secrets(const Config& config, Problems& problems) {
  std::set<std::string> names;
  for (const SecretRule& rule : config.secrets) {
    if (!rule.name.empty() && !names.insert(rule.name).second) {
      problems.push_back({rule.place.text, "secret.name: \"" + rule.name + "\" is used twice"});
    }
    if (!rule.defaults.empty() && !rule.optional) {
      problems.push_back({rule.place.text, "secret.defaults: needs optional = true"});
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

void validate(const Config& config, bool offline, Problems& problems) {
  if (!offline) {
    check_method(config.auto_auth, problems);
    check_vault(config.vault, problems);
  }
  check_environment(config, problems);
  check_templates(config, problems);
  check_secrets(config, problems);
  if (config.auto_auth.min_backoff > config.auto_auth.max_backoff) {
    problems.push_back({"the configuration", "auto_auth.min_backoff is more than max_backoff"});
  }
  if (config.exit_after_auth && !config.exec.command.argv.empty()) {
    problems.push_back({"the configuration",
                        "exit_after_auth and exec.command exclude each other: it ends once files "
                        "are written (for a job: keybearer run --once)"});
  }
  const std::string& folder = config.exec.working_directory;
  if (std::error_code none; !folder.empty() && !std::filesystem::is_directory(folder, none)) {
    problems.push_back(
        {"the configuration", "exec.working_directory: " + folder + ": No such file or directory"});
  }
  if (config.exec.debounce > config.exec.debounce_max) {
    problems.push_back({"the configuration", "exec.debounce is more than exec.debounce_max"});
  }
}

void add_warnings(Config& config) {
  if (config.lease.revoke_on_exit == false && config.auto_auth.revoke_on_exit != false) {
    config.warnings.push_back(
        "lease.revoke_on_exit = false keeps no lease alive: the token is revoked at the end and "
        "takes its leases along; set auto_auth.revoke_on_exit = false, too");
  }
  if (config.vault.tls_skip_verify) {
    config.warnings.push_back(
        "vault.tls_skip_verify is on: the server's identity is not checked, and the token goes to "
        "whoever answers");
  }
  for (const std::string& address : config.vault.address) {
    const bool loopback = address.starts_with("http://127.") ||
                          address.starts_with("http://localhost") ||
                          address.starts_with("http://[::1]");
    if (address.starts_with("http://") && !loopback) {
      config.warnings.push_back("vault.address " + address +
                                " is plain http: tokens and secrets travel readable; use https");
    }
  }
}

void warn_of_readable_secret(Config& config) {
  const Method& method = config.auto_auth.method;
  if (method.secret_id.empty() && method.token.empty()) return;
  for (const std::string& file : config.files) {
    if (!method.place.text.starts_with(file + ":") || !others_can_read(file)) continue;
    config.warnings.push_back(
        file + " holds a " + (method.token.empty() ? "secret_id" : "token") +
        " and others can read it: chmod 600, or keep it in a file of its own");
  }
}

}  // namespace keybearer::config
