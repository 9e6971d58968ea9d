#pragma once
// The small tasks of a run, each of one concern: Agent spawns them until the end. All parts must
// outlive them.

#include <boost/asio/awaitable.hpp>

#include "agent/delivery_loop.hpp"
#include "agent/lifecycle.hpp"
#include "agent/reload.hpp"
#include "agent/snapshot.hpp"
#include "agent/state_keeper.hpp"
#include "agent/token_sinks.hpp"
#include "auth/auth_loop.hpp"
#include "child/supervisor.hpp"
#include "delivery/hooks.hpp"
#include "secrets/secret_store.hpp"
#include "vault/client.hpp"

namespace keybearer::tasks {

using boost::asio::awaitable;

// Keeps the token alive; the run ends when that has failed for good.
[[nodiscard]] awaitable<void> authenticate(auth::AuthLoop& auth, const DeliveryLoop& delivery,
                                           Lifecycle& lifecycle);
// Secrets, sinks and state follow each new token. `keeper`: null without [state].
[[nodiscard]] awaitable<void> follow_token(auth::AuthLoop& auth, secrets::SecretStore& secrets,
                                           TokenSinks& sinks, const DeliveryLoop& delivery,
                                           StateKeeper* keeper);
[[nodiscard]] awaitable<void> enforce_start_timeout(DeliveryLoop& delivery, Lifecycle& lifecycle);
// What a one-shot command waits for, for the person before it.
[[nodiscard]] awaitable<void> report_waits(secrets::SecretStore& secrets,
                                           const DeliveryLoop& delivery);
[[nodiscard]] awaitable<void> supervise(child::Supervisor& supervisor, Lifecycle& lifecycle);
// Whether the token of the last run is still known to the server, once one was resumed.
[[nodiscard]] awaitable<void> check_resumed_token(auth::AuthLoop& auth);
// The server's version, for the log and the status; after the start, so that nothing waits for it.
[[nodiscard]] awaitable<void> log_server_version(vault::Client& client, InstanceFacts& facts);
[[nodiscard]] awaitable<void> lock_memory_after_start();
// A failed command is tried again for as long as a start may wait.
[[nodiscard]] awaitable<void> end_after_commands(delivery::Hooks& hooks, Duration limit,
                                                 Lifecycle& lifecycle);
[[nodiscard]] awaitable<void> handle_signals(const ReloadTargets& targets, Lifecycle& lifecycle,
                                             Reloader& reloader);

}  // namespace keybearer::tasks
