#include "agent/delivery_loop.hpp"

#include <algorithm>

#include "agent/exit_codes.hpp"
#include "agent/settings.hpp"
#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "base/offload.hpp"
#include "base/turns.hpp"
#include "child/environment.hpp"
#include "config/scalars.hpp"
#include "render/effects.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kStartupCoalesce = 100ms;  // at the start, answers are collected this long
constexpr Duration kRestartLead = 3s;  // before what the child has ends, it is told of the next

// Set when its owner is given up, so that a thread that still works for it ends soon.
class StopOnExit {
 public:
  ~StopOnExit() { flag_->store(true); }
  [[nodiscard]] std::shared_ptr<std::atomic<bool>> flag() const { return flag_; }

 private:
  std::shared_ptr<std::atomic<bool>> flag_ = std::make_shared<std::atomic<bool>>(false);
};

StartRules start_rules_of(const config::Config& config, bool once) {
  return {.outage = config.outage,
          .start_grace = config.template_config.start_grace,
          .exit_on_retry_failure = config.template_config.exit_on_retry_failure,
          .once = once};
}

}  // namespace

DeliveryLoop::DeliveryLoop(std::shared_ptr<Rendering> rendering, Mode mode, Links links,
                           Callbacks callbacks)
    : rendering_(std::move(rendering)),
      mode_(mode),
      links_(links),
      callbacks_(std::move(callbacks)),
      start_rules_(start_rules_of(*rendering_->config, once())),
      verifier_(rendering_->config->exec,
                {.accepted = [this](child::Desired set) { accepted(std::move(set)); },
                 .refetch = [this] { return links_.secrets.refetch_leased("exec.verify failed"); },
                 .refused = [this](const std::string& reason) { refused(reason); }}) {}

void DeliveryLoop::replace(std::shared_ptr<Rendering> rendering) {
  rendering_ = std::move(rendering);
  start_rules_ = start_rules_of(*rendering_->config, once());
  verifier_.configure(rendering_->config->exec);
  std::vector<delivery::FileTarget> targets;
  for (const render::RenderedFile& file : rendering_->renderer.files())
    targets.push_back(delivery::target_of(*file.spec));
  links_.hooks.configure(targets, without_credentials(links_.environment));
  const auto is_gone = [this](const auto& entry) {
    return std::ranges::none_of(rendering_->renderer.files(), [&](const auto& file) {
      return file.spec->destination == entry.first;
    });
  };
  std::erase_if(written_, is_gone);
  std::erase_if(file_status_, is_gone);
  std::erase_if(asked_, is_gone);
  for (auto& [destination, generation] : written_) generation = 0;  // compared with the disk again
  links_.secrets.changed().set();
  replaced_.set();
}

awaitable<void> DeliveryLoop::run() {
  LoopGuard guard(co_await asio::this_coro::executor, "delivery");
  co_await let_others_go_first();  // the login: what is asked for is asked for with its token
  for (;;) {
    guard.round();
    evaluated_ = links_.secrets.changed().generation();
    co_await pass();
    Instant wake = write_again_.value_or(Instant::max());
    if (!ready_ && Clock::now() < begun_ + kDefaultsAfter)
      wake = std::min(wake, begun_ + kDefaultsAfter);
    if (!ready_)
      wake = std::min(wake, std::max(begun_ + start_rules_.start_grace, Clock::now() + 1s));
    (void)co_await links_.secrets.changed().wait(evaluated_, wake);
    if (!ready_) co_await gather_first_answers(wake);
  }
}

// At startup replies are coalesced per level of look-ups, but one that hangs does not delay the
// rest.
awaitable<void> DeliveryLoop::gather_first_answers(Instant wake) {
  Event& changed = links_.secrets.changed();
  const Instant latest = std::min(wake, Clock::now() + kStartupCoalesce);
  while (!links_.secrets.all_answered() && !links_.secrets.any_start_failed()) {
    if (!co_await changed.wait(changed.generation(), latest)) break;
  }
}

