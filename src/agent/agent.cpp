#include "agent/agent.hpp"

#include <malloc.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <set>

#include "agent/alarms.hpp"
#include "agent/rules.hpp"
#include "auth/auth_loop.hpp"
#include "base/log.hpp"
#include "base/signal_table.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "child/environment.hpp"
#include "child/supervisor.hpp"
#include "child/verifier.hpp"
#include "config/scalars.hpp"
#include "delivery/files.hpp"
#include "delivery/hooks.hpp"
#include "process/hardening.hpp"
#include "process/signals.hpp"
#include "process/tree.hpp"
#include "render/effects.hpp"
#include "secrets/secret_store.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kRevocations = 5s;    // all of them together, at the end
constexpr Duration kLastAlarm = 1s;      // has at least so long to be told, after these
constexpr Duration kGather = 100ms;      // at the start, answers are collected so long
constexpr Duration kDefaultsAfter = 1s;  // outage.on_start = "default"
constexpr Duration kSettling = 100ms;
constexpr Duration kLastMoment = 3s;  // before what the program has ends, it is told of the next

class Agent {
 public:
  Agent(asio::io_context& context, const config::Config& config, Job job, render::Renderer renderer,
        Show show);
  Agent(const Agent&) = delete;
  ~Agent();
  awaitable<void> run();
  void broken(std::exception_ptr bug);  // an orderly end all the same
  [[nodiscard]] int code() const { return code_; }

 private:
  [[nodiscard]] bool once() const { return job_ != Job::run && job_ != Job::render; }
  [[nodiscard]] bool with_program() const { return job_ == Job::run || job_ == Job::run_once; }

  awaitable<void> guarded(awaitable<void> task);
  awaitable<void> authenticate();
  awaitable<void> follow_token();
  awaitable<void> render();
  awaitable<void> supervise();
  awaitable<void> follow_program();
  awaitable<void> obey_signals();
  void hang_up();
  awaitable<void> give_up_at_start();
  awaitable<void> settle();
  awaitable<void> say_server();
  awaitable<void> clean_up();
  awaitable<void> take_leave();
  awaitable<void> revoke(Instant last);

  awaitable<void> render_pass();
  [[nodiscard]] bool defaults_stand_in() const;
  bool first_start_failed(const render::Evaluation& evaluation);
  void look_for_keys(const render::Evaluation& evaluation);
  void report(const std::vector<Error>& errors);
  awaitable<bool> write();
  void offer();
  void hand_over(child::Desired set);
  void refused(const std::string& reason);
  void in_place();
  void became_ready();
  void mark_applied();
  [[nodiscard]] std::string why(const std::vector<std::string>& used) const;
  auto raise_alarm() {
    return
        [this](std::string_view event, std::string_view reason) { alarms_.raise(event, reason); };
  }
  void end(int code, const std::optional<Error>& reason = {});

  asio::io_context& context_;
  const config::Config& config_;
  config::AutoAuth auto_auth_;  // with the job's defaults
  Job job_;
  Show show_;
  render::Renderer renderer_;
  Random random_;
  vault::Client client_;
  auth::AuthLoop auth_;
  lease::Revocations revocations_;
  secrets::SecretStore secrets_;
  std::unique_ptr<child::Spawner> spawner_;
  child::Supervisor supervisor_;
  child::Verifier verifier_;
  std::map<std::string, std::uint64_t> variable_effects_;  // of [env]: fingerprints, carried out
  std::uint64_t set_id_ = 0;                               // of the newest complete set
  secrets::InUse evaluated_set_, offered_set_;  // generations that the newest of each was made of
  secrets::InUse accepted_set_;                 // what the program has, or is about to get
  delivery::Hooks hooks_;
  EnvBlock our_environment_;
  TaskGroup tasks_;
  Alarms alarms_;
  TaskGroup farewell_;   // what is done at the end
  TaskGroup listening_;  // for signals, also then

  Instant begun_ = Clock::now();
  std::map<const config::Template*, std::uint64_t>
      written_;                                // generation of the content on the disk
  std::map<std::string, std::uint64_t> told_;  // generations of secrets that logs have explained
  std::set<std::string> said_;                 // errors that are in force and have been logged
  std::uint64_t evaluated_ = 0;                // of secrets_.changed(), by the last pass
  std::optional<Instant> key_look_at_;         // when secrets that lack a key are fetched again
  std::vector<std::string> key_secrets_;
  Backoff key_backoff_{{.min = 2s, .max = 1min}};
  std::map<const config::Template*, std::string> failed_;  // why it could not be written, as logged
  std::optional<Instant> write_again_;
  Backoff write_backoff_{{.min = 1s, .max = 1min}};
  bool ready_ = false;         // everything was there once
  bool program_runs_ = false;  // the supervisor has not ended
  bool stopping_ = false;
  int stop_requests_ = 0;
  std::optional<int> end_code_;
  Event ending_;
  Event program_ended_;
  std::optional<int> program_code_;
  std::exception_ptr bug_;
  int code_ = 0;
};

