// KV versions 1 and 2. Vault API: "KV Secrets Engine"; real answers decide where it is silent.

#include <fmt/format.h>

#include <map>

#include "devvault/engine.hpp"

namespace keybearer::devvault {
namespace {

constexpr std::string_view kInvalidPath =
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API "
    "endpoints to use. If "
    "using the Vault CLI, use 'vault kv get' for this operation.";

// The next level below a directory: names, and directories with a slash.
template <class Entries>
Answer list_below(const Entries& entries, std::string directory) {
  if (!directory.empty() && !directory.ends_with('/')) directory += '/';
  List keys;
  std::string last;
  for (const auto& [path, unused] : entries) {
    if (!path.starts_with(directory) || path == directory) continue;
    const auto slash = path.find('/', directory.size());
    const std::string key = path.substr(
        directory.size(), slash == std::string::npos ? slash : slash + 1 - directory.size());
    if (key != last) keys.emplace_back(key);
    last = key;
  }
  return keys_of(std::move(keys));
}

class Kv1 final : public Engine {
 public:
  bool exists(std::string_view path) const override { return secrets_.contains(std::string(path)); }

  Answer handle(const Call& call, std::string_view path_view) override {
    const std::string path(path_view);
    switch (call.operation) {
      case Operation::list:
        return list_below(secrets_, path);
      case Operation::remove:
        secrets_.erase(path);
        return done();
      case Operation::patch:
        return unsupported();
      case Operation::update:
        if (path.empty() || path.ends_with('/'))
          return refuse(400, "cannot write to a path ending in '/'");
        if (call.body.size() == 0) return refuse(400, "missing data fields");
        secrets_[path] = call.body;
        return done();
      case Operation::read:
        break;
    }
    const auto it = secrets_.find(path);
    if (it == secrets_.end()) return nothing_there();
    Answer answer = ok(it->second);
    auto ttl = duration_at(it->second, "ttl");
    if (!ttl) ttl = duration_at(it->second, "lease");
    answer.lease_duration = ttl.value_or(kDefaultTtl).count();
    return answer;
  }

 private:
  std::map<std::string, Value> secrets_;
};

struct Version {
  Value data;
  WallTime created;
  std::optional<WallTime> deleted;
  bool destroyed = false;
};

struct Secret2 {
  std::map<std::int64_t, Version> versions;
  std::int64_t current = 0;
  std::int64_t max_versions = 0;
  bool cas_required = false;
  Value custom_metadata;
  Seconds delete_after{0};
  WallTime created, updated;
};

Value version_metadata(const Secret2& secret, std::int64_t number_of, const Version& version) {
  return object({{"created_time", rfc3339(version.created)},
                 {"custom_metadata", secret.custom_metadata},
                 {"deletion_time", version.deleted ? rfc3339(*version.deleted) : ""},
                 {"destroyed", version.destroyed},
                 {"version", number(number_of)}});
}

class Kv2 final : public Engine {
 public:
  bool exists(std::string_view path) const override {
    const std::string kind = take_segment(path);
    return kind != "data" || secrets_.contains(std::string(path));
  }

  Answer handle(const Call& call, std::string_view path) override {
    const std::string kind = take_segment(path);
    const std::string name(path);
    if (kind == "data" && !name.empty()) return data(call, name);
    if (kind == "metadata") return metadata(call, name);
    if (kind == "config") return config(call);
    if (call.operation == Operation::update && !name.empty()) {
      if (kind == "delete")
        return for_versions(call, name, [](Version& v, WallTime now) { v.deleted = now; });
      if (kind == "undelete")
        return for_versions(call, name, [](Version& v, WallTime) { v.deleted.reset(); });
      if (kind == "destroy") {
        return for_versions(call, name, [](Version& v, WallTime) {
          v.destroyed = true;
          v.data = {};
        });
      }
    }
    Answer answer{.status = 404};
    answer.warnings = {std::string(kInvalidPath)};
    return answer;
  }

 private:
  Answer data(const Call& call, const std::string& name) {
    switch (call.operation) {
      case Operation::read:
        return read(call, name);
      case Operation::update:
        return write(call, name);
      case Operation::patch:
        return patch(call, name);
      case Operation::remove: {
        const auto it = secrets_.find(name);
        if (it == secrets_.end()) return done();
        Version& latest = it->second.versions[it->second.current];
        if (!latest.deleted) latest.deleted = call.now;
        return done();
      }
      case Operation::list:
        break;
    }
    return unsupported();
  }

  Answer read(const Call& call, const std::string& name) {
    const auto it = secrets_.find(name);
    if (it == secrets_.end()) return nothing_there();
    std::int64_t wanted = int_at(call.body, "version");
    if (wanted == 0) wanted = it->second.current;
    const auto found = it->second.versions.find(wanted);
    if (found == it->second.versions.end()) return nothing_there();
    const Version& version = found->second;
    const bool gone = version.destroyed || (version.deleted && *version.deleted <= call.now);
    Answer answer = ok(object({{"data", gone ? Value() : version.data},
                               {"metadata", version_metadata(it->second, wanted, version)}}));
    if (gone) answer.status = 404;
    return answer;
  }

  // "" when the write may go on, else why not.
  std::string check_cas(const Call& call, const std::string& name) const {
    const auto it = secrets_.find(name);
    const Value& cas = value_at(value_at(call.body, "options"), "cas");
    const bool required = cas_required_ || (it != secrets_.end() && it->second.cas_required);
    if (cas.is_nil()) return required ? "check-and-set parameter required for this call" : "";
    const std::int64_t current = it == secrets_.end() ? 0 : it->second.current;
    return int_at(value_at(call.body, "options"), "cas", -1) == current
               ? ""
               : "check-and-set parameter did not match the current version";
  }

