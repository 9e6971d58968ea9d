#include "agent/snapshot.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/log_events.hpp"
#include "base/redactor.hpp"

namespace keybearer {
namespace {

using serve::Snapshot;

const char* text_of(Mode mode) {
  switch (mode) {
    case Mode::run:
      return "run";
    case Mode::run_once:
      return "run --once";
    case Mode::render:
      return "render";
    case Mode::render_once:
      return "render --once";
    case Mode::preview:
      return "preview";
  }
  return "";
}

std::string text_of(const std::optional<Error>& error) {
  return error ? redactor().redact_ours(error->text) : "";
}

const char* text_of(lease::Kind kind) {
  switch (kind) {
    case lease::Kind::unleased:
    case lease::Kind::kv2:
      return "kv";
    case lease::Kind::dynamic:
    case lease::Kind::non_renewable:
      return "dynamic";
    case lease::Kind::static_role:
      return "static-role";
    case lease::Kind::certificate:
      return "cert";
    case lease::Kind::token:
      return "token";
    case lease::Kind::written_once:
      return "write";
  }
  return "";
}

const char* text_of(lease::Step::Do action) {
  switch (action) {
    case lease::Step::Do::nothing:
      return "";
    case lease::Step::Do::read:
      return "read";
    case lease::Step::Do::compare:
      return "compare";
    case lease::Step::Do::renew:
      return "renew";
    case lease::Step::Do::lookup:
      return "look up";
  }
  return "";
}

Snapshot::Token token_of(const auth::TokenState& state) {
  using Phase = auth::TokenState::Phase;
  using To = Snapshot::Token::Phase;
  const To phase = state.phase == Phase::valid    ? To::valid
                   : state.phase == Phase::ending ? To::ending
                   : state.phase == Phase::lost   ? To::lost
                                                  : To::logging_in;
  return {.phase = phase,
          .method = state.method,
          .mount = state.mount,
          .accessor = state.accessor,
          .ttl = state.ttl,
          .expires = state.expires,
          .next_at = phase == To::lost ? std::nullopt : state.next_at,
          .renewable = state.renewable,
          .error = text_of(state.trouble),
          .attempts = state.login_outcomes,
          .renewals = state.renewal_outcomes};
}

Snapshot::Secret secret_of(const secrets::Status& status) {
  using State = secrets::Status::State;
  using To = Snapshot::Secret::State;
  const To state = status.state == State::pending   ? To::pending
                   : status.state == State::fresh   ? To::fresh
                   : status.state == State::failing ? To::failing
                   : status.state == State::absent  ? To::absent
                                                    : To::denied;
  return {.path = status.path,
          .kind = status.fetched ? text_of(status.kind) : "",
          .lease_hash = status.lease_id.empty() ? "" : lease::lease_hash(status.lease_id),
          .lease_id = status.lease_id,
          .renewable = status.renewable,
          .state = state,
          .generation = status.generation,
          .version = status.kv_version,
          .required = status.required,
          .defaults = status.defaults,
          .lease_end = status.lease_end,
          .next_at = status.next_at,
          .next_action = text_of(status.next_action),
          .last_success = status.last_success,
          .max_stale = status.max_stale,
          .reason = redactor().redact_ours(status.why),
          .error = text_of(status.error),
          .fetches = status.fetches};
}

std::vector<Snapshot::File> files_of(const DeliveryLoop& delivery) {
  std::vector<Snapshot::File> files;
  for (const render::RenderedFile& file : delivery.rendering().renderer.files()) {
    Snapshot::File out{.path = file.spec->destination, .error = {}};
    if (const auto at = delivery.file_status().find(out.path); at != delivery.file_status().end()) {
      const DeliveryLoop::FileStatus& status = at->second;
      out.mode = status.mode;
      out.written_at = status.written_at;
      out.error = redactor().redact_ours(status.error);
      out.written = status.written;
      out.unchanged = status.unchanged;
      out.failed = status.failed;
    }
    files.push_back(std::move(out));
  }
  return files;
}

std::string program_name(const config::Exec& exec) {
  if (exec.command.argv.empty()) return "";
  return exec.command.argv.front() + (exec.command.shell ? " -c" : "");
}

Snapshot::Child child_of(const child::Supervisor& supervisor, const config::Exec& exec) {
  using State = child::SupervisorFsm::State;
  const child::SupervisorFsm& fsm = supervisor.machine();
  const bool alive = fsm.state() == State::running || fsm.state() == State::background;
  Snapshot::Child child{.state = std::string(name_of(fsm.state())),
                        .alive = alive,
                        .pid = supervisor.pid(),
                        .command = program_name(exec),
                        .since = fsm.started_at(),
                        .starts = static_cast<std::uint64_t>(fsm.starts()),
                        .outdated = fsm.stale(),
                        .last_exit = {},
                        .restarts = {},
                        .exits = {},
                        .roll_backs = fsm.stats().roll_backs};
  if (const auto exit = fsm.last_exit()) child.last_exit = {exit->signaled, exit->code};
  for (const auto& [reason, count] : fsm.stats().restarts) child.restarts.emplace(reason, count);
  for (const auto& [exit, count] : fsm.stats().exits)
    child.exits.emplace(Snapshot::Child::Exit{exit.first, exit.second}, count);
  return child;
}

Snapshot::Serving serving_of(const SnapshotSources& s, const config::Config& config) {
  Snapshot::Serving serving{.listeners = s.listeners.stats(),
                            .connections = s.listeners.server_stats(),
                            .proxy = s.proxy.stats()};
  serving.proxies = passes_requests_on(config);
  serving.lends_token = config.api_proxy.use_auto_auth_token != config::ApiProxy::UseToken::no;
  serving.serves_stale =
      config.cache.enabled && config.cache.kv_ttl > Duration::zero() && config.cache.max_stale;
  if (s.cache.enabled()) {
    serving.cache = Snapshot::Serving::Cache{
        .stats = s.cache.stats(), .entries = s.cache.entries(), .bytes = s.cache.bytes()};
  }
  return serving;
}

}  // namespace

bool passes_requests_on(const config::Config& config) {
  return std::ranges::any_of(config.listeners, [](const config::Listener& listener) {
    return listener.role == config::Listener::Role::standard;
  });
}

Snapshot take_snapshot(const SnapshotSources& s) {
  const vault::SessionStats& stats = s.session.stats();
  const config::Config& config = *s.delivery.rendering().config;
  Snapshot out{.now = Clock::now(), .wall = wall_now()};
  out.instance = {.name = s.facts.name,
                  .version = KEYBEARER_VERSION,
                  .mode = text_of(s.facts.mode),
                  .pid = getpid(),
                  .started = s.facts.started,
                  .config = s.facts.config,
                  .ready = s.delivery.ready(),
                  .stopping = s.facts.stopping,
                  .reload_failed = s.facts.reload_failed};
  out.token = token_of(s.auth.state());
  out.server = {.address = s.session.address().text(),
                .version = s.facts.server_version,
                .reachable_since = stats.reachable_since,
                .answered_at = stats.answered_at,
                .error = redactor().redact_ours(stats.error)};
  for (const secrets::Status* status : s.secrets.all()) out.secrets.push_back(secret_of(*status));
  std::ranges::sort(out.secrets, {}, &Snapshot::Secret::path);
  out.files = files_of(s.delivery);
  if (s.supervisor != nullptr) out.child = child_of(*s.supervisor, config.exec);
  out.requests = {.succeeded = stats.succeeded,
                  .refused = stats.refused,
                  .failed = stats.erred,
                  .unanswered = stats.failed,
                  .throttled = stats.held_back};
  out.fetch_time = s.secrets.fetch_time();
  out.redactions = redactor().redactions();
  out.listeners = s.facts.listeners;
  if (s.listeners.size() > 0) out.serving = serving_of(s, config);
  out.events.assign(log::events().begin(), log::events().end());
  return out;
}

}  // namespace keybearer
