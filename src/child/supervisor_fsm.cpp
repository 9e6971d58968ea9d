#include "child/supervisor_fsm.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace keybearer::child {
namespace {

using Act = config::OnChange::Action;
using namespace std::chrono_literals;

constexpr Duration kMinDebounce = 200ms;
// A signal that came during a restart would end a program that has not installed its handler yet.
constexpr Duration kSignalDelay = 1s;
// What a program that ends well has told to end may take a moment; a daemon stays.
constexpr Duration kLinger = 250ms;
constexpr int kWentIntoBackground = 78;  // EX_CONFIG: exec.forking, or the program's own options

bool contains(const std::vector<int>& codes, int code) {
  return std::ranges::find(codes, code) != codes.end();
}

std::string seconds(Duration time) {
  const auto ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

// In [0, 1), always the same for the same instance: FNV-1a (Fowler, Noll, Vo), which is stable
// over versions of the standard library.
double splay_fraction(std::string_view instance) {
  std::uint32_t hash = 2166136261U;
  for (const char c : instance) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash / 4294967296.0;
}

}  // namespace

Rules rules_of(const config::Exec& exec, std::string_view instance) {
  return {.stop = exec.stop_steps(),
          .reload_signal = exec.reload_signal,
          .debounce = exec.debounce,
          .debounce_max = exec.debounce_max,
          .splay = std::chrono::duration_cast<Duration>(exec.splay * splay_fraction(instance)),
          .restart_on_exit = exec.restart_on_exit,
          .max_restarts = exec.max_restarts,
          .restart_window = exec.restart_window,
          .backoff = {exec.restart_backoff, exec.restart_backoff_max},
          .success_codes = exec.success_codes,
          .fatal_codes = exec.fatal_codes,
          .forking = exec.forking};
}

// The table.

struct SupervisorFsm::Table {
  using F = SupervisorFsm;
  // clang-format off
  static constexpr std::array<std::array<Handler, kEvents>, kStates> cells{{
      // SetDesired, Started, StartFailed, Exited,
      // TreeExited, Timer, SignalReceived, StopRequested, HoldRequested, Released
      {&F::first_set, &F::unexpected, &F::unexpected, &F::unexpected,  // idle
       &F::ignore, &F::ignore, &F::queue_signal, &F::stop_unstarted, &F::hold, &F::start_released},
      {&F::remember_set, &F::on_started, &F::on_start_failed, &F::unexpected,  // starting
       &F::ignore, &F::ignore, &F::queue_signal, &F::stop_when_started, &F::hold, &F::release},
      {&F::remember_set, &F::stop_started, &F::on_start_failed, &F::unexpected,  // starting_to_exit
       &F::ignore, &F::ignore, &F::ignore, &F::ignore, &F::ignore, &F::ignore},
      {&F::compare_set, &F::unexpected, &F::unexpected, &F::on_exit,  // running
       &F::ignore, &F::deliver_and_apply, &F::send_signal, &F::begin_to_exit, &F::hold_running, &F::release},
      {&F::compare_set, &F::unexpected, &F::unexpected, &F::main_process_ended,  // background
       &F::daemon_ended, &F::deliver_and_apply, &F::send_signal, &F::begin_to_exit, &F::hold_running, &F::release},
      {&F::remember_set, &F::unexpected, &F::unexpected, &F::unexpected,  // lingering
       &F::nothing_lingers, &F::still_lingering, &F::queue_signal, &F::begin_to_exit, &F::hold, &F::release},
      {&F::remember_set, &F::unexpected, &F::unexpected, &F::exited_as_told,  // stopping_to_restart
       &F::ignore, &F::escalate, &F::queue_signal, &F::exit_instead_of_restart, &F::hold, &F::release},
      {&F::remember_set, &F::unexpected, &F::unexpected, &F::exited_when_killed,  // killing_to_restart
       &F::ignore, &F::kill_again, &F::queue_signal, &F::exit_instead_of_restart, &F::hold, &F::release},
      {&F::remember_set, &F::unexpected, &F::unexpected, &F::unexpected,  // waiting_to_restart
       &F::next_start, &F::escalate, &F::queue_signal, &F::exit_instead_of_restart, &F::hold, &F::release},
      {&F::remember_set, &F::unexpected, &F::unexpected, &F::exited_as_told,  // stopping_to_exit
       &F::ignore, &F::escalate, &F::send_signal, &F::hurry, &F::ignore, &F::ignore},
      {&F::remember_set, &F::unexpected, &F::unexpected, &F::exited_when_killed,  // killing_to_exit
       &F::ignore, &F::kill_again, &F::ignore, &F::ignore, &F::ignore, &F::ignore},
      {&F::remember_set, &F::unexpected, &F::unexpected, &F::unexpected,  // waiting_to_exit
       &F::finish_with_code, &F::escalate, &F::ignore, &F::hurry, &F::ignore, &F::ignore},
      {&F::remember_set, &F::unexpected, &F::unexpected, &F::unexpected,  // backing_off
       &F::ignore, &F::start_after_pause, &F::queue_signal, &F::finish_now, &F::hold, &F::release},
      {&F::ignore, &F::unexpected, &F::ignore, &F::ignore,  // done
       &F::ignore, &F::ignore, &F::ignore, &F::ignore, &F::ignore, &F::ignore},
  }};
  // clang-format on

