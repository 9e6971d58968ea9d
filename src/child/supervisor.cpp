#include "child/supervisor.hpp"

#include <signal.h>

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>

#include "base/log.hpp"

namespace keybearer::child {
namespace {

namespace asio = boost::asio;

// A safety net: where we are no subreaper, nobody tells when the last of a group is gone.
constexpr Duration kLookForTree = std::chrono::milliseconds(250);

}  // namespace

Supervisor::Supervisor(asio::any_io_executor executor, Spawner& spawner, const config::Exec& exec,
                       std::string_view instance, Random& random, AlarmHook alarm)
    : spawner_(spawner),
      exec_(exec),
      alarm_(std::move(alarm)),
      fsm_(rules_of(exec, instance), random.fraction()),
      watchers_(executor) {}

result<> Supervisor::want(Desired desired) {
  if (auto checked = desired.environment.check(exec_.command.argv); !checked) return checked;
  environment_ = std::move(desired.environment);
  perform(fsm_.desired(std::move(desired.items), Clock::now(), desired.latest));
  return {};
}

void Supervisor::forward_signal(int signal) {
  perform(fsm_.forward(signal));
}

void Supervisor::stop() {
  perform(fsm_.stop(Clock::now()));
}

void Supervisor::perform(Actions actions) {
  for (const Action& action : actions) {
    std::visit([this](const auto& a) { carry_out(a); }, action);
  }
  changed_.set();
}

void Supervisor::carry_out(const Start&) {
  auto spawned = spawner_.spawn({.argv = exec_.command.argv,
                                 .environment = &environment_,
                                 .working_directory = exec_.working_directory,
                                 .foreground = terminal_.ours(pid())});
  if (!spawned) return perform(fsm_.start_failed(spawned.error(), Clock::now()));
  process_ = std::make_shared<Process>(std::move(*spawned));
  alive_ = true;
  // Only the program's name: arguments may hold what is nobody else's business.
  log::info("child.started", "the program is started",
            {{"pid", std::to_string(process_->pid)},
             {"command", exec_.command.argv.front() + (exec_.command.shell ? " -c" : "")}});
  watchers_.spawn(watch(process_));
  perform(fsm_.started(Clock::now()));
}

void Supervisor::carry_out(const Stop& action) {
  if (!process_ || (!alive_ && tree_exited())) return;
  spawner_.signal_group(process_->pid, action.signal);
  spawner_.signal_group(process_->pid, SIGCONT);  // a suspended program can't act on it
}

void Supervisor::carry_out(const StopEscaped& action) {
  if (process_ && !tree_exited()) spawner_.signal_escaped(process_->pid, action.signal);
}

void Supervisor::carry_out(const Signal& action) {
  if (alive_) spawner_.signal(*process_, action.signal);
}

void Supervisor::carry_out(const KillTree&) {
  if (process_) spawner_.kill_tree(process_->pid);
}

void Supervisor::carry_out(const Finish& action) {
  code_ = action.code;
}
void Supervisor::carry_out(const Say& action) {
  log::write(action.level, action.event, action.text);
}
void Supervisor::carry_out(const Alarm& action) {
  alarm_(action.event, action.reason);
}

bool Supervisor::tree_exited() {
  return spawner_.tree_exited(process_->pid);
}

void Supervisor::poll_tree() {
  if (fsm_.awaiting_tree_exit() && tree_exited()) perform(fsm_.tree_exited(Clock::now()));
}

// A watcher that fails must not be missed: run() looks when it is told to.
struct Supervisor::Farewell {
  Event& changed;
  ~Farewell() { changed.set(); }
};

asio::awaitable<void> Supervisor::watch(std::shared_ptr<Process> process) {
  const Farewell farewell{changed_};
  const ExitStatus status = co_await spawner_.wait(*process);
  alive_ = false;
  const bool interrupted = status.signaled && (status.code == SIGINT || status.code == SIGQUIT) &&
                           terminal_.ours(process->pid);
  terminal_.take_back(process->pid);
  // Ctrl-C reached the program only, and it was meant for both of us.
  if (interrupted) perform(fsm_.stop(Clock::now()));
  perform(fsm_.exited(status, Clock::now()));
  poll_tree();
}

asio::awaitable<void> Supervisor::watch_children() {
  const Farewell farewell{changed_};
  for (;;) {
    co_await spawner_.child_changed();
    spawner_.reap_orphans();
    poll_tree();
    if (alive_ && terminal_.ours(process_->pid) && spawner_.suspended(*process_)) {
      terminal_.suspend(process_->pid);
    }
  }
}

asio::awaitable<void> Supervisor::feed() {
  while (!code_ && !watchers_.cancelled()) {
    const auto seen = changed_.generation();
    Instant deadline = fsm_.deadline().value_or(Instant::max());
    if (fsm_.awaiting_tree_exit()) deadline = std::min(deadline, Clock::now() + kLookForTree);
    if (co_await changed_.wait(seen, deadline)) continue;
    poll_tree();
    perform(fsm_.due(Clock::now()));
  }
}

asio::awaitable<int> Supervisor::run() {
  watchers_.spawn(watch_children());
  std::exception_ptr failure;
  try {
    co_await feed();
  } catch (...) {
    failure = std::current_exception();
  }
  if (!code_) carry_out(KillTree{});
  if (failure) co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  watchers_.cancel();
  co_await watchers_.join();
  if (failure) std::rethrow_exception(failure);
  co_return code_.value_or(70);  // EX_SOFTWARE; join() has thrown what it was
}

std::vector<int> forwarded_signals() {
  std::vector<int> signals{SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGWINCH,
                           SIGIO,   SIGURG,  SIGPWR,  SIGSTKFLT, SIGCONT};
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) signals.push_back(signal);
  return signals;
}

}  // namespace keybearer::child
