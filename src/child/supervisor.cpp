#include "child/supervisor.hpp"

#include <signal.h>
#include <unistd.h>

#include "base/log.hpp"

namespace keybearer::child {
namespace {

namespace asio = boost::asio;

constexpr Duration kLookForTree = std::chrono::milliseconds(20);  // nobody tells when the last of a group is gone

std::string joined(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& argument : argv) text += (text.empty() ? "" : " ") + argument;
  return text;
}

// The terminal that is our stdin goes back to us (we are in the background then: SIGTTOU must not stop us).
void take_terminal_back() {
  sigset_t ttou, before;
  sigemptyset(&ttou);
  sigaddset(&ttou, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &ttou, &before);
  tcsetpgrp(STDIN_FILENO, getpgrp());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

Supervisor::Supervisor(asio::any_io_executor executor, Spawner& spawner, const config::Exec& exec, Random& random,
                       AlarmHook alarm)
    : spawner_(spawner),
      exec_(exec),
      alarm_(std::move(alarm)),
      fsm_(rules_of(exec), random.fraction()),
      watchers_(executor) {}

result<> Supervisor::want(Desired desired) {
  if (auto checked = desired.environment.check(); !checked) return checked;
  environment_ = std::move(desired.environment);
  perform(fsm_.desired(std::move(desired.items), Clock::now()));
  return {};
}

void Supervisor::forward_signal(int signal) { perform(fsm_.forward(signal)); }

void Supervisor::stop() { perform(fsm_.stop(Clock::now())); }

void Supervisor::perform(Actions actions) {
  for (const Action& action : actions) {
    std::visit([this](const auto& a) { carry_out(a); }, action);
  }
  changed_.set();
}

void Supervisor::carry_out(const Start&) {
  const bool ours = isatty(STDIN_FILENO) != 0 && tcgetpgrp(STDIN_FILENO) == getpgrp();
  had_terminal_ = had_terminal_ || ours;
  auto spawned = spawner_.spawn({.argv = exec_.command.argv,
                                 .environment = &environment_,
                                 .working_directory = exec_.working_directory,
                                 .foreground = had_terminal_});
  if (!spawned) return perform(fsm_.start_failed(spawned.error(), Clock::now()));
  process_ = std::make_shared<Process>(std::move(*spawned));
  exited_ = false;
  log::info("child.started", "the program is started",
            {{"pid", std::to_string(process_->pid)}, {"command", joined(exec_.command.argv)}});
  watchers_.spawn(watch(process_));
  perform(fsm_.started(Clock::now()));
}

void Supervisor::carry_out(const SignalGroup& action) {
  if (!process_ || (exited_ && spawner_.tree_gone(process_->pid))) return;
  spawner_.signal_group(process_->pid, action.signal);
  spawner_.signal_group(process_->pid, SIGCONT);  // a stopped program can't act on it
}

void Supervisor::carry_out(const KillTree&) {
  if (process_) spawner_.kill_tree(process_->pid);
}

void Supervisor::carry_out(const Finish& action) { code_ = action.code; }
void Supervisor::carry_out(const Say& action) { log::write(action.level, action.event, action.text); }
void Supervisor::carry_out(const Alarm& action) { alarm_(action.event, action.reason); }

asio::awaitable<void> Supervisor::watch(std::shared_ptr<Process> process) {
  const ExitStatus status = co_await spawner_.wait(*process);
  exited_ = true;
  if (had_terminal_) take_terminal_back();
  perform(fsm_.exited(status, Clock::now()));
  if (fsm_.awaits_tree() && spawner_.tree_gone(process->pid)) perform(fsm_.tree_gone(Clock::now()));
}

asio::awaitable<int> Supervisor::run() {
  while (!code_) {
    const auto seen = changed_.generation();
    Instant deadline = fsm_.deadline().value_or(Instant::max());
    if (fsm_.awaits_tree()) deadline = std::min(deadline, Clock::now() + kLookForTree);
    const bool changed = co_await changed_.wait(seen, deadline);
    if (changed) continue;
    if (fsm_.awaits_tree() && spawner_.tree_gone(process_->pid)) {
      perform(fsm_.tree_gone(Clock::now()));
    } else if (fsm_.deadline() && *fsm_.deadline() <= Clock::now()) {
      perform(fsm_.due(Clock::now()));
    }
  }
  watchers_.cancel();
  co_await watchers_.join();
  co_return *code_;
}

}  // namespace keybearer::child
