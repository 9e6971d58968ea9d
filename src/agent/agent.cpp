#include "agent/agent.hpp"

#include "agent/control.hpp"
#include "agent/delivery_loop.hpp"
#include "agent/exit_codes.hpp"
#include "agent/lifecycle.hpp"
#include "agent/notifier.hpp"
#include "agent/reload.hpp"
#include "agent/routes.hpp"
#include "agent/server_probe.hpp"
#include "agent/service_status.hpp"
#include "agent/settings.hpp"
#include "agent/shutdown.hpp"
#include "agent/snapshot.hpp"
#include "agent/state_keeper.hpp"
#include "agent/tasks.hpp"
#include "agent/token_sinks.hpp"
#include "base/exit_code.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "base/log_events.hpp"
#include "base/redactor.hpp"
#include "config/own_words.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kRotateLimit = 30s;  // an answer to `rotate` waits no longer
constexpr std::size_t kEventsKept = 50;

std::vector<std::string> files_of(const config::Config& config) {
  std::vector<std::string> files;
  for (const std::string& file : config.files) files.push_back(config::absolute_path(file));
  return files;
}

InstanceFacts facts_of(const config::Config& config, Mode mode) {
  log::keep_events(kEventsKept);
  return {.name = config.name, .mode = mode, .config = files_of(config)};
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

awaitable<serve::ReloadOutcome> reload_now(Reloader& reloader) {
  co_return outcome_of(co_await reloader.ask_and_wait());
}

// All parts of a run, each after those it uses, and what connects them.
class Agent {
 public:
  Agent(const asio::any_io_executor& executor, Parts parts, std::shared_ptr<Rendering> rendering,
        Mode mode, PreviewSink preview);
  Agent(const Agent&) = delete;

  awaitable<int> run();

 private:
  // The exit code where a part can't be had; it is logged.
  std::optional<int> open_state();
  std::optional<int> open_listeners();
  void connect();
  void spawn_service();
  void spawn_work();
  void on_ready();
  void begin_ending();
  awaitable<void> clean_up();

  [[nodiscard]] auth::AuthLoop make_auth();
  [[nodiscard]] secrets::Callbacks secret_callbacks();
  [[nodiscard]] TokenSinks::Callbacks sink_callbacks();
  [[nodiscard]] serve::ControlActions make_control_actions();
  awaitable<result<std::vector<serve::Rotated>>> rotate_now(serve::RotateRequest wanted);
  void notify(std::string_view event, std::string_view reason) { notifier_.notify(event, reason); }
  [[nodiscard]] std::unique_ptr<child::Supervisor> make_supervisor();
  // Another after a reload.
  [[nodiscard]] const config::Config& config_now() const { return *delivery_.rendering().config; }

  asio::any_io_executor executor_;
  Parts parts_;
  Mode mode_;
  PreviewSink preview_;
  std::shared_ptr<const config::Config> config_;  // of the start
  const ServiceManager manager_ = ServiceManager::take_from(parts_.environment);
  InstanceFacts facts_ = facts_of(*config_, mode_);
  const std::function<void(std::string_view, std::string_view)> notify_ =
      [this](std::string_view event, std::string_view reason) { notify(event, reason); };

  Lifecycle lifecycle_{executor_};
  Notifier notifier_{executor_, config_->notify, config_->name, parts_.environment};
  vault::Session session_{parts_.make_http(*config_), vault::session_options(*config_)};
  vault::Client client_{session_};
  lease::Revocations revocations_{
      executor_, client_, [this](const std::string& path) { notify("lease.expired", path); }};
  auth::AuthLoop auth_ = make_auth();
  std::unique_ptr<StateKeeper> keeper_;  // null: no [state]
  secrets::SecretStore secrets_{executor_,     client_,
                                revocations_,  secrets::settings_of(*config_, is_once(mode_)),
                                parts_.random, secret_callbacks()};
  delivery::Files files_;
  delivery::Hooks hooks_{executor_, parts_.random, [this](const std::string& destination) {
                           files_.action_done(destination);
                         }};
  TokenSinks sinks_{
      client_,       auth_,           sinks_of(*config_, mode_), mode_ != Mode::render_once,
      parts_.random, sink_callbacks()};
  const std::unique_ptr<child::Supervisor> supervisor_ = make_supervisor();  // null: no child
  Event ready_;
  Event reloaded_;
  DeliveryLoop delivery_;
  const OwnWordsOf own_words_{delivery_};

  serve::Cache cache_{executor_, client_, parts_.random};
  serve::Proxy proxy_{session_, login_of(auth_), config_->api_proxy, cache_};
  const SnapshotSources sources_{
      facts_, session_, auth_, secrets_, delivery_, supervisor_.get(), proxy_, cache_, listeners_};
  ServerProbe server_probe_{client_, session_, lifecycle_};
  const serve::Inspected inspected_{
      .snapshot = [this] { return take_snapshot(sources_); },
      .metrics = [this] { return config_now().metrics.enabled.value_or(true); },
      .probe =
          [this] {
            if (passes_requests_on(config_now())) server_probe_.ask();
          }};
  serve::Router router_;
  serve::Listeners listeners_{executor_, router_};
  ServiceStatus service_{manager_, inspected_.snapshot};
  const ReloadTargets reload_targets_{parts_,    mode_,      session_,  auth_,
                                      secrets_,  sinks_,     delivery_, supervisor_.get(),
                                      notifier_, listeners_, proxy_,    cache_};
  Reloader reloader_;
  const serve::ControlActions control_actions_ = make_control_actions();
};

Agent::Agent(const asio::any_io_executor& executor, Parts parts,
             std::shared_ptr<Rendering> rendering, Mode mode, PreviewSink preview)
    : executor_(executor),
      parts_(std::move(parts)),
      mode_(mode),
      preview_(std::move(preview)),
      config_(rendering->config),
      delivery_(std::move(rendering), mode,
                {.session = session_,
                 .secrets = secrets_,
                 .auth = auth_,
                 .files = files_,
                 .hooks = hooks_,
                 .sinks = sinks_,
                 .supervisor = supervisor_.get(),
                 .environment = parts_.environment,
                 .random = parts_.random},
                {.ready = [this] { on_ready(); },
                 .child_offered = [this] { lifecycle_.on_child_offered(); },
                 .failed = [this](int code, const Error& reason) { lifecycle_.end(code, reason); },
                 .notify = notify_}),
      reloader_(reload_targets_, {.begin = [this] { service_.reloading(); },
                                  .ended =
                                      [this](const ReloadReport& report) {
                                        facts_.reload_failed = !report.applied;
                                        facts_.listeners = listeners_.addresses();
                                        facts_.config = files_of(config_now());
                                        if (keeper_) keeper_->configure(config_now());
                                        service_.reloaded();
                                        reloaded_.set();
                                      },
                                  .is_ending = [this] { return facts_.stopping; }}) {}

auth::AuthLoop Agent::make_auth() {
  return auth::AuthLoop(client_, auth_settings(*config_, mode_), parts_.random, notify_,
                        cloud_parts(*config_, parts_.environment, parts_.make_cloud_http));
}

std::unique_ptr<child::Supervisor> Agent::make_supervisor() {
  if (!has_child(mode_)) return nullptr;
  return std::make_unique<child::Supervisor>(executor_, *parts_.spawner, config_->exec,
                                             instance_id(*config_), parts_.random, notify_);
}

secrets::Callbacks Agent::secret_callbacks() {
  return {.token_is_good = [this] { return auth_.token_is_good(); },
          .alarm = notify_,
          .token_is_limited = [this] { return auth_.state().limited; },
          .fatal =
              [this](const Error& error) {
                lifecycle_.end(exit_code(error),
                               Error{error.kind, error.text + " (secret.on_error)"});
              },
          .state_changed =
              [this] {
                if (keeper_) keeper_->touch();
              },
          .value_seen =
              [this] {
                if (keeper_) keeper_->touch_later();
              }};
}

TokenSinks::Callbacks Agent::sink_callbacks() {
  return {.published = [this] { secrets_.changed().set(); },
          .failed_at_start = [this](const Error& why) { lifecycle_.end(exit_code(why), why); },
          .notify = notify_};
}

awaitable<result<std::vector<serve::Rotated>>> Agent::rotate_now(serve::RotateRequest wanted) {
  if (facts_.stopping)
    co_return fail(ErrorKind::cancelled, "keybearer is stopping: nothing is fetched any more");
  co_return co_await rotate(secrets_, delivery_, std::move(wanted), kRotateLimit);
}

serve::ControlActions Agent::make_control_actions() {
  return {.inspected = inspected_,
          .rotate = [this](serve::RotateRequest wanted) { return rotate_now(std::move(wanted)); },
          .reload = [this] { return reload_now(reloader_); },
          .stop =
              [this] {
                log::info("agent.stopping", "stopping", {{"asked_by", "control"}});
                facts_.stopping = true;
                lifecycle_.on_stop();
              }};
}

void Agent::on_ready() {
  lifecycle_.on_ready();
  ready_.set();
  if (mode_ == Mode::preview) {
    lifecycle_.end(preview_(delivery_.rendering().renderer.files()));
  } else if (mode_ == Mode::render_once) {
    lifecycle_.spawn(
        tasks::end_after_commands(hooks_, config_now().template_config.start_grace, lifecycle_));
  } else if (!is_once(mode_)) {
    lifecycle_.spawn(tasks::log_server_version(client_, facts_));
  }
}

std::optional<int> Agent::open_state() {
  if (mode_ == Mode::preview) return std::nullopt;
  auto opened = StateKeeper::open(*config_);
  if (!opened) {
    log::error("agent.exit", opened.error().text, {{"code", std::to_string(kConfig)}});
    return kConfig;
  }
  keeper_ = std::move(*opened);
  if (keeper_) keeper_->resume(auth_, secrets_, revocations_, notify_);
  return std::nullopt;
}

std::optional<int> Agent::open_listeners() {
  cache_.configure(config_->cache, config_->lease);
  add_routes(router_,
             {.proxy = proxy_, .inspected = inspected_, .quit = [this] { lifecycle_.on_stop(); }});
  if (auto ok = listeners_.configure(listeners_of(*config_, mode_), config_->vault.vault_namespace);
      !ok) {
    log::error("listener.failed", ok.error().text);
    return kConfig;
  }
  facts_.listeners = listeners_.addresses();
  return std::nullopt;
}

void Agent::begin_ending() {
  facts_.stopping = true;
  service_.stopping();
  delivery_.stop();
}

awaitable<void> Agent::clean_up() {
  service_.cleaning_up(kRevocationLimit + kMinNotifyTime);
  return revoke_and_notify({config_now(), mode_, client_, auth_, secrets_, notifier_, listeners_,
                            cache_, revocations_, keeper_.get()});
}

void Agent::connect() {
  lifecycle_.connect({.stop_child = [this] { supervisor_->stop(); },
                      .begin_ending = [this] { begin_ending(); },
                      .remove_files =
                          [this] {
                            if (!is_once_render(mode_)) files_.remove_on_exit();
                            sinks_.remove_on_exit();
                          },
                      .clean_up = [this] { return clean_up(); }});
  if (parts_.loop_exception)
    *parts_.loop_exception = [this](std::exception_ptr e) { lifecycle_.on_internal_error(e); };
}

// What looks from outside: signals, the service manager, the control socket.
void Agent::spawn_service() {
  wait_for_pipes(false);
  lifecycle_.spawn_signals(tasks::handle_signals(reload_targets_, lifecycle_, reloader_));
  lifecycle_.spawn(reloader_.run());
  if (manager_.listens()) {
    lifecycle_.spawn(service_.run(ready_, supervisor_.get()));
    lifecycle_.spawn_signals(service_.feed_watchdog());
  }
  if (parts_.control && !is_once_render(mode_)) {
    lifecycle_.spawn(serve_control(config_->control, config_->name, *parts_.control,
                                   control_actions_, ready_, reloaded_));
  }
}

// The job itself: from the token over secrets and files to the child.
void Agent::spawn_work() {
  if (const auto writable = sinks_.check(); !writable)  // before a login is spent
    lifecycle_.end(exit_code(writable.error()), writable.error());
  else
    lifecycle_.spawn(tasks::authenticate(auth_, delivery_, lifecycle_));
  lifecycle_.spawn(tasks::follow_token(auth_, secrets_, sinks_, delivery_, keeper_.get()));
  lifecycle_.spawn(sinks_.run());
  if (keeper_) {
    lifecycle_.spawn(keeper_->run());
    lifecycle_.spawn(tasks::check_resumed_token(auth_));
  }
  lifecycle_.spawn(secrets_.run());
  if (!is_once_render(mode_)) lifecycle_.spawn(cache_.run());
  lifecycle_.spawn(revocations_.run());
  lifecycle_.spawn(delivery_.run());
  lifecycle_.spawn(hooks_.run());
  lifecycle_.spawn(tasks::enforce_start_timeout(delivery_, lifecycle_));
  if (is_once(mode_)) lifecycle_.spawn(tasks::report_waits(secrets_, delivery_));
  if (config_->hardening) lifecycle_.spawn(tasks::lock_memory_after_start());
  if (supervisor_) {
    lifecycle_.spawn(tasks::supervise(*supervisor_, lifecycle_));
    lifecycle_.spawn(delivery_.follow_child());
    lifecycle_.spawn(delivery_.verify());
  }
}

awaitable<int> Agent::run() {
  if (const auto code = open_state()) co_return *code;
  if (const auto code = open_listeners()) co_return *code;
  connect();
  spawn_service();
  spawn_work();
  co_return co_await run_to_the_end(lifecycle_, listeners_, cache_, revocations_);
}

}  // namespace

awaitable<int> run_agent(Parts parts, std::shared_ptr<Rendering> rendering, Mode mode,
                         PreviewSink preview) {
  withhold_variables(rendering->config->credential_variables);
  Agent agent(co_await asio::this_coro::executor, std::move(parts), std::move(rendering), mode,
              std::move(preview));
  co_return co_await agent.run();
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
