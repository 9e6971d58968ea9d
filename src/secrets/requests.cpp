#include "secrets/requests.hpp"

#include <algorithm>

#include "json/json.hpp"
#include "secrets/classify.hpp"

namespace keybearer::secrets {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using Kinds = tmpl::Dependency::Kind;

namespace {

Secret body_of(const WatchedSecret& secret) {
  Value pairs = Value::map();
  for (const auto& [key, value] : secret.dependency.args) pairs.set(key, Value(value));
  if (!secret.wrapped) return Secret(json::write(pairs));
  Value body = Value::map();
  body.set("data", std::move(pairs));
  return Secret(json::write(body));
}

const std::string& path_of(const WatchedSecret& secret) {
  return secret.data_path.empty() ? secret.dependency.path : secret.data_path;
}

// KV v2 wants data/ in the path and the pairs below "data"; whether it is one is only asked when
// the server did not like them plain.
awaitable<result<vault::Reply>> write(WatchContext& context, WatchedSecret& secret) {
  const std::string path = path_of(secret);
  auto written = co_await context.client.write(path, body_of(secret), last_moment(secret));
  const bool plain = !secret.wrapped && secret.dependency.kind == Kinds::write;
  if (written || !plain || is_outage(written.error().kind)) co_return written;
  const auto mount = co_await context.client.mount_of(path);
  if (!mount || mount->type != "kv" || mount->kv_version != 2) co_return written;
  secret.data_path = with_data(path, mount->path);
  secret.wrapped = true;
  co_return co_await context.client.write(secret.data_path, body_of(secret));
}

awaitable<result<vault::Reply>> read(WatchContext& context, const WatchedSecret& secret,
                                     std::string path) {
  const std::string& version = pinned_version(secret);
  co_return co_await context.client.read(
      std::move(path), version.empty() ? std::string{} : "version=" + version, last_moment(secret));
}

// An empty folder is a list without names.
awaitable<result<vault::Reply>> list(WatchContext& context, std::string path) {
  auto listed = co_await context.client.list(std::move(path));
  if (!listed && listed.error().kind == ErrorKind::not_found) co_return vault::Reply{};
  co_return listed;
}

}  // namespace

const std::string& pinned_version(const WatchedSecret& secret) {
  return secret.dependency.version.empty() ? secret.rule.version : secret.dependency.version;
}

Instant last_moment(const WatchedSecret& secret) {
  const auto end = secret.schedule.end();
  if (!end) return Instant::max();
  return *end - std::max<Duration>(2s, (*end - Clock::now()) / 3);
}

awaitable<result<>> resolve_path(WatchContext& context, WatchedSecret& secret) {
  const std::string& path = secret.dependency.path;
  const auto mount = co_await context.client.mount_of(path);
  if (!mount) {
    if (is_outage(mount.error().kind)) co_return std::unexpected(mount.error());
    co_return result<>{};  // asked again next time
  }
  secret.mount = mount->path;
  const bool kv2 = mount->type == "kv" && mount->kv_version == 2;
  const bool list = secret.dependency.kind == Kinds::list;
  if (!kv2)
    secret.data_path = path;
  else if (list)
    secret.data_path =
        mount->path + "metadata/" + path.substr(std::min(path.size(), mount->path.size()));
  else
    secret.data_path = with_data(path, mount->path);
  co_return result<>{};
}

awaitable<result<vault::Reply>> fetch(WatchContext& context, WatchedSecret& secret) {
  switch (secret.dependency.kind) {
    case Kinds::write:
    case Kinds::pki:
      return write(context, secret);
    case Kinds::list:
      return list(context, path_of(secret));
    default:
      return read(context, secret, path_of(secret));
  }
}

}  // namespace keybearer::secrets
