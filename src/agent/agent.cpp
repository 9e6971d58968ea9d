#include "agent/agent.hpp"

#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "agent/control.hpp"
#include "agent/delivery_loop.hpp"
#include "agent/exit_codes.hpp"
#include "agent/hints.hpp"
#include "agent/lifecycle.hpp"
#include "agent/notifier.hpp"
#include "agent/reload.hpp"
#include "agent/routes.hpp"
#include "agent/service_status.hpp"
#include "agent/settings.hpp"
#include "agent/snapshot.hpp"
#include "agent/state_keeper.hpp"
#include "agent/token_sinks.hpp"
#include "agent/wait_report.hpp"
#include "base/exit_code.hpp"
#include "base/log.hpp"
#include "base/log_events.hpp"
#include "base/loop_guard.hpp"
#include "base/redactor.hpp"
#include "base/signal_table.hpp"
#include "config/own_words.hpp"
#include "process/hardening.hpp"
#include "process/signals.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kRevocations = 5s;         // all of them together, at the end
constexpr Duration kLastSave = 2s;            // of the state, before them
constexpr Duration kMinNotifyTime = 1s;       // notifications have at least this long, after them
constexpr Duration kLockMemoryDelay = 100ms;  // a start does not wait for it
constexpr Duration kRotateLimit = 30s;        // an answer to `rotate` waits no longer
constexpr std::size_t kEventsKept = 50;
constexpr Duration kRequestGrace = 5s;  // requests to our listeners have it, at the end

bool is_once(Mode mode) {
  return mode == Mode::run_once || mode == Mode::render_once || mode == Mode::preview;
}
bool is_once_render(Mode mode) {  // nobody could look in time
  return mode == Mode::render_once || mode == Mode::preview;
}
bool has_child(Mode mode) {
  return mode == Mode::run || mode == Mode::run_once;
}

// --- tasks, each of one concern ---

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

awaitable<void> enforce_start_timeout(const DeliveryLoop& delivery, Lifecycle& lifecycle) {
  const auto limit = start_timeout(delivery.start_rules());
  if (!limit) co_return;
  co_await sleep_for(*limit);
  if (delivery.ready()) co_return;
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
    // An evaluation that finds a key missing tells nobody.
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

// The words of the configuration and templates in force, whichever those are by then.
class OwnWordsOf {
 public:
  explicit OwnWordsOf(const DeliveryLoop& delivery) {
    redactor().set_own_words([&delivery](std::string_view word) {
      const Rendering& now = delivery.rendering();
      return config::own_words(*now.config).find(word) != std::string::npos ||
             now.renderer.says(word);
    });
  }
  ~OwnWordsOf() { redactor().set_own_words({}); }
  OwnWordsOf(const OwnWordsOf&) = delete;
};

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

awaitable<serve::ReloadOutcome> reload_now(Reloader& reloader) {
  co_return outcome_of(co_await reloader.ask_and_wait());
}

// --- the end ---

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
      {.token = *auth_settings(parts.config, parts.mode).revoke_on_exit,
       .lease =
           [&](const lease::SavedSecret& saved) {
             return parts.secrets.revokes(saved.ids.front(), leases);
           }},
      Clock::now() + kLastSave);
}

// What programs have asked for is answered with the token that is then revoked.
awaitable<void> revoke_and_notify(ShutdownParts parts) {
  co_await parts.listeners.stop(kRequestGrace);
  // With [state], too: what programs have got through us is not resumed.
  const bool revokes = parts.config.lease.revoke_on_exit.value_or(parts.mode != Mode::render_once);
  co_await parts.cache.stop(revokes ? &parts.revocations : nullptr);
  if (parts.keeper != nullptr) co_await save_state(parts);
  const Instant deadline = Clock::now() + kRevocations;
  co_await within(kRevocations, revoke(parts, deadline));
  co_await parts.notifier.finish(std::max(deadline - Clock::now(), kMinNotifyTime));
}

// A second stop signal, or a bug, may have left out the cleaning: no task outlives what it uses.
awaitable<int> run_to_the_end(Lifecycle& lifecycle, serve::Listeners& listeners,
                              serve::Cache& cache) {
  std::exception_ptr bug;
  int code = 0;
  try {
    code = co_await lifecycle.run();
  } catch (...) {
    bug = std::current_exception();
  }
  co_await listeners.stop(Duration::zero());
  co_await cache.stop(nullptr);
  if (bug) std::rethrow_exception(bug);
  co_return code;
}

}  // namespace

namespace {

std::vector<int> handled_signals() {
  std::vector<int> signals = own_signals();
  const std::vector<int> others = forwarded_signals();
  signals.insert(signals.end(), others.begin(), others.end());
  return signals;
}

}  // namespace

