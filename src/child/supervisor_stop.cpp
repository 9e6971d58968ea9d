// The cells of the supervisor's table that stop a program: signals, graces, SIGKILL, and the codes.

#include <algorithm>
#include <csignal>

#include "base/signal_table.hpp"
#include "child/supervisor_fsm.hpp"

namespace keybearer::child {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSecondGrace = 1s;   // after a second request to stop
constexpr Duration kKillRetry = 200ms;  // what was forked while the tree was being killed
constexpr Duration kKillTimeout = 10s;  // a process in uninterruptible sleep outlives SIGKILL

}  // namespace

bool SupervisorFsm::program_lives() const {
  switch (state_) {
    case State::running:
    case State::stopping_to_restart:
    case State::stopping_to_exit:
    case State::killing_to_restart:
    case State::killing_to_exit:
      return true;
    default:
      return false;
  }
}

void SupervisorFsm::begin_stop(Actions& actions, bool restart, Instant now) {
  if (!program_lives()) return stop_rest(actions, restart, now);
  state_ = restart ? State::stopping_to_restart : State::stopping_to_exit;
  stop_step_ = 0;
  grace_end_ = now + rules_.stop[0].grace;
  actions.push_back(Stop{rules_.stop[0].signal});
}

void SupervisorFsm::stop_rest(Actions& actions, bool restart, Instant now) {
  state_ = restart ? State::waiting_to_restart : State::waiting_to_exit;
  stop_step_ = 0;
  grace_end_ = now + rules_.stop[0].grace;
  actions.push_back(Stop{rules_.stop[0].signal});
  if (!in_background_) actions.push_back(StopEscaped{rules_.stop[0].signal});
}

// By one of the signals that were sent so far.
bool SupervisorFsm::was_told_by(int signal) const {
  const auto end = rules_.stop.begin() + static_cast<std::ptrdiff_t>(stop_step_) + 1;
  return std::any_of(rules_.stop.begin(), end,
                     [signal](const config::StopStep& step) { return step.signal == signal; });
}

Actions SupervisorFsm::exited_as_told(const Event& event, Instant) {
  const ExitStatus status = std::get<Exited>(event).status;
  record_exit(status);
  if (status.signaled && was_told_by(status.code)) code_ = 0;  // it did as it was told
  state_ =
      state_ == State::stopping_to_restart ? State::waiting_to_restart : State::waiting_to_exit;
  return {Log{log::Level::info, "child.exited", "the program " + described(status)},
          StopEscaped{rules_.stop[stop_step_].signal}};
}

Actions SupervisorFsm::exited_when_killed(const Event& event, Instant) {
  const ExitStatus status = std::get<Exited>(event).status;
  record_exit(status);
  if (status.signaled && was_told_by(status.code)) code_ = 0;
  state_ = state_ == State::killing_to_restart ? State::waiting_to_restart : State::waiting_to_exit;
  return {Log{log::Level::info, "child.exited", "the program " + described(status)}};
}

Actions SupervisorFsm::finish_with_code(const Event& event, Instant) {
  if (const auto daemon = std::get<TreeExited>(event).daemon) {
    record_exit(*daemon);
    if (daemon->signaled && !killed_at_ && was_told_by(daemon->code)) code_ = 0;
  }
  return finish(code_);
}

Actions SupervisorFsm::finish(int code) {
  code_ = code;
  state_ = State::done;
  return {Finish{code}};
}

// Time and signals.

bool SupervisorFsm::awaiting_tree_exit() const {
  return state_ == State::background || state_ == State::lingering ||
         state_ == State::waiting_to_restart || state_ == State::waiting_to_exit;
}

std::optional<Instant> SupervisorFsm::deadline() const {
  switch (state_) {
    case State::running:
    case State::background:
      return debounce_until_ && deliver_at_ ? std::min(debounce_until_, deliver_at_)
                                            : (debounce_until_ ? debounce_until_ : deliver_at_);
    case State::lingering:
      return linger_until_;
    case State::backing_off:
      return start_at_;
    case State::stopping_to_restart:
    case State::killing_to_restart:
    case State::waiting_to_restart:
    case State::stopping_to_exit:
    case State::killing_to_exit:
    case State::waiting_to_exit:
      return grace_end_;
    case State::idle:
    case State::starting:
    case State::starting_to_exit:
    case State::done:
      break;
  }
  return std::nullopt;
}

