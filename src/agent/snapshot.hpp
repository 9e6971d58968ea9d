#pragma once
// Copies what each part counts and knows about itself into one serve::Snapshot, without any value.
// Pulled: nothing happens here until somebody asks.

#include <functional>
#include <string>
#include <vector>

#include "agent/agent.hpp"
#include "agent/delivery_loop.hpp"
#include "auth/auth_loop.hpp"
#include "child/supervisor.hpp"
#include "secrets/secret_store.hpp"
#include "serve/cache.hpp"
#include "serve/listener.hpp"
#include "serve/proxy.hpp"
#include "serve/snapshot.hpp"
#include "vault/session.hpp"

namespace keybearer {

// Facts of the instance that no part holds.
struct InstanceFacts {
  std::string name;
  Mode mode = Mode::run;
  Instant started = Clock::now();
  std::vector<std::string> config = {};  // absolute
  std::string server_version = {};       // "": not known
  bool stopping = false;
  bool reload_failed = false;
  std::vector<std::string> listeners = {};
};

// All of them must outlive it.
struct SnapshotSources {
  const InstanceFacts& facts;
  const vault::Session& session;
  const auth::AuthLoop& auth;
  const secrets::SecretStore& secrets;
  const DeliveryLoop& delivery;
  const child::Supervisor* supervisor;  // null: no child
  const serve::Proxy& proxy;
  const serve::Cache& cache;
  const serve::Listeners& listeners;
};
[[nodiscard]] bool passes_requests_on(const config::Config& config);
[[nodiscard]] serve::Snapshot take_snapshot(const SnapshotSources& sources);

}  // namespace keybearer
