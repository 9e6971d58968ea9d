#include "agent/rules.hpp"

#include <unistd.h>

#include <climits>

namespace keybearer {

int exit_code(const Error& error) {
  switch (error.kind) {
    case ErrorKind::denied:
      return 77;
    case ErrorKind::not_found:
    case ErrorKind::refused:
      return 75;
    case ErrorKind::render:
      return 65;
    case ErrorKind::io:
      return 73;
    case ErrorKind::config:
      return 78;
    case ErrorKind::spawn:
      return error.status != 0 ? error.status : 126;
    default:
      return is_outage(error.kind) ? 69 : 70;
  }
}

std::string hint(const Error& error) {
  switch (error.kind) {
    case ErrorKind::denied:
      return ": let the role's policy allow it (keybearer check --online lists what is missing)";
    case ErrorKind::not_found:
      if (error.reason == Reason::no_mount && error.text.find("engine at v1/") != std::string::npos)
        return ": leave out v1/, a path begins with its mount (kv/data/app)";
      if (error.reason == Reason::no_mount)
        return ": no secrets engine is mounted there; correct the path, or mount one";
      return ": write the secret, or make it optional (a default, or [[secret]] with optional = "
             "true)";
    case ErrorKind::refused:
      return ": correct the path or its parameters";
    case ErrorKind::network:
      if (error.reason == Reason::proxy) return "";  // its text says what to do
      return ": is the server up, and vault.address (VAULT_ADDR) right?";
    case ErrorKind::tls:
      if (error.reason != Reason::none) return "";  // its text says what to do
      return ": see vault.ca_cert (VAULT_CACERT), tls_server_name, client_cert";
    case ErrorKind::sealed:
      return ": unseal the server";
    case ErrorKind::bad_reply:
      if (error.reason == Reason::foreign_response) return "";  // its text says what to do
      return ": is vault.address that of a Vault server, and max_response_size large enough?";
    default:
      return "";
  }
}

config::OnChange default_action(const config::Exec& exec) {
  using Rule = config::RestartOnSecretChanges;
  switch (exec.restart_on_secret_changes) {
    case Rule::always:
      return {config::OnChange::Action::restart, 0};
    case Rule::signal:
      return {config::OnChange::Action::signal, exec.reload_signal};
    case Rule::never:
      break;
  }
  return {config::OnChange::Action::none, 0};
}

config::AutoAuth auth_settings(const config::Config& config, Job job) {
  config::AutoAuth auth = config.auto_auth;
  auth.revoke_on_exit = auth.revoke_on_exit.value_or(job != Job::render_once);
  return auth;
}

std::string instance_id(const config::Config& config) {
  char host[HOST_NAME_MAX + 1] = {};
  return config.name + "@" + (gethostname(host, HOST_NAME_MAX) == 0 ? host : "");
}

http::ProxyOptions proxy_options(const config::Config& config) {
  const config::Vault& vault = config.vault;
  return {.address = vault.proxy_address.value_or(""),
          .address_source = vault.proxy_source,
          .https_proxy = vault.https_proxy,
          .http_proxy = vault.http_proxy,
          .no_proxy = vault.no_proxy};
}

http::ClientOptions client_options(const config::Config& config) {
  const config::Vault& vault = config.vault;
  http::ClientOptions options;
  for (const std::string& address : vault.address)
    options.addresses.push_back(http::parse_url(address).value());
  options.ca_cert = vault.ca_cert;
  options.ca_path = vault.ca_path;
  options.client_cert = vault.client_cert;
  options.client_key = vault.client_key;
  options.ca_cert_pem = vault.ca_cert_bytes;
  options.tls_server_name = vault.tls_server_name;
  options.proxy = proxy_options(config);
  options.tls13_only = vault.tls13_only;
  options.tls_skip_verify = vault.tls_skip_verify;
  options.connect_timeout = vault.connect_timeout;
  options.timeout = vault.timeout;
  options.max_response_size = vault.max_response_size;
  options.max_connections = vault.max_connections;
  options.headers.assign(vault.headers.begin(), vault.headers.end());
  return options;
}

}  // namespace keybearer
