// AppRole. Vault API: "AppRole auth method"; user lockout as Vault has it since 1.13.

#include <map>

#include "devvault/engine.hpp"
#include "json/json.hpp"

namespace keybearer::devvault {
namespace {

constexpr int kLockoutTries = 5;
constexpr Seconds kLockoutTime{900};

struct SecretId {
  std::string accessor = {};
  Value metadata = {};  // a map
  std::int64_t uses_left = 0;
  bool limited = false;
  Seconds ttl{0};
  WallTime created = {}, expires = {};

  [[nodiscard]] bool expired(WallTime now) const { return ttl > Seconds(0) && expires <= now; }
};

struct Role {
  std::string role_id;
  bool bind_secret_id = true;
  std::vector<std::string> policies;
  Seconds ttl{0}, max_ttl{0}, explicit_max_ttl{0}, period{0}, secret_id_ttl{0};
  std::int64_t num_uses = 0, secret_id_num_uses = 0;
  bool no_default_policy = false, batch = false;
  std::map<std::string, SecretId> secret_ids;
  std::string entity_id = random_uuid();
};

Value described(const SecretId& id) {
  Value out = object({{"secret_id_accessor", id.accessor},
                      {"creation_time", rfc3339(id.created)},
                      {"last_updated_time", rfc3339(id.created)},
                      {"metadata", id.metadata},
                      {"secret_id_num_uses", number(id.uses_left)},
                      {"secret_id_ttl", number(id.ttl)},
                      {"cidr_list", Value::list({})},
                      {"token_bound_cidrs", Value::list({})}});
  out.set("expiration_time", id.ttl > Seconds(0) ? rfc3339(id.expires) : "0001-01-01T00:00:00Z");
  return out;
}

class AppRole final : public Engine {
 public:
  AppRole(Store& store, std::string mount) : store_(store), mount_(std::move(mount)) {}

  bool is_login(std::string_view path) const override { return path == "login"; }

  Answer handle(const Call& call, std::string_view path) override {
    if (path == "login") return call.operation == Operation::update ? login(call) : unsupported();
    if (path == "tune" && call.operation == Operation::update) return tune(call);
    const std::string kind = take_segment(path);
    const std::string name = take_segment(path);
    if (kind != "role") return nothing_there();
    if (name.empty()) {
      if (call.operation != Operation::list) return unsupported();
      List names;
      for (const auto& [role, unused] : roles_) names.emplace_back(role);
      return keys_of(std::move(names));
    }
    if (path.empty()) return role(call, name);
    const auto it = roles_.find(name);
    if (it == roles_.end()) return nothing_there_for(call, name);
    return below_role(call, it->second, path);
  }

 private:
  static Answer nothing_there_for(const Call& call, const std::string& name) {
    if (call.operation != Operation::update) return nothing_there();
    return refuse(400, "role \"" + name + "\" does not exist");
  }

  Answer tune(const Call& call) {
    lockout_ = !bool_at(value_at(call.body, "user_lockout_config"), "lockout_disable");
    return done();
  }

  Answer role(const Call& call, const std::string& name) {
    if (call.operation == Operation::remove) {
      roles_.erase(name);
      return done();
    }
    if (call.operation == Operation::update) return write_role(call, name);
    const auto it = roles_.find(name);
    if (call.operation != Operation::read) return unsupported();
    if (it == roles_.end()) return nothing_there();
    const Role& r = it->second;
    return ok(object({{"bind_secret_id", r.bind_secret_id},
                      {"local_secret_ids", false},
                      {"secret_id_bound_cidrs", Value()},
                      {"secret_id_num_uses", number(r.secret_id_num_uses)},
                      {"secret_id_ttl", number(r.secret_id_ttl)},
                      {"token_bound_cidrs", Value::list({})},
                      {"token_explicit_max_ttl", number(r.explicit_max_ttl)},
                      {"token_max_ttl", number(r.max_ttl)},
                      {"token_no_default_policy", r.no_default_policy},
                      {"token_num_uses", number(r.num_uses)},
                      {"token_period", number(r.period)},
                      {"token_policies", strings(r.policies)},
                      {"token_ttl", number(r.ttl)},
                      {"token_type", r.batch ? "batch" : "default"}}));
  }