awaitable<void> DeliveryLoop::pass() {
  if (stopping_) co_return;
  if (const std::string paths = links_.secrets.must_stop(); with_child() && !paths.empty())
    links_.supervisor->hold("too old (max_stale): " + paths);
  const auto rendering = rendering_;
  // A reload may come during each wait: then the next pass has the new templates.
  const auto outdated = [&] { return stopping_ || rendering != rendering_; };
  const bool use_defaults = !ready_ && should_use_defaults(start_rules_, start_facts());
  if (use_defaults) links_.secrets.use_defaults();
  const bool use_state = !ready_ && should_use_state(start_rules_, start_facts());
  if (use_state) links_.secrets.use_state();
  evaluation_ = co_await evaluate(use_defaults);
  if (outdated()) co_return;
  if (ready_ && links_.secrets.reject(evaluation_.lost)) {
    report(evaluation_.errors);
    evaluation_ = co_await evaluate(false);
  }
  if (outdated()) co_return;
  // The next version is compared with this one, whether or not the child has its set.
  if (ready_ && evaluation_.lost.empty() && evaluated_ == links_.secrets.changed().generation())
    links_.secrets.commit();
  render::log_notes(evaluation_.notes);
  for (const tmpl::Dependency& dependency : evaluation_.missing) links_.secrets.require(dependency);
  if (!ready_) links_.session.grow_budget(links_.secrets.all().size());
  report(evaluation_.errors);
  // What is there does not wait for what is not; the child waits for all.
  const bool all_written = co_await write();
  if (outdated() || (!ready_ && start_is_over())) co_return;
  (void)links_.secrets.missing_key(evaluation_.used);
  if (!evaluation_.complete) co_return;
  if (evaluation_.errors.empty() && evaluation_.missing.empty())
    links_.secrets.retain(rendering_->renderer.dependencies());
  // The token is where the child looks for it, unless there is none and other values stand in.
  const bool without_token = (use_defaults || use_state) && links_.auth.state().token_number == 0;
  if (all_written && (links_.sinks.published() || without_token)) offer();
}

awaitable<render::Evaluation> DeliveryLoop::evaluate(bool use_defaults) {
  const StopOnExit stop;
  break_off_ = stop.flag();
  const auto rendering = rendering_;
  auto job = [rendering, snapshot = links_.secrets.snapshot(), use_defaults,
              flag = stop.flag()]() mutable {
    return rendering->renderer.evaluate(snapshot, use_defaults, flag.get());
  };
  render::Evaluation evaluation;
  if (rendering->renderer.is_quick()) {
    evaluation = job();
  } else {
    evaluation = co_await offload(std::move(job));
  }
  if (rendering == rendering_) {
    for (const render::RenderedFile& file : rendering->renderer.files())
      if (file.generation > 0) asked_[file.spec->destination] = file.used;
  }
  co_return evaluation;
}

void DeliveryLoop::stop() {
  stopping_ = true;
  if (break_off_) break_off_->store(true);
}

const std::vector<std::string>& DeliveryLoop::asked_by(const std::string& destination) const {
  static const std::vector<std::string> kNone;
  const auto at = asked_.find(destination);
  return at == asked_.end() ? kNone : at->second;
}

StartFacts DeliveryLoop::start_facts() const {
  StartFacts facts{.now = Clock::now(),
                   .begun = begun_,
                   .has_token = links_.auth.state().token_number > 0,
                   .token_failure = links_.auth.state().trouble,
                   .errors = evaluation_.errors,
                   .required_by = evaluation_.required_by,
                   .lacking_keys = evaluation_.used};
  for (const secrets::Status* status : links_.secrets.all()) {
    facts.secrets.push_back({.id = status->id,
                             .path = status->path,
                             .has_value = status->fetched,
                             .failed_for_good = links_.secrets.start_failed(status->id),
                             .failing = status->state == secrets::Status::State::failing,
                             .refetchable = links_.secrets.can_refetch_freely(status->id),
                             .error = status->error,
                             .advice = status->advice});
  }
  return facts;
}

bool DeliveryLoop::start_is_over() {
  const std::vector<Error> failures = start_failures(start_rules_, start_facts());
  if (failures.empty()) return false;
  for (std::size_t i = 1; i < failures.size(); ++i) log::error("start.failed", failures[i].text);
  callbacks_.failed(exit_code(failures.front()), failures.front());
  return true;
}