Agent::Agent(asio::io_context& context, const config::Config& config, Job job,
             render::Renderer renderer, Show show)
    : context_(context),
      config_(config),
      auto_auth_(auth_settings(config, job)),
      job_(job),
      show_(std::move(show)),
      renderer_(std::move(renderer)),
      client_(http::make_client(context.get_executor(), client_options(config)),
              vault::session_options(config)),
      auth_(client_, auto_auth_,
            {.outage = config.outage,
             .start_grace = config.template_config.start_grace,
             .once = once(),
             .num_retries = config.vault.retry.num_retries},
            with_program() ? config.exec.longest_stop() : Duration(0), random_, raise_alarm()),
      revocations_(context.get_executor(), client_,
                   [this](const std::string& path) { alarms_.raise("lease.expired", path); }),
      secrets_(context.get_executor(), client_, revocations_, secrets::settings_of(config, once()),
               random_,
               {.token_is_good = [this] { return auth_.token_is_good(); },
                .alarm = raise_alarm(),
                .token_is_limited = [this] { return auth_.state().limited; }}),
      spawner_(child::make_spawner()),
      supervisor_(context.get_executor(), *spawner_, config.exec, instance_id(config), random_,
                  raise_alarm()),
      verifier_(config.exec,
                {.accepted = [this](child::Desired set) { hand_over(std::move(set)); },
                 .refetch = [this] { return secrets_.refetch_leased("exec.verify failed"); },
                 .refused = [this](const std::string& why) { refused(why); }}),
      hooks_(context.get_executor(), random_),
      our_environment_(EnvBlock::from(environ)),
      tasks_(context.get_executor()),
      alarms_(context.get_executor(), config, our_environment_),
      farewell_(context.get_executor()),
      listening_(context.get_executor()) {
  log::set_mask([this](std::string& line) { secrets_.mask(line); });
}

Agent::~Agent() {
  log::set_mask({});
}

void Agent::end(int code, const std::optional<Error>& reason) {
  if (end_code_) return;
  if (reason) log::error("exit", reason->text, {{"code", std::to_string(code)}});
  end_code_ = code;
  ending_.set();
}

awaitable<void> Agent::guarded(awaitable<void> task) {
  try {
    co_await std::move(task);
  } catch (const boost::system::system_error& e) {
    if (e.code() == asio::error::operation_aborted) throw;
    broken(std::current_exception());
  } catch (...) {
    broken(std::current_exception());
  }
}

void Agent::broken(std::exception_ptr bug) {
  bug_ = std::move(bug);
  end(70);
}

awaitable<void> Agent::run() {
  const auto spawn = [this](awaitable<void> task) { tasks_.spawn(guarded(std::move(task))); };
  listening_.spawn(guarded(obey_signals()));
  spawn(authenticate());
  spawn(follow_token());
  spawn(secrets_.run());
  spawn(revocations_.run());
  spawn(render());
  spawn(hooks_.run());
  if (config_.hardening) spawn(settle());
  if (config_.outage.start_timeout || once()) spawn(give_up_at_start());
  if (with_program()) {
    program_runs_ = true;
    spawn(supervise());
    spawn(follow_program());
    spawn(verifier_.run());
  }
  while (!end_code_) co_await ending_.wait(ending_.generation());

  stopping_ = true;
  code_ = *end_code_;
  if (program_runs_ && supervisor_.machine().state() != child::SupervisorFsm::State::idle) {
    supervisor_.stop();
    while (!program_code_) co_await program_ended_.wait(program_ended_.generation());
    if (code_ == 0)
      code_ =
          *program_code_;  // a reason of our own says more than the code of a program we stopped
  }
  co_await clean_up();
  if (bug_) std::rethrow_exception(bug_);
}

