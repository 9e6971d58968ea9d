// sys/: health, seal, mounts, policies, capabilities, leases, wrapping. Vault API: "System
// backend".

#include <algorithm>

#include "devvault/core.hpp"

namespace keybearer::devvault {
namespace {

constexpr std::string_view kVersion = "devvault-" KEYBEARER_VERSION;

// The same members twice, as some sys answers have them: at the top and in "data".
Answer twice(const Value& data) {
  Value top = data.deep_copy();
  top.set("data", data);
  top.set("request_id", random_uuid());
  top.set("lease_id", "");
  top.set("renewable", false);
  top.set("lease_duration", number(0));
  for (const char* name : {"wrap_info", "warnings", "auth"}) top.set(name, Value());
  return {.data = std::move(top), .bare = true};
}

}  // namespace

Value Core::seal_status() {
  return object({{"type", "shamir"},
                 {"initialized", true},
                 {"sealed", root().sealed_},
                 {"t", number(1)},
                 {"n", number(1)},
                 {"progress", number(0)},
                 {"nonce", ""},
                 {"version", kVersion},
                 {"migration", false},
                 {"recovery_seal", false},
                 {"storage_type", "inmem"}});
}

Answer Core::health(const Call& call) const {
  Value body = object({{"initialized", true},
                       {"sealed", sealed_},
                       {"standby", sealed_},
                       {"performance_standby", sealed_},
                       {"replication_performance_mode", sealed_ ? "unknown" : "disabled"},
                       {"replication_dr_mode", sealed_ ? "unknown" : "disabled"},
                       {"server_time_utc", number(epoch(call.now))},
                       {"version", kVersion}});
  if (!sealed_) {
    body.set("cluster_name", "devvault");
    body.set("cluster_id", cluster_id_);
  }
  const auto code = int_at(call.body, sealed_ ? "sealedcode" : "activecode", sealed_ ? 503 : 200);
  return {.status = static_cast<int>(code), .data = std::move(body), .bare = true};
}

Answer Core::open_sys(const Call& call, const std::string& path) {
  if (path == "health" && call.operation == Operation::read) return health(call);
  if (path == "seal-status" && call.operation == Operation::read)
    return {.data = seal_status(), .bare = true};
  if (path == "init" && call.operation == Operation::read)
    return {.data = object({{"initialized", true}}), .bare = true};
  if (path == "leader" && call.operation == Operation::read) {
    return {.data = object({{"ha_enabled", false}, {"is_self", false}, {"leader_address", ""}}),
            .bare = true};
  }
  if (path == "unseal" && call.operation == Operation::update) {
    if (text_at(call.body, "key").empty())
      return refuse(400, "'key' must be specified in request body as JSON, or 'reset' set to true");
    sealed_ = false;
    return {.data = seal_status(), .bare = true};
  }
  return {.status = 0};  // not one of these
}

Answer Core::sys(const Call& call, std::string_view path) {
  const std::string whole(path);
  const std::string kind = take_segment(path);
  if (kind == "seal" && call.operation == Operation::update) {
    sealed_ = true;
    return done();
  }
  if (kind == "mounts") return mounts(call, false, path);
  if (kind == "auth") return mounts(call, true, path);
  if (kind == "namespaces") return namespaces(call, std::string(path));
  if (whole.starts_with("policies/acl"))
    return policy(call, true, whole.size() > 13 ? whole.substr(13) : "");
  if (kind == "policy") return policy(call, false, std::string(path));
  if (whole.starts_with("internal/ui/mounts/")) return ui_mount(call, path.substr(10));
  if (kind.starts_with("capabilities")) return capabilities(call, kind);
  if (kind == "leases") return leases(call, path);
  if (kind == "renew" && call.operation == Operation::update) {
    return renew_lease(
        call, path.empty() ? std::string(text_at(call.body, "lease_id")) : std::string(path));
  }
  if (kind == "revoke" || kind == "revoke-prefix") return leases(call, whole);
  if (kind == "wrapping" && call.operation == Operation::update)
    return wrapping(call, std::string(path));
  return nothing_there();
}

Answer Core::mounts(const Call& call, bool auth, std::string_view path) {
  if (path.empty()) {
    if (call.operation != Operation::read) return unsupported();
    Value out = Value::map();
    for (const auto& [at, m] : mounts_) {
      if (at.starts_with("auth/") != auth) continue;
      out.set(auth ? at.substr(5) : at,
              object({{"accessor", m.accessor},
                      {"config", object({{"default_lease_ttl", number(0)},
                                         {"force_no_cache", false},
                                         {"max_lease_ttl", number(0)}})},
                      {"description", m.description},
                      {"external_entropy_access", false},
                      {"local", false},
                      {"options", m.options.size() == 0 ? Value() : m.options},
                      {"seal_wrap", false},
                      {"type", m.type},
                      {"uuid", m.accessor}}));
    }
    return twice(out);
  }
  std::string at = (auth ? "auth/" : "") + std::string(path);
  if (at.ends_with("/tune")) {
    at.resize(at.size() - 4);
    const auto it = mounts_.find(at);
    if (it == mounts_.end()) return refuse(400, "cannot fetch sysview for path \"" + at + "\"");
    if (call.operation == Operation::update && it->second.type == "approle")
      return it->second.engine->handle(call, "tune");
    return call.operation == Operation::update
               ? done()
               : ok(object({{"default_lease_ttl", number(kDefaultTtl)},
                            {"max_lease_ttl", number(kDefaultTtl)}}));
  }
  if (!at.ends_with('/')) at += '/';
  return mount(call, auth, at);
}

Answer Core::mount(const Call& call, bool auth, const std::string& at) {
  if (call.operation == Operation::remove) {
    store_.revoke_leases_below(at);
    if (auth) store_.revoke_tokens_below(at);
    mounts_.erase(at);
    return done();
  }
  if (call.operation != Operation::update) return unsupported();
  const bool taken = std::ranges::any_of(
      mounts_, [&at](const auto& m) { return at.starts_with(m.first) || m.first.starts_with(at); });
  if (taken) return refuse(400, "path is already in use at " + (auth ? at.substr(5) : at));
  std::string type(text_at(call.body, "type"));
  Value options = value_at(call.body, "options");
  if (!options.is_map()) options = Value::map();
  auto engine = make_engine(type, options, at);
  if (!engine || (type == "approle") != auth) {
    return refuse(400, "plugin not found in the catalog: " + type +
                           " (this is devvault: kv, database, approle)");
  }
  if (type == "kv-v2") {
    type = "kv";
    options.set("version", "2");
  }
  mounts_[at] = {type, options, std::string(text_at(call.body, "description")),
                 type + "_" + random_text(8), std::move(engine)};
  return done();
}

Answer Core::namespaces(const Call& call, const std::string& name_given) {
  const std::string name =
      name_given.ends_with('/') ? name_given.substr(0, name_given.size() - 1) : name_given;
  const auto described = [](const Core& space) {
    return object({{"custom_metadata", Value::map()},
                   {"id", space.id_},
                   {"locked", false},
                   {"path", space.path_},
                   {"tainted", false}});
  };
  if (call.operation == Operation::list) {
    List keys;
    Value about = Value::map();
    for (const auto& [known, child] : children_) {
      keys.emplace_back(known + "/");
      about.set(known + "/", described(*child));
    }
    Answer answer = keys_of(std::move(keys));
    if (answer.status == 200) answer.data.set("key_info", about);
    return answer;
  }
  const auto it = children_.find(name);
  if (call.operation == Operation::remove) {
    if (it == children_.end()) return done();
    if (!it->second->children_.empty())
      return refuse(400, "unable to delete namespace containing child namespaces");
    children_.erase(it);
    return ok(object({{"status", "in-progress"}}));
  }
  if (call.operation == Operation::update) {
    if (name.empty() || name.contains('/')) return refuse(400, "namespace name cannot contain /");
    if (name.contains(' '))
      return refuse(
          400,
          "\"" + name + "\" contains space characters that cannot be used in a namespace name");
    if (name == "root" || mounts_.contains(name + "/") || name == "auth")
      return refuse(400,
                    "\"" + name + "/\" is a reserved path and cannot be used as a namespace name");
    auto& made = children_[name];
    if (!made) made.reset(new Core(*this, name));
    return ok(described(*made));
  }
  if (call.operation != Operation::read) return unsupported();
  return it == children_.end() ? nothing_there() : ok(described(*it->second));
}

Answer Core::ui_mount(const Call& call, std::string_view asked) {
  std::string path(asked);
  Core& space = enter(path);
  const Route to = space.route(path);
  const bool may = to.to != nullptr && space.may_touch(*call.token, to.mount);
  if (!may) {
    std::string wanted(asked);
    return refuse(403,
                  "preflight capability check returned 403, please ensure client's policies grant "
                  "access to path \"" +
                      wanted + (wanted.ends_with('/') ? "" : "/") + "\"");
  }
  return ok(object({{"accessor", to.to->accessor},
                    {"description", to.to->description},
                    {"options", to.to->options},
                    {"path", (&space == this ? "" : space.path_) + to.mount},
                    {"type", to.to->type},
                    {"uuid", to.to->accessor}}));
}

Answer Core::policy(const Call& call, bool acl, const std::string& name) {
  if (name.empty()) {
    List names;
    for (const auto& [known, unused] : store_.policies) names.emplace_back(known);
    names.emplace_back("root");
    return acl ? keys_of(std::move(names))
               : twice(object({{"keys", Value::list(names)}, {"policies", Value::list(names)}}));
  }
  if (call.operation == Operation::update) {
    auto parsed = parse_policy(text_at(call.body, "policy"));
    if (text_at(call.body, "policy").empty())
      return refuse(400, "'policy' parameter not supplied or empty");
    if (!parsed) return refuse(400, parsed.error().text);
    if (name == "root") return refuse(400, "cannot update \"root\" policy");
    store_.policies[name] = std::move(*parsed);
    return done();
  }
  if (call.operation == Operation::remove) {
    if (name == "default" || name == "root")
      return refuse(400, "cannot delete \"" + name + "\" policy");
    store_.policies.erase(name);
    return done();
  }
  const auto it = store_.policies.find(name);
  if (call.operation != Operation::read) return unsupported();
  if (it == store_.policies.end()) return nothing_there();
  if (acl) return ok(object({{"name", name}, {"policy", it->second.text}}));
  return twice(object({{"name", name}, {"rules", it->second.text}}));
}

Answer Core::capabilities(const Call& call, const std::string& kind) {
  if (call.operation != Operation::update) return unsupported();
  const Token* token = call.token;
  if (kind == "capabilities") token = store_.token(std::string(text_at(call.body, "token")));
  if (kind == "capabilities-accessor") token = store_.by_accessor(text_at(call.body, "accessor"));
  if (token == nullptr) return refuse(400, "invalid token");
  auto paths = list_at(call.body, "paths");
  if (paths.empty()) paths = list_at(call.body, "path");
  if (paths.empty()) return refuse(400, "paths must be supplied");
  Value out = Value::map();
  Value first;
  for (const auto& path : paths) {
    List names;
    for (const auto& name : granted(*token, path)) names.emplace_back(name);
    if (first.is_nil()) first = Value::list(names);
    out.set(path, Value::list(std::move(names)));
  }
  if (paths.size() == 1) out.set("capabilities", first);
  return twice(out);
}

Answer Core::renew_lease(const Call& call, const std::string& id) {
  Lease* const lease = store_.lease(id);
  if (lease == nullptr) return refuse(400, "lease not found");
  Answer answer;
  const Seconds asked = duration_at(call.body, "increment").value_or(Seconds(0));
  const Seconds ttl = Store::renewed_ttl(asked > Seconds(0) ? asked : lease->ttl, lease->max_ttl,
                                         lease->issued, call.now, answer.warnings);
  lease->expires = call.now + ttl;
  lease->renewed = call.now;
  lease->was_renewed = true;
  answer.lease_id = id;
  answer.renewable = true;
  answer.lease_duration = ttl.count();
  return answer;
}

Answer Core::leases(const Call& call, std::string_view path) {
  const std::string kind = take_segment(path);
  std::string id(text_at(call.body, "lease_id"));
  if (kind == "lookup" && call.operation == Operation::list) {
    List keys;
    for (const auto& [known, unused] : store_.leases()) {
      if (known.starts_with(path)) keys.emplace_back(known.substr(path.size()));
    }
    return keys_of(std::move(keys));
  }
  if (call.operation != Operation::update) return unsupported();
  if (!path.empty() && kind != "lookup") id = path;
  if (kind == "revoke-prefix" || kind == "revoke-force") {
    store_.revoke_leases_below(id);
    if (id.starts_with("auth/")) store_.revoke_tokens_below(id);
    return done();
  }
  if (id.empty()) return refuse(400, "lease_id must be specified");
  if (kind == "renew") return renew_lease(call, id);
  if (kind == "revoke") {
    store_.revoke_lease(id);
    return done();
  }
  const Lease* const lease = store_.lease(id);
  if (kind != "lookup") return nothing_there();
  if (lease == nullptr) return refuse(400, "invalid lease");
  return ok(object({{"id", lease->id},
                    {"issue_time", rfc3339(lease->issued)},
                    {"expire_time", rfc3339(lease->expires)},
                    {"last_renewal", lease->was_renewed ? Value(rfc3339(lease->renewed)) : Value()},
                    {"renewable", true},
                    {"ttl", number(left(lease->expires, call.now))}}));
}

Answer Core::wrapping(const Call& call, const std::string& kind) {
  if (kind == "wrap") return ok(call.body);
  std::string token(text_at(call.body, "token"));
  auto& wrapped = root().wrapped_;
  const auto it = wrapped.find(token);
  if (it == wrapped.end()) return refuse(400, "wrapping token is not valid or does not exist");
  if (kind == "lookup") {
    return ok(object({{"creation_path", it->second.creation_path},
                      {"creation_time", rfc3339(it->second.created)},
                      {"creation_ttl", number(it->second.ttl)}}));
  }
  if (kind != "unwrap") return nothing_there();
  Answer answer{.data = Value(it->second.body), .bare = true};
  wrapped.erase(it);
  return answer;
}

}  // namespace keybearer::devvault
