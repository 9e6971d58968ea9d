#include "cli/online.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

#include "base/exit_code.hpp"
#include "cli/fetch.hpp"
#include "cli/session.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"
#include "process/spawn.hpp"
#include "render/renderer.hpp"
#include "render/value.hpp"
#include "vault/hints.hpp"

namespace keybearer::cli {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;
using Kind = tmpl::Dependency::Kind;

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

// The first failure decides the exit code; a later one does not hide it.
class Findings {
 public:
  void add(int code, const std::string& text) {
    complain(text);
    if (code_ == kOk) code_ = code;
  }
  [[nodiscard]] int code() const { return code_; }

 private:
  int code_ = kOk;
};

std::string policy(const std::string& path, std::string_view capability) {
  return "path \"" + config::escaped(path) + "\" { capabilities = [\"" + std::string(capability) +
         "\"] }";
}

bool must_be_written(const vault::Mount& mount, const tmpl::Dependency& dependency) {
  const std::string_view rest =
      std::string_view(dependency.path).substr(std::min(mount.path.size(), dependency.path.size()));
  return dependency.kind == Kind::read && mount.type == "pki" &&
         (rest.starts_with("issue/") || rest.starts_with("sign/"));
}

// What a secret is found to be, for the second look at what is static.
struct Seen {
  std::string path;  // as the API has it
  bool is_static = false;
};

class OnlineCheck {
 public:
  OnlineCheck(const config::Config& config, vault::Client& client)
      : config_(config), client_(client) {}

  awaitable<int> run() {
    auto renderer = render::Renderer::make(config_);
    if (!renderer) co_return kTemplate;  // said before
    const auto nothing_missing = [this](const tmpl::Dependency& dependency) {
      return seen_.contains(dependency.id) && seen_[dependency.id].is_static;
    };
    std::vector<std::pair<tmpl::Dependency, Error>> failed;
    // Each pass finds more paths, when one is made of another secret's value.
    for (;;) {
      const auto evaluation =
          co_await evaluate_all(client_, *renderer, source_, nothing_missing, failed);
      bool more = false;
      for (const tmpl::Dependency& dependency : evaluation.missing) {
        if (dependency.kind == Kind::file || seen_.contains(dependency.id)) continue;
        if (const auto stop = co_await look_at(dependency); stop) co_return *stop;
        more = more || seen_[dependency.id].is_static;
      }
      if (more) continue;
      tell_failures(failed);
      tell_missing_keys(evaluation);
      break;
    }
    co_await look_at_revocation();
    co_return findings_.code();
  }

 private:
  // An exit code when nothing more can be asked.
  awaitable<std::optional<int>> look_at(const tmpl::Dependency& dependency) {
    vault::Client& client = client_for(client_, source_.rules(), dependency);
    const auto mount = co_await client.mount_of(dependency.path);
    const auto [path, needed] = api_path(dependency, mount ? &*mount : nullptr);
    Seen& seen = seen_[dependency.id];
    seen.path = path;
    const auto capabilities = co_await client.capabilities_self({path});
    if (!capabilities) {
      complain_of(Error(capabilities.error()).within(path));
      co_return exit_code_of(capabilities.error());
    }
    if (!mount) {
      findings_.add(kConfig, path + ": no secrets engine there (" + mount.error().text + ")" +
                                 (path.starts_with("v1/") ? hint(mount.error())
                                                          : "; mount one, or correct the path"));
    } else if (must_be_written(*mount, dependency)) {
      findings_.add(kNotReady, path + ": this path must be written: secret \"" + path +
                                   "\" \"common_name=...\", or [[secret]] with data");
    } else if (!allowed(capabilities->front(), needed)) {
      findings_.add(kDenied, path + ": no capability \"" + needed +
                                 "\" there; add to the policy: " + policy(path, needed));
    } else {
      seen.is_static = mount->type == "kv" && dependency.kind != Kind::write;
      leased_ = leased_ || !seen.is_static;
      if (!seen.is_static) std::printf("%s: %s allowed\n", config::escaped(path).c_str(), needed);
    }
    co_return std::nullopt;
  }

  static bool allowed(const std::vector<std::string>& have, std::string_view needed) {
    const auto has = [&have](std::string_view what) {
      return std::ranges::find(have, what) != have.end();
    };
    return has("root") || has(needed) || (needed == "update" && has("create"));
  }

