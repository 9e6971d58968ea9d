#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "auth/method.hpp"
#include "base/exit_code.hpp"
#include "cli/fetch.hpp"
#include "cli/online.hpp"
#include "cli/session.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"
#include "render/renderer.hpp"

namespace keybearer::cli {
namespace {

using boost::asio::awaitable;
using Kind = tmpl::Dependency::Kind;

std::string hcl_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : config::escaped(text)) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + "\"";
}

// Capabilities by path.
using Policy = std::map<std::string, std::set<std::string>>;

// Engines whose answers have no lease: nothing of theirs is renewed or revoked. A certificate has
// none unless its role asks for it; a static role has none, nor has a token.
bool may_lease(const vault::Mount& mount, std::string_view path) {
  constexpr std::string_view kWithout[] = {"kv",  "generic",  "cubbyhole", "transit", "totp",
                                           "pki", "identity", "system",    "token",   "transform"};
  return std::ranges::find(kWithout, mount.type) == std::end(kWithout) &&
         !path.contains("/static-creds/") && !mount.path.starts_with("auth/");
}

const config::SecretRule* rule_of(const config::Config& config, const tmpl::Dependency& asked) {
  const auto at = std::ranges::find_if(config.secrets, [&](const config::SecretRule& rule) {
    return config::plain_path(rule.path) == config::plain_path(asked.path) &&
           rule.version == asked.version;
  });
  return at == config.secrets.end() ? nullptr : &*at;
}

bool is_daemon(const config::Config& config) {
  return !config.exit_after_auth;
}

// A restart asks whether the token and the leases of the last run are still there.
bool resumes(const config::Config& config) {
  return !config.state.path.empty();
}

// What is asked for about a secret, beyond itself.
void add_for_secret(const config::Config& config, const tmpl::Dependency& asked,
                    const vault::Mount& mount, const std::string& path, Policy& policy,
                    bool has_default) {
  const config::SecretRule* rule = rule_of(config, asked);
  const config::Interval interval =
      rule ? rule->interval : config.template_config.static_secret_render_interval;
  if (mount.type == "kv" && mount.kv_version == 2 && asked.kind == Kind::read &&
      asked.version.empty() && !interval.never && is_daemon(config) &&
      path.starts_with(mount.path + "data/"))  // an unchanged secret is not read again
    policy[mount.path + "metadata/" + path.substr(mount.path.size() + 5)].insert("read");
  if (!may_lease(mount, path)) return;
  const config::Lease& lease = rule ? rule->lease : config.lease;
  if (lease.revoke_replaced || lease.revoke_on_exit.value_or(is_daemon(config)))
    policy["sys/leases/revoke"].insert("update");
  if (has_default || !is_daemon(config)) return;
  if (lease.strategy == config::LeaseStrategy::renew) policy["sys/leases/renew"].insert("update");
  if (lease.check_interval || resumes(config)) policy["sys/leases/lookup"].insert("update");
}

// What the token is asked for about itself. The built-in policy "default" has all of it.
void add_for_token(const config::Config& config, const vault::Auth& login, Policy& policy) {
  const auto method = auth::make_auth_method(config.auto_auth.method);
  const bool ours = !method || (*method)->owns_token();
  if (!ours || resumes(config)) policy["auth/token/lookup-self"].insert("read");
  if (login.renewable && is_daemon(config)) policy["auth/token/renew-self"].insert("update");
  const bool revokes = is_daemon(config) && config.state.path.empty();
  if (ours && login.type != "batch" && config.auto_auth.revoke_on_exit.value_or(revokes))
    policy["auth/token/revoke-self"].insert("update");
  const bool wraps = std::ranges::any_of(
      config.auto_auth.sinks, [](const config::Sink& sink) { return sink.wrap_ttl.has_value(); });
  if (wraps) policy["sys/wrapping/wrap"].insert("update");
}

// A root token says nothing of the tokens that the policy is for: those have "default" as a rule.
bool has_default_policy(const vault::Auth& auth) {
  return std::ranges::any_of(auth.policies, [](const std::string& policy) {
    return policy == "default" || policy == "root";
  });
}

awaitable<int> gather(const config::Config& config, vault::Client& client, const vault::Auth& auth,
                      Policy& policy) {
  auto renderer = render::Renderer::make(config);
  if (!renderer) co_return kTemplate;  // said before
  const bool has_default = has_default_policy(auth);
  if (!has_default) add_for_token(config, auth, policy);
  FetchedSource source(config);
  std::set<std::string> seen;
  std::set<std::string> fetchable;
  std::vector<std::pair<tmpl::Dependency, Error>> failed;
  for (bool more = true; more;) {
    more = false;
    const auto is_static = [&](const tmpl::Dependency& d) { return fetchable.contains(d.id); };
    const auto evaluation = co_await evaluate_all(client, *renderer, source, is_static, failed);
    for (const tmpl::Dependency& dependency : evaluation.missing) {
      if (dependency.kind == Kind::file || !seen.insert(dependency.id).second) continue;
      const auto mount =
          co_await client_for(client, source.rules(), dependency).mount_of(dependency.path);
      const auto [path, needed] = api_path(dependency, mount ? &*mount : nullptr);
      policy[path].insert(needed);
      if (!mount) continue;
      add_for_secret(config, dependency, *mount, path, policy, has_default);
      if (mount->type == "kv" && dependency.kind != Kind::write)
        more = fetchable.insert(dependency.id).second || more;
    }
  }
  for (const auto& [dependency, error] : failed)
    complain(error.text + ": what depends on it is not in the policy");
  co_return kOk;
}

awaitable<int> print(const config::Config& config, vault::Client& client, const vault::Auth& auth) {
  Policy policy;
  const int code = co_await gather(config, client, auth, policy);
  for (const auto& [path, capabilities] : policy) {
    std::string list;
    for (const std::string& one : capabilities)
      list += (list.empty() ? "" : ", ") + hcl_quoted(one);
    std::printf("path %s { capabilities = [%s] }\n", hcl_quoted(path).c_str(), list.c_str());
  }
  co_return code;
}

}  // namespace

int print_policy(config::Config& config) {
  return with_login(config, [&](vault::Client& client, const vault::Auth& auth) {
    return print(config, client, auth);
  });
}

}  // namespace keybearer::cli