// One line per error while it lasts.
void DeliveryLoop::report(const std::vector<Error>& errors) {
  std::set<std::string> now;
  for (const Error& error : errors) {
    now.insert(error.text);
    if (reported_errors_.contains(error.text)) continue;
    if (ready_) {
      log::warn("render.failed", error.text, {{"values", "the last good ones stay"}});
    } else {
      log::error("render.failed", error.text);
    }
  }
  reported_errors_ = std::move(now);
}

// --- files ---

// False: a file can't be written. Then it is tried again, and until then the child hears of
// nothing.
awaitable<bool> DeliveryLoop::write() {
  if (mode_ == Mode::preview) co_return true;
  std::vector<const render::RenderedFile*> files;
  std::vector<delivery::FileWrite> writes;
  for (const render::RenderedFile& file : rendering_->renderer.files()) {
    if (!file.content) continue;
    const auto known = written_.find(file.spec->destination);
    if (known != written_.end() && known->second == file.generation) continue;
    files.push_back(&file);
    delivery::FileWrite write{.target = delivery::target_of(*file.spec), .content = file.content};
    for (const tmpl::Range& range : file.printed) write.printed.push_back({range.begin, range.end});
    writes.push_back(std::move(write));
  }
  if (files.empty() && !write_again_) co_return carry_out_for_variables();
  const auto rendering = rendering_;  // `files` are its own
  // What writeToFile asks for goes first: the child may read both.
  const auto beside = co_await carry_out_effects(files);
  auto results = co_await links_.files.apply(std::move(writes));
  if (stopping_ || rendering != rendering_) co_return false;
  bool all = carry_out_for_variables();
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!beside[i]) results[i].written = beside[i];
    all = on_file(*files[i], results[i], beside[i].value_or(false)) && all;
  }
  write_again_ = all ? std::nullopt
                     : std::optional(Clock::now() + write_backoff_.next(links_.random.fraction()));
  if (all) write_backoff_.reset();
  co_return all && !stopping_;
}

bool DeliveryLoop::on_file(const render::RenderedFile& file, const delivery::FileResult& result,
                           bool changed_beside) {
  const std::string& destination = file.spec->destination;
  FileStatus& status = file_status_[destination];
  if (!result.written) {
    const Error& error = result.written.error();
    ++status.failed;
    status.error = error.text;
    if (!ready_) {
      callbacks_.failed(exit_code(error), error);
      return false;
    }
    if (std::exchange(write_failures_[destination], error.text) != error.text) {
      log::error("file.failed", error.text);
      callbacks_.notify("file.failed", destination);
    }
    return false;
  }
  write_failures_.erase(destination);
  const bool changed = *result.written || changed_beside;
  status.error.clear();
  status.mode = result.mode;
  ++(changed ? status.written : status.unchanged);
  if (changed) status.written_at = wall_now();
  if (changed) {
    log::info("file.written", "file written",
              {{"path", destination},
               {"mode", config::mode_text(result.mode)},
               {"secrets", reasons(file.used)}});
  }
  written_[destination] = file.generation;
  if (changed || (result.action_due && !links_.hooks.is_under_way(destination))) run_command(file);
  return true;
}

awaitable<std::vector<result<bool>>> DeliveryLoop::carry_out_effects(
    const std::vector<const render::RenderedFile*>& files) {
  std::vector<std::vector<tmpl::FileEffect>> effects;
  bool any = false;
  for (const render::RenderedFile* file : files) {
    effects.push_back(file->effects);
    any = any || !file->effects.empty();
  }
  if (!any) co_return std::vector<result<bool>>(files.size(), false);
  co_return co_await offload([effects = std::move(effects)] {
    std::vector<result<bool>> results;
    for (const auto& each : effects) results.push_back(render::carry_out(each));
    return results;
  });
}

bool DeliveryLoop::carry_out_for_variables() {
  const auto done = render::carry_out(rendering_->renderer.variables(), variable_effects_);
  if (done) return true;
  if (!ready_) {
    callbacks_.failed(exit_code(done.error()), done.error());
  } else {
    log::error("file.failed", done.error().text);
  }
  return false;
}

void DeliveryLoop::run_command(const render::RenderedFile& file) {
  if (file.spec->command.argv.empty()) return;
  std::vector<Secret> values;
  const std::string_view content = file.content->reveal();
  for (const tmpl::Range& printed : file.printed)
    values.emplace_back(content.substr(printed.begin, printed.end - printed.begin));
  links_.hooks.start(delivery::target_of(*file.spec), without_credentials(links_.environment),
                     std::move(values));
}