  Answer write_role(const Call& call, const std::string& name) {
    const bool first = !roles_.contains(name);
    Role& r = roles_[name];
    if (first) r.role_id = random_uuid();
    const auto time = [&call](std::string_view key, Seconds old) {
      return duration_at(call.body, key).value_or(old);
    };
    r.role_id =
        value_at(call.body, "role_id").is_text() ? text_at(call.body, "role_id") : r.role_id;
    r.bind_secret_id = bool_at(call.body, "bind_secret_id", r.bind_secret_id);
    for (const char* key : {"policies", "token_policies"}) {
      if (!value_at(call.body, key).is_nil()) r.policies = list_at(call.body, key);
    }
    r.ttl = time("token_ttl", r.ttl);
    r.max_ttl = time("token_max_ttl", r.max_ttl);
    r.explicit_max_ttl = time("token_explicit_max_ttl", r.explicit_max_ttl);
    r.period = time("token_period", time("period", r.period));
    r.secret_id_ttl = time("secret_id_ttl", r.secret_id_ttl);
    r.num_uses = int_at(call.body, "token_num_uses", r.num_uses);
    r.secret_id_num_uses = int_at(call.body, "secret_id_num_uses", r.secret_id_num_uses);
    r.no_default_policy = bool_at(call.body, "token_no_default_policy", r.no_default_policy);
    if (const auto type = text_at(call.body, "token_type"); !type.empty())
      r.batch = type == "batch";
    if (r.max_ttl <= kDefaultTtl) return done();
    Answer answer;
    answer.warnings = {
        "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max "
        "TTL value will be truncated"};
    return answer;
  }

  Answer below_role(const Call& call, Role& r, std::string_view path) {
    if (path == "role-id") {
      if (call.operation == Operation::read) return ok(object({{"role_id", r.role_id}}));
      r.role_id = text_at(call.body, "role_id");
      return r.role_id.empty() ? refuse(400, "missing role_id") : done();
    }
    if (path == "secret-id" && call.operation == Operation::list) {
      List accessors;
      for (const auto& [id, secret] : r.secret_ids) accessors.emplace_back(secret.accessor);
      return keys_of(std::move(accessors));
    }
    if (call.operation != Operation::update) return unsupported();
    if (path == "secret-id") return add_secret_id(call, r, random_uuid());
    if (path == "custom-secret-id") {
      const std::string id(text_at(call.body, "secret_id"));
      if (id.empty()) return refuse(400, "missing secret_id");
      if (r.secret_ids.contains(id))
        return refuse(400, "failed to store secret_id: SecretID is already registered");
      return add_secret_id(call, r, id);
    }
    if (path == "secret-id/lookup" || path == "secret-id/destroy") {
      const auto it = r.secret_ids.find(std::string(text_at(call.body, "secret_id")));
      return at_secret_id(r, it, path.ends_with("destroy"));
    }
    if (path == "secret-id-accessor/lookup" || path == "secret-id-accessor/destroy") {
      const auto accessor = text_at(call.body, "secret_id_accessor");
      const auto it = std::ranges::find_if(
          r.secret_ids, [&](const auto& id) { return id.second.accessor == accessor; });
      if (it == r.secret_ids.end())
        return refuse(404, "failed to find accessor entry for secret_id_accessor: \"" +
                               std::string(accessor) + "\"");
      return at_secret_id(r, it, path.ends_with("destroy"));
    }
    return nothing_there();
  }

  static Answer at_secret_id(Role& r, std::map<std::string, SecretId>::iterator it, bool destroy) {
    if (it == r.secret_ids.end()) return done();
    if (!destroy) return ok(described(it->second));
    r.secret_ids.erase(it);
    return done();
  }