namespace {

std::optional<std::string> variable_of_ours(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

Parts make_parts(asio::io_context& context) {
  const auto events = std::make_shared<Signals>(context.get_executor(), handled_signals());
  const auto executor = context.get_executor();
  Parts parts;
  parts.make_http = [executor](const config::Config& config) {
    return http::make_client(executor, client_options(config));
  };
  parts.make_cloud_http = [executor](http::ClientOptions options) {
    return http::make_client(executor, std::move(options));
  };
  parts.spawner = child::make_spawner();
  parts.environment = EnvBlock::from(environ);
  parts.control = config::Surroundings{.env = variable_of_ours, .uid = geteuid()};
  parts.next_signal = [events] { return events->next(); };
  return parts;
}

awaitable<int> run_agent(Parts parts, std::shared_ptr<Rendering> rendering, Mode mode,
                         PreviewSink preview) {
  const auto executor = co_await asio::this_coro::executor;
  const auto config = rendering->config;
  withhold_variables(config->credential_variables);
  const ServiceManager manager = ServiceManager::take_from(parts.environment);
  InstanceFacts facts{.name = config->name, .mode = mode};
  for (const std::string& file : config->files) facts.config.push_back(config::absolute_path(file));
  log::keep_events(kEventsKept);

  Lifecycle lifecycle(executor);
  Notifier notifier(executor, config->notify, config->name, parts.environment);
  const auto notify = [&notifier](std::string_view event, std::string_view reason) {
    notifier.notify(event, reason);
  };
  vault::Session session(parts.make_http(*config), vault::session_options(*config));
  vault::Client client(session);
  lease::Revocations revocations(
      executor, client, [&](const std::string& path) { notifier.notify("lease.expired", path); });
  auth::AuthLoop auth(client, auth_settings(*config, mode),
                      {.outage = config->outage,
                       .start_grace = config->template_config.start_grace,
                       .once = is_once(mode),
                       .num_retries = config->vault.retry.num_retries},
                      has_child(mode) ? config->exec.longest_stop() : Duration(0), parts.random,
                      notify, cloud_parts(*config, parts.environment, parts.make_cloud_http));
  std::unique_ptr<StateKeeper> keeper;
  secrets::SecretStore secrets(
      executor, client, revocations, secrets::settings_of(*config, is_once(mode)), parts.random,
      {.token_is_good = [&auth] { return auth.token_is_good(); },
       .alarm = notify,
       .token_is_limited = [&auth] { return auth.state().limited; },
       .fatal =
           [&lifecycle](const Error& error) {
             lifecycle.end(exit_code(error), Error{error.kind, error.text + " (secret.on_error)"});
           },
       .state_changed =
           [&keeper] {
             if (keeper) keeper->touch();
           },
       .value_seen =
           [&keeper] {
             if (keeper) keeper->touch_later();
           }});
  if (mode != Mode::preview) {
    auto opened = StateKeeper::open(*config);
    if (!opened) {
      log::error("agent.exit", opened.error().text, {{"code", std::to_string(kConfig)}});
      co_return kConfig;
    }
    keeper = std::move(*opened);
  }
  if (keeper) keeper->resume(auth, secrets, revocations, notify);
  delivery::Files files;
  delivery::Hooks hooks(executor, parts.random, [&files](const std::string& destination) {
    files.action_done(destination);
  });
  TokenSinks sinks(
      client, auth, mode == Mode::preview ? std::vector<config::Sink>{} : config->auto_auth.sinks,
      mode != Mode::render_once, parts.random,
      {.published = [&secrets] { secrets.changed().set(); },
       .failed_at_start = [&](const Error& why) { lifecycle.end(exit_code(why), why); },
       .notify = notify});
  std::optional<child::Supervisor> supervisor;
  if (has_child(mode)) {
    supervisor.emplace(executor, *parts.spawner, config->exec, instance_id(*config), parts.random,
                       notify);
  }
  child::Supervisor* const child = supervisor ? &*supervisor : nullptr;
  Event ready;
  const auto on_ready = [&] {
    lifecycle.on_ready();
    ready.set();
    if (mode == Mode::preview) {
      lifecycle.end(preview(rendering->renderer.files()));
    } else if (mode == Mode::render_once) {
      lifecycle.spawn(end_after_commands(hooks, config->template_config.start_grace, lifecycle));
    } else if (!is_once(mode)) {
      lifecycle.spawn(log_server_version(client, facts));
    }
  };
  DeliveryLoop delivery(
      rendering, mode,
      {.session = session,
       .secrets = secrets,
       .auth = auth,
       .files = files,
       .hooks = hooks,
       .sinks = sinks,
       .supervisor = child,
       .environment = parts.environment,
       .random = parts.random},
      {.ready = on_ready,
       .child_offered = [&] { lifecycle.on_child_offered(); },
       .failed = [&](int code, const Error& reason) { lifecycle.end(code, reason); },
       .notify = notify});

  serve::Cache cache(executor, client, parts.random);
  cache.configure(config->cache, config->lease);
  serve::Proxy proxy(session, login_of(auth), config->api_proxy, cache);
  const SnapshotSources sources{facts, session, auth, secrets, delivery, child};
  const serve::Inspected inspected{
      .snapshot = [&] { return take_snapshot(sources); },
      .metrics =
          [&delivery] { return delivery.rendering().config->metrics.enabled.value_or(true); }};
  serve::Router router;
  add_routes(router,
             {.proxy = proxy, .inspected = inspected, .quit = [&] { lifecycle.on_stop(); }});
  serve::Listeners listeners(executor, router);
  if (mode != Mode::render_once && mode != Mode::preview) {
    if (auto ok = listeners.configure(config->listeners, config->vault.vault_namespace); !ok) {
      log::error("listener.failed", ok.error().text);
      co_return kConfig;
    }
    facts.listeners = listeners.addresses();
  }

  const OwnWordsOf own_words(delivery);
  ServiceStatus service(manager, [&] { return take_snapshot(sources); });
  lifecycle.connect({.stop_child = [&] { supervisor->stop(); },
                     .begin_ending =
                         [&] {
                           facts.stopping = true;
                           service.stopping();
                           delivery.stop();
                         },
                     .remove_files =
                         [&] {
                           if (mode != Mode::render_once && mode != Mode::preview)
                             files.remove_on_exit();
                           sinks.remove_on_exit();
                         },
                     .clean_up =
                         [&] {
                           service.cleaning_up(kRevocations + kMinNotifyTime);
                           return revoke_and_notify({*config, mode, client, auth, secrets, notifier,
                                                     listeners, cache, revocations, keeper.get()});
                         }});
  const ReloadTargets reload_targets{parts,    mode,  session,  auth,      secrets, sinks,
                                     delivery, child, notifier, listeners, proxy,   cache};
  Reloader reloader(reload_targets, {.begin = [&] { service.reloading(); },
                                     .ended =
                                         [&](const ReloadReport& report) {
                                           facts.reload_failed = !report.applied;
                                           facts.listeners = listeners.addresses();
                                           service.reloaded();
                                         }});
  const serve::ControlActions control_actions{
      .inspected = inspected,
      .rotate =
          [&](serve::RotateRequest wanted) {
            return rotate(secrets, delivery, std::move(wanted), kRotateLimit);
          },
      .reload = [&] { return reload_now(reloader); },
      .stop =
          [&] {
            log::info("agent.stopping", "stopping", {{"asked_by", "control"}});
            facts.stopping = true;
            lifecycle.on_stop();
          }};
  lifecycle.spawn_signals(handle_signals(reload_targets, lifecycle, reloader));
  lifecycle.spawn(reloader.run());
  if (manager.listens()) {
    lifecycle.spawn(service.run(ready, child));
    lifecycle.spawn_signals(service.feed_watchdog());
  }
  if (parts.control && !is_once_render(mode)) {
    lifecycle.spawn(
        serve_control(config->control, config->name, *parts.control, control_actions, ready));
  }
  if (parts.loop_exception)
    *parts.loop_exception = [&](std::exception_ptr e) { lifecycle.on_internal_error(e); };
  if (const auto writable = sinks.check(); !writable)  // before a login is spent
    lifecycle.end(exit_code(writable.error()), writable.error());
  else
    lifecycle.spawn(authenticate(auth, delivery, lifecycle));
  lifecycle.spawn(follow_token(auth, secrets, sinks, delivery, keeper.get()));
  lifecycle.spawn(sinks.run());
  if (keeper) {
    lifecycle.spawn(keeper->run());
    lifecycle.spawn(check_resumed_token(auth));
  }
  lifecycle.spawn(secrets.run());
  if (!is_once_render(mode)) lifecycle.spawn(cache.run());
  lifecycle.spawn(revocations.run());
  lifecycle.spawn(delivery.run());
  lifecycle.spawn(hooks.run());
  lifecycle.spawn(enforce_start_timeout(delivery, lifecycle));
  if (is_once(mode)) lifecycle.spawn(report_waits(secrets, delivery));
  if (config->hardening) lifecycle.spawn(lock_memory_after_start());
  if (child != nullptr) {
    lifecycle.spawn(supervise(*child, lifecycle));
    lifecycle.spawn(delivery.follow_child());
    lifecycle.spawn(delivery.verify());
  }
  co_return co_await run_to_the_end(lifecycle, listeners, cache);
}

int run_agent(std::shared_ptr<Rendering> rendering, Mode mode, PreviewSink preview,
              std::function<Reloaded()> reload) {
  asio::io_context context(1);
  std::exception_ptr failure;
  int code = 0;
  Parts parts = make_parts(context);
  parts.reload = std::move(reload);
  const auto on_exception = std::make_shared<std::function<void(std::exception_ptr)>>(
      [](const std::exception_ptr& e) { std::rethrow_exception(e); });
  parts.loop_exception = on_exception;
  asio::co_spawn(context,
                 run_agent(std::move(parts), std::move(rendering), mode, std::move(preview)),
                 [&](std::exception_ptr e, int result) {
                   failure = std::move(e);
                   code = result;
                   context.stop();  // idle connections have timers of their own
                 });
  for (bool done = false; !done;) {
    try {
      context.run();
      done = true;
    } catch (...) {  // a handler that belongs to no coroutine
      (*on_exception)(std::current_exception());
    }
  }
  if (failure) std::rethrow_exception(failure);
  return code;
}

}  // namespace keybearer