  Answer write(const Call& call, const std::string& name) {
    const Value& data = value_at(call.body, "data");
    if (data.is_nil()) return refuse(400, "no data provided");
    if (const std::string why = check_cas(call, name); !why.empty()) return refuse(400, why);
    return add_version(call, name, data);
  }

  Answer patch(const Call& call, const std::string& name) {
    const auto it = secrets_.find(name);
    if (it == secrets_.end() || it->second.versions.empty()) return nothing_there();
    const Version& latest = it->second.versions[it->second.current];
    if (latest.deleted || latest.destroyed) return nothing_there();
    if (const std::string why = check_cas(call, name); !why.empty()) return refuse(400, why);
    Value merged = latest.data.deep_copy();
    const Value& change = value_at(call.body, "data");
    if (!change.is_map()) return refuse(400, "no data provided");
    for (const auto& [key, value] : change.entries()) {
      if (value.is_nil())
        merged.erase(key);
      else
        merged.set_key(key, value);
    }
    return add_version(call, name, merged);
  }

  Answer add_version(const Call& call, const std::string& name, const Value& data) {
    const bool first = !secrets_.contains(name);
    Secret2& secret = secrets_[name];
    if (first) secret.created = call.now;
    secret.updated = call.now;
    Version version{data, call.now, {}, false};
    if (secret.delete_after > Seconds(0)) version.deleted = call.now + secret.delete_after;
    secret.versions[++secret.current] = version;
    const std::int64_t most = secret.max_versions > 0 ? secret.max_versions
                              : max_versions_ > 0     ? max_versions_
                                                      : 10;
    while (static_cast<std::int64_t>(secret.versions.size()) > most)
      secret.versions.erase(secret.versions.begin());
    return ok(version_metadata(secret, secret.current, version));
  }

  Answer metadata(const Call& call, const std::string& name) {
    const auto it = secrets_.find(name);
    switch (call.operation) {
      case Operation::list:
        return list_below(secrets_, name);
      case Operation::remove:
        if (it != secrets_.end()) secrets_.erase(it);
        return done();
      case Operation::update:
        return set_metadata(call, name);
      case Operation::read:
        break;
      case Operation::patch:
        return unsupported();
    }
    if (it == secrets_.end()) return nothing_there();
    const Secret2& secret = it->second;
    Value versions = Value::map();
    for (const auto& [n, version] : secret.versions) {
      versions.set(std::to_string(n),
                   object({{"created_time", rfc3339(version.created)},
                           {"deletion_time", version.deleted ? rfc3339(*version.deleted) : ""},
                           {"destroyed", version.destroyed}}));
    }
    const std::int64_t oldest = secret.current <= 10 ? 0 : secret.versions.begin()->first;
    return ok(object({{"cas_required", secret.cas_required},
                      {"created_time", rfc3339(secret.created)},
                      {"current_version", number(secret.current)},
                      {"custom_metadata", secret.custom_metadata},
                      {"delete_version_after", fmt::format("{}s", secret.delete_after.count())},
                      {"max_versions", number(secret.max_versions)},
                      {"oldest_version", number(oldest)},
                      {"updated_time", rfc3339(secret.updated)},
                      {"versions", versions}}));
  }

  Answer set_metadata(const Call& call, const std::string& name) {
    if (name.empty()) return unsupported();
    const bool first = !secrets_.contains(name);
    Secret2& secret = secrets_[name];
    if (first) secret.created = call.now;
    secret.updated = call.now;
    secret.max_versions = int_at(call.body, "max_versions", secret.max_versions);
    secret.cas_required = bool_at(call.body, "cas_required", secret.cas_required);
    secret.delete_after =
        duration_at(call.body, "delete_version_after").value_or(secret.delete_after);
    if (const Value& custom = value_at(call.body, "custom_metadata"); custom.is_map())
      secret.custom_metadata = custom;
    return done();
  }

  Answer config(const Call& call) {
    if (call.operation == Operation::update) {
      max_versions_ = int_at(call.body, "max_versions", max_versions_);
      cas_required_ = bool_at(call.body, "cas_required", cas_required_);
      return done();
    }
    if (call.operation != Operation::read) return unsupported();
    return ok(object({{"cas_required", cas_required_},
                      {"delete_version_after", "0s"},
                      {"max_versions", number(max_versions_)}}));
  }

  template <class Change>
  Answer for_versions(const Call& call, const std::string& name, Change change) {
    const auto it = secrets_.find(name);
    const auto wanted = list_at(call.body, "versions");
    if (wanted.empty()) return refuse(400, "No version number provided");
    if (it == secrets_.end()) return nothing_there();
    for (const std::string& text : wanted) {
      const auto version = it->second.versions.find(std::atoll(text.c_str()));
      if (version != it->second.versions.end()) change(version->second, call.now);
    }
    return done();
  }

  std::map<std::string, Secret2> secrets_;
  std::int64_t max_versions_ = 0;
  bool cas_required_ = false;
};

}  // namespace

std::unique_ptr<Engine> make_kv1() {
  return std::make_unique<Kv1>();
}
std::unique_ptr<Engine> make_kv2() {
  return std::make_unique<Kv2>();
}

}  // namespace keybearer::devvault
