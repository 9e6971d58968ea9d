#include "secrets/resume.hpp"

#include <utility>

#include "crypto/digest.hpp"

namespace keybearer::secrets {

using namespace std::chrono_literals;
using Kinds = tmpl::Dependency::Kind;

namespace {

constexpr Duration kLeastLeft = 1s;  // a lease with less than this left is over

// All that makes the server's answer what it is.
std::string request_of(const WatchedSecret& secret) {
  const tmpl::Dependency& asked = secret.dependency;
  std::string text = std::to_string(static_cast<int>(asked.kind));
  const auto add = [&text](std::string_view part) {
    text += '\n' + std::to_string(part.size()) + ':';
    text += part;
  };
  add(asked.path);
  add(pinned_version(secret));
  add(secret.rule.vault_namespace.value_or("\n"));
  for (const auto& [key, value] : asked.args) {
    add(key);
    add(value);
  }
  return sha256_hex(text);
}

}  // namespace

std::optional<lease::SavedSecret> saved_of(const WatchedSecret& secret) {
  const auto* current = secret.withheld ? &*secret.withheld : std::get_if<Current>(&secret.served);
  auto value = secret.resumed ? secret.resumed : current != nullptr ? current->value : nullptr;
  if (value == nullptr || secret.dependency.kind == Kinds::file || secret.dropped || secret.revoked)
    return std::nullopt;
  lease::SavedSecret saved;
  saved.request = request_of(secret);
  saved.value = std::move(value);
  saved.kv_version = secret.status.kv_version;
  saved.data_path = secret.data_path;
  saved.mount = secret.mount;
  saved.wrapped = secret.wrapped;
  saved.metadata_denied = secret.metadata_denied;
  saved.vault_namespace = secret.rule.vault_namespace;
  saved.lease_id = secret.status.lease_id;
  saved.token = secret.token;
  saved.issued_token = secret.issued_token;
  saved.orphan = secret.orphan;
  saved.last_success = secret.status.last_success;
  saved.schedule = secret.schedule.save();
  return saved;
}

bool can_resume(const WatchedSecret& secret, const lease::SavedSecret& saved) {
  if (!secret.rule.enabled || saved.request != request_of(secret)) return false;
  const auto end = saved.schedule.end;
  return !end || *end > Clock::now() + kLeastLeft;
}

void resume(WatchedSecret& secret, const lease::SavedSecret& saved) {
  secret.resumed = saved.value;
  secret.data_path = saved.data_path;
  secret.mount = saved.mount;
  secret.wrapped = saved.wrapped;
  secret.metadata_denied = saved.metadata_denied;
  secret.token = saved.token;
  secret.issued_token = saved.issued_token;
  secret.orphan = saved.orphan;
  (void)secret.schedule.resume(saved.schedule, Clock::now());
  Status& status = secret.status;
  status.kind = saved.schedule.lifetime.kind;
  status.kv_version = saved.kv_version;
  status.lease_id = saved.lease_id;
  status.lease_end = saved.schedule.end;
  status.last_success = saved.last_success;
}

lease::Step confirmation(const WatchedSecret& secret) {
  using lease::Step;
  const Instant now = Clock::now();
  switch (secret.status.kind) {
    case Kind::kv2:
      return {Step::Do::compare, now};
    case Kind::unleased:
    case Kind::static_role:
      return {Step::Do::read, now};
    case Kind::dynamic:
    case Kind::non_renewable:
    case Kind::token:
      return {secret.leased() ? Step::Do::lookup : Step::Do::read, now};
    case Kind::certificate:
    case Kind::written_once:
      break;
  }
  return {Step::Do::nothing, now};
}

void serve_resumed(WatchContext& context, WatchedSecret& secret) {
  if (!secret.resumed) return;
  secret.status.fetched = true;
  secret.status.why = "as before the restart";
  Current current;
  current.value = std::exchange(secret.resumed, nullptr);
  serve(context, secret, std::move(current));
}

void drop_resumed(WatchContext& context, WatchedSecret& secret) {
  if (!std::exchange(secret.resumed, nullptr)) return;
  if (secret.leased() && secret.rule.lease.revoke_replaced) {
    context.revocations.retire({.secret = secret.status.id,
                                .generation = secret.generations,
                                .path = secret.status.path,
                                .lease_id = secret.status.lease_id,
                                .token = secret.issued_token,
                                .end = secret.schedule.end(),
                                .drain = {},
                                .vault_namespace = secret.rule.vault_namespace});
  }
  secret.status.lease_id.clear();
  secret.status.lease_end.reset();
  secret.status.kv_version = 0;
  secret.issued_token.reset();
}

}  // namespace keybearer::secrets