  static constexpr bool whole() {
    for (const auto& row : cells) {
      for (const Handler cell : row) {
        if (cell == nullptr) return false;
      }
    }
    return true;
  }
};

std::string_view name_of(SupervisorFsm::State state) {
  constexpr std::array<std::string_view, SupervisorFsm::kStates> names{"idle",
                                                                       "starting",
                                                                       "starting_to_exit",
                                                                       "running",
                                                                       "background",
                                                                       "lingering",
                                                                       "stopping_to_restart",
                                                                       "killing_to_restart",
                                                                       "waiting_to_restart",
                                                                       "stopping_to_exit",
                                                                       "killing_to_exit",
                                                                       "waiting_to_exit",
                                                                       "backing_off",
                                                                       "done"};
  return names[static_cast<std::size_t>(state)];
}

Actions SupervisorFsm::on(const Event& event, Instant now) {
  static_assert(Table::whole(), "a cell of the table is empty");
  const Handler handler = Table::cells[static_cast<std::size_t>(state_)][event.index()];
  return (this->*handler)(event, now);
}

void SupervisorFsm::configure(Rules rules) {
  rules_ = std::move(rules);
  backoff_ = Backoff(rules_.backoff);
  stop_step_ = std::min(stop_step_, rules_.stop.size() - 1);
}

Actions SupervisorFsm::ignore(const Event&, Instant) {
  return {};
}

Actions SupervisorFsm::unexpected(const Event& event, Instant) {
  return {Log{log::Level::error, "child.unexpected_event",
              "event " + std::to_string(event.index()) + " in state " +
                  std::string(name_of(state_)) + " (please report this)"}};
}

// Sets and what changed.

void SupervisorFsm::store(const SetDesired& set) {
  Items items = set.items;
  std::ranges::sort(items, {}, &Item::name);
  for (Item& item : items) {  // what waits to be told keeps the reason that it came with
    const auto before = std::ranges::lower_bound(desired_.items, item.name, {}, &Item::name);
    if (item.why.empty() && before != desired_.items.end() && before->same(item))
      item.why = before->why;
  }
  desired_ = {set.id, std::move(items), set.apply_before};
  take_what_asks_nothing(known_, desired_.items);
}

void SupervisorFsm::note_applied() {
  if (equal(known_, desired_.items)) applied_ = desired_.id;
}

Actions SupervisorFsm::first_set(const Event& event, Instant) {
  store(std::get<SetDesired>(event));
  return start();
}

Actions SupervisorFsm::remember_set(const Event& event, Instant) {
  store(std::get<SetDesired>(event));
  return {};
}

Actions SupervisorFsm::compare_set(const Event& event, Instant now) {
  const SetDesired& set = std::get<SetDesired>(event);
  const Items before = desired_.items;
  store(set);
  note_applied();
  return equal_in_all(before, desired_.items) ? Actions{} : schedule_change(now);
}

Actions SupervisorFsm::schedule_change(Instant now) {
  Actions actions;
  Change change = difference(known_, desired_.items, rules_.reload_signal);
  if (!change.stale_names.empty() && change.stale_names != stale_names_) {
    actions.push_back(
        Log{log::Level::info, "child.stale",
            "not told, as configured: " + changed_text(change.stale_names, change.stale_why)});
  }
  stale_names_ = std::move(change.stale_names);
  if (change.action == Act::none) {  // nothing, or back to what it has
    first_change_.reset();
    debounce_until_.reset();
    return actions;
  }
  if (!first_change_) first_change_ = now;
  const Instant quiet = std::min(now + rules_.debounce, *first_change_ + rules_.debounce_max);
  const Instant at_least =
      now + std::min(rules_.debounce, kMinDebounce);  // for what changes with it
  debounce_until_ = std::min(quiet + rules_.splay, std::max(desired_.apply_before, at_least));
  if (*debounce_until_ <= now) apply_changes(actions, now);
  return actions;
}

void SupervisorFsm::apply_changes(Actions& actions, Instant now) {
  const Change change = difference(known_, desired_.items, rules_.reload_signal);
  const std::string what = changed_text(change.names, change.why);
  first_change_.reset();
  debounce_until_.reset();
  if (change.action == Act::signal) {
    actions.push_back(Log{log::Level::info, "child.reload", "reload: " + what});
    for (const int signal : change.signals) actions.push_back(Signal{signal});
    known_ = known_after_signal(known_, desired_.items);
    note_applied();
  } else if (change.action == Act::restart) {
    restart_reason_ = "secret";
    actions.push_back(Log{log::Level::info, "child.restart", "restart: " + what});
    begin_stop(actions, true, now);
  }
}

// Start and end.

Actions SupervisorFsm::start() {
  if (held_) {
    start_at_.reset();
    state_ = State::idle;
    return {};
  }
  first_change_.reset();
  debounce_until_.reset();
  start_at_.reset();
  grace_end_.reset();
  state_ = State::starting;
  known_ = desired_.items;
  starting_id_ = desired_.id;
  return {Start{}};
}

Actions SupervisorFsm::on_started(const Event&, Instant now) {
  state_ = State::running;
  in_background_ = false;
  killed_at_.reset();
  stale_names_.clear();
  started_at_ = now;
  if (++starts_ > 1) ++stats_.restarts[std::string(restart_reason_)];
  applied_ = starting_id_;
  note_applied();
  deliver_at_.reset();
  if (!queued_signals_.empty()) deliver_at_ = now + kSignalDelay;
  if (held_) {  // meanwhile
    Actions actions;
    begin_stop(actions, true, now);
    return actions;
  }
  return schedule_change(now);  // what came while it was being started
}

Actions SupervisorFsm::hold(const Event& event, Instant) {
  if (std::exchange(held_, true)) return {};
  return {
      Log{log::Level::warn, "child.held", "not started: " + std::get<HoldRequested>(event).reason}};
}

Actions SupervisorFsm::hold_running(const Event& event, Instant now) {
  if (std::exchange(held_, true)) return {};
  Actions actions{
      Log{log::Level::warn, "child.held", "stopped: " + std::get<HoldRequested>(event).reason}};
  first_change_.reset();
  debounce_until_.reset();
  begin_stop(actions, true, now);
  return actions;
}

Actions SupervisorFsm::release(const Event&, Instant) {
  held_ = false;
  return {};
}

Actions SupervisorFsm::start_released(const Event&, Instant) {
  if (!std::exchange(held_, false) || desired_.id == 0) return {};
  restart_reason_ = "stale";
  Actions actions{Log{log::Level::info, "child.released", "the values are good again: starting"}};
  for (Action& action : start()) actions.push_back(std::move(action));
  return actions;
}

Actions SupervisorFsm::stop_started(const Event& event, Instant now) {
  Actions actions = on_started(event, now);
  actions.clear();
  begin_stop(actions, false, now);
  return actions;
}

Actions SupervisorFsm::on_start_failed(const Event& event, Instant now) {
  const Error& error = std::get<StartFailed>(event).error;
  Actions actions{Log{log::Level::error, "child.start_failed", error.text}};
  code_ = error.status;
  if (state_ == State::starting && error.retry_after && may_start_again(actions, now)) {
    state_ = State::backing_off;
    return actions;
  }
  state_ = State::done;  // asking again would not help, and a storm of tries would hide the reason
  actions.push_back(Finish{code_});
  return actions;
}

void SupervisorFsm::record_exit(ExitStatus status) {
  last_exit_ = status;
  ++stats_.exits[{status.signaled, status.code}];
  code_ = status.shell_code();
}

Actions SupervisorFsm::on_exit(const Event& event, Instant now) {
  const ExitStatus status = std::get<Exited>(event).status;
  record_exit(status);
  const std::string how = "the program " + described(status);
  const bool well = !status.signaled && status.code == 0;
  if (well && rules_.forking) {
    state_ = State::background;
    in_background_ = true;
    return {Log{log::Level::info, "child.exited", how + "; it is in the background now"}};
  }
  Actions actions{Log{log::Level::info, "child.exited", how}};
  if (well) {
    state_ = State::lingering;
    linger_until_ = now + kLinger;
    return actions;
  }
  actions.push_back(ReportLeftBehind{false});
  const bool again = !ends_for_good(status) && may_start_again(actions, now);
  stop_rest(actions, again, now);
  return actions;
}

// The program ended by itself and nothing of its tree is left.
Actions SupervisorFsm::after_end(ExitStatus status, Actions actions, Instant now) {
  const bool again = !ends_for_good(status) && may_start_again(actions, now);
  if (!again) {
    for (Action& action : finish(code_)) actions.push_back(std::move(action));
  } else {
    state_ = State::backing_off;
  }
  return actions;
}

Actions SupervisorFsm::nothing_lingers(const Event&, Instant now) {
  return after_end(*last_exit_, {}, now);
}

Actions SupervisorFsm::daemon_ended(const Event& event, Instant now) {
  const auto status = std::get<TreeExited>(event).daemon;
  if (status) record_exit(*status);
  return after_end(last_exit_.value_or(ExitStatus{}),
                   {Log{log::Level::info, "child.exited",
                        "the program in the background " +
                            (status ? described(*status) : std::string("has ended"))}},
                   now);
}

// As systemd has it: the rest of its tree is stopped, then the policy decides (PIDFile= in
// systemd.service(5)).
Actions SupervisorFsm::main_process_ended(const Event& event, Instant now) {
  const ExitStatus status = std::get<Exited>(event).status;
  record_exit(status);
  Actions actions{
      Log{log::Level::info, "child.exited", "the program in the background " + described(status)},
      ReportLeftBehind{false}};
  const bool again = !ends_for_good(status) && may_start_again(actions, now);
  stop_rest(actions, again, now);
  return actions;
}

// It left a daemon, and nobody said that it would: no success, whatever its code.
Actions SupervisorFsm::still_lingering(const Event&, Instant now) {
  if (!linger_until_ || *linger_until_ > now) return {};
  code_ = kWentIntoBackground;
  Actions actions{ReportLeftBehind{true}};
  const bool again =
      rules_.restart_on_exit != config::RestartOnExit::never && may_start_again(actions, now);
  stop_rest(actions, again, now);
  return actions;
}

bool SupervisorFsm::ends_for_good(ExitStatus status) const {
  if (!status.signaled && contains(rules_.fatal_codes, status.code)) return true;
  switch (rules_.restart_on_exit) {
    case config::RestartOnExit::never:
      return true;
    case config::RestartOnExit::always:
      return false;
    case config::RestartOnExit::on_failure:
      break;
  }
  return !status.signaled && contains(rules_.success_codes, status.code);
}

// Not when it ended too often within the window; else after a growing pause.
bool SupervisorFsm::may_start_again(Actions& actions, Instant now) {
  std::erase_if(restarts_, [&](Instant at) { return at + rules_.restart_window <= now; });
  if (static_cast<int>(restarts_.size()) >= rules_.max_restarts) {
    const std::string how = state_ == State::starting
                                ? "the program ended, or could not be started, "
                                : "the program ended ";
    const std::string text = how + std::to_string(restarts_.size() + 1) + " times within " +
                             seconds(rules_.restart_window) + ": giving up";
    actions.push_back(Log{log::Level::error, "child.crash_loop", text});
    actions.push_back(Notify{"child.crash_loop", text});
    return false;
  }
  if (started_at_ + rules_.restart_window <= now) backoff_.reset();  // it ran well for a while
  restarts_.push_back(now);
  restart_reason_ = "exit";
  const Duration pause = backoff_.next(random_);
  start_at_ = now + pause;
  actions.push_back(
      Log{log::Level::info, "child.backoff", "starting the program again in " + seconds(pause)});
  return true;
}

Actions SupervisorFsm::next_start(const Event&, Instant now) {
  grace_end_.reset();
  if (start_at_ && *start_at_ > now) {
    state_ = State::backing_off;
    return {};
  }
  return start();
}

}  // namespace keybearer::child
