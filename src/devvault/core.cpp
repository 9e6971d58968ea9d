#include "devvault/core.hpp"

#include <algorithm>
#include <cctype>

#include "json/json.hpp"

namespace keybearer::devvault {
namespace {

// %2F and friends; query strings have + for a blank too.
std::string unescape(std::string_view text, bool query) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto hex = [&](std::size_t at) {
      return at < text.size() && std::isxdigit(static_cast<unsigned char>(text[at]));
    };
    if (text[i] == '%' && hex(i + 1) && hex(i + 2)) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

// ?list=true&version=2
Value parse_query(std::string_view text) {
  Value out = Value::map();
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    out.set(unescape(pair.substr(0, equals), true),
            Value(unescape(pair.substr(std::min(equals + 1, pair.size())), true)));
  }
  return out;
}

std::optional<Operation> operation_of(std::string_view method, const Value& query) {
  if (method == "LIST") return Operation::list;
  if (method == "GET" || method == "HEAD")
    return text_at(query, "list") == "true" ? Operation::list : Operation::read;
  if (method == "POST" || method == "PUT") return Operation::update;
  if (method == "DELETE") return Operation::remove;
  if (method == "PATCH") return Operation::patch;
  return {};
}

std::string token_of(const http::ServerRequest& request) {
  if (const auto token = request.header("X-Vault-Token"); !token.empty()) return std::string(token);
  const auto bearer = request.header("Authorization");
  return bearer.starts_with("Bearer ") ? std::string(bearer.substr(7)) : std::string();
}

// Paths that need sudo besides the right to use them (Vault documentation "Root-protected API
// endpoints").
bool needs_sudo(std::string_view path) {
  for (const std::string_view prefix :
       {"auth/token/accessors", "auth/token/create-orphan", "auth/token/revoke-orphan",
        "sys/leases/revoke-prefix", "sys/leases/revoke-force", "sys/leases/lookup/",
        "sys/revoke-prefix", "sys/seal"}) {
    if (path.starts_with(prefix)) return true;
  }
  return false;
}

// Only the root namespace answers.
bool is_of_the_root(std::string_view path) {
  return path == "sys/health" || path == "sys/init" || path == "sys/seal" || path == "sys/unseal";
}

// What a token does to itself, in whatever namespace it asks.
bool is_self_service(std::string_view path) {
  return path == "auth/token/lookup-self" || path == "auth/token/renew-self" ||
         path == "auth/token/revoke-self";
}

}  // namespace

Core::Core(const std::string& root_token, WallTime now) : cluster_id_(random_uuid()) {
  Token root{.id = root_token, .path = "auth/token/root", .display_name = "root"};
  root.policies = {"root"};
  root.renewable = false;
  root.max_ttl = Seconds(0);
  store_.add_token(std::move(root), now);

  const Value two = object({{"version", "2"}});
  mounts_["secret/"] = {"kv", two, "key/value secret storage", "kv_" + random_text(8), make_kv2()};
  mount_own();
}

Core::Core(Core& parent, const std::string& name)
    : parent_(&parent),
      path_(parent.path_ + name + "/"),
      id_(random_text(6)),
      store_("." + id_),
      cluster_id_(parent.cluster_id_) {
  mount_own();
}

void Core::mount_own() {
  const Value none = Value::map();
  mounts_["auth/token/"] = {"token", none, "token based credentials",
                            "auth_token_" + random_text(8), make_token_auth(store_)};
  mounts_["sys/"] = {"system", none, "system endpoints used for control, policy and debugging",
                     "system_" + random_text(8), nullptr};
}

std::unique_ptr<Engine> Core::make_engine(const std::string& type, const Value& options,
                                          const std::string& at) {
  if (type == "kv" || type == "generic")
    return text_at(options, "version") == "2" ? make_kv2() : make_kv1();
  if (type == "kv-v2") return make_kv2();
  if (type == "database") return make_database(store_);
  if (type == "approle") return make_approle(store_, at);
  return nullptr;
}

void Core::sweep(WallTime now) {
  store_.sweep(now);
  for (const auto& [name, child] : children_) child->sweep(now);
}

Core* Core::below(std::string_view name) {
  Core* found = this;
  for (std::string_view rest = name; found != nullptr && !rest.empty();) {
    const std::string part = take_segment(rest);
    if (part.empty()) continue;  // "/team-a/"
    const auto it = found->children_.find(part);
    found = it == found->children_.end() ? nullptr : it->second.get();
  }
  return found;
}