// --- change sets ---

child::Items DeliveryLoop::items() const {
  const config::Exec& exec = rendering_->config->exec;
  const config::OnChange rule = default_action(exec);
  child::Items items;
  for (const render::RenderedVariable& variable : rendering_->renderer.variables()) {
    const config::OnChange change = variable.on_change.value_or(rule);
    items.push_back({.name = variable.name,
                     .fingerprint = render::fingerprint_of(*variable.value, variable.effects),
                     .action = change.action,
                     .signal = change.signal,
                     .why = reasons(variable.used)});
  }
  for (const render::RenderedFile& file : rendering_->renderer.files()) {
    const config::OnChange change = file.spec->on_change.value_or(rule);
    const bool asks = !file.spec->on_change || change.action != config::OnChange::Action::none;
    items.push_back({.name = file.spec->destination,
                     .fingerprint = render::fingerprint_of(*file.content, file.effects),
                     .action = change.action,
                     .signal = change.signal,
                     .why = reasons(file.used),
                     .asks = asks});
  }
  std::ranges::sort(items, {}, &child::Item::name);
  return items;
}

// The complete set: to the child, once exec.verify finds it good.
void DeliveryLoop::offer() {
  const std::uint64_t id = ++last_set_;
  set_sources_[id] = rendering_->renderer.in_use();
  if (!with_child() || (ready_ && once())) return in_force(id);
  EnvBlock rendered;
  for (const render::RenderedVariable& variable : rendering_->renderer.variables())
    rendered.set(variable.name, variable.value);
  child::Desired set{.id = id,
                     .items = items(),
                     .environment = child::program_environment(rendering_->config->exec,
                                                               links_.environment, rendered),
                     .apply_before = links_.secrets.earliest_superseded_expiry() - kRestartLead};
  verifier_.offer(std::move(set), rendered);
}

// To the supervisor, which compares it with what the child was started with.
void DeliveryLoop::accepted(child::Desired set) {
  const std::uint64_t id = set.id;
  if (auto taken = links_.supervisor->set_desired(std::move(set)); !taken) {
    set_sources_.erase(id);
    if (!ready_) return callbacks_.failed(exit_code(taken.error()), taken.error());
    log::error("child.refused", taken.error().text + "; the child keeps its values");
    callbacks_.notify("child.refused", taken.error().text);
    return;
  }
  if (links_.secrets.must_stop().empty()) links_.supervisor->release();
  in_force(id);
}

void DeliveryLoop::refused(const std::string& reason) {
  if (!ready_) return callbacks_.failed(kUnavailable, Error{ErrorKind::server, reason});
  log::error("verify.refused", reason + "; the child keeps its values");
  callbacks_.notify("verify.refused", reason);
}

// The set is where it belongs, or on its way: without a child, that is all.
void DeliveryLoop::in_force(std::uint64_t id) {
  // What came while files were written or new values were tried belongs to the next pass.
  if (evaluated_ == links_.secrets.changed().generation()) {
    for (const secrets::Status* status : links_.secrets.all())
      logged_generations_[status->id] = status->generation;
    links_.secrets.commit();
  }
  const bool first = !std::exchange(ready_, true);
  if (first) links_.session.fix_budget();  // what templates ask for later does not widen it (S1)
  if (with_child()) {
    callbacks_.child_offered();
  } else {
    links_.secrets.applied(set_sources_[id]);
    set_sources_.clear();
  }
  if (first) callbacks_.ready();
}

awaitable<void> DeliveryLoop::follow_child() {
  for (;;) {
    Event& changed = links_.supervisor->changed();
    const auto seen = changed.generation();
    const auto applied = set_sources_.find(links_.supervisor->applied());
    if (applied != set_sources_.end()) {
      links_.secrets.applied(applied->second);
      set_sources_.erase(set_sources_.begin(), applied);
    }
    co_await changed.wait(seen);
  }
}

std::string DeliveryLoop::reasons(const std::vector<std::string>& ids) const {
  return change_reasons(
      ids, [this](const std::string& id) { return links_.secrets.status(id); },
      logged_generations_);
}

}  // namespace keybearer
