#include "child/supervisor.hpp"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <exception>

#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "base/signal_table.hpp"
#include "base/timer.hpp"
#include "base/turns.hpp"
#include "child/start_settings.hpp"
#include "process/pid_file.hpp"

namespace keybearer::child {
namespace {

namespace asio = boost::asio;

// A safety net: where we are no subreaper, nobody tells when the last of a group is gone.
constexpr Duration kTreePoll = std::chrono::milliseconds(250);
constexpr Duration kPidFileTime = std::chrono::seconds(60);  // for a daemon to write its pid file
constexpr Duration kEndTree = std::chrono::seconds(1);       // after a failure of our own
constexpr Duration kEndTreePoll = std::chrono::milliseconds(10);

bool is_cancellation(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown";
  }
}

}  // namespace

Supervisor::Supervisor(asio::any_io_executor executor, Spawner& spawner, config::Exec exec,
                       std::string_view instance, Random& random, NotifyFn notify)
    : spawner_(spawner),
      exec_(std::move(exec)),
      instance_(instance),
      notify_(std::move(notify)),
      fsm_(rules_of(exec_, instance), random.fraction()),
      watchers_(executor) {}

result<> Supervisor::set_desired(Desired desired) {
  std::optional<std::uint64_t> stack;
  if (const auto limit = exec_.rlimits.find("stack"); limit != exec_.rlimits.end())
    stack = limit->second.value_or(RLIM_INFINITY);
  if (auto checked = desired.environment.check(exec_.command.argv, stack); !checked) return checked;
  environment_ = std::move(desired.environment);
  run_fsm(SupervisorFsm::SetDesired{desired.id, std::move(desired.items), desired.apply_before});
  return {};
}

void Supervisor::configure(config::Exec exec) {
  exec_ = std::move(exec);
  fsm_.configure(rules_of(exec_, instance_));
  changed_.set();
}

bool Supervisor::forwards(int signal) const {
  if (signal == SIGHUP) return exec_.hup == config::Exec::Hup::forward;
  if (role_of(signal) != SignalRole::forwarded) return false;
  const auto& listed = exec_.forward_signals;
  return !listed || std::ranges::find(*listed, signal) != listed->end();
}

void Supervisor::forward_signal(int signal) {
  if (!forwards(signal)) return;
  run_fsm(SupervisorFsm::SignalReceived{signal});
}

void Supervisor::hold(const std::string& reason) {
  run_fsm(SupervisorFsm::HoldRequested{reason});
}

void Supervisor::release() {
  run_fsm(SupervisorFsm::Released{});
}

void Supervisor::stop() {
  run_fsm(SupervisorFsm::StopRequested{});
}

// --- actions ---

void Supervisor::run_fsm(const SupervisorFsm::Event& event) {
  if (failed_) return;
  try {
    for (const Action& action : fsm_.on(event, Clock::now())) {
      std::visit([this](const auto& a) { carry_out(a); }, action);
    }
  } catch (...) {
    on_internal_error(std::current_exception());
  }
  changed_.set();
}

void Supervisor::carry_out(const Start&) {
  spawner_.guard();
  auto settings = start_settings(exec_);
  if (!settings) return run_fsm(SupervisorFsm::StartFailed{settings.error()});
  settings->options.foreground = terminal_.ours(-1);
  auto spawned = spawner_.spawn({.argv = exec_.command.argv,
                                 .environment = &environment_,
                                 .options = std::move(settings->options)});
  if (!spawned) return run_fsm(SupervisorFsm::StartFailed{spawned.error()});
  process_ = std::make_shared<Process>(std::move(*spawned));
  alive_ = true;
  in_background_ = false;
  daemon_pid_ = -1;
  main_process_ = MainProcess::unknown;
  stop_signal_.reset();
  if (exec_.forking) spawner_.watch_orphans();
  // Only the program's name: arguments may hold what is nobody else's business.
  log::info("child.started", "the program is started",
            {{"pid", std::to_string(process_->pid)},
             {"command", exec_.command.argv.front() + (exec_.command.shell ? " -c" : "")}});
  watchers_.spawn(guarded(watch(process_)));
  run_fsm(SupervisorFsm::Started{});
}

void Supervisor::carry_out(const Stop& action) {
  if (!process_ || (!alive_ && tree_exited())) return;
  spawner_.signal_group(process_->pid, action.signal);
  spawner_.signal_group(process_->pid, SIGCONT);  // a suspended program can't act on it
  if (in_background_) stop_daemon(action.signal);
}

void Supervisor::carry_out(const StopEscaped& action) {
  if (process_ && !tree_exited()) spawner_.signal_escaped(process_->pid, action.signal);
}

void Supervisor::carry_out(const Signal& action) {
  if (alive_) return spawner_.signal(*process_, action.signal);
  if (!in_background_) return;
  if (!find_daemon()) {
    log::warn("child.pid_file", "exec.pid_file names no process of the program",
              {{"path", exec_.pid_file}});
  }
  for (const TreeMember& member : spawner_.tree_members(process_->pid)) {
    if (member.pid == daemon_pid_) spawner_.signal_member(member, action.signal);
  }
}

