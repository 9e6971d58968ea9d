#include <cstdio>
#include <map>
#include <set>

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

awaitable<int> gather(const config::Config& config, vault::Client& client, Policy& policy) {
  auto renderer = render::Renderer::make(config);
  if (!renderer) co_return kTemplate;  // said before
  FetchedSource source;
  std::set<std::string> seen;
  bool leased = false;
  std::set<std::string> fetchable;
  std::vector<std::pair<tmpl::Dependency, Error>> failed;
  for (bool more = true; more;) {
    more = false;
    const auto is_static = [&](const tmpl::Dependency& d) { return fetchable.contains(d.id); };
    const auto evaluation = co_await evaluate_all(client, *renderer, source, is_static, failed);
    for (const tmpl::Dependency& dependency : evaluation.missing) {
      if (dependency.kind == Kind::file || !seen.insert(dependency.id).second) continue;
      const auto mount = co_await client.mount_of(dependency.path);
      const auto [path, needed] = api_path(dependency, mount ? &*mount : nullptr);
      policy[path].insert(needed);
      const bool kv = mount && mount->type == "kv";
      if (kv && mount->kv_version == 2 && dependency.kind == Kind::read &&
          path.starts_with(mount->path + "data/"))  // an unchanged secret is not read again
        policy[mount->path + "metadata/" + path.substr(mount->path.size() + 5)].insert("read");
      leased = leased || !kv;
      if (kv && dependency.kind != Kind::write) more = fetchable.insert(dependency.id).second;
    }
  }
  for (const auto& [dependency, error] : failed)
    complain(error.text + ": what depends on it is not in the policy");
  if (leased && config.lease.revoke_replaced) policy["sys/leases/revoke"].insert("update");
  co_return kOk;
}

awaitable<int> print(const config::Config& config, vault::Client& client) {
  Policy policy;
  const int code = co_await gather(config, client, policy);
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
  return with_login(
      config, [&](vault::Client& client, const vault::Auth&) { return print(config, client); });
}

}  // namespace keybearer::cli
