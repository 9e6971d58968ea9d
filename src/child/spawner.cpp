#include "child/spawner.hpp"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/this_coro.hpp>
#include <optional>

#include "base/log.hpp"
#include "process/guard.hpp"
#include "process/mark.hpp"
#include "process/reaper.hpp"
#include "process/signals.hpp"

namespace keybearer::child {
namespace {

namespace asio = boost::asio;

class KernelSpawner final : public Spawner {
 public:
  result<Process> spawn(const SpawnSpec& spec) override {
    SpawnSpec marked = spec;
    marked.options.mark = marks().program;
    return keybearer::spawn(marked);
  }
  asio::awaitable<ExitStatus> wait(Process& process) override { return wait_for_exit(process); }
  void signal(const Process& process, int signal) override { signal_process(process, signal); }
  void signal_group(pid_t group, int signal) override { keybearer::signal_group(group, signal); }
  void signal_escaped(pid_t group, int signal) override {
    keybearer::signal_escaped(group, signal);
  }
  void signal_member(const TreeMember& member, int signal) override {
    keybearer::signal_member(member, signal);
  }
  void kill_tree(pid_t group) override { keybearer::kill_tree(group); }
  bool tree_exited(pid_t group) override { return keybearer::tree_exited(group); }
  std::vector<TreeMember> tree_members(pid_t group) override {
    return keybearer::tree_members(group);
  }

  void guard() override {
    if (tried_guard_ || getpid() == 1) return;  // the kernel ends all that is below PID 1 with us
    auto started = Guard::start();
    tried_guard_ = started || !started.error().retry_after;  // else again before the next start
    if (started) {
      guard_ = *std::move(started);
    } else {
      log::warn("child.no_guard",
                "a keybearer that is killed leaves processes of the program behind",
                {{"reason", started.error().text}});
    }
  }
  void dismiss_guard() override { guard_.dismiss(); }

  asio::awaitable<void> child_changed() override {
    // Kept from call to call: what comes in between is remembered.
    const auto executor = co_await asio::this_coro::executor;
    if (!signals_) signals_.emplace(executor, std::vector{SIGCHLD});
    (void)co_await signals_->next();
  }
  void reap_orphans() override { reaper().reap_orphans(); }
  void watch_orphans() override { reaper().watch_orphans(); }
  std::optional<ExitStatus> orphan_status(pid_t pid) override {
    const auto known = reaper().orphan_status(pid);
    return known ? known : reaper().last_orphan_status();
  }
  bool orphan_ended(pid_t pid) override { return reaper().orphan_status(pid).has_value(); }
  bool suspended(const Process& process) override { return keybearer::suspended(process); }

 private:
  std::optional<Signals> signals_;
  Guard guard_;
  bool tried_guard_ = false;
};

}  // namespace

std::unique_ptr<Spawner> make_spawner() {
  return std::make_unique<KernelSpawner>();
}

}  // namespace keybearer::child
