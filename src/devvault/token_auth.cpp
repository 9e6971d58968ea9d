// auth/token: create, look up, renew, revoke, roles. Vault API: "Token auth method".

#include <map>
#include <set>

#include "devvault/engine.hpp"

namespace keybearer::devvault {
namespace {

struct TokenRole {
  std::vector<std::string> allowed_policies;
  Seconds explicit_max_ttl{0}, period{0};
  bool orphan = false, renewable = true, batch = false;
};

Value described(const Token& token, WallTime now, bool show_id) {
  Value out = object(
      {{"accessor", token.accessor},
       {"creation_time", number(epoch(token.created))},
       {"creation_ttl", number(token.ttl)},
       {"display_name", token.display_name},
       {"entity_id", token.entity_id},
       {"expire_time", token.endless() ? Value() : Value(rfc3339(token.expires))},
       {"explicit_max_ttl", number(token.role.empty() ? token.explicit_max_ttl : Seconds(0))},
       {"id", show_id ? token.id : ""},
       {"meta", token.meta},
       {"num_uses", number(token.num_uses)},
       {"orphan", token.parent.empty()},
       {"path", token.path},
       {"policies", strings(token.policies)},
       {"ttl", number(token.endless() ? Seconds(0) : left(token.expires, now))},
       {"type", token.batch ? "batch" : "service"}});
  if (!token.endless()) out.set("issue_time", rfc3339(token.created));
  out.set("renewable", token.renewable && !token.batch && !token.endless());
  if (token.period > Seconds(0) && token.role.empty()) out.set("period", number(token.period));
  if (!token.role.empty()) out.set("role", token.role);
  if (token.was_renewed) {
    out.set("last_renewal", rfc3339(token.renewed));
    out.set("last_renewal_time", number(epoch(token.renewed)));
  }
  return out;
}

class TokenAuth final : public Engine {
 public:
  explicit TokenAuth(Store& store) : store_(store) {}

  Answer handle(const Call& call, std::string_view path) override {
    const std::string kind = take_segment(path);
    if (kind == "roles") return role(call, std::string(path));
    if (kind == "accessors" && call.operation == Operation::list) return accessors();
    if (kind == "lookup-self" && call.operation == Operation::read)
      return ok(described(*call.token, call.now, true));
    if (kind == "lookup" && call.operation == Operation::read)
      return ok(described(*call.token, call.now, true));
    if (call.operation != Operation::update) return unsupported();
    if (kind == "create") return create(call, std::string(path), false);
    if (kind == "create-orphan") return create(call, "", true);
    if (kind == "lookup-self") return ok(described(*call.token, call.now, true));
    if (kind == "renew-self") return renew(call, call.token);
    if (kind == "revoke-self") {
      store_.revoke_token(call.token->id);
      return done();
    }
    return for_other(call, kind);
  }

 private:
  // What is about another token than the one that asks.
  Answer for_other(const Call& call, const std::string& kind) {
    const bool by_accessor = kind.ends_with("-accessor");
    Token* const token = by_accessor ? store_.by_accessor(text_at(call.body, "accessor"))
                                     : store_.token(std::string(text_at(call.body, "token")));
    if (kind == "revoke" || kind == "revoke-orphan") {
      if (text_at(call.body, "token").empty()) return refuse(400, "missing token ID");
      if (token != nullptr) store_.revoke_token(token->id, kind == "revoke-orphan");
      return done();
    }
    if (kind == "lookup" && token == nullptr) return refuse(403, "bad token");
    if (by_accessor && token == nullptr) {
      return refuse(400, "1 error occurred:\n\t* invalid accessor\n\n");
    }
    if (kind == "lookup" || kind == "lookup-accessor")
      return ok(described(*token, call.now, !by_accessor));
    if (kind == "renew" || kind == "renew-accessor") return renew(call, token);
    if (kind != "revoke-accessor") return nothing_there();
    store_.revoke_token(token->id);
    return done();
  }