awaitable<void> Agent::authenticate() {
  Error reason = co_await auth_.run();
  if (is_outage(reason.kind)) reason.text += hint(reason);
  if (ready_) {  // the loss has been logged
    log::info("exit", reason.text, {{"code", std::to_string(exit_code(reason))}});
    end(exit_code(reason));
  } else {
    end(exit_code(reason), reason);
  }
}

awaitable<void> Agent::follow_token() {
  std::uint64_t number = 0;
  for (;;) {
    const auto seen = auth_.changed().generation();
    const auto now = auth_.state().token_number;
    if (std::exchange(number, now) != now) secrets_.token_changed();
    if (!ready_) secrets_.changed().set();  // defaults may be wanted
    co_await auth_.changed().wait(seen);
  }
}

// --- from secrets to files and the program ---

awaitable<void> Agent::render() {
  for (;;) {
    evaluated_ = secrets_.changed().generation();
    co_await render_pass();
    Instant wake =
        std::min(key_look_at_.value_or(Instant::max()), write_again_.value_or(Instant::max()));
    if (!ready_ && Clock::now() < begun_ + kDefaultsAfter)
      wake = std::min(wake, begun_ + kDefaultsAfter);
    (void)co_await secrets_.changed().wait(evaluated_, wake);
    // At the start: once per level of look-ups, not once per answer; but who is there does not wait
    // for who hangs.
    const Instant latest = std::min(wake, Clock::now() + kGather);
    bool more = true;
    while (more && !ready_ && !secrets_.all_answered() && !secrets_.any_start_failed()) {
      more = co_await secrets_.changed().wait(secrets_.changed().generation(), latest);
    }
    if (key_look_at_ && Clock::now() >= *key_look_at_) {
      key_look_at_.reset();
      for (const std::string& id : key_secrets_) secrets_.refresh(id);
    }
  }
}

awaitable<void> Agent::render_pass() {
  if (stopping_ || end_code_) co_return;
  const bool use_defaults = defaults_stand_in();
  if (use_defaults) secrets_.use_defaults();
  secrets::Snapshot snapshot = secrets_.snapshot();
  auto evaluation = renderer_.evaluate(snapshot, use_defaults);
  if (ready_ && secrets_.reject(evaluation.used)) {
    report(evaluation.errors);
    snapshot = secrets_.snapshot();
    evaluation = renderer_.evaluate(snapshot, false);
  }
  if (stop_signal_pending()) co_return;  // it may have broken off the evaluation
  render::log_notes(evaluation.notes);
  const bool clean = evaluation.complete && evaluation.missing.empty() && evaluation.errors.empty();
  if (clean) {  // else something may still hold older values
    evaluated_set_.clear();
    for (const auto& [id, item] : snapshot.items()) evaluated_set_[id] = item.generation;
  }
  for (const auto& dependency : evaluation.missing) secrets_.require(dependency);
  report(evaluation.errors);
  if (!co_await write())
    co_return;  // what is there does not wait for what is not; the program waits for all
  if (!ready_ && first_start_failed(evaluation)) co_return;
  if (ready_) look_for_keys(evaluation);
  if (clean) secrets_.retain(renderer_.used());
  if (evaluation.complete) offer();
}

bool Agent::defaults_stand_in() const {
  const auto on_start = config_.outage.on_start;
  if (ready_ || on_start != config::Outage::OnStart::use_default ||
      Clock::now() < begun_ + kDefaultsAfter) {
    return false;
  }
  const auth::TokenState& auth = auth_.state();
  if (auth.token_number == 0) return auth.trouble && is_outage(auth.trouble->kind);
  return std::ranges::any_of(secrets_.all(), [](const secrets::Status* status) {
    return !status->fetched && status->state == secrets::Status::State::failing;
  });
}

