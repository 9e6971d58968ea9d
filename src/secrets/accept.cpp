#include "secrets/accept.hpp"

#include "base/log.hpp"
#include "secrets/classify.hpp"
#include "secrets/resume.hpp"
#include "secrets/whole_answer.hpp"
#include "vault/reply.hpp"

namespace keybearer::secrets {

using lease::Cause;
using Kinds = tmpl::Dependency::Kind;

namespace {

// Why a lease that was held is replaced.
std::string lease_reason(const WatchedSecret& secret, const Request& request) {
  const auto end = secret.schedule.end();
  if (request.token_replaced) return "token replaced: new credentials";
  if (request.cause == Cause::revoked) return "lease revoked";
  if (end && *end <= Clock::now()) return "lease ended";
  switch (request.cause) {
    case Cause::maximum_life:
      return "maximum life reached: new credentials";
    case Cause::renewal_refused:
      return "renewal refused: new credentials";
    case Cause::renewal_failed:
      return "no renewal in time: new credentials";
    default:
      return "new credentials before the end of the lease";
  }
}

// Why there is a new generation, for log lines and restarts.
std::string reason(const WatchedSecret& secret, const lease::Lifetime& lifetime, int version,
                   const Request& request) {
  const Status& status = secret.status;
  if (!status.fetched) return "first read";
  if (!secret.refresh_reason.empty()) return secret.refresh_reason;
  if (version > 0 && status.kv_version > 0 && version != status.kv_version)
    return "version " + std::to_string(status.kv_version) + " -> " + std::to_string(version);
  switch (lifetime.kind) {
    case Kind::dynamic:
    case Kind::non_renewable:
    case Kind::token:
      return lease_reason(secret, request);
    case Kind::static_role:
      return "rotated";
    case Kind::certificate:
      return "new certificate before the end of the last";
    default:
      return "changed";
  }
}

void log_change(const WatchedSecret& secret, const lease::Lifetime& lifetime, bool first) {
  const Status& status = secret.status;
  const Duration ttl = lifetime.kind == Kind::static_role ? lifetime.to_rotation : lifetime.ttl;
  const auto level = first ? log::Level::debug : log::Level::info;
  const auto* what = first ? "secret read" : "secret changed";
  const log::Field age = status.kv_version > 0
                             ? log::Field{"version", std::to_string(status.kv_version)}
                             : log::Field{"ttl", seconds_text(ttl)};
  const log::Field path{"path", status.path}, why{"why", status.why};
  if (status.lease_id.empty()) return log::write(level, "secret.fetched", what, {path, why, age});
  log::write(level, "secret.fetched", what,
             {path, why, age, {"lease", lease::lease_hash(status.lease_id)}});
}

// Nobody uses it: what came with it is not left alive.
lease::Step discard(WatchContext& context, const WatchedSecret& secret, const vault::Reply& reply,
                    Instant end) {
  context.revocations.retire({.secret = secret.status.id,
                              .generation = 0,  // older than all that is in use
                              .path = secret.status.path,
                              .lease_id = reply.lease.id,
                              .token = reply.auth ? reply.auth->token : nullptr,
                              .end = end,
                              .drain = {},
                              .vault_namespace = secret.rule.vault_namespace});
  return {};
}

void serve_new(WatchContext& context, WatchedSecret& secret, Value value, bool leased) {
  if (auto* before = std::get_if<Current>(&secret.served);
      before != nullptr && !leased && !secret.previous)
    secret.previous = *before;
  secret.status.fetched = true;
  secret.withheld.reset();
  serve(context, secret, Current{{.value = published(std::move(value))}});
}

}  // namespace

result<vault::Reply> require_whole(WatchContext& context, const WatchedSecret& secret,
                                   vault::Reply reply) {
  const tmpl::Dependency& dependency = secret.dependency;
  const auto missing = missing_part(dependency, reply, secret.status.kv_version > 0);
  if (missing.empty()) return reply;
  if (!reply.lease.id.empty() || reply.auth) {
    const auto lifetime = lifetime_of(dependency, reply, wall_now());
    (void)discard(context, secret, reply, reply.asked + lifetime.ttl);
  }
  const bool written = dependency.kind == tmpl::Dependency::Kind::pki ||
                       dependency.kind == tmpl::Dependency::Kind::write;
  const std::string& path = secret.data_path.empty() ? dependency.path : secret.data_path;
  return vault::half_answer(written ? "PUT" : "GET", path, missing,
                            written ? Reason::lost_answer : Reason::none);
}

std::string seconds_text(Duration time) {
  return std::to_string(time.count() / 1000) + "s";
}

lease::Step accept_reply(WatchContext& context, WatchedSecret& secret, vault::Reply reply,
                         Request request) {
  Status& status = secret.status;
  const Instant now = Clock::now();
  const auto lifetime = lifetime_of(secret.dependency, reply, wall_now() - (now - reply.asked));
  const bool leased = !reply.lease.id.empty() || reply.auth;
  if (secret.dropped) return discard(context, secret, reply, reply.asked + lifetime.ttl);

  Value value = value_of(secret.dependency, reply);
  serve_resumed(context, secret);  // what the last run had is what it is compared with
  const auto* current = std::get_if<Current>(&secret.served);
  const bool same =
      current != nullptr && !leased && same_content(lifetime.kind, *current->value, value);
  status.last_success = now;
  if (secret.rejected && !leased && same_content(lifetime.kind, *secret.rejected, value))
    return secret.schedule.answered(lifetime, now, reply.asked);  // it still lacks what is used
  secret.rejected.reset();
  if (leased || !same) retire_lease(context, secret);
  const int version = kv_version(reply);
  if (!same) status.why = reason(secret, lifetime, version, request);
  secret.refresh_reason.clear();
  status.kind = lifetime.kind;
  status.kv_version = version;
  status.lease_id = reply.lease.id;
  status.renewable = lifetime.renewable;
  secret.issued_token = reply.auth ? reply.auth->token : nullptr;
  secret.orphan = reply.auth && reply.auth->orphan;
  secret.token = std::move(request.token);
  const lease::Step step = secret.schedule.answered(lifetime, now, reply.asked);
  status.lease_end = secret.schedule.end();
  secret.expiry_reported = false;
  if (!same) {
    const bool first = !status.fetched;
    serve_new(context, secret, std::move(value), leased);
    log_change(secret, lifetime, first);
    if (lifetime.ended)
      log::warn("certificate.ended",
                "the certificate has ended already, by this machine's clock: is the clock right?",
                {{"path", status.path}, {"next", "another one in a minute"}});
    for (const std::string& warning : reply.warnings)
      log::info("secret.warning", "the server warns",
                {{"path", status.path}, {"warning", warning}});
  }
  set_state(context, secret, Status::State::fresh, {});
  leased || !same ? context.callbacks.state_changed() : context.callbacks.value_seen();
  return step;
}

}  // namespace keybearer::secrets
