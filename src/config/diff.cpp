#include "config/diff.hpp"

#include <map>

namespace keybearer::config {

namespace {

bool same_but_namespace(Vault a, const Vault& b) {
  a.vault_namespace = b.vault_namespace;
  return a == b;
}

// What each table of a list became. Several of one name are one.
template <class T>
std::vector<std::string> entries(const std::vector<T>& before, const std::vector<T>& after,
                                 std::string T::* name) {
  std::map<std::string, std::pair<std::vector<T>, std::vector<T>>> all;
  for (const T& each : before) all[each.*name].first.push_back(each);
  for (const T& each : after) all[each.*name].second.push_back(each);
  std::vector<std::string> out;
  for (const auto& [of, both] : all) {
    const auto& [was, is] = both;
    if (was != is)
      out.push_back(of + (was.empty() ? " added" : is.empty() ? " removed" : " changed"));
  }
  return out;
}

}  // namespace

std::vector<SectionDiff> diff(const Config& a, const Config& b) {
  const auto once = [](std::string_view name, bool same) {
    return SectionDiff{name, same ? Effect::same : Effect::restart};
  };
  const auto live = [](std::string_view name, bool same) {
    return SectionDiff{name, same ? Effect::same : Effect::live};
  };
  const auto list = [](std::string_view name, const auto& was, const auto& is, auto named) {
    return SectionDiff{name, was == is ? Effect::same : Effect::live, entries(was, is, named)};
  };
  return {
      // Taken once: the process's own identity and protection, and what decides how a run ends.
      once("name", a.name == b.name),
      once("pid_file", a.pid_file == b.pid_file),
      once("exit_after_auth", a.exit_after_auth == b.exit_after_auth),
      once("hardening", a.hardening == b.hardening),
      live("log_level", a.log_level == b.log_level),
      once("log_format", a.log_format == b.log_format),
      once("log_file", a.log_file == b.log_file),
      live("log_rotate", a.log_rotate == b.log_rotate),
      live("notify", a.notify == b.notify),
      // Token, leases, mounts and state are all of it.
      once("vault.namespace", a.vault.vault_namespace == b.vault.vault_namespace),
      live("vault", same_but_namespace(a.vault, b.vault)),
      SectionDiff{"auto_auth", a.auto_auth == b.auto_auth ? Effect::same : Effect::live,
                  entries(a.auto_auth.sinks, b.auto_auth.sinks, &Sink::path)},
      live("template_config", a.template_config == b.template_config),
      live("lease", a.lease == b.lease),
      list("secret", a.secrets, b.secrets, &SecretRule::path),
      list("template", a.templates, b.templates, &Template::destination),
      list("env", a.env, b.env, &EnvVar::name),
      list("env_from", a.env_from, b.env_from, &EnvFrom::secret),
      live("exec", a.exec == b.exec && a.credential_variables == b.credential_variables),
      live("outage", a.outage == b.outage),
      live("metrics", a.metrics == b.metrics),
      once("control", a.control == b.control),
      list("listener", a.listeners, b.listeners, &Listener::address),
      live("api_proxy", a.api_proxy == b.api_proxy),
      live("cache", a.cache == b.cache),
      once("state", a.state == b.state),
  };
}

Config in_force(const Config& running, Config read) {
  read.name = running.name;
  read.pid_file = running.pid_file;
  read.exit_after_auth = running.exit_after_auth;
  read.hardening = running.hardening;
  read.log_format = running.log_format;
  read.log_file = running.log_file;
  read.vault.vault_namespace = running.vault.vault_namespace;
  read.control = running.control;
  read.state = running.state;
  return read;
}

}  // namespace keybearer::config