// True: it is over. A template that is wrong by itself is so at once.
bool Agent::first_start_failed(const render::Evaluation& evaluation) {
  for (const Error& error : evaluation.errors) {
    if (error.kind == ErrorKind::render) {
      end(exit_code(error), Error{error.kind, "a template can't be rendered"});
      return true;
    }
  }
  std::optional<Error> failure;  // each is said; the first is the reason
  for (const auto& [id, target] : evaluation.required_by) {
    if (!secrets_.start_failed(id)) continue;
    const secrets::Status& status = *secrets_.status(id);
    Error error = *status.error;
    error.text += "; needed by " + target;
    error.text += status.advice.empty() ? hint(error) : ": " + status.advice;
    if (failure) log::error("secret.given_up", error.text);
    if (!failure) failure = std::move(error);
  }
  if (failure) {
    end(exit_code(*failure), *failure);
    return true;
  }
  if (config_.outage.on_start == config::Outage::OnStart::fail) {
    for (const secrets::Status* status : secrets_.all()) {
      if (!status->fetched && status->error && is_outage(status->error->kind)) {
        end(exit_code(*status->error), *status->error);
        return true;
      }
    }
  }
  const auto missing = std::ranges::find(evaluation.errors, ErrorKind::not_found, &Error::kind);
  if (missing == evaluation.errors.end()) return false;
  const Instant grace_end = begun_ + config_.template_config.start_grace;
  const bool may_come = std::ranges::any_of(
      evaluation.used, [this](const auto& id) { return secrets_.can_refetch_freely(id); });
  if (config_.template_config.exit_on_retry_failure && (!may_come || Clock::now() >= grace_end)) {
    const std::string where = missing->text.substr(0, missing->text.find('\n'));
    end(exit_code(*missing),
        Error{missing->kind, where + "; add the key to the secret, or give it a default"});
    return true;
  }
  look_for_keys(evaluation);
  if (key_look_at_ && Clock::now() < grace_end)
    key_look_at_ = std::min(*key_look_at_, std::max(grace_end, Clock::now() + 1s));
  return false;
}

void Agent::look_for_keys(const render::Evaluation& evaluation) {
  if (evaluation.used.empty()) {
    key_backoff_.reset();
    key_look_at_.reset();
  } else if (!key_look_at_) {
    key_secrets_.clear();
    for (const std::string& id : evaluation.used)
      if (secrets_.can_refetch_freely(id)) key_secrets_.push_back(id);
    if (key_secrets_.empty()) return;
    key_look_at_ = Clock::now() + key_backoff_.next(random_.fraction());
  }
}

void Agent::report(const std::vector<Error>& errors) {
  std::set<std::string> now;
  for (const Error& error : errors) {
    now.insert(error.text);
    if (said_.contains(error.text)) continue;
    if (ready_) {
      log::warn("render.failed", error.text, {{"values", "the last good ones stay"}});
    } else {
      log::error("render.failed", error.text);
    }
  }
  said_ = std::move(now);
}

// False: a file can't be written: until it is, the program hears of nothing; or it is over.
awaitable<bool> Agent::write() {
  if (job_ == Job::show) co_return true;
  std::vector<delivery::FileWrite> writes;
  std::vector<const render::RenderedFile*> files;
  for (const render::RenderedFile& file : renderer_.files()) {
    if (file.generation == 0) continue;
    const auto known = written_.find(file.spec);
    if (known != written_.end() && known->second == file.generation) continue;
    writes.push_back({file.spec, file.content->reveal()});
    files.push_back(&file);
  }
  std::vector<result<bool>>
      beside;  // what writeToFile asks for goes first: the program may read both
  for (const render::RenderedFile* file : files) beside.push_back(render::carry_out(file->effects));
  if (const auto done = render::carry_out(renderer_.variables(), variable_effects_); !done) {
    end(exit_code(done.error()), done.error());
    co_return false;
  }
  auto results = co_await delivery::async_write_files(std::move(writes));
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!beside[i]) results[i] = std::move(beside[i]);
    if (results[i] && beside[i] && *beside[i]) results[i] = true;
  }
  if (stopping_ || end_code_) co_return false;
  bool good = true;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const config::Template& spec = *files[i]->spec;
    if (!results[i]) {
      good = false;
      if (!ready_) {
        end(exit_code(results[i].error()), results[i].error());
        co_return false;
      }
      if (std::exchange(failed_[&spec], results[i].error().text) != results[i].error().text) {
        log::error("file.failed", results[i].error().text);
        alarms_.raise("file_failed", spec.destination);
      }
      continue;
    }
    failed_.erase(&spec);
    written_[&spec] = files[i]->generation;
    if (!*results[i]) continue;
    log::info("file.written", "file written",
              {{"path", spec.destination},
               {"mode", config::mode_text(spec.perms)},
               {"secrets", why(files[i]->used)}});
    if (!spec.command.argv.empty()) {
      std::vector<Secret> values;
      const std::string_view content = files[i]->content->reveal();
      values.push_back(files[i]->content->clone());
      for (const tmpl::Range& printed : files[i]->printed)
        values.emplace_back(content.substr(printed.begin, printed.end - printed.begin));
      hooks_.start(spec, without_credentials(our_environment_), std::move(values));
    }
  }
  write_again_ =
      good ? std::nullopt : std::optional(Clock::now() + write_backoff_.next(random_.fraction()));
  if (good) write_backoff_.reset();
  co_return good;
}

