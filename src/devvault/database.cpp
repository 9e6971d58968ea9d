// A database engine without a database: its credentials have the shapes and the times of the real
// ones, and open nothing. Vault API: "Database secrets engine".

#include <map>

#include "devvault/engine.hpp"

namespace keybearer::devvault {
namespace {

constexpr Seconds kLeastRotation{1};  // the real server: 5 s

struct DynamicRole {
  Value settings;
  Seconds default_ttl{0}, max_ttl{0};
};

struct StaticRole {
  Value settings = {};
  std::string username = {}, password = {};
  Seconds period{0};
  WallTime rotated = {};

  // At the time that it is asked for, the rotation that is due has been done.
  void rotate_if_due(WallTime now) {
    if (now < rotated + period) return;
    rotated += period * ((now - rotated) / period);
    password = random_text(20);
  }
};

class Database final : public Engine {
 public:
  explicit Database(Store& store) : store_(store) {}

  Answer handle(const Call& call, std::string_view path) override {
    const std::string kind = take_segment(path);
    const std::string name(path);
    if (call.operation == Operation::list) {
      if (kind == "config") return names_of(configs_);
      if (kind == "roles") return names_of(roles_);
      if (kind == "static-roles") return names_of(static_roles_);
    }
    if (kind == "config") return config(call, name);
    if (kind == "roles") return role(call, name);
    if (kind == "static-roles") return static_role(call, name);
    if (kind == "creds" && call.operation == Operation::read) return credentials(call, name);
    if (kind == "static-creds" && call.operation == Operation::read)
      return static_credentials(call, name);
    if (kind == "rotate-role" && call.operation == Operation::update) return rotate(call, name);
    if ((kind == "rotate-root" || kind == "reset") && call.operation == Operation::update)
      return done();
    return nothing_there();
  }

 private:
  template <class Map>
  static Answer names_of(const Map& map) {
    List names;
    for (const auto& [name, unused] : map) names.emplace_back(name);
    return keys_of(std::move(names));
  }

  Answer config(const Call& call, const std::string& name) {
    if (call.operation == Operation::remove) {
      configs_.erase(name);
      return done();
    }
    if (call.operation == Operation::update) {
      if (text_at(call.body, "plugin_name").empty() && !configs_.contains(name)) {
        return refuse(400, "empty plugin name");
      }
      configs_[name] = call.body.deep_copy();
      configs_[name].erase("password");
      return done();
    }
    const auto it = configs_.find(name);
    return it == configs_.end() ? nothing_there() : ok(it->second);
  }

  Answer role(const Call& call, const std::string& name) {
    if (call.operation == Operation::remove) {
      roles_.erase(name);
      return done();
    }
    if (call.operation == Operation::update) {
      if (text_at(call.body, "db_name").empty())
        return refuse(400, "empty database name attribute");
      DynamicRole r{call.body, duration_at(call.body, "default_ttl").value_or(Seconds(0)),
                    duration_at(call.body, "max_ttl").value_or(Seconds(0))};
      if (r.max_ttl > Seconds(0) && r.default_ttl > r.max_ttl)
        return refuse(400, "\"default_ttl\" value must be less than \"max_ttl\" value");
      roles_[name] = r;
      return done();
    }
    const auto it = roles_.find(name);
    if (it == roles_.end()) return nothing_there();
    Value out = it->second.settings.deep_copy();
    out.set("default_ttl", number(it->second.default_ttl));
    out.set("max_ttl", number(it->second.max_ttl));
    return ok(out);
  }

  Answer credentials(const Call& call, const std::string& name) {
    const auto it = roles_.find(name);
    if (it == roles_.end()) return refuse(400, "unknown role: " + name);
    const DynamicRole& r = it->second;
    const std::string database(text_at(r.settings, "db_name"));
    if (!configs_.contains(database)) {
      return refuse(500,
                    "1 error occurred:\n\t* failed to find entry for connection with name: \"" +
                        database + "\"\n\n");
    }
    const Seconds max_ttl = r.max_ttl > Seconds(0) ? r.max_ttl : kDefaultTtl;
    const Seconds ttl = std::min(r.default_ttl > Seconds(0) ? r.default_ttl : kDefaultTtl, max_ttl);
    const Lease& lease = store_.add_lease(call.path, ttl, max_ttl, call.token, call.now);
    Answer answer = ok(object(
        {{"username", "v-" + call.token->display_name.substr(0, 8) + "-" + name.substr(0, 8) + "-" +
                          random_text(20) + "-" + std::to_string(epoch(call.now))},
         {"password", random_text(20)}}));
    answer.lease_id = lease.id;
    answer.renewable = true;
    answer.lease_duration = ttl.count();
    return answer;
  }

  Answer static_role(const Call& call, const std::string& name) {
    const auto it = static_roles_.find(name);
    if (call.operation == Operation::remove) {
      static_roles_.erase(name);
      return done();
    }
    if (call.operation == Operation::update) return write_static_role(call, name);
    if (it == static_roles_.end()) return nothing_there();
    Value out = it->second.settings.deep_copy();
    out.set("rotation_period", number(it->second.period));
    out.set("last_vault_rotation", rfc3339(it->second.rotated));
    return ok(out);
  }

  Answer write_static_role(const Call& call, const std::string& name) {
    StaticRole r{.settings = call.body};
    r.username = text_at(call.body, "username");
    r.period = duration_at(call.body, "rotation_period").value_or(Seconds(0));
    if (text_at(call.body, "db_name").empty())
      return refuse(400, "database name is a required field");
    if (r.username.empty())
      return refuse(400, "username is a required field to create a static account");
    if (value_at(call.body, "rotation_period").is_nil())
      return refuse(400, "rotation_period is required to create static accounts");
    if (r.period < kLeastRotation) {
      return refuse(400, "rotation_period must be " + std::to_string(kLeastRotation.count()) +
                             " seconds or more");
    }
    r.rotated = call.now;
    r.password = random_text(20);
    static_roles_[name] = r;
    return done();
  }

  Answer static_credentials(const Call& call, const std::string& name) {
    const auto it = static_roles_.find(name);
    if (it == static_roles_.end()) return refuse(400, "unknown role: " + name);
    StaticRole& r = it->second;
    r.rotate_if_due(call.now);
    return ok(object({{"last_vault_rotation", rfc3339(r.rotated)},
                      {"password", r.password},
                      {"rotation_period", number(r.period)},
                      {"ttl", number(left(r.rotated + r.period, call.now))},
                      {"username", r.username}}));
  }

  Answer rotate(const Call& call, const std::string& name) {
    const auto it = static_roles_.find(name);
    if (it == static_roles_.end()) return refuse(400, "no static role found for role name");
    it->second.rotated = call.now;
    it->second.password = random_text(20);
    return done();
  }

  Store& store_;
  std::map<std::string, Value> configs_;
  std::map<std::string, DynamicRole> roles_;
  std::map<std::string, StaticRole> static_roles_;
};

}  // namespace

std::unique_ptr<Engine> make_database(Store& store) {
  return std::make_unique<Database>(store);
}

}  // namespace keybearer::devvault