void Supervisor::carry_out(const KillTree&) {
  if (process_) spawner_.kill_tree(process_->pid);
}

void Supervisor::carry_out(const ReportLeftBehind& action) {
  if (tree_exited()) return;
  const auto members = spawner_.tree_members(process_->pid);
  if (members.empty()) return;
  const std::string text = "the program ended but " + left_behind_text(members) + ": stopped";
  if (!action.daemon) return log::warn("child.left_behind", text);
  log::error("child.left_behind",
             text +
                 ". It went into the background: set exec.forking = true, or start it in the "
                 "foreground (such as \"daemon off;\", \"daemonize no\", -D FOREGROUND)");
}

void Supervisor::carry_out(const Finish& action) {
  code_ = action.code;
}
void Supervisor::carry_out(const Log& action) {
  log::write(action.level, action.event, action.text);
}
void Supervisor::carry_out(const Notify& action) {
  notify_(action.event, action.reason);
}

// --- a program in the background (exec.forking) ---

// The first processes of it, which its own parent left to us; all, where we are no subreaper.
std::vector<TreeMember> Supervisor::daemon_processes() {
  auto members = spawner_.tree_members(process_->pid);
  if (std::ranges::any_of(members, &TreeMember::adopted))
    std::erase_if(members, [](const TreeMember& member) { return !member.adopted(); });
  return members;
}

pid_t Supervisor::pid_in_file() const {
  const bool below = exec_.pid_file[0] != '/' && !exec_.working_directory.empty();
  return read_pid_file(below ? exec_.working_directory + "/" + exec_.pid_file : exec_.pid_file)
      .value_or(-1);
}

// The one that the pid file names, if it is one of the tree; else the first. False: there is a pid
// file, and it names none of them.
bool Supervisor::find_daemon() {
  const auto members = spawner_.tree_members(process_->pid);
  const auto member = [&members](pid_t pid) {
    return std::ranges::find(members, pid, &TreeMember::pid);
  };
  if (!exec_.pid_file.empty()) {
    const pid_t named = pid_in_file();
    if (const auto at = member(named); at != members.end()) {
      daemon_pid_ = named;
      main_process_ = at->adopted() ? MainProcess::ours : MainProcess::another;
      return true;
    }
  }
  if (member(daemon_pid_) != members.end()) return exec_.pid_file.empty();
  const auto first = daemon_processes();
  daemon_pid_ = first.empty() ? -1 : first.front().pid;
  return exec_.pid_file.empty();
}

// When all of it has ended: the one that the pid file names, though it was never seen alive. What was
// taken for it until then may be the middle one of a double fork.
pid_t Supervisor::ended_daemon() {
  if (exec_.pid_file.empty() || main_process_ != MainProcess::unknown) return daemon_pid_;
  const pid_t named = pid_in_file();
  return spawner_.orphan_ended(named) ? named : daemon_pid_;
}

// It may move to another process, as long as its pid file says so (nginx: a new binary).
void Supervisor::look_at_main_process() {
  if (exec_.pid_file.empty()) {
    // What ends well and leaves others was not yet it: the middle one of a double fork.
    if (!spawner_.orphan_ended(daemon_pid_)) return;
    if (spawner_.orphan_status(daemon_pid_).value_or(ExitStatus{}).shell_code() == 0)
      (void)find_daemon();
    return;
  }
  const bool was_named = main_process_ != MainProcess::unknown;
  const pid_t known = daemon_pid_;
  if (find_daemon()) return;
  spawner_.reap_orphans();  // it may have ended since they were last reaped
  // One that ends as soon as it has named itself was never seen.
  const pid_t before = was_named ? known : pid_in_file();
  const auto members = spawner_.tree_members(process_->pid);
  if (std::ranges::find(members, before, &TreeMember::pid) != members.end()) return;
  if (!was_named && !spawner_.orphan_ended(before)) return;
  const ExitStatus status = spawner_.orphan_status(before).value_or(ExitStatus{});
  main_process_ = MainProcess::ended;
  run_fsm(SupervisorFsm::Exited{status});
}

bool Supervisor::must_poll_main_process() const {
  if (fsm_.state() != SupervisorFsm::State::background || exec_.pid_file.empty()) return false;
  return main_process_ == MainProcess::another ||
         (main_process_ == MainProcess::unknown && Clock::now() - background_since_ < kPidFileTime);
}

void Supervisor::stop_daemon(int signal) {
  if (main_process_ != MainProcess::ended) (void)find_daemon();
  stop_signal_ = signal;
  signalled_.clear();
  for (const TreeMember& member : daemon_processes()) {
    signalled_.insert(member.pid);
    spawner_.signal_member(member, signal);
    spawner_.signal_member(member, SIGCONT);
  }
}