  void tell_failures(const std::vector<std::pair<tmpl::Dependency, Error>>& failed) {
    for (const auto& [dependency, error] : failed) {
      missing_.insert(dependency.id);
      if (is_optional(dependency)) {
        std::printf("%s: not there (optional)\n", seen_[dependency.id].path.c_str());
      } else {
        findings_.add(exit_code_of(error),
                      error.text + (error.kind == ErrorKind::not_found
                                        ? "; write the secret, or correct the path"
                                        : ""));
      }
    }
  }

  bool is_optional(const tmpl::Dependency& dependency) const {
    return std::ranges::any_of(config_.secrets, [&](const config::SecretRule& rule) {
      return (rule.optional || !rule.enabled) &&
             config::plain_path(rule.path) == config::plain_path(dependency.path);
    });
  }

  void tell_missing_keys(const render::Evaluation& evaluation) {
    for (const Error& error : evaluation.errors)
      findings_.add(error.kind == ErrorKind::not_found ? kNotReady : kTemplate, error.text);
    for (const auto& [id, seen] : seen_) {
      if (!seen.is_static || missing_.contains(id)) continue;
      tmpl::Dependency dependency;
      dependency.id = id;
      const Value* answer = source_.find(dependency);
      if (answer == nullptr) continue;
      if (!answer->is_map()) {
        std::printf("%s: list allowed\n", config::escaped(seen.path).c_str());
        continue;
      }
      std::string keys;
      const Value& data = render::data_of(*answer);
      if (data.is_map()) {
        for (const auto& [key, value] : data.entries())
          keys += " " + config::escaped(key.as_text());
      }
      std::printf("%s: read allowed, there, keys%s\n", config::escaped(seen.path).c_str(),
                  keys.empty() ? " none" : keys.c_str());
    }
  }

  // Without it, a lease that is replaced lives until it ends by itself.
  awaitable<void> look_at_revocation() {
    const bool wanted =
        config_.lease.revoke_replaced || config_.lease.revoke_on_exit.value_or(true);
    if (!leased_ || !wanted) co_return;
    const std::string path = "sys/leases/revoke";
    const auto capabilities = co_await client_.capabilities_self({path});
    if (!capabilities || allowed(capabilities->front(), "update")) co_return;
    complain("warning: " + path +
             ": no capability \"update\" there: a replaced lease lives until it ends; add to the "
             "policy: " +
             policy(path, "update"));
  }

  const config::Config& config_;
  vault::Client& client_;
  FetchedSource source_{config_};
  Findings findings_;
  std::map<std::string, Seen> seen_;  // by id
  std::set<std::string> missing_;
  bool leased_ = false;
};

// Can the program be started at all? 126 or 127 as it would end.
int check_program(const config::Config& config) {
  if (config.exec.command.argv.empty()) return kOk;
  const std::string& name = config.exec.command.argv.front();
  auto found = find_program(name);
  const std::string& directory = config.exec.working_directory;  // it is started from there
  if (found && !directory.empty() && !found->starts_with('/')) found = directory + "/" + *found;
  if (found && access(found->c_str(), X_OK) == 0) return kOk;
  const int error = errno;  // complain() may change it
  complain("exec.command: " +
           (found ? config::escaped(name) + ": " + strerrordesc_np(error) : found.error().text));
  return found ? (error == ENOENT ? kProgramNotFound : kNotExecutable) : found.error().status;
}

awaitable<int> check_session(const config::Config& config, vault::Client& client,
                             const vault::Auth& auth) {
  std::printf("logged in at %s by %s\n", client.address().text().c_str(),
              config.auto_auth.method.type.c_str());
  advise_on_token(config, auth);
  OnlineCheck check(config, client);
  co_return co_await check.run();
}

}  // namespace

int check_online(config::Config& config) {
  if (config.auto_auth.method.used_up_by_login()) {
    complain("the wrapped secret_id would be used up by a login: not tried");
    return kOk;
  }
  const int code = with_login(config, [&](vault::Client& client, const vault::Auth& auth) {
    return check_session(config, client, auth);
  });
  return code == kOk ? check_program(config) : code;
}

}  // namespace keybearer::cli