  static Answer renew(const Call& call, Token* token) {
    if (token == nullptr) return refuse(403, "bad token");
    if (token->batch) return refuse(400, "batch tokens cannot be renewed");
    if (!token->renewable || token->endless()) return refuse(400, "lease is not renewable");
    Seconds asked = token->period;
    if (asked == Seconds(0)) asked = duration_at(call.body, "increment").value_or(Seconds(0));
    if (asked == Seconds(0)) asked = token->ttl;
    Seconds most = token->max_ttl;
    if (token->period > Seconds(0))
      most = Seconds(std::chrono::hours(24 * 3650));  // may live forever
    if (token->explicit_max_ttl > Seconds(0)) most = std::min(most, token->explicit_max_ttl);
    std::vector<std::string> warnings;
    const Seconds ttl = Store::renewed_ttl(asked, most, token->created, call.now, warnings);
    token->expires = call.now + ttl;
    token->renewed = call.now;
    token->was_renewed = true;
    Answer answer = token_answer(*token, ttl);
    answer.warnings = std::move(warnings);
    return answer;
  }

  Answer accessors() const {
    List keys;
    for (const auto& [id, token] : store_.tokens()) {
      if (!token->accessor.empty()) keys.emplace_back(token->accessor);
    }
    return keys_of(std::move(keys));
  }

  Answer role(const Call& call, const std::string& name) {
    if (call.operation == Operation::list) {
      List names;
      for (const auto& [known, unused] : roles_) names.emplace_back(known);
      return keys_of(std::move(names));
    }
    if (call.operation == Operation::remove) {
      roles_.erase(name);
      return done();
    }
    if (call.operation == Operation::update) {
      TokenRole& r = roles_[name];
      if (!value_at(call.body, "allowed_policies").is_nil())
        r.allowed_policies = list_at(call.body, "allowed_policies");
      r.explicit_max_ttl =
          duration_at(call.body, "token_explicit_max_ttl").value_or(r.explicit_max_ttl);
      r.period = duration_at(call.body, "token_period").value_or(r.period);
      r.orphan = bool_at(call.body, "orphan", r.orphan);
      r.renewable = bool_at(call.body, "renewable", r.renewable);
      if (const auto type = text_at(call.body, "token_type"); !type.empty())
        r.batch = type == "batch";
      return done();
    }
    const auto it = roles_.find(name);
    if (call.operation != Operation::read) return unsupported();
    if (it == roles_.end()) return nothing_there();
    const TokenRole& r = it->second;
    return ok(object({{"name", name},
                      {"allowed_policies", strings(r.allowed_policies)},
                      {"disallowed_policies", Value::list({})},
                      {"orphan", r.orphan},
                      {"path_suffix", ""},
                      {"renewable", r.renewable},
                      {"token_explicit_max_ttl", number(r.explicit_max_ttl)},
                      {"token_no_default_policy", false},
                      {"token_period", number(r.period)},
                      {"token_type", r.batch ? "batch" : "default-service"}}));
  }