  static Answer add_secret_id(const Call& call, Role& r, const std::string& text) {
    if (!r.bind_secret_id) return refuse(400, "bind_secret_id is not set on the role");
    SecretId id{.accessor = random_uuid(), .metadata = Value::map()};
    if (const auto metadata = text_at(call.body, "metadata"); !metadata.empty()) {
      const auto parsed = json::parse(metadata);
      if (!parsed || !parsed->is_map()) return refuse(400, "failed to parse metadata");
      id.metadata = *parsed;
    }
    id.uses_left = int_at(call.body, "num_uses", r.secret_id_num_uses);
    id.limited = id.uses_left > 0;
    id.ttl = duration_at(call.body, "ttl").value_or(r.secret_id_ttl);
    id.created = call.now;
    id.expires = call.now + id.ttl;
    r.secret_ids[text] = id;
    Answer answer = ok(object({{"secret_id", text},
                               {"secret_id_accessor", id.accessor},
                               {"secret_id_num_uses", number(id.uses_left)},
                               {"secret_id_ttl", number(id.ttl)}}));
    answer.wrapped_accessor = id.accessor;
    return answer;
  }

  Answer wrong_secret_id(const std::string& role_id, WallTime now) {
    auto& [tries, last] = wrong_[role_id];
    ++tries;
    last = now;
    return refuse(400, "invalid secret id");
  }

  [[nodiscard]] bool locked(const std::string& role_id, WallTime now) const {
    const auto it = wrong_.find(role_id);
    return lockout_ && it != wrong_.end() && it->second.first >= kLockoutTries &&
           now < it->second.second + kLockoutTime;
  }

  Answer login(const Call& call) {
    const std::string role_id(text_at(call.body, "role_id"));
    if (role_id.empty()) return refuse(500, "failed to determine alias name from login request");
    const auto it = std::ranges::find_if(
        roles_, [&](const auto& role) { return role.second.role_id == role_id; });
    if (it == roles_.end()) return refuse(400, "invalid role ID");
    auto& [name, r] = *it;
    if (locked(role_id, call.now)) return denied();
    Value meta = object({{"role_name", name}});
    if (r.bind_secret_id) {
      const std::string text(text_at(call.body, "secret_id"));
      if (text.empty()) return refuse(400, "missing secret_id");
      const auto secret = r.secret_ids.find(text);
      if (secret == r.secret_ids.end()) return wrong_secret_id(role_id, call.now);
      if (secret->second.expired(call.now)) {
        r.secret_ids.erase(secret);
        return wrong_secret_id(role_id, call.now);
      }
      for (const auto& [key, value] : secret->second.metadata.entries()) meta.set_key(key, value);
      if (secret->second.limited && --secret->second.uses_left == 0) r.secret_ids.erase(secret);
    }
    wrong_.erase(role_id);
    return new_token(call, r, std::move(meta));
  }

  Answer new_token(const Call& call, const Role& r, Value meta) {
    Token token{.path = mount_ + "login", .display_name = "approle", .entity_id = r.entity_id};
    token.policies = r.policies;
    if (!r.no_default_policy) token.policies.emplace_back("default");
    std::ranges::sort(token.policies);
    token.policies.erase(std::ranges::unique(token.policies).begin(), token.policies.end());
    token.meta = std::move(meta);
    token.batch = r.batch;
    token.num_uses = static_cast<int>(r.num_uses);
    token.max_ttl = r.max_ttl > Seconds(0) ? std::min(r.max_ttl, kDefaultTtl) : kDefaultTtl;
    token.explicit_max_ttl = r.explicit_max_ttl;
    token.period = r.period;
    token.ttl = r.period > Seconds(0) ? r.period : r.ttl > Seconds(0) ? r.ttl : kDefaultTtl;
    token.ttl = std::min(token.ttl, token.max_ttl);
    if (r.explicit_max_ttl > Seconds(0)) token.ttl = std::min(token.ttl, r.explicit_max_ttl);
    const Token& made = store_.add_token(std::move(token), call.now);
    return token_answer(made, made.ttl);
  }

  Store& store_;
  std::string mount_;  // "auth/approle/"
  std::map<std::string, Role> roles_;
  std::map<std::string, std::pair<int, WallTime>> wrong_;  // logins in a row, by role_id
  bool lockout_ = true;
};

}  // namespace

std::unique_ptr<Engine> make_approle(Store& store, std::string mount) {
  return std::make_unique<AppRole>(store, std::move(mount));
}

}  // namespace keybearer::devvault
