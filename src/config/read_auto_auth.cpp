#include <algorithm>

#include "base/owner.hpp"
#include "base/text.hpp"
#include "config/method.hpp"
#include "config/sections.hpp"

namespace keybearer::config {
namespace {

// The variable that the key names, as if the key that it stands for had been written "${NAME}".
void read_variable(Context& context, Reader& r, const MethodKey& key, Method& method) {
  const std::string& name = method.text(key.name);
  if (name.empty() || method.has(key.instead_of)) return;
  const auto value = context.env(name);
  if (!value || trimmed(*value).empty())
    return r.problem(key.name, "the environment variable " + escaped(name) + " is not set");
  context.credential_variables.insert(name);
  method.set(key.instead_of, Secret(trimmed(*value)));
}

void read_method_key(Reader& r, const MethodKey& key, Method& method) {
  switch (key.type) {
    case MethodKey::Type::text:
    case MethodKey::Type::variable:
    case MethodKey::Type::file: {
      std::string value;
      r.read(key.name, value);
      if (r.has(key.name) && !value.empty()) method.set(key.name, std::move(value));
      return;
    }
    case MethodKey::Type::secret: {
      Secret value;
      bool given = false;
      r.read_secret(key.name, value, given);
      if (given) method.set(key.name, std::move(value));
      return;
    }
    case MethodKey::Type::period: {
      std::optional<Duration> value;
      r.read(key.name, value);
      if (value) method.set(key.name, std::to_string(value->count()) + "ms");
      return;
    }
    case MethodKey::Type::boolean: {
      bool on = key.on;
      r.read(key.name, on);
      method.set_flag(key.name, on);
      return;
    }
  }
}

// What a key's value must be like, and what it can't stand beside.
void check_method_key(Reader& r, const MethodKey& key, const Method& method) {
  for (const auto other : {key.instead_of, key.excludes})
    if (!other.empty() && method.has(key.name) && method.has(other))
      r.problem(key.name, "excludes " + std::string(other));
  const std::string& text = method.text(key.name);
  if (!key.duration || text.empty()) return;
  if (const auto time = parse_duration(text); !time) r.problem(key.name, time.error().text);
}

void wrong_method(Reader& r, const std::string& type) {
  constexpr std::string_view kNever[] = {"kerberos", "oci", "cf", "alicloud"};
  const bool never = std::ranges::find(kNever, type) != std::end(kNever);
  r.ignore_unknown_keys();
  if (type.empty()) return r.problem("type", "required; expected " + method_types());
  r.problem("type", "auth method \"" + escaped(type) + "\"" +
                        (never ? ": not supported" : ": unknown; expected " + method_types()));
}

void read_method_keys(Context& context, Reader& r, Method& method) {
  r.read("mount_path", method.mount_path);
  r.describe_default("mount_path", "auth/" + method.type);
  const MethodSpec* spec = MethodSpec::find(method.type);
  if (spec == nullptr) return wrong_method(r, method.type);
  for (const MethodKey& key : spec->keys()) {
    read_method_key(r, key, method);
    check_method_key(r, key, method);
  }
  for (const MethodKey& key : spec->keys())
    if (key.type == MethodKey::Type::variable) read_variable(context, r, key, method);
  for (const MethodChoice& key : spec->refused()) r.refuse(key.value, key.refused);
}

void read_method(Context& context, Reader& auth, Method& method) {
  Reader r(context, auth.table("method"), "auto_auth.method");
  if (r.raw() == nullptr) return;
  method.place = r.place();
  r.read("namespace", method.vault_namespace);
  const bool origins = context.with_origins;
  r.read("type", method.type);
  if (method.type.empty()) method.type = context.method_type;
  // Read all the same when the command line chooses another: what is wrong in it is said.
  const bool replaced = !context.method_type.empty() && method.type != context.method_type;
  if (replaced) context.with_origins = false;
  read_method_keys(context, r, method);
  context.with_origins = origins;
  if (!replaced) return;
  auto vault_namespace = std::move(method.vault_namespace);
  method = {};
  method.type = context.method_type;
  method.vault_namespace = std::move(vault_namespace);
  method.place = SourceLocation::of_flag();
}

void read_identity(Context& context, Reader& auth, std::optional<Identity>& out) {
  const toml::table* table = auth.table("verify_identity");
  if (table == nullptr) return;
  Reader r(context, table, "auto_auth.verify_identity");
  Identity& identity = out.emplace();
  r.read("entity_id", identity.entity_id);
  r.read("policies", identity.policies);
  r.read("metadata", identity.metadata);
  if (!r.has("entity_id") && !r.has("policies") && !r.has("metadata"))
    auth.problem("verify_identity", "empty; expected entity_id, policies or metadata");
}

void read_sink(Context& context, const toml::table& table, const std::string& name,
               std::vector<Sink>& sinks) {
  Reader r(context, &table, name);
  Sink sink;
  sink.place = r.place();
  const std::size_t before = context.problems.size();
  r.read("path", sink.path);
  if (sink.path.empty() && context.problems.size() == before)
    r.problem("path", "required; the file that gets the token");
  sink.mode_given = r.has("mode");
  r.read_mode("mode", sink.mode);
  r.read("user", sink.user);
  r.describe_default("user", "an existing file's, else ours");
  r.read("group", sink.group);
  r.describe_default("group", "an existing file's, else ours");
  if (!context.offline) {
    if (const auto user = owner_of(sink.user, {}); !user) r.problem("user", user.error().text);
    if (const auto group = owner_of({}, sink.group); !group) r.problem("group", group.error().text);
  }
  r.read("wrap_ttl", sink.wrap_ttl);
  if (sink.wrap_ttl && *sink.wrap_ttl < 1s)
    r.problem("wrap_ttl", "must be at least 1s: the time in which the token can be unwrapped");
  if (r.has("format")) {
    auto format = Sink::Format::token;
    r.read_choice("format", format, {{"token", Sink::Format::token}, {"json", Sink::Format::json}});
    sink.format = format;
  } else {
    (void)r.find("format");
    r.describe_default("format", "token; with wrap_ttl json");
  }
  r.read("remove_on_exit", sink.remove_on_exit);
  r.describe_default("remove_on_exit", "true, with exit_after_auth and render --once false");
  sinks.push_back(std::move(sink));
}

// Vault Agent's key.
void read_reauth(Reader& r, std::vector<std::string>& warnings) {
  bool on = true;
  r.read("enable_reauth_on_new_credentials", on);
  if (!r.has("enable_reauth_on_new_credentials")) return;
  warnings.push_back(
      place_of(*r.raw()->get("enable_reauth_on_new_credentials")).text() +
      ": auto_auth.enable_reauth_on_new_credentials: new credentials are always used, at the next "
      "login or at once where the method watches them; the key has no effect and can go");
}

}  // namespace

void read_auto_auth(Context& context, Reader& top, AutoAuth& auth,
                    std::vector<std::string>& warnings) {
  Reader r(context, top.table("auto_auth"), "auto_auth");
  read_method(context, r, auth.method);
  r.read_fraction("renew_at", auth.renew_at);
  r.read("min_remaining", auth.min_remaining);
  r.read("increment", auth.increment);
  r.read_choice("on_renew_failure", auth.on_renew_failure,
                {{"relogin", OnRenewFailure::relogin},
                 {"exit", OnRenewFailure::exit},
                 {"keep", OnRenewFailure::keep}});
  r.read("revoke_on_exit", auth.revoke_on_exit);
  r.describe_default("revoke_on_exit", kRevokes);
  r.read("min_backoff", auth.min_backoff);
  r.read("max_backoff", auth.max_backoff);
  r.read("exit_on_err", auth.exit_on_err);
  read_identity(context, r, auth.verify_identity);
  r.each_table("sink", [&](const toml::table& table, const std::string& name) {
    read_sink(context, table, name, auth.sinks);
  });
  read_reauth(r, warnings);
}

}  // namespace keybearer::config
