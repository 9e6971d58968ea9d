#pragma once
// The end of a run: listeners drain, the last state is saved, leases and token are revoked, and
// notifications get out, in this order and each for a bounded time. Rules: T8, S6, P7.

#include <boost/asio/awaitable.hpp>

#include "agent/agent.hpp"
#include "agent/lifecycle.hpp"
#include "agent/notifier.hpp"
#include "agent/state_keeper.hpp"
#include "auth/auth_loop.hpp"
#include "lease/revocations.hpp"
#include "secrets/secret_store.hpp"
#include "serve/cache.hpp"
#include "serve/listener.hpp"
#include "vault/client.hpp"

namespace keybearer {

constexpr Duration kRevocationLimit = std::chrono::seconds(5);  // all of them together
constexpr Duration kMinNotifyTime = std::chrono::seconds(1);    // after them, at least

// All of them must outlive the end.
struct ShutdownParts {
  const config::Config& config;
  Mode mode;
  vault::Client& client;
  auth::AuthLoop& auth;
  secrets::SecretStore& secrets;
  Notifier& notifier;
  serve::Listeners& listeners;
  serve::Cache& cache;
  lease::Revocations& revocations;
  StateKeeper* keeper;  // null: no [state]
};

// What programs have asked for is answered with the token that is then revoked.
[[nodiscard]] boost::asio::awaitable<void> revoke_and_notify(ShutdownParts parts);

// Lifecycle::run, after which no task is left that uses the listeners, the cache or the revocations:
// a second stop signal, or a bug, may have left out the cleaning.
[[nodiscard]] boost::asio::awaitable<int> run_to_the_end(Lifecycle& lifecycle,
                                                         serve::Listeners& listeners,
                                                         serve::Cache& cache,
                                                         lease::Revocations& revocations);

}  // namespace keybearer