// The complete set: to the program, once exec.verify finds it good.
void Agent::offer() {
  offered_set_ = evaluated_set_;
  if (!with_program() || (ready_ && once())) return in_place();
  const config::OnChange rule = default_action(config_.exec);
  child::Desired desired{.id = ++set_id_, .items = {}, .environment = {}};
  desired.apply_before = secrets_.earliest_superseded_expiry() - kLastMoment;
  EnvBlock rendered;
  for (const render::RenderedVariable& variable : renderer_.variables()) {
    rendered.set(variable.name, variable.value->reveal());
    const config::OnChange change = variable.on_change.value_or(rule);
    desired.items.push_back(
        {.name = variable.name,
         .fingerprint = render::fingerprint_of(*variable.value, variable.effects),
         .action = change.action,
         .signal = change.signal,
         .why = why(variable.used)});
  }
  for (const render::RenderedFile& file : renderer_.files()) {
    const config::OnChange change = file.spec->on_change.value_or(rule);
    if (file.spec->on_change && change.action == config::OnChange::Action::none) continue;
    desired.items.push_back({.name = file.spec->destination,
                             .fingerprint = render::fingerprint_of(*file.content, file.effects),
                             .action = change.action,
                             .signal = change.signal,
                             .why = why(file.used)});
  }
  std::ranges::sort(desired.items, {}, &child::Item::name);
  desired.environment = child::program_environment(config_.exec, our_environment_, rendered);
  verifier_.offer(std::move(desired), rendered);
}

// To the supervisor, which compares it with what the program was started with.
void Agent::hand_over(child::Desired set) {
  if (auto accepted = supervisor_.set_desired(std::move(set)); !accepted) {
    if (!ready_) {
      end(exit_code(accepted.error()), accepted.error());
    } else {
      log::error("child.refused", accepted.error().text + "; the program keeps its values");
    }
    return;
  }
  in_place();
}

void Agent::refused(const std::string& reason) {
  if (!ready_) return end(69, Error{ErrorKind::server, reason});
  log::error("verify.refused", reason + "; the program keeps its values");
  alarms_.raise("verify_failed", reason);
}

void Agent::in_place() {
  // What came while files were written or new values were tried is of the next pass.
  if (evaluated_ == secrets_.changed().generation()) {
    for (const secrets::Status* status : secrets_.all()) told_[status->id] = status->generation;
    secrets_.commit();
  }
  accepted_set_ = offered_set_;
  if (!ready_) became_ready();
  mark_applied();
}