Actions SupervisorFsm::deliver_and_apply(const Event&, Instant now) {
  Actions actions;
  if (deliver_at_ && *deliver_at_ <= now) {
    for (const int signal : queued_signals_) actions.push_back(Signal{signal});
    queued_signals_.clear();
    deliver_at_.reset();
  }
  if (debounce_until_ && *debounce_until_ <= now) apply_changes(actions, now);
  return actions;
}

Actions SupervisorFsm::start_after_pause(const Event&, Instant now) {
  return start_at_ && *start_at_ <= now ? start() : Actions{};
}

// The next signal of the list; after the last, the tree is killed.
Actions SupervisorFsm::escalate(const Event&, Instant now) {
  if (!grace_end_ || *grace_end_ > now) return {};
  if (killed_at_ || stops_ >= 2 || stop_step_ + 1 >= rules_.stop.size()) return kill(now);
  const config::StopStep& step = rules_.stop[++stop_step_];
  grace_end_ = now + step.grace;
  Actions actions{
      Log{log::Level::info, "child.stop_escalated", "not stopped yet: " + signal_name(step.signal)},
      Stop{step.signal}};
  if (!program_lives() && !in_background_) actions.push_back(StopEscaped{step.signal});
  return actions;
}

Actions SupervisorFsm::kill_again(const Event&, Instant now) {
  return grace_end_ && *grace_end_ <= now ? kill(now) : Actions{};
}

Actions SupervisorFsm::kill(Instant now) {
  Actions actions;
  const bool lives = program_lives();
  const bool to_exit = state_ == State::stopping_to_exit || state_ == State::killing_to_exit ||
                       state_ == State::waiting_to_exit;
  if (!killed_at_) {
    killed_at_ = now;
    actions.push_back(Log{log::Level::warn, "child.killed",
                          lives
                              ? "the program did not stop in time: killed, with all that it started"
                              : "what the program had started did not stop in time: killed"});
  } else if (to_exit && now >= *killed_at_ + kKillTimeout) {
    actions.push_back(Log{log::Level::error, "child.unkillable",
                          "processes of the program outlive SIGKILL and are left behind"});
    actions.push_back(finish(lives ? 128 + SIGKILL : code_).front());
    return actions;
  }
  if (lives) state_ = to_exit ? State::killing_to_exit : State::killing_to_restart;
  actions.push_back(KillTree{});
  grace_end_ = now + kKillRetry;
  return actions;
}

Actions SupervisorFsm::send_signal(const Event& event, Instant) {
  return {Signal{std::get<SignalReceived>(event).signal}};
}

Actions SupervisorFsm::queue_signal(const Event& event, Instant) {
  const int signal = std::get<SignalReceived>(event).signal;
  if (std::ranges::find(queued_signals_, signal) == queued_signals_.end())
    queued_signals_.push_back(signal);
  return {};
}

// Stop.

Actions SupervisorFsm::stop_unstarted(const Event&, Instant) {
  return finish(starts_ > 0 ? 0 : 75);  // held, or EX_TEMPFAIL: it never started
}

Actions SupervisorFsm::finish_now(const Event&, Instant) {
  return finish(code_);
}

Actions SupervisorFsm::stop_when_started(const Event&, Instant) {
  ++stops_;
  queued_signals_.clear();
  state_ = State::starting_to_exit;
  return {};
}

Actions SupervisorFsm::begin_to_exit(const Event&, Instant now) {
  ++stops_;
  queued_signals_.clear();
  Actions actions;
  begin_stop(actions, false, now);
  return actions;
}

Actions SupervisorFsm::exit_instead_of_restart(const Event&, Instant) {
  ++stops_;
  start_at_.reset();
  queued_signals_.clear();
  state_ = state_ == State::stopping_to_restart  ? State::stopping_to_exit
           : state_ == State::killing_to_restart ? State::killing_to_exit
                                                 : State::waiting_to_exit;
  return {};  // it is told already
}

Actions SupervisorFsm::hurry(const Event&, Instant now) {
  ++stops_;
  if (killed_at_) return {};
  if (stops_ >= 3) return kill(now);
  if (grace_end_) grace_end_ = std::min(*grace_end_, now + kSecondGrace);
  return {};
}

}  // namespace keybearer::child