  Answer create(const Call& call, const std::string& role_name, bool orphan) {
    const Token& parent = *call.token;
    if (parent.num_uses != 0)
      return refuse(400, "restricted use token cannot generate child tokens");
    if (parent.batch) return refuse(400, "batch tokens cannot create more tokens");
    const bool root = parent.is_root();
    Token token;
    token.path = role_name.empty() ? (orphan ? "auth/token/create-orphan" : "auth/token/create")
                                   : "auth/token/create/" + role_name;
    const auto role = roles_.find(role_name);
    if (!role_name.empty() && role == roles_.end()) return refuse(400, "unknown role " + role_name);
    if (const std::string why =
            choose_policies(call, role == roles_.end() ? nullptr : &role->second, token);
        !why.empty()) {
      return refuse(400, why);
    }
    token.id = text_at(call.body, "id");
    if (!token.id.empty() && !root)
      return refuse(400, "root or sudo privileges required to specify token id");
    if (!token.id.empty() && store_.token(token.id) != nullptr)
      return refuse(400, "cannot create a token with a duplicate ID");
    if (bool_at(call.body, "no_parent") && !root)
      return refuse(400, "root or sudo privileges required to create orphan token");
    orphan = orphan || bool_at(call.body, "no_parent");

    token.display_name = "token";
    if (const auto name = text_at(call.body, "display_name"); !name.empty())
      token.display_name += "-" + std::string(name);
    if (const Value& meta = value_at(call.body, "meta"); meta.is_map()) token.meta = meta;
    token.num_uses = static_cast<int>(int_at(call.body, "num_uses"));
    token.batch = text_at(call.body, "type") == "batch";
    token.renewable = bool_at(call.body, "renewable", true);
    token.explicit_max_ttl = duration_at(call.body, "explicit_max_ttl").value_or(Seconds(0));
    token.period = duration_at(call.body, "period").value_or(Seconds(0));
    if (token.period > Seconds(0) && !root)
      return refuse(400, "root or sudo privileges required to create periodic token");
    if (role != roles_.end()) {
      token.role = role_name;
      orphan = orphan || role->second.orphan;
      token.renewable = token.renewable && role->second.renewable;
      token.batch = token.batch || role->second.batch;
      if (role->second.period > Seconds(0)) token.period = role->second.period;
      if (role->second.explicit_max_ttl > Seconds(0))
        token.explicit_max_ttl = role->second.explicit_max_ttl;
    }
    token.parent = orphan ? "" : parent.accessor;
    std::vector<std::string> warnings;
    set_ttl(call, token, warnings);
    for (const std::string& policy : token.policies) {
      if (policy != "root" && !store_.policies.contains(policy)) {
        warnings.push_back("Policy \"" + policy + "\" does not exist");
      }
    }
    const Token& made = store_.add_token(std::move(token), call.now);
    Answer answer = token_answer(made, made.ttl);
    answer.warnings = std::move(warnings);
    return answer;
  }

  static void set_ttl(const Call& call, Token& token, std::vector<std::string>& warnings) {
    if (token.is_root() && value_at(call.body, "ttl").is_nil()) return;  // never ends
    Seconds asked = duration_at(call.body, "ttl").value_or(Seconds(0));
    if (asked == Seconds(0)) asked = kDefaultTtl;
    if (token.period > Seconds(0)) asked = token.period;
    const Seconds most = token.explicit_max_ttl > Seconds(0)
                             ? std::min(token.explicit_max_ttl, kDefaultTtl)
                             : kDefaultTtl;
    token.ttl = Store::renewed_ttl(asked, most, call.now, call.now, warnings);
  }

  // "" or why not.
  static std::string choose_policies(const Call& call, const TokenRole* role, Token& token) {
    const Token& parent = *call.token;
    const bool named = !value_at(call.body, "policies").is_nil();
    std::vector<std::string> chosen = list_at(call.body, "policies");
    if (role != nullptr && !role->allowed_policies.empty()) {
      if (!named) chosen = role->allowed_policies;
      for (const auto& policy : chosen) {
        if (policy != "default" &&
            std::ranges::find(role->allowed_policies, policy) == role->allowed_policies.end()) {
          return "token policies (" + std::string("[\"") + policy +
                 "\"]) must be subset of the role's allowed policies";
        }
      }
    } else {
      if (!named) chosen = parent.policies;
      for (const auto& policy : chosen) {
        if (!parent.is_root() &&
            std::ranges::find(parent.policies, policy) == parent.policies.end()) {
          return "child policies must be subset of parent";
        }
      }
    }
    std::set<std::string> sorted(chosen.begin(), chosen.end());
    if (sorted.contains("root"))
      sorted = {"root"};
    else if (!bool_at(call.body, "no_default_policy"))
      sorted.insert("default");
    token.policies.assign(sorted.begin(), sorted.end());
    return {};
  }

  Store& store_;
  std::map<std::string, TokenRole> roles_;
};

}  // namespace

std::unique_ptr<Engine> make_token_auth(Store& store) {
  return std::make_unique<TokenAuth>(store);
}

}  // namespace keybearer::devvault
