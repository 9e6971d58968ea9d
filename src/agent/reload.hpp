#pragma once
// SIGHUP, and `keybearer reload`: the configuration and all template sources are read again, and
// the difference is applied. A broken one is reported with all its errors, and the running one
// stays. Values, leases and schedules of secrets that are still asked for are kept. Rules: section
// 7 of RULES.md (HUP).

#include <functional>
#include <memory>

#include "agent/agent.hpp"
#include "agent/delivery_loop.hpp"
#include "agent/notifier.hpp"
#include "auth/auth_loop.hpp"
#include "child/supervisor.hpp"
#include "secrets/secret_store.hpp"
#include "vault/session.hpp"

namespace keybearer {

// The parts that a new configuration concerns.
struct ReloadTargets {
  const Parts& parts;
  Mode mode;
  vault::Session& session;
  auth::AuthLoop& auth;
  secrets::SecretStore& secrets;
  DeliveryLoop& delivery;
  child::Supervisor* supervisor;  // null: no child
  Notifier& notifier;
};

// What came of it, for the log and for who asked.
struct ReloadReport {
  bool applied = false;
  std::vector<config::Problem> problems = {};   // why not
  std::vector<std::string> changed = {};        // sections, applied
  std::vector<std::string> needs_restart = {};  // keys whose change a restart of keybearer needs
};
ReloadReport reload(const ReloadTargets& targets);

}  // namespace keybearer
