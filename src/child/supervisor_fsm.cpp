#include "child/supervisor_fsm.hpp"

#include <algorithm>
#include <csignal>

#include "base/fingerprint.hpp"

namespace keybearer::child {
namespace {

using Act = config::OnChange::Action;
using namespace std::chrono_literals;

constexpr Duration kSecondGrace = 1s;   // after a second request to stop
constexpr Duration kKillRetry = 200ms;  // what was forked while the tree was being killed
constexpr Duration kGather = 200ms;
constexpr Duration kKillTimeout = 10s;  // a process in uninterruptible sleep outlives SIGKILL
// A signal that came during a restart would end a program that has not installed its handler yet.
constexpr Duration kSettle = 1s;

bool contains(const std::vector<int>& codes, int code) {
  return std::ranges::find(codes, code) != codes.end();
}

void list(std::string& text, const std::string& entry, const char* separator) {
  if (!text.empty()) text += separator;
  text += entry;
}

std::string changed(const std::string& names, const std::string& why) {
  return names + " changed" + (why.empty() ? "" : " (" + why + ")");
}

std::string described(ExitStatus status) {
  return status.signaled ? "was ended by signal " + std::to_string(status.code)
                         : "exited with code " + std::to_string(status.code);
}

std::string seconds(Duration time) {
  const auto ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

// Calls f(was, is) for each item that differs; one of them is null for what came or went.
template <class F>
void for_each_difference(const Items& before, const Items& after, F f) {
  auto old = before.begin();
  for (const Item& item : after) {
    while (old != before.end() && old->name < item.name) f(&*old++, nullptr);
    if (old == before.end() || old->name != item.name) {
      f(nullptr, &item);
    } else {
      if (!old->same(item)) f(&*old, &item);
      ++old;
    }
  }
  while (old != before.end()) f(&*old++, nullptr);
}

}  // namespace

std::uint64_t set_of(const Items& items) {
  std::string all;
  for (const Item& item : items) all += item.name + '=' + std::to_string(item.fingerprint) + '\n';
  return fingerprint(all);
}

namespace {

// In [0, 1), always the same for the same instance: FNV-1a (Fowler, Noll, Vo), which is stable
// over versions of the standard library.
double place_of(std::string_view instance) {
  std::uint32_t hash = 2166136261U;
  for (const char c : instance) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash / 4294967296.0;
}

}  // namespace

Rules rules_of(const config::Exec& exec, std::string_view instance) {
  return {.stop_signal = exec.restart_stop_signal,
          .reload_signal = exec.reload_signal,
          .stop_timeout = exec.stop_timeout,
          .debounce = exec.debounce,
          .debounce_max = exec.debounce_max,
          .splay = std::chrono::duration_cast<Duration>(exec.splay * place_of(instance)),
          .restart_on_exit = exec.restart_on_exit,
          .max_restarts = exec.max_restarts,
          .restart_window = exec.restart_window,
          .backoff = {exec.restart_backoff, exec.restart_backoff_max},
          .success_codes = exec.success_codes,
          .fatal_codes = exec.fatal_codes};
}

// What changed.

SupervisorFsm::Change SupervisorFsm::difference() const {
  Change change;
  for_each_difference(running_, desired_, [&](const Item* was, const Item* is) {
    const Item& item = is != nullptr ? *is : *was;
    const bool tells = item.action != Act::none;
    change.action = std::max(change.action, item.action);  // none < signal < restart
    if (item.action == Act::signal) {
      const int signal = item.signal != 0 ? item.signal : rules_.reload_signal;
      if (!contains(change.signals, signal)) change.signals.push_back(signal);
    }
    list(tells ? change.names : change.stale_names, item.name, ", ");
    std::string& why = tells ? change.why : change.stale_why;
    if (why.find(item.why) == std::string::npos) list(why, item.why, "; ");
  });
  return change;
}

// What the program knows after a signal: all but what it is not told of.
Items SupervisorFsm::told() const {
  Items items = desired_;
  for_each_difference(running_, desired_, [&items](const Item* was, const Item* is) {
    if ((is != nullptr ? is : was)->action != Act::none) return;
    if (is != nullptr) std::erase_if(items, [is](const Item& item) { return item.same(*is); });
    if (was != nullptr) items.push_back(*was);
  });
  std::ranges::sort(items, {}, &Item::name);
  return items;
}

bool SupervisorFsm::current() const {
  return state_ == State::running && std::ranges::equal(running_, desired_, &Item::same);
}

Actions SupervisorFsm::desired(Items items, Instant now, Instant latest) {
  std::ranges::sort(items, {}, &Item::name);
  for (Item& item : items) {  // what waits to be told keeps the reason that it came with
    const auto before = std::ranges::lower_bound(desired_, item.name, {}, &Item::name);
    if (item.why.empty() && before != desired_.end() && before->same(item)) item.why = before->why;
  }
  const bool news = !std::ranges::equal(items, desired_, &Item::same);
  desired_ = std::move(items);
  latest_ = latest;
  switch (state_) {
    case State::idle:
      return start();
    case State::running:
      return news ? consider(now) : Actions{};
    case State::stopping_to_restart:  // the next one gets the newest
    case State::backing_off:
    case State::stopping_to_exit:
    case State::done:
      break;
  }
  return {};
}

Actions SupervisorFsm::consider(Instant now) {
  Actions actions;
  Change change = difference();
  if (!change.stale_names.empty() && change.stale_names != stale_names_) {
    actions.push_back(
        Say{log::Level::info, "child.stale",
            "not told, as configured: " + changed(change.stale_names, change.stale_why)});
  }
  stale_names_ = std::move(change.stale_names);
  if (change.action == Act::none) {  // nothing, or back to what it has
    first_change_.reset();
    quiet_at_.reset();
    return actions;
  }
  if (!first_change_) first_change_ = now;
  const Instant quiet = std::min(now + rules_.debounce, *first_change_ + rules_.debounce_max);
  const Instant at_least = now + std::min(rules_.debounce, kGather);  // for what changes with it
  quiet_at_ = std::min(quiet + rules_.splay, std::max(latest_, at_least));
  if (*quiet_at_ <= now) apply_changes(actions, now);
  return actions;
}

void SupervisorFsm::apply_changes(Actions& actions, Instant now) {
  const Change change = difference();
  const std::string what = changed(change.names, change.why);
  first_change_.reset();
  quiet_at_.reset();
  if (change.action == Act::signal) {
    actions.push_back(Say{log::Level::info, "child.reload", "reload: " + what});
    for (const int signal : change.signals) actions.push_back(Signal{signal});
    running_ = told();
  } else if (change.action == Act::restart) {
    actions.push_back(Say{log::Level::info, "child.restart", "restart: " + what});
    actions.push_back(Stop{rules_.stop_signal});
    begin_stop(State::stopping_to_restart, now);
  }
}

// Start and end.

Actions SupervisorFsm::start() {
  first_change_.reset();
  quiet_at_.reset();
  start_at_.reset();
  return {Start{}};
}

Actions SupervisorFsm::started(Instant now) {
  state_ = State::running;
  alive_ = true;
  killed_at_.reset();
  running_ = desired_;
  stale_names_.clear();
  started_at_ = now;
  ++starts_;
  deliver_at_.reset();
  if (!queued_signals_.empty()) deliver_at_ = now + kSettle;
  return {};
}

Actions SupervisorFsm::start_failed(const Error& error, Instant now) {
  Actions actions{Say{log::Level::error, "child.start_failed", error.text}};
  code_ = error.status;
  if (error.retry_after && may_start_again(actions, now)) {
    state_ = State::backing_off;
    return actions;
  }
  state_ = State::done;  // asking again would not help, and a storm of tries would hide the reason
  actions.push_back(Finish{code_});
  return actions;
}

Actions SupervisorFsm::exited(ExitStatus status, Instant now) {
  alive_ = false;
  awaits_tree_ = true;
  last_exit_ = status;
  code_ = status.shell_code();
  Actions actions{Say{log::Level::info, "child.exited", "the program " + described(status)}};
  if (state_ != State::running) {
    if (status.signaled && status.code == rules_.stop_signal) code_ = 0;  // it did as it was told
    if (!killed_at_) actions.push_back(StopEscaped{rules_.stop_signal});
    return actions;
  }
  const bool again = !ends_for_good(status) && may_start_again(actions, now);
  begin_stop(again ? State::stopping_to_restart : State::stopping_to_exit, now);
  actions.push_back(Stop{rules_.stop_signal});  // what it left behind
  actions.push_back(StopEscaped{rules_.stop_signal});
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
    const std::string text = "the program ended " + std::to_string(restarts_.size() + 1) +
                             " times within " + seconds(rules_.restart_window) + ": giving up";
    actions.push_back(Say{log::Level::error, "child.crash_loop", text});
    actions.push_back(Alarm{"crash_loop", text});
    return false;
  }
  if (started_at_ + rules_.restart_window <= now) backoff_.reset();  // it ran well for a while
  restarts_.push_back(now);
  const Duration pause = backoff_.next(random_);
  start_at_ = now + pause;
  actions.push_back(
      Say{log::Level::info, "child.backoff", "starting the program again in " + seconds(pause)});
  return true;
}

void SupervisorFsm::begin_stop(State next, Instant now) {
  state_ = next;
  grace_end_ = now + rules_.stop_timeout;
}

Actions SupervisorFsm::tree_exited(Instant now) {
  if (!awaits_tree_) return {};
  awaits_tree_ = false;
  grace_end_.reset();
  if (state_ == State::stopping_to_exit) return finish(code_);
  if (start_at_ && *start_at_ > now) {
    state_ = State::backing_off;
    return {};
  }
  return start();
}

Actions SupervisorFsm::finish(int code) {
  code_ = code;
  state_ = State::done;
  return {Finish{code}};
}

// Time and signals.

std::optional<Instant> SupervisorFsm::deadline() const {
  switch (state_) {
    case State::running:
      return quiet_at_ && deliver_at_ ? std::min(quiet_at_, deliver_at_)
                                      : (quiet_at_ ? quiet_at_ : deliver_at_);
    case State::backing_off:
      return start_at_;
    case State::stopping_to_restart:
    case State::stopping_to_exit:
      return grace_end_;
    case State::idle:
    case State::done:
      break;
  }
  return std::nullopt;
}

Actions SupervisorFsm::due(Instant now) {
  if (const auto at = deadline(); !at || *at > now) return {};
  Actions actions;
  switch (state_) {
    case State::running:
      if (deliver_at_ && *deliver_at_ <= now) {
        for (const int signal : queued_signals_) actions.push_back(Signal{signal});
        queued_signals_.clear();
        deliver_at_.reset();
      }
      if (quiet_at_ && *quiet_at_ <= now) apply_changes(actions, now);
      return actions;
    case State::backing_off:
      return start();
    case State::stopping_to_restart:
    case State::stopping_to_exit:
      return kill(now);
    case State::idle:
    case State::done:
      break;
  }
  return {};
}

Actions SupervisorFsm::kill(Instant now) {
  Actions actions;
  if (!killed_at_) {
    killed_at_ = now;
    actions.push_back(Say{log::Level::warn, "child.killed",
                          alive_
                              ? "the program did not stop in time: killed, with all that it started"
                              : "what the program had started did not stop in time: killed"});
  } else if (state_ == State::stopping_to_exit && now >= *killed_at_ + kKillTimeout) {
    actions.push_back(Say{log::Level::error, "child.unkillable",
                          "processes of the program outlive SIGKILL and are left behind"});
    actions.push_back(finish(alive_ ? 128 + SIGKILL : code_).front());
    return actions;
  }
  actions.push_back(KillTree{});
  grace_end_ = now + kKillRetry;
  return actions;
}

Actions SupervisorFsm::stop(Instant now) {
  ++stops_;
  start_at_.reset();
  queued_signals_.clear();
  switch (state_) {
    case State::idle:
      return finish(75);  // EX_TEMPFAIL: it never started
    case State::backing_off:
      return finish(code_);
    case State::running:
      begin_stop(State::stopping_to_exit, now);
      return {Stop{rules_.stop_signal}};
    case State::stopping_to_restart:
      state_ = State::stopping_to_exit;
      break;  // it is told already
    case State::stopping_to_exit:
      if (killed_at_) break;
      if (stops_ == 2 && grace_end_) grace_end_ = std::min(*grace_end_, now + kSecondGrace);
      if (stops_ >= 3) return kill(now);
      break;
    case State::done:
      break;
  }
  return {};
}

Actions SupervisorFsm::forward(int signal) {
  switch (state_) {
    case State::running:
    case State::stopping_to_exit:
      if (alive_) return {Signal{signal}};
      break;
    case State::idle:
    case State::stopping_to_restart:
    case State::backing_off:
      if (!contains(queued_signals_, signal)) queued_signals_.push_back(signal);
      break;
    case State::done:
      break;
  }
  return {};
}

}  // namespace keybearer::child
