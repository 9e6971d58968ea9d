#include "agent/shutdown.hpp"

#include <algorithm>

#include "agent/settings.hpp"
#include "base/log.hpp"
#include "base/log_events.hpp"

namespace keybearer {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

namespace {

constexpr Duration kLastSave = 2s;      // of the state, before anything is revoked
constexpr Duration kRequestGrace = 5s;  // requests to our listeners have it, at the end

awaitable<void> revoke(const ShutdownParts& parts, Instant deadline) {
  if (parts.client.token() == nullptr || parts.auth.state().phase == auth::TokenState::Phase::lost)
    co_return;
  const bool leases = revokes_leases(parts.config, parts.mode);
  if (leases || parts.keeper != nullptr) {
    if (co_await parts.secrets.revoke_all(deadline, leases) == lease::Revoked::timed_out) {
      log::warn("lease.revoke_timeout",
                "revoking the leases took too long: what is left ends with the token");
    }
  }
  if (Clock::now() + 100ms < deadline) co_await parts.auth.revoke();
}

// Before anything is revoked, so that no state ever names what is gone.
awaitable<void> save_state(const ShutdownParts& parts) {
  const bool leases = revokes_leases(parts.config, parts.mode);
  co_await parts.keeper->save_last(
      {.token = *auth_settings(parts.config, parts.mode).auto_auth.revoke_on_exit,
       .lease =
           [&](const lease::SavedSecret& saved) {
             return parts.secrets.revokes(saved.ids.front(), leases);
           }},
      Clock::now() + kLastSave);
}

}  // namespace

// What programs have asked for is answered with the token that is then revoked.
awaitable<void> revoke_and_notify(ShutdownParts parts) {
  co_await parts.listeners.stop(kRequestGrace);
  // With [state], too: what programs have got through us is not resumed.
  const bool revokes = parts.config.lease.revoke_on_exit.value_or(parts.mode != Mode::render_once);
  co_await parts.cache.stop(revokes ? &parts.revocations : nullptr);
  if (parts.keeper != nullptr) co_await save_state(parts);
  const Instant deadline = Clock::now() + kRevocationLimit;
  co_await within(kRevocationLimit, revoke(parts, deadline));
  co_await parts.notifier.finish(std::max(deadline - Clock::now(), kMinNotifyTime));
}

// A second stop signal, or a bug, may have left out the cleaning: no task outlives what it uses.
awaitable<int> run_to_the_end(Lifecycle& lifecycle, serve::Listeners& listeners,
                              serve::Cache& cache, lease::Revocations& revocations) {
  std::exception_ptr bug;
  int code = 0;
  try {
    code = co_await lifecycle.run();
  } catch (...) {
    bug = std::current_exception();
  }
  co_await listeners.stop(Duration::zero());
  co_await cache.stop(nullptr);
  co_await revocations.stop();
  if (bug) std::rethrow_exception(bug);
  co_return code;
}

}  // namespace keybearer
