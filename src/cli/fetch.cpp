#include "cli/fetch.hpp"

#include <algorithm>

#include "json/json.hpp"
#include "render/value.hpp"
#include "secrets/classify.hpp"

namespace keybearer::cli {

using boost::asio::awaitable;
using Kind = tmpl::Dependency::Kind;

std::pair<std::string, const char*> api_path(const tmpl::Dependency& dependency,
                                             const vault::Mount* mount) {
  const bool kv2 = mount != nullptr && mount->type == "kv" && mount->kv_version == 2;
  std::string path = dependency.path;
  if (kv2 && (dependency.kind == Kind::list || dependency.kind == Kind::read))
    path = secrets::kv2_path(path, mount->path, dependency.kind == Kind::list);
  if (dependency.kind == Kind::list) return {path, "list"};
  return {path, dependency.kind == Kind::read ? "read" : "update"};
}

vault::Client& client_for(vault::Client& client, const secrets::Rules& rules,
                          const tmpl::Dependency& dependency) {
  return client.in_namespace(rules.namespace_of(dependency));
}

const Value* FetchedSource::find(const tmpl::Dependency& dependency) {
  const auto at = answers_.find(dependency.id);
  return at == answers_.end() ? nullptr : &at->second;
}

std::uint64_t FetchedSource::generation(const tmpl::Dependency& dependency) const {
  return answers_.contains(dependency.id) ? 1 : 0;
}

tmpl::DataSource::Absence FetchedSource::absence(const tmpl::Dependency& dependency) const {
  const auto at = absent_.find(dependency.id);
  return at == absent_.end() ? Absence::pending : at->second;
}

const std::string& FetchedSource::path_of(const tmpl::Dependency& dependency) const {
  const auto at = paths_.find(dependency.id);
  return at == paths_.end() ? dependency.path : at->second;
}

awaitable<result<>> FetchedSource::fetch(vault::Client& session,
                                         const tmpl::Dependency& dependency) {
  const auto vault_namespace = rules_.namespace_of(dependency);
  vault::Client& client = session.in_namespace(vault_namespace);
  const auto mount = co_await client.mount_of(dependency.path);
  const auto [path, needed] = api_path(dependency, mount ? &*mount : nullptr);
  paths_[dependency.id] = path;
  result<vault::Reply> reply = fail(ErrorKind::refused, "");
  // "kv/app" and "kv/data/app" are one secret, read once.
  const bool is_read = dependency.kind == Kind::read;
  const std::string read_key =
      path + "?" + dependency.version + "\n" + vault_namespace.value_or("");
  if (const auto known = ids_.find(read_key); is_read && known != ids_.end()) {
    answers_[dependency.id] = answers_[known->second];
    co_return result<>{};
  }
  if (is_read) {
    reply = co_await client.read(path,
                                 dependency.version.empty() ? "" : "version=" + dependency.version);
  } else if (dependency.kind == Kind::list) {
    reply = co_await client.list(path);
  } else if (dependency.kind == Kind::write) {
    Secret body("{");
    for (const auto& [key, value] : dependency.args) {
      if (body.size() > 1) body.push_back(',');
      body.append(json::write(Value(key)));
      body.push_back(':');
      body.append(json::write(Value(value)));
    }
    body.push_back('}');
    reply = co_await client.write(path, std::move(body));
  } else {
    reply = fail(ErrorKind::refused, path + ": is not asked for here");
  }
  if (!reply) {
    const bool denied = reply.error().kind == ErrorKind::denied;
    if (denied || reply.error().kind == ErrorKind::not_found)
      absent_[dependency.id] = denied ? Absence::denied : Absence::absent;
    co_return std::unexpected(std::move(reply.error()));
  }
  if (dependency.kind == Kind::list) {
    const Value* keys = reply->data().find("keys");
    answers_[dependency.id] = keys != nullptr ? *keys : Value();
  } else {
    answers_[dependency.id] = std::move(reply->body);
    if (is_read) ids_[read_key] = dependency.id;
  }
  co_return result<>{};
}

awaitable<render::Evaluation> evaluate_all(
    vault::Client& client, render::Renderer& renderer, FetchedSource& source,
    std::function<bool(const tmpl::Dependency&)> wanted,
    std::vector<std::pair<tmpl::Dependency, Error>>& failed) {
  constexpr int kMostRounds = 100;  // a path that is made of another secret's value needs one more
  std::set<std::string> asked;
  for (int round = 0;; ++round) {
    render::Evaluation evaluation = renderer.evaluate(source, false);
    bool more = false;
    for (const tmpl::Dependency& dependency : evaluation.missing) {
      if (!wanted(dependency) || !asked.insert(dependency.id).second) continue;
      auto fetched = co_await source.fetch(client, dependency);
      if (fetched)
        more = true;
      else
        failed.emplace_back(dependency, std::move(fetched.error()));
    }
    if (!more || round == kMostRounds) co_return evaluation;
  }
}

}  // namespace keybearer::cli
