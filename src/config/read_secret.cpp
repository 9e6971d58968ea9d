#include "config/sections.hpp"

namespace keybearer::config {
namespace {

void read_lease(Reader& r, Lease& lease) {
  r.read_choice("strategy", lease.strategy,
                {{"renew", LeaseStrategy::renew}, {"refetch", LeaseStrategy::refetch}});
  r.read_fraction("renew_at", lease.renew_at);
  r.read_fraction("refetch_at", lease.refetch_at);
  r.read("min_remaining", lease.min_remaining);
  r.read("increment", lease.increment);
  r.read("check_interval", lease.check_interval);
  r.describe_default("check_interval", "never");
  r.read("revoke_on_exit", lease.revoke_on_exit);
  r.describe_default("revoke_on_exit", kRevokes);
  r.read("revoke_replaced", lease.revoke_replaced);
  r.read("drain", lease.drain);
}

void read_version(Reader& r, std::string& version) {
  const toml::node* node = r.find("version");
  if (node == nullptr) return;
  if (node->as_integer() != nullptr)
    version = std::to_string(node->as_integer()->get());
  else
    r.read("version", version);
  if (!version.empty() &&
      (version.find_first_not_of("0123456789") != std::string::npos || version.starts_with('0')))
    r.problem("version", "expected a whole number from 1");
}

void read_secret(Context& context, const toml::table& table, const std::string& prefix,
                 Config& config) {
  Reader r(context, &table, prefix);
  SecretRule rule;
  rule.place = r.place();
  rule.interval = config.template_config.static_secret_render_interval;
  rule.lease = config.lease;
  rule.stale = config.template_config.stale;
  rule.start_grace = config.template_config.start_grace;
  rule.exit_on_retry_failure = config.template_config.exit_on_retry_failure;
  const std::size_t before = context.problems.size();
  r.read("path", rule.path);
  while (rule.path.starts_with('/')) rule.path.erase(0, 1);
  while (rule.path.ends_with('/')) rule.path.pop_back();
  if (rule.path.empty() && context.problems.size() == before) r.problem("path", "required");
  r.read("name", rule.name);
  r.read("data", rule.data);
  read_version(r, rule.version);
  r.read("optional", rule.optional);
  r.read_json("defaults", rule.defaults);
  r.read("enabled", rule.enabled);
  r.read("static_secret_render_interval", rule.interval);
  if (const toml::table* lease = r.table("lease")) {
    Reader lease_reader(context, lease, prefix + ".lease");
    read_lease(lease_reader, rule.lease);
  }
  read_lease(r, rule.lease);
  r.read("namespace", rule.vault_namespace);
  r.describe_default("namespace", "vault.namespace");
  read_stale(r, rule.stale);
  r.read_choice(
      "on_error", rule.on_error,
      {{"keep", OnError::keep}, {"default", OnError::use_default}, {"exit", OnError::exit}});
  r.read("start_grace", rule.start_grace);
  r.read("exit_on_retry_failure", rule.exit_on_retry_failure);
  config.secrets.push_back(std::move(rule));
}

}  // namespace

void read_lease_table(Context& context, Reader& top, Lease& lease) {
  Reader r(context, top.table("lease"), "lease");
  read_lease(r, lease);
}

void read_secrets(Context& context, Reader& top, Config& config) {
  top.each_table("secret", [&](const toml::table& table, const std::string& name) {
    read_secret(context, table, name, config);
  });
}

}  // namespace keybearer::config
