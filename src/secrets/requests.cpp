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

constexpr int kMountDepth = 3;  // parts that the path of a mount is tried with

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
  auto written =
      co_await client_of(context, secret).write(path, body_of(secret), last_moment(secret));
  const bool plain = !secret.wrapped && secret.dependency.kind == Kinds::write;
  if (written || !plain || is_outage(written.error().kind)) co_return written;
  const auto mount = co_await client_of(context, secret).mount_of(path);
  if (!mount || mount->type != "kv" || mount->kv_version != 2) co_return written;
  secret.data_path = with_data(path, mount->path);
  secret.wrapped = true;
  co_return co_await client_of(context, secret).write(secret.data_path, body_of(secret));
}

awaitable<result<vault::Reply>> read(WatchContext& context, const WatchedSecret& secret,
                                     std::string path) {
  const std::string& version = pinned_version(secret);
  co_return co_await client_of(context, secret)
      .read(std::move(path), version.empty() ? std::string{} : "version=" + version,
            last_moment(secret));
}

// Its mount is not known (no right to ask): an answer that names the version decides, and data/ is
// tried behind the first part of the path, then behind the second.
awaitable<result<vault::Reply>> read_by_answer(WatchContext& context, WatchedSecret& secret) {
  const std::string& path = secret.dependency.path;
  auto plain = co_await read(context, secret, path);
  if (plain) secret.data_path = path;  // as it is: no need to know the mount
  if (plain || plain.error().reason != Reason::wrong_kv_version) co_return plain;
  std::size_t slash = path.find('/');
  for (int tries = 0; tries < kMountDepth && slash != std::string::npos; ++tries) {
    const std::string mount = path.substr(0, slash + 1);
    auto found = co_await read(context, secret, with_data(path, mount));
    if (found && kv_version(*found) > 0) secret.data_path = with_data(path, mount);
    const bool elsewhere = !found && (found.error().kind == ErrorKind::denied ||
                                      found.error().reason == Reason::no_mount ||
                                      found.error().reason == Reason::wrong_kv_version);
    if (!elsewhere) co_return found;
    slash = path.find('/', slash + 1);
  }
  co_return plain;
}

void use_mount(WatchedSecret& secret, const vault::Mount& mount) {
  const std::string& path = secret.dependency.path;
  const bool kv2 = mount.type == "kv" && mount.kv_version == 2;
  secret.mount = mount.path;
  secret.data_path = kv2 ? kv2_path(path, mount.path, secret.dependency.kind == Kinds::list) : path;
}

// An empty directory is a list without names; a path that is none of the mount's is not.
result<vault::Reply> list_of(result<vault::Reply> listed) {
  const bool empty = !listed && listed.error().kind == ErrorKind::not_found &&
                     listed.error().reason != Reason::wrong_kv_version;
  if (!empty) return listed;
  Value keys = Value::map();
  keys.set("keys", Value::strings(List{}));
  vault::Reply none;
  none.body = Value::map();
  none.body.set("data", std::move(keys));
  none.asked = Clock::now();
  return none;
}

}  // namespace

Instant last_moment(const WatchedSecret& secret) {
  const auto end = secret.schedule.end();
  if (!end) return Instant::max();
  return *end - std::max<Duration>(2s, (*end - Clock::now()) / 3);
}

awaitable<result<>> resolve_path(WatchContext& context, WatchedSecret& secret) {
  const std::string& path = secret.dependency.path;
  const auto mount = co_await client_of(context, secret).mount_of(path);
  if (!mount) {
    if (is_outage(mount.error().kind)) co_return std::unexpected(mount.error());
    co_return result<>{};  // asked again next time
  }
  use_mount(secret, *mount);
  co_return result<>{};
}

namespace {

awaitable<result<vault::Reply>> fetch_once(WatchContext& context, WatchedSecret& secret) {
  switch (secret.dependency.kind) {
    case Kinds::write:
    case Kinds::pki:
      return write(context, secret);
    case Kinds::list:
      return client_of(context, secret).list(path_of(secret));
    default:
      if (secret.data_path.empty()) return read_by_answer(context, secret);
      return read(context, secret, secret.data_path);
  }
}

// Where the path is taken as the API's for its data/ or metadata/, a server may say no because it
// is not.
bool may_be_elsewhere(Assumed assumed, const Error& error) {
  if (assumed == Assumed::no) return false;
  if (error.reason == Reason::wrong_kv_version || error.status == 405) return true;
  return assumed == Assumed::unlikely &&
         (error.kind == ErrorKind::not_found || error.kind == ErrorKind::denied);
}

awaitable<result<vault::Reply>> fetch_from_mount(WatchContext& context, WatchedSecret& secret) {
  auto reply = co_await fetch_once(context, secret);
  if (reply || !may_be_elsewhere(secret.assumed, reply.error())) co_return reply;
  const auto mount = co_await client_of(context, secret).mount_of(secret.dependency.path);
  if (!mount) co_return reply;  // asked again next time
  secret.assumed = Assumed::no;
  const std::string before = secret.data_path;
  use_mount(secret, *mount);
  if (secret.data_path == before) co_return reply;
  co_return co_await fetch_once(context, secret);
}

}  // namespace

awaitable<result<vault::Reply>> fetch(WatchContext& context, WatchedSecret& secret) {
  auto reply = co_await fetch_from_mount(context, secret);
  co_return secret.dependency.kind == Kinds::list ? list_of(std::move(reply)) : std::move(reply);
}

}  // namespace keybearer::secrets
