#include "child/supervisor_fsm.hpp"

#include <algorithm>
#include <csignal>

namespace keybearer::child {
namespace {

using Act = config::OnChange::Action;

constexpr Duration kSecondGrace = std::chrono::seconds(1);  // after a second request to stop

bool contains(const std::vector<int>& codes, int code) { return std::ranges::find(codes, code) != codes.end(); }

}  // namespace

Rules rules_of(const config::Exec& exec) {
  return {.stop_signal = exec.restart_stop_signal,
          .reload_signal = exec.reload_signal,
          .stop_timeout = exec.stop_timeout,
          .debounce = exec.debounce,
          .debounce_max = exec.debounce_max,
          .restart_on_exit = exec.restart_on_exit,
          .max_restarts = exec.max_restarts,
          .restart_window = exec.restart_window,
          .backoff = {exec.restart_backoff, exec.restart_backoff_max},
          .success_codes = exec.success_codes,
          .fatal_codes = exec.fatal_codes};
}

SupervisorFsm::Change SupervisorFsm::difference() const {
  Change change;
  const auto differs = [&](const Item& item) {
    change.action = std::max(change.action, item.action);  // none < signal < restart
    if (item.action == Act::signal) change.signals.push_back(item.signal != 0 ? item.signal : rules_.reload_signal);
    change.names += (change.names.empty() ? "" : ", ") + item.name;
    if (!item.why.empty() && change.why.find(item.why) == std::string::npos) {
      change.why += (change.why.empty() ? "" : "; ") + item.why;
    }
  };
  auto old = running_.begin();
  for (const Item& item : desired_) {
    while (old != running_.end() && old->name < item.name) differs(*old++);  // no longer there
    const bool known = old != running_.end() && old->name == item.name;
    if (!known || old->fingerprint != item.fingerprint) differs(item);
    if (known) ++old;
  }
  while (old != running_.end()) differs(*old++);
  return change;
}

void SupervisorFsm::start(Actions& actions) {
  starting_ = desired_;
  first_change_.reset();
  quiet_at_.reset();
  actions.push_back(Start{});
}

Actions SupervisorFsm::desired(Items items, Instant now) {
  desired_ = std::move(items);
  Actions actions;
  switch (state_) {
    case State::idle:
      start(actions);
      break;
    case State::running: {
      if (difference().names.empty()) {  // back to what it has: nothing to do any more
        first_change_.reset();
        quiet_at_.reset();
        stale_ = false;
        break;
      }
      if (!first_change_) first_change_ = now;
      quiet_at_ = std::min(now + rules_.debounce, *first_change_ + rules_.debounce_max);
      if (*quiet_at_ <= now) return apply_changes(now);
      break;
    }
    case State::stopping_to_restart:  // the next one gets the newest
    case State::stopping_to_exit:
    case State::backing_off:
    case State::done: break;
  }
  return actions;
}

Actions SupervisorFsm::apply_changes(Instant now) {
  first_change_.reset();
  quiet_at_.reset();
  Actions actions;
  const Change change = difference();
  const std::string what = change.names + " changed" + (change.why.empty() ? "" : " (" + change.why + ")");
  switch (change.action) {
    case Act::none:
      if (change.names.empty()) break;
      stale_ = true;
      actions.push_back(Say{log::Level::info, "child.stale", "not told, as configured: " + what});
      break;
    case Act::signal: {
      actions.push_back(Say{log::Level::info, "child.reload", "reload: " + what});
      auto signals = change.signals;
      std::ranges::sort(signals);
      const auto again = std::ranges::unique(signals);
      signals.erase(again.begin(), again.end());
      for (const int signal : signals) actions.push_back(SignalGroup{signal});
      running_ = desired_;
      break;
    }
    case Act::restart:
      actions.push_back(Say{log::Level::info, "child.restart", "restart: " + what});
      actions.push_back(SignalGroup{rules_.stop_signal});
      grace_end_ = now + rules_.stop_timeout;
      state_ = State::stopping_to_restart;
      break;
  }
  return actions;
}

Actions SupervisorFsm::started(Instant now) {
  state_ = State::running;
  alive_ = true;
  killed_ = false;
  stale_ = false;
  started_at_ = now;
  running_ = std::move(starting_);
  Actions actions;
  for (const int signal : queued_signals_) actions.push_back(SignalGroup{signal});
  queued_signals_.clear();
  return actions;
}

Actions SupervisorFsm::start_failed(const Error& error, Instant) {
  state_ = State::done;  // asking again would not help, and a storm of tries would hide the reason
  code_ = error.status;
  return {Say{log::Level::error, "child.start_failed", error.text}, Finish{code_}};
}

Actions SupervisorFsm::exited(ExitStatus status, Instant now) {
  alive_ = false;
  awaits_tree_ = true;
  last_exit_ = status;
  code_ = status.shell_code();
  if (state_ == State::stopping_to_exit && stops_ > 0 && status.signaled) {
    code_ = status.code == rules_.stop_signal ? 0 : status.shell_code();  // our own signal did what it was sent for
  }
  if (state_ == State::running) {
    const std::string how = status.signaled ? "was ended by signal " + std::to_string(status.code)
                                            : "exited with code " + std::to_string(status.code);
    Actions actions{Say{log::Level::info, "child.exited", "the program " + how}};
    // What it left behind is stopped as it would have been.
    state_ = State::stopping_to_restart;
    grace_end_ = now + rules_.stop_timeout;
    const bool bad = status.signaled || !contains(rules_.success_codes, status.code);
    const bool again = (rules_.restart_on_exit == config::RestartOnExit::always ||
                        (rules_.restart_on_exit == config::RestartOnExit::on_failure && bad)) &&
                       !(!status.signaled && contains(rules_.fatal_codes, status.code));
    if (!again) {
      state_ = State::stopping_to_exit;
    } else {
      std::erase_if(restarts_, [&](Instant at) { return at + rules_.restart_window <= now; });
      if (started_at_ + rules_.restart_window <= now) backoff_.reset();
      if (static_cast<int>(restarts_.size()) >= rules_.max_restarts) {
        state_ = State::stopping_to_exit;
        const std::string text = "the program ended " + std::to_string(restarts_.size() + 1) +
                                 " times in a short while; giving up";
        actions.push_back(Say{log::Level::error, "child.crash_loop", text});
        actions.push_back(Alarm{"crash_loop", text});
      } else {
        restarts_.push_back(now);
        start_at_ = now + backoff_.next(random_);
      }
    }
    actions.push_back(SignalGroup{rules_.stop_signal});
    return actions;
  }
  return {};
}

Actions SupervisorFsm::tree_gone(Instant now) {
  if (!awaits_tree_) return {};
  awaits_tree_ = false;
  grace_end_.reset();
  return after_exit(now);
}

Actions SupervisorFsm::after_exit(Instant now) {
  Actions actions;
  if (state_ == State::stopping_to_exit) {
    state_ = State::done;
    actions.push_back(Finish{code_});
  } else if (start_at_ && *start_at_ > now) {
    state_ = State::backing_off;
    actions.push_back(Say{log::Level::info, "child.backoff",
                          "starting it again in " + std::to_string((*start_at_ - now).count()) + " ms"});
  } else {
    start_at_.reset();
    start(actions);
  }
  return actions;
}

Actions SupervisorFsm::due(Instant now) {
  if (state_ == State::running && quiet_at_ && *quiet_at_ <= now) return apply_changes(now);
  if (state_ == State::backing_off && start_at_ && *start_at_ <= now) {
    start_at_.reset();
    Actions actions;
    start(actions);
    return actions;
  }
  if (grace_end_ && *grace_end_ <= now) {
    grace_end_.reset();
    killed_ = true;
    return {Say{log::Level::warn, "child.killed", "the program did not stop in time: killed, with all it started"}, KillTree{}};
  }
  return {};
}

Actions SupervisorFsm::stop(Instant now) {
  ++stops_;
  start_at_.reset();
  switch (state_) {
    case State::idle:
    case State::backing_off:
      if (state_ == State::idle) code_ = 75;  // never started
      state_ = State::done;
      return {Finish{code_}};
    case State::running:
      state_ = State::stopping_to_exit;
      grace_end_ = now + rules_.stop_timeout;
      return {SignalGroup{rules_.stop_signal}};
    case State::stopping_to_restart:
      state_ = State::stopping_to_exit;
      if (awaits_tree_ || stops_ == 1) return {};
      [[fallthrough]];
    case State::stopping_to_exit:
      if (stops_ == 2 && grace_end_) grace_end_ = std::min(*grace_end_, now + kSecondGrace);
      if (stops_ < 3) return {};
      grace_end_.reset();
      killed_ = true;
      return {KillTree{}};
    case State::done: break;
  }
  return {};
}

Actions SupervisorFsm::forward(int signal) {
  switch (state_) {
    case State::running:
    case State::stopping_to_exit:
      if (alive_) return {SignalGroup{signal}};
      break;
    case State::idle:
    case State::stopping_to_restart:
    case State::backing_off: queued_signals_.push_back(signal); break;  // the new one gets it
    case State::done: break;
  }
  return {};
}

std::optional<Instant> SupervisorFsm::deadline() const {
  if (state_ == State::running) return quiet_at_;
  if (state_ == State::backing_off) return start_at_;
  return grace_end_;
}

bool SupervisorFsm::current() const { return state_ == State::running && (difference().names.empty() || stale_); }

}  // namespace keybearer::child
