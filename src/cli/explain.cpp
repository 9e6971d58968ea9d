#include <algorithm>
#include <cstdio>

#include "base/exit_code.hpp"
#include "cli/commands.hpp"
#include "cli/fetch.hpp"
#include "cli/session.hpp"
#include "cli/startup.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"
#include "render/value.hpp"

namespace keybearer::cli {
namespace {

using boost::asio::awaitable;

void row(const char* name, const std::string& text) {
  std::printf("%-13s %s\n", name, config::escaped(text).c_str());
}

std::string percent(double part) {
  return std::to_string(static_cast<int>(part * 100 + 0.5)) + " %";
}

// How a path is treated: its own [[secret]], else the file's settings.
config::SecretRule rule_of(const config::Config& config, const std::string& path) {
  for (const config::SecretRule& rule : config.secrets) {
    if (rule.enabled && config::plain_path(rule.path) == config::plain_path(path)) return rule;
  }
  config::SecretRule rule;
  rule.path = path;
  rule.interval = config.template_config.static_secret_render_interval;
  rule.lease = config.lease;
  return rule;
}

void explain_static(const config::SecretRule& rule, bool kv2) {
  row("lease", "none");
  if (rule.interval.never)
    return row("refresh", "read at the start only (static_secret_render_interval)");
  row("refresh", "looked at every " + config::duration_text(rule.interval.every) +
                     (kv2 ? ", its version first (static_secret_render_interval)"
                          : " (static_secret_render_interval)"));
}

void explain_leased(const config::SecretRule& rule) {
  const config::Lease& lease = rule.lease;
  row("lease", lease.strategy == config::LeaseStrategy::renew
                   ? "if it has one: renewed after " + percent(lease.renew_at) + " of its TTL"
                   : "if it has one: never renewed");
  row("refresh", "new ones after " + percent(lease.refetch_at) +
                     " of a lease that can't be renewed, or of what is left when renewals end");
  row("replaced", lease.revoke_replaced ? "revoked " + config::duration_text(lease.drain) +
                                              " after the program has the new one"
                                        : "left to expire");
}

awaitable<int> explain_path(const config::Config& config, vault::Client& client,
                            tmpl::Dependency dependency) {
  const config::SecretRule rule = rule_of(config, dependency.path);
  if (!rule.data.empty()) dependency.kind = tmpl::Dependency::Kind::write;
  vault::Client& there = client_for(client, secrets::Rules(config.secrets), dependency);
  const auto mount = co_await there.mount_of(dependency.path);
  const auto [path, needed] = api_path(dependency, mount ? &*mount : nullptr);
  row("path", path);
  if (!mount) {
    complain_of(mount.error());
    co_return exit_code_of(mount.error());
  }
  const bool kv = mount->type == "kv";
  row("engine", mount->type + (kv ? " version " + std::to_string(mount->kv_version) : "") +
                    ", mounted at " + mount->path);
  row("asked by", dependency.kind == tmpl::Dependency::Kind::write ? "a write (data)" : "a read");
  if (rule.place.is_set()) row("settings", "[[secret]] at " + rule.place.text());
  if (kv)
    explain_static(rule, mount->kv_version == 2);
  else
    explain_leased(rule);
  const auto capabilities = co_await there.capabilities_self({path});
  if (!capabilities) {
    complain_of(capabilities.error());
    co_return exit_code_of(capabilities.error());
  }
  std::string have;
  for (const std::string& one : capabilities->front()) have += (have.empty() ? "" : ", ") + one;
  row("capabilities", have);
  const auto has = [&](std::string_view what) {
    return std::ranges::find(capabilities->front(), what) != capabilities->front().end();
  };
  if (has("root") || has(needed)) co_return kOk;
  complain(path + ": no capability \"" + needed + "\" there");
  co_return kDenied;
}

}  // namespace

int explain(const ExplainOptions& options) {
  auto loaded = load_configuration(options.input, Templates::parsed_later);
  if (!loaded) {
    print_problems(loaded.error());
    return code_of(loaded.error());
  }
  auto dependency = render::dependency_of(loaded->config, options.path);
  if (!dependency) {
    complain("explain: expected PATH, such as kv/data/app");
    return kUsage;
  }
  return with_login(loaded->config, [&](vault::Client& client, const vault::Auth&) {
    return explain_path(loaded->config, client, *dependency);
  });
}

}  // namespace keybearer::cli