Core& Core::enter(std::string& path) {
  std::string_view rest = path;
  const auto it = children_.find(take_segment(rest));
  if (it == children_.end()) return *this;
  path = std::string(rest);
  return it->second->enter(path);
}

template <class Has>
Core* Core::holder(const Has& has) {
  if (has(store_)) return this;
  for (const auto& [name, child] : children_) {
    if (Core* const found = child->holder(has)) return found;
  }
  return nullptr;
}

// A lease is renewed and revoked in its own namespace, and so is a token by itself.
Core& Core::meant_by(const Call& call, const std::string& token) {
  Core* found = nullptr;
  if (is_self_service(call.path)) {
    found = root().holder([&token](Store& store) { return store.token(token) != nullptr; });
  } else if (call.path.starts_with("sys/leases/")) {
    const std::string id(text_at(call.body, "lease_id"));
    found = holder([&id](Store& store) { return store.lease(id) != nullptr; });
  }
  return found == nullptr ? *this : *found;
}

Capabilities Core::granted(const Token& token, std::string_view path) {
  for (Core* space = this; space != nullptr; space = space->parent_) {
    if (space->store_.token(token.id) != &token) continue;
    return space->store_.capabilities(token, path_.substr(space->path_.size()) + std::string(path));
  }
  return {"deny"};  // of another namespace, or of one below
}

bool Core::may_touch(const Token& token, std::string_view mount) {
  for (Core* space = this; space != nullptr; space = space->parent_) {
    if (space->store_.token(token.id) != &token) continue;
    return token.is_root() || touches_mount(space->store_.policies_of(token),
                                            path_.substr(space->path_.size()) + std::string(mount));
  }
  return false;
}

Core::Route Core::route(std::string_view path) {
  Route found;
  for (auto& [at, mounted] : mounts_) {
    const bool whole = path == std::string_view(at).substr(0, at.size() - 1);
    if ((path.starts_with(at) || whole) && at.size() > found.mount.size()) {
      found = {at, &mounted, std::string(whole ? std::string_view() : path.substr(at.size()))};
    }
  }
  return found;
}

void Core::use(Token& token) {
  if (token.num_uses > 0 && --token.num_uses == 0) token.num_uses = -1;  // ends after this request
}

bool Core::allowed(const Call& call, const Token& token) {
  const auto caps = granted(token, call.operation == Operation::list && !call.path.ends_with('/')
                                       ? call.path + "/"
                                       : call.path);
  if (caps.contains("root")) return true;
  if (needs_sudo(call.path) && !caps.contains("sudo")) return false;
  switch (call.operation) {
    case Operation::read:
      return caps.contains("read");
    case Operation::list:
      return caps.contains("list") || granted(token, call.path).contains("list");
    case Operation::remove:
      return caps.contains("delete");
    case Operation::patch:
      return caps.contains("patch");
    case Operation::update:
      break;
  }
  const Route to = route(call.path);
  const bool exists = to.to == nullptr || !to.to->engine || to.to->engine->exists(to.path);
  return caps.contains(exists ? "update" : "create");
}

Answer Core::dispatch(const Call& call) {
  const Route to = route(call.path);
  if (to.mount == "sys/") return sys(call, to.path);
  if (to.to == nullptr)
    return refuse(404, "no handler for route \"" + call.path + "\". route entry not found.");
  return to.to->engine->handle(call, to.path);
}

Answer Core::answer(Call& call, const http::ServerRequest& request) {
  if (parent_ != nullptr && is_of_the_root(call.path))
    return refuse(400, "operation unavailable in namespaces");
  if (call.path.starts_with("sys/")) {
    Answer open = open_sys(call, call.path.substr(4));
    if (open.status != 0) return open;
  }
  if (root().sealed_) return refuse(503, "Vault is sealed");
  const Route to = route(call.path);
  if (to.to != nullptr && to.to->engine && to.to->engine->is_login(to.path))
    return to.to->engine->handle(call, to.path);

  const std::string id = token_of(request);
  if (call.path == "sys/wrapping/lookup" ||
      (call.path == "sys/wrapping/unwrap" && root().wrapped_.contains(id))) {
    if (text_at(call.body, "token").empty()) {
      if (!call.body.is_map()) call.body = Value::map();
      call.body.set("token", Value(id));
    }
    return wrapping(call, call.path.substr(13));
  }
  if (Core* const home = root().holder([&id](Store& s) { return s.token(id) != nullptr; }))
    call.token = home->store_.token(id);
  if (call.token == nullptr) {
    // an unknown token here is most often a wrapping token that was used before
    return call.path == "sys/wrapping/unwrap"
               ? refuse(400, "wrapping token is not valid or does not exist")
               : denied();
  }
  use(*call.token);
  if (call.path.starts_with("sys/internal/ui/mounts/")) return dispatch(call);  // decides by itself
  if (!allowed(call, *call.token))
    return refuse(403, "1 error occurred:\n\t* permission denied\n\n");
  return dispatch(call);
}

