#include <algorithm>

#include "config/method.hpp"
#include "config/sections.hpp"

namespace keybearer::config {
namespace {

void read_method_key(Reader& r, const MethodKey& key, Method& method) {
  switch (key.type) {
    case MethodKey::Type::text:
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
    case MethodKey::Type::boolean: {
      bool on = key.on;
      r.read(key.name, on);
      method.set_flag(key.name, on);
      return;
    }
  }
}

void wrong_method(Reader& r, const std::string& type) {
  constexpr std::string_view kLater[] = {"aws", "gcp", "azure"};
  constexpr std::string_view kNever[] = {"kerberos", "oci", "cf", "alicloud"};
  const bool later = std::ranges::find(kLater, type) != std::end(kLater);
  const bool never = std::ranges::find(kNever, type) != std::end(kNever);
  r.ignore_unknown_keys();
  if (type.empty()) return r.problem("type", "required; expected " + method_types());
  r.problem("type", "auth method \"" + escaped(type) + "\"" +
                        (later   ? ": not supported yet"
                         : never ? ": not supported"
                                 : ": unknown; expected " + method_types()));
}

void read_method_keys(Reader& r, Method& method) {
  r.read("mount_path", method.mount_path);
  r.describe_default("mount_path", "auth/" + method.type);
  const MethodSpec* spec = MethodSpec::find(method.type);
  if (spec == nullptr) return wrong_method(r, method.type);
  for (const MethodKey& key : spec->keys()) {
    read_method_key(r, key, method);
    if (!key.instead_of.empty() && method.has(key.name) && method.has(key.instead_of))
      r.problem(key.name, "excludes " + std::string(key.instead_of));
  }
  r.unsupported(spec->unsupported());
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
  read_method_keys(r, method);
  context.with_origins = origins;
  if (!replaced) return;
  auto vault_namespace = std::move(method.vault_namespace);
  method = {};
  method.type = context.method_type;
  method.vault_namespace = std::move(vault_namespace);
  method.place = SourceLocation::of_flag();
}

}  // namespace

void read_auto_auth(Context& context, Reader& top, AutoAuth& auth) {
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
  r.unsupported({"verify_identity", "sink", "enable_reauth_on_new_credentials"});
}

}  // namespace keybearer::config
