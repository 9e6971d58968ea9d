#include "agent/settings.hpp"

#include <unistd.h>

#include <climits>

namespace keybearer {

bool is_once(Mode mode) {
  return mode == Mode::run_once || is_once_render(mode);
}
bool is_once_render(Mode mode) {
  return mode == Mode::render_once || mode == Mode::preview;
}
bool has_child(Mode mode) {
  return mode == Mode::run || mode == Mode::run_once;
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

namespace {

bool revokes_by_default(const config::Config& config, Mode mode) {
  return mode != Mode::render_once && config.state.path.empty();
}

}  // namespace

auth::Settings auth_settings(const config::Config& config, Mode mode) {
  auth::Settings settings{
      .auto_auth = config.auto_auth,
      .start = {.outage = config.outage,
                .start_grace = config.template_config.start_grace,
                .once = is_once(mode),
                .num_retries = config.vault.retry.num_retries},
      .stop_margin = has_child(mode) ? config.exec.longest_stop() : Duration(0)};
  auto& revokes = settings.auto_auth.revoke_on_exit;
  revokes = revokes.value_or(revokes_by_default(config, mode));
  return settings;
}

std::vector<config::Sink> sinks_of(const config::Config& config, Mode mode) {
  return mode == Mode::preview ? std::vector<config::Sink>{} : config.auto_auth.sinks;
}

std::vector<config::Listener> listeners_of(const config::Config& config, Mode mode) {
  return is_once_render(mode) ? std::vector<config::Listener>{} : config.listeners;
}

log::Rotation log_rotation(const config::Config& config) {
  const config::Config::LogRotate& rotate = config.log_rotate;
  return {.bytes = rotate.bytes, .age = rotate.duration, .max_files = rotate.max_files};
}

bool revokes_leases(const config::Config& config, Mode mode) {
  return config.lease.revoke_on_exit.value_or(revokes_by_default(config, mode));
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

auth::CloudParts cloud_parts(
    const config::Config& config, const EnvBlock& environment,
    std::function<std::unique_ptr<http::Client>(http::ClientOptions)> make_http) {
  auth::CloudParts parts;
  parts.make_http = std::move(make_http);
  parts.variable = [&environment](const std::string& name) {
    const Secret* value = environment.find(name);
    return value != nullptr ? std::string(value->reveal()) : std::string();
  };
  parts.proxy = proxy_options(config);
  parts.proxy.address.clear();  // of the server's only
  return parts;
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
  options.tls_pin_sha256 = vault.tls_pin_sha256;
  options.connect_timeout = vault.connect_timeout;
  options.timeout = vault.timeout;
  options.max_response_size = vault.max_response_size;
  options.max_connections = vault.max_connections;
  options.headers.assign(vault.headers.begin(), vault.headers.end());
  return options;
}

}  // namespace keybearer