http::ServerResponse Core::handle(const http::ServerRequest& request, WallTime now) {
  sweep(now);
  std::erase_if(wrapped_, [now](const auto& wrapped) { return wrapped.second.expires <= now; });
  const std::string_view target = request.target;
  const std::string_view path = target.substr(0, target.find('?'));
  const Value query = parse_query(target.substr(std::min(path.size() + 1, target.size())));
  Call call{.operation = Operation::read, .path = {}, .body = query, .now = now};
  const auto operation = operation_of(request.method, query);
  if (!operation) return finish(call, unsupported(), request);
  if (!path.starts_with("/v1/")) return finish(call, nothing_there(), request);
  call.operation = *operation;
  call.path = unescape(path.substr(4), false);
  if (call.operation == Operation::patch) {
    const auto type = request.header("Content-Type");
    if (type.empty()) return finish(call, refuse(400, "mime: no media type"), request);
    if (type != "application/merge-patch+json") {
      return finish(call,
                    refuse(415, "PATCH requires Content-Type of application/merge-patch+json"),
                    request);
    }
  }
  const bool writes = call.operation == Operation::update || call.operation == Operation::patch;
  if (writes && !request.body.empty()) {
    auto body = json::parse(request.body.reveal());
    if (!body || !(body->is_map() || body->is_nil()))
      return finish(call, refuse(400, "error parsing JSON"), request);
    call.body = std::move(*body);
  }
  if (!call.body.is_map()) call.body = Value::map();
  const auto named = request.header("X-Vault-Namespace");
  if (!named.empty() && is_of_the_root(call.path))
    return finish(call, refuse(400, "operation unavailable in namespaces"), request);
  Core* const space = below(named);
  if (space == nullptr) return finish(call, refuse(404, "namespace not found"), request);
  Core& entered = space->enter(call.path);
  Core& meant = entered.meant_by(call, token_of(request));
  return meant.serve(std::move(call), request);
}

http::ServerResponse Core::serve(Call call, const http::ServerRequest& request) {
  const Answer answered = answer(call, request);
  return finish(call, answered, request);
}

http::ServerResponse Core::finish(const Call& call, const Answer& answer,
                                  const http::ServerRequest& request) {
  http::ServerResponse response{.status = answer.status,
                                .headers = {{"Cache-Control", "no-store"}}};
  Value wrap_header = Value::map();
  wrap_header.set("ttl", Value(request.header("X-Vault-Wrap-TTL")));
  const auto ttl = duration_at(wrap_header, "ttl");
  const bool unwrapping =
      call.path.starts_with("sys/wrapping/") && call.path != "sys/wrapping/wrap";
  if (ttl && *ttl > Seconds(0) && answer.status == 200 && !answer.bare && !unwrapping) {
    Answer around;
    response.body = Secret(body_of(around, "", wrap(call, answer, *ttl)));
  } else if (call.path == "sys/wrapping/unwrap" && answer.bare && answer.status == 200) {
    response.body = Secret(answer.data.as_text());
  } else {
    response.body = Secret(body_of(answer, random_uuid()));
  }
  return response;
}

Value Core::wrap(const Call& call, const Answer& answer, Seconds ttl) {
  const std::string token = "hvs." + random_text(91);
  root().wrapped_[token] = {body_of(answer, random_uuid()), call.path, call.now, call.now + ttl,
                            ttl};
  Value info = object({{"token", token},
                       {"accessor", random_text(24)},
                       {"ttl", number(ttl)},
                       {"creation_time", rfc3339(call.now)},
                       {"creation_path", call.path}});
  if (!answer.wrapped_accessor.empty()) info.set("wrapped_accessor", answer.wrapped_accessor);
  return info;
}

Answer Core::as_root(Operation operation, const std::string& path, const Value& body,
                     WallTime now) {
  Call call{.operation = operation, .path = path, .body = body, .now = now};
  for (const auto& [id, token] : store_.tokens()) {
    if (token->is_root()) call.token = token.get();
  }
  return dispatch(call);
}

}  // namespace keybearer::devvault
