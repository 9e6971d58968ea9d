#include "agent/tasks.hpp"

#include <malloc.h>

#include <csignal>

#include "agent/exit_codes.hpp"
#include "agent/start_policy.hpp"
#include "agent/wait_report.hpp"
#include "base/exit_code.hpp"
#include "base/log.hpp"
#include "base/log_events.hpp"
#include "base/loop_guard.hpp"
#include "config/load.hpp"
#include "process/hardening.hpp"
#include "vault/hints.hpp"

namespace keybearer::tasks {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

namespace {
constexpr Duration kLockMemoryDelay = 100ms;  // a start does not wait for it
constexpr Duration kWaitPause = 100ms;        // all secrets are looked at: not for each answer
}  // namespace

awaitable<void> authenticate(auth::AuthLoop& auth, const DeliveryLoop& delivery,
                             Lifecycle& lifecycle) {
  Error reason = co_await auth.run();
  if (is_outage(reason.kind)) reason.text += hint(reason);
  const int code = exit_code(reason);
  if (delivery.ready()) {  // the loss has been logged as an error
    log::info("agent.exit", reason.text, {{"code", std::to_string(code)}});
    lifecycle.end(code);
  } else {
    lifecycle.end(code, reason);
  }
}

awaitable<void> follow_token(auth::AuthLoop& auth, secrets::SecretStore& secrets, TokenSinks& sinks,
                             const DeliveryLoop& delivery, StateKeeper* keeper) {
  std::uint64_t number = 0;
  for (;;) {
    const auto seen = auth.changed().generation();
    if (keeper != nullptr) keeper->touch();
    const auto now = auth.state().token_number;
    if (std::exchange(number, now) != now) {
      secrets.token_changed();
      sinks.token_changed();
    }
    if (!delivery.ready()) secrets.changed().set();  // defaults may be wanted
    co_await auth.changed().wait(seen);
  }
}

awaitable<void> enforce_start_timeout(DeliveryLoop& delivery, Lifecycle& lifecycle) {
  const Instant begun = Clock::now();
  for (;;) {
    const auto seen = delivery.replaced().generation();
    const auto limit = start_timeout(delivery.start_rules());
    const Instant end = limit ? begun + *limit : Instant::max();
    if (Clock::now() >= end) break;
    (void)co_await delivery.replaced().wait(seen, end);  // a reload may bring another limit
    if (delivery.ready()) co_return;
  }
  const Error reason = start_timeout_error(delivery.start_rules(), delivery.start_facts());
  lifecycle.end(exit_code(reason), reason);
}

// A person waits for a one-shot command.
awaitable<void> report_waits(secrets::SecretStore& secrets, const DeliveryLoop& delivery) {
  LoopGuard guard(co_await asio::this_coro::executor, "waits");
  WaitReport report;
  while (!delivery.ready()) {
    guard.round();
    const auto seen = secrets.changed().generation();
    if (const auto line =
            report.line(start_wait(delivery.start_rules(), delivery.start_facts()), Clock::now()))
      log::info("start.waiting", *line);
    co_await sleep_for(kWaitPause);
    // An evaluation that finds a key missing wakes no one.
    (void)co_await secrets.changed().wait(seen, std::min(report.next(), Clock::now() + 1s));
  }
}

awaitable<void> supervise(child::Supervisor& supervisor, Lifecycle& lifecycle) {
  lifecycle.on_child_ended(co_await supervisor.run());
}

// Whether the token of the last run is still known to the server, once one was resumed.
awaitable<void> check_resumed_token(auth::AuthLoop& auth) {
  while (auth.state().token_number == 0) co_await auth.changed().wait(auth.changed().generation());
  if (auth.state().logins == 0) (void)co_await auth.token_is_good();
}

// The server's version, for the log and the status; after the start, so that nothing waits for it.
awaitable<void> log_server_version(vault::Client& client, InstanceFacts& facts) {
  const auto health = co_await client.health();
  malloc_trim(0);  // what only the start needed goes back to the system
  if (health) {
    facts.server_version = health->version;
    log::info("server.connected", "server",
              {{"address", client.address().text()}, {"version", health->version}});
  }
}

awaitable<void> lock_memory_after_start() {
  co_await sleep_for(kLockMemoryDelay);
  lock_memory();
}

// A failed command is tried again for as long as a start may wait.
awaitable<void> end_after_commands(delivery::Hooks& hooks, Duration limit, Lifecycle& lifecycle) {
  if (co_await hooks.idle(Clock::now() + limit)) co_return lifecycle.end(kOk);
  lifecycle.end(kNotReady, Error{ErrorKind::spawn, "the files are written, but a command failed"});
}

awaitable<void> handle_signals(const ReloadTargets& targets, Lifecycle& lifecycle,
                               Reloader& reloader) {
  if (!targets.parts.next_signal) co_return;
  for (;;) {
    const int signal = co_await targets.parts.next_signal();
    const bool childs = targets.supervisor != nullptr && targets.supervisor->forwards(signal);
    if (childs) {
      targets.supervisor->forward_signal(signal);
    } else if (signal == SIGHUP) {
      reloader.ask();
    } else if (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT) {
      log::info("agent.stopping", "stopping", {{"signal", config::signal_name(signal)}});
      lifecycle.on_stop();
    }
  }
}

}  // namespace keybearer::tasks