// "kv/data/app: version 7 -> 8; database/creds/app: lease ended", of what is new since it was told
// last.
std::string Agent::why(const std::vector<std::string>& used) const {
  std::set<std::string> parts;
  for (const std::string& id : used) {
    const secrets::Status* status = secrets_.status(id);
    if (status == nullptr) continue;
    const auto told = told_.find(status->id);
    if (told != told_.end() && told->second == status->generation) continue;
    std::string part = status->path;
    if (!status->why.empty()) part += ": " + status->why;
    if (status->kv_version > 0 && status->generation == 1)
      part += ", version " + std::to_string(status->kv_version);
    parts.insert(std::move(part));
  }
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

void Agent::became_ready() {
  if (end_code_) return;
  ready_ = true;
  key_look_at_.reset();
  if (job_ == Job::show) return end(show_(renderer_.files()));
  if (job_ == Job::render_once) {
    tasks_.spawn(guarded([](Agent* agent) -> awaitable<void> {
      if (co_await agent->hooks_.idle()) co_return agent->end(0);
      agent->end(75, Error{ErrorKind::spawn, "the files are written, but a command failed"});
    }(this)));
    return;
  }
  if (!once()) tasks_.spawn(guarded(say_server()));
}

void Agent::mark_applied() {
  const bool in_use = !with_program() || once() || supervisor_.applied() == set_id_;
  if (ready_ && in_use) secrets_.applied(accepted_set_);
}

awaitable<void> Agent::settle() {
  co_await sleep_for(kSettling);
  lock_memory();
}

// The server's version, for the log; after the start, so that nothing waits for it.
awaitable<void> Agent::say_server() {
  const auto health = co_await client_.health();
  malloc_trim(0);  // what only the start needed goes back to the system
  if (health)
    log::info("server", "server",
              {{"address", client_.address().text()}, {"version", health->version}});
}

awaitable<void> Agent::give_up_at_start() {
  const Duration limit = config_.outage.start_timeout.value_or(60s);
  co_await sleep_until(begun_ + limit);
  if (ready_) co_return;
  std::string text =
      "not ready after " + std::to_string(limit.count() / 1000) + " s (outage.start_timeout)";
  Error reason{ErrorKind::network, text};
  if (const auto& trouble = auth_.state().trouble)
    reason = Error{trouble->kind, text + ": " + trouble->text + hint(*trouble)};
  for (const secrets::Status* status : secrets_.all()) {
    if (!status->fetched && status->error)
      reason = Error{status->error->kind, text + ": " + status->error->text + hint(*status->error)};
  }
  end(exit_code(reason), reason);
}

awaitable<void> Agent::supervise() {
  program_code_ = co_await supervisor_.run();
  program_runs_ = false;
  program_ended_.set();
  end(*program_code_);
}

awaitable<void> Agent::follow_program() {
  for (;;) {
    const auto seen = supervisor_.changed().generation();
    mark_applied();
    co_await supervisor_.changed().wait(seen);
  }
}

awaitable<void> Agent::obey_signals() {
  const std::vector<int> ours{SIGTERM, SIGINT, SIGQUIT, SIGHUP};
  std::vector<int> all = forwarded_signals();
  all.insert(all.end(), ours.begin(), ours.end());
  Signals signals(context_.get_executor(), all);
  for (;;) {
    const int signal = co_await signals.next();
    if (std::ranges::find(ours, signal) == ours.end()) {
      if (with_program()) supervisor_.forward_signal(signal);
    } else if (signal == SIGHUP) {
      hang_up();
    } else if (++stop_requests_ == 1) {
      log::info("stop", "stopping", {{"signal", config::signal_name(signal)}});
      end(ready_ ? 0 : 75);
    } else if (program_runs_ && stopping_) {
      supervisor_.stop();
    } else if (farewell_.live() > 0) {
      log::warn("stop", "a second signal: nothing more is waited for",
                {{"signal", config::signal_name(signal)}});
      farewell_.cancel();
    }
  }
}

void Agent::hang_up() {
  if (const auto reopened = log::reopen(); !reopened) {
    log::warn("log.reopen", reopened.error().text);
  } else {
    log::info(
        "hangup",
        config_.log_file.empty() ? "SIGHUP: nothing to do" : "SIGHUP: log file opened again",
        {{"next", "the configuration is read at the start only: restart keybearer for a new one"}});
  }
  if (with_program()) supervisor_.forward_signal(SIGHUP);  // exec.hup = "forward"
}

awaitable<void> Agent::clean_up() {
  if (job_ != Job::render_once && job_ != Job::show) {
    std::vector<const config::Template*> specs;
    for (const render::RenderedFile& file : renderer_.files()) specs.push_back(file.spec);
    delivery::remove_files(specs);
  }
  tasks_.cancel();
  co_await tasks_.join();
  farewell_.spawn(take_leave());
  co_await farewell_.join();
  co_await alarms_.finish(0s);
  listening_.cancel();
  co_await listening_.join();
}

awaitable<void> Agent::take_leave() {
  const Instant last = Clock::now() + kRevocations;
  if (client_.token() != nullptr && auth_.state().phase != auth::TokenState::Phase::lost)
    co_await within(kRevocations, revoke(last));
  co_await alarms_.finish(std::max(last - Clock::now(), kLastAlarm));
}

awaitable<void> Agent::revoke(Instant last) {
  if (config_.lease.revoke_on_exit.value_or(job_ != Job::render_once))
    (void)co_await secrets_.revoke_all(last - 200ms);
  if (Clock::now() + 100ms < last) co_await auth_.revoke();
}

}  // namespace

int run_agent(const config::Config& config, Job job, render::Renderer renderer, Show show) {
  asio::io_context context(1);
  std::exception_ptr failure;
  int code = 0;
  {
    Agent agent(context, config, job, std::move(renderer), std::move(show));
    asio::co_spawn(context, agent.run(), [&](std::exception_ptr e) {
      failure = std::move(e);
      context.stop();  // idle connections have timers of their own
    });
    for (bool done = false; !done;) {
      try {
        context.run();
        done = true;
      } catch (...) {
        agent.broken(std::current_exception());
      }
    }
    code = agent.code();
  }
  if (failure) std::rethrow_exception(failure);
  return code;
}

}  // namespace keybearer