// --- what happens ---

bool Supervisor::tree_exited() {
  return spawner_.tree_exited(process_->pid);
}

void Supervisor::poll_tree() {
  if (!fsm_.awaiting_tree_exit()) return;
  if (tree_exited()) {
    const bool known = in_background_ && main_process_ != MainProcess::ended;
    const auto daemon =
        known ? spawner_.orphan_status(ended_daemon()) : std::optional<ExitStatus>{};
    daemon_pid_ = -1;
    return run_fsm(SupervisorFsm::TreeExited{daemon});
  }
  if (fsm_.state() == SupervisorFsm::State::background) return look_at_main_process();
  if (!in_background_ || !stop_signal_) return;
  // Those whose parent went first are told, too.
  for (const TreeMember& member : daemon_processes()) {
    if (signalled_.insert(member.pid).second) spawner_.signal_member(member, *stop_signal_);
  }
}

asio::awaitable<void> Supervisor::watch(std::shared_ptr<Process> process) {
  const ExitStatus status = co_await spawner_.wait(*process);
  alive_ = false;
  const bool interrupted = status.signaled && (status.code == SIGINT || status.code == SIGQUIT) &&
                           terminal_.ours(process->pid);
  terminal_.take_back(process->pid);
  // Ctrl-C reached the program only, and it was meant for both of us.
  if (interrupted) run_fsm(SupervisorFsm::StopRequested{});
  run_fsm(SupervisorFsm::Exited{status});
  in_background_ = fsm_.state() == SupervisorFsm::State::background;
  background_since_ = Clock::now();
  if (in_background_) (void)find_daemon();  // its pid file may come later
  poll_tree();
}

// While others wait for the server; it holds up the loop until two programs have run.
asio::awaitable<void> Supervisor::start_guard() {
  co_await let_others_go_first();
  spawner_.guard();
}

asio::awaitable<void> Supervisor::watch_children() {
  LoopGuard guard(co_await asio::this_coro::executor, "children");
  for (;;) {
    guard.round();
    co_await spawner_.child_changed();
    spawner_.reap_orphans();
    poll_tree();
    if (alive_ && terminal_.ours(process_->pid) && spawner_.suspended(*process_)) {
      terminal_.suspend(process_->pid);
    }
  }
}

asio::awaitable<void> Supervisor::follow_deadlines() {
  LoopGuard guard(co_await asio::this_coro::executor, "supervisor");
  while (!code_ && !failed_) {
    guard.round();
    const auto seen = changed_.generation();
    Instant deadline = fsm_.deadline().value_or(Instant::max());
    const bool background = fsm_.state() == SupervisorFsm::State::background;
    if (background ? must_poll_main_process() : fsm_.awaiting_tree_exit())
      deadline = std::min(deadline, Clock::now() + kTreePoll);
    if (co_await changed_.wait(seen, deadline)) continue;
    poll_tree();
    run_fsm(SupervisorFsm::Timer{});
  }
}

// --- run ---

void Supervisor::on_internal_error(const std::exception_ptr& failure) noexcept {
  if (failed_) return;
  failed_ = true;
  try {
    log::error("child.internal_error", "internal error, the program is ended: " + text_of(failure));
  } catch (...) {  // it ends all the same
  }
  changed_.set();
}

// A watcher that fails must not be missed.
asio::awaitable<void> Supervisor::guarded(asio::awaitable<void> task) {
  std::exception_ptr failure;
  try {
    co_await std::move(task);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure && is_cancellation(failure)) std::rethrow_exception(failure);
  if (failure) on_internal_error(failure);
}

// True when nothing is left, or nothing more can be done.
bool Supervisor::kill_tree() noexcept {
  if (!process_) return true;
  try {
    spawner_.kill_tree(process_->pid);
    return tree_exited();
  } catch (...) {
    return true;
  }
}

bool Supervisor::tree_is_gone() noexcept {
  try {
    return !process_ || tree_exited();
  } catch (...) {
    return false;
  }
}

asio::awaitable<void> Supervisor::end_tree() {
  const Instant end = Clock::now() + kEndTree;
  while (!kill_tree() && Clock::now() < end) co_await sleep_for(kEndTreePoll);
}

asio::awaitable<int> Supervisor::run() {
  watchers_.spawn(guarded(watch_children()));
  watchers_.spawn(guarded(start_guard()));
  std::exception_ptr cancelled;
  try {
    co_await guarded(follow_deadlines());
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    if (!code_) kill_tree();
  }
  if (failed_) co_await end_tree();
  if (code_ && tree_is_gone()) spawner_.dismiss_guard();
  watchers_.cancel();
  co_await watchers_.join();
  if (cancelled) std::rethrow_exception(cancelled);
  co_return failed_ ? 70 : code_.value_or(70);  // EX_SOFTWARE
}

}  // namespace keybearer::child
