#include "delivery/hooks.hpp"

#include <algorithm>
#include <utility>

#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/timer.hpp"
#include "process/command.hpp"

namespace keybearer::delivery {

namespace asio = boost::asio;

struct Hooks::Run {
  FileTarget target;
  EnvBlock environment;
  std::vector<Secret> values;
  bool finished = false;
};

void Hooks::start(const FileTarget& target, EnvBlock environment, std::vector<Secret> values) {
  auto run = std::make_shared<Run>(Run{target, std::move(environment), std::move(values)});
  auto& newest = newest_[target.destination];
  if (newest) finish(*newest);
  newest = run;
  ++first_runs_;
  ++unfinished_;
  tasks_.spawn(carry_out(std::move(run)));
  changed_.set();
}

void Hooks::configure(const std::vector<FileTarget>& targets, const EnvBlock& environment) {
  for (const auto& [destination, newest] : newest_) {
    const auto run = newest;
    if (run->finished) continue;
    const auto now = std::ranges::find(targets, destination, &FileTarget::destination);
    if (now == targets.end() || now->command.argv.empty()) {
      finish(*run);
    } else if (now->command != run->target.command ||
               now->command_timeout != run->target.command_timeout) {
      std::vector<Secret> values;
      for (const Secret& value : run->values) values.push_back(value.clone());
      start(*now, environment, std::move(values));
    }
  }
}

bool Hooks::is_under_way(const std::string& destination) const {
  const auto newest = newest_.find(destination);
  return newest != newest_.end() && !newest->second->finished;
}

void Hooks::finish(Run& run) {
  if (!std::exchange(run.finished, true)) --unfinished_;
  changed_.set();
}

// One after the other: a command need not bear another of its file beside itself. False: there is
// a newer one by now.
asio::awaitable<bool> Hooks::has_turn(const Run& run) {
  while (!run.finished && executing_.contains(run.target.destination))
    co_await changed_.wait(changed_.generation());
  co_return !run.finished;
}

asio::awaitable<void> Hooks::carry_out(std::shared_ptr<Run> run) {
  Backoff backoff({std::chrono::seconds(1), std::chrono::minutes(1)});
  const std::string& path = run->target.destination;
  for (bool first = true; !run->finished; first = false) {
    if (!co_await has_turn(*run)) {
      if (first) --first_runs_;
      changed_.set();
      co_return;
    }
    executing_.insert(path);
    const auto done = co_await run_command(run->target.command.argv, run->environment,
                                           run->target.command_timeout);
    executing_.erase(path);
    const auto failure = failure_of(done);
    if (first) --first_runs_;
    changed_.set();
    if (done) {
      for (const std::string& line : redacted_lines(*done, run->values))
        log::info("hook.output", line, {{"path", path}});
    }
    if (!failure) {
      log::info("hook.succeeded", "command done", {{"path", path}});
      if (!run->finished && succeeded_) succeeded_(path);
      finish(*run);
      co_return;
    }
    const Duration pause = backoff.next(random_.fraction());
    log::error("hook.failed", "the command failed; trying again",
               {{"path", path}, {"reason", *failure}});
    co_await sleep_for(pause);
  }
}

asio::awaitable<void> Hooks::run() {
  for (;;) {  // the group may be empty and fill again
    co_await tasks_.join();
    if (tasks_.cancelled()) co_return;
    co_await changed_.wait(changed_.generation());
  }
}

asio::awaitable<bool> Hooks::idle(Instant limit) {
  while (unfinished_ > 0 && (first_runs_ > 0 || Clock::now() < limit)) {
    const auto seen = changed_.generation();
    (void)co_await changed_.wait(seen, first_runs_ > 0 ? Instant::max() : limit);
  }
  co_return unfinished_ == 0;
}

}  // namespace keybearer::delivery
