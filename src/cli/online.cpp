#include "cli/online.hpp"

#include <unistd.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <set>

#include "agent/agent.hpp"
#include "auth/method.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "process/spawn.hpp"
#include "render/renderer.hpp"
#include "vault/client.hpp"

namespace keybearer::cli {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

// A store without answers: what is asked first is what is missing.
class Nothing final : public tmpl::DataSource {
 public:
  [[nodiscard]] const Value* find(const tmpl::Dependency&) override { return nullptr; }
};

std::vector<tmpl::Dependency> wanted(const config::Config& config) {
  auto renderer = render::Renderer::make(config);
  if (!renderer) return {};
  Nothing nothing;
  std::vector<tmpl::Dependency> unique;
  std::set<std::string> seen;
  for (tmpl::Dependency& dependency : renderer->evaluate(nothing, false).missing) {
    if (dependency.kind == tmpl::Dependency::Kind::file) continue;
    if (seen.insert(dependency.id).second) unique.push_back(std::move(dependency));
  }
  return unique;
}

// As `run` says it.
void complain_of(const Error& error) {
  complain(error.text + (is_outage(error.kind) ? hint(error) : ""));
}

int code_of(const Error& error) {
  if (is_outage(error.kind)) return kUnavailable;
  return error.kind == ErrorKind::config ? kConfig : kDenied;
}

void advise_on_token(const config::Config& config, const vault::Auth& auth) {
  const auto text = [](Duration time) { return std::to_string(time.count() / 1000) + " s"; };
  const auto warn = [](const std::string& what) { complain("warning: " + what); };
  if (auth.ttl == Duration::zero())
    return warn("the token's TTL is 0: it never expires; a short one that is renewed is safer");
  if (auth.ttl < 30s)
    warn("the token's TTL of " + text(auth.ttl) +
         " is too short to survive a hiccup of the server");
  if (auth.ttl < 2 * config.vault.timeout) {
    warn("the token's TTL of " + text(auth.ttl) + " is less than twice vault.timeout (" +
         text(config.vault.timeout) + ")");
  }
  if (auth.ttl > 24h * 7)
    warn("the token's TTL of " + text(auth.ttl) + " is long: more than a week");
}

// The path as the API has it, and what is needed there.
std::pair<std::string, const char*> api_path(const tmpl::Dependency& dependency,
                                             const vault::Mount* mount) {
  using Kind = tmpl::Dependency::Kind;
  const bool kv2 = mount != nullptr && mount->type == "kv" && mount->kv_version == 2;
  std::string path = dependency.path;
  const std::size_t prefix = mount != nullptr ? std::min(mount->path.size(), path.size()) : 0;
  const std::string rest = path.substr(prefix);
  const bool metadata = (rest + "/").starts_with("metadata/");
  if (kv2 && dependency.kind == Kind::list && !metadata) path = mount->path + "metadata/" + rest;
  if (kv2 && dependency.kind == Kind::read && !rest.starts_with("data/"))
    path = mount->path + "data/" + rest;
  if (dependency.kind == Kind::list) return {path, "list"};
  return {path, dependency.kind == Kind::read ? "read" : "update"};
}

awaitable<int> check_paths(vault::Client& client, std::vector<tmpl::Dependency> dependencies) {
  int code = kOk;
  for (const tmpl::Dependency& dependency : dependencies) {
    const auto mount = co_await client.mount_of(dependency.path);
    const auto [path, needed] = api_path(dependency, mount ? &*mount : nullptr);
    const auto capabilities = co_await client.capabilities_self({path});
    if (!capabilities) {
      complain_of(Error(capabilities.error()).within(path));
      co_return code_of(capabilities.error());
    }
    const auto& have = capabilities->front();
    const auto has = [&have](std::string_view what) {
      return std::find(have.begin(), have.end(), what) != have.end();
    };
    const bool allowed =
        has("root") || has(needed) || (std::string_view(needed) == "update" && has("create"));
    if (!allowed) {
      complain(path + ": no right to " + needed + " it; add to the policy: path \"" + path +
               "\" { capabilities = [\"" + needed + "\"] }");
      code = code == kOk ? kDenied : code;
    } else if (!mount) {
      complain(path + ": no secrets engine there (" + mount.error().text +
               "); mount one, or correct the path");
      code = code == kOk ? kConfig : code;
    } else {
      std::printf("%s: %s allowed\n", path.c_str(), needed);
    }
  }
  co_return code;
}

awaitable<int> check_server(const config::Config& config, vault::Client& client) {
  auto login = auth::make_auth_method(config.auto_auth.method);
  if (!login) {
    complain(login.error().text);
    co_return kConfig;
  }
  if (const auto seen = (*login)->look(); !seen) {
    complain_of(seen.error());
    co_return code_of(seen.error());
  }
  auto auth = co_await (*login)->login(client, {});
  if (!auth) {
    complain_of(auth.error());
    co_return code_of(auth.error());
  }
  client.set_token(auth->token);
  std::printf("logged in at %s by %s\n", client.address().text().c_str(),
              config.auto_auth.method.type.c_str());
  advise_on_token(config, *auth);
  const int code = co_await check_paths(client, wanted(config));
  if ((*login)->owns_token() && auth->type != "batch") co_await client.revoke_self(auth->token);
  co_return code;
}

awaitable<void> into(int& code, const config::Config& config, vault::Client& client) {
  code = co_await check_server(config, client);
}

// Can the program be started at all? 126 or 127 as it would end.
int check_program(const config::Config& config) {
  if (config.exec.command.argv.empty()) return kOk;
  const std::string& name = config.exec.command.argv.front();
  auto found = find_program(name);
  const std::string& folder = config.exec.working_directory;  // it is started from there
  if (found && !folder.empty() && !found->starts_with('/')) found = folder + "/" + *found;
  if (found && access(found->c_str(), X_OK) == 0) return kOk;
  const int error = errno;  // complain() may change it
  complain("exec.command: " + (found ? name + ": " + strerrordesc_np(error) : found.error().text));
  return found ? (error == ENOENT ? 127 : 126) : found.error().status;
}

}  // namespace

int check_online(config::Config& config) {
  if (config.auto_auth.method.used_up_by_login()) {
    complain("the wrapped secret_id would be used up by a login: not tried");
    return kOk;
  }
  config.auto_auth.method.spare_files();
  (void)log::open({.level = log::Level::error, .file = {}, .name = {}});
  boost::asio::io_context context(1);
  vault::Client client(http::make_client(context.get_executor(), client_options(config)),
                       vault::session_options(config));
  int code = kBug;
  std::exception_ptr failure;
  boost::asio::co_spawn(context, into(code, config, client), [&](std::exception_ptr e) {
    failure = std::move(e);
    context.stop();
  });
  context.run();
  if (failure) std::rethrow_exception(failure);
  return code == kOk ? check_program(config) : code;
}

}  // namespace keybearer::cli
