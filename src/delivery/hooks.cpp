#include "delivery/hooks.hpp"

#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/masking.hpp"
#include "base/timer.hpp"
#include "process/command.hpp"

namespace keybearer::delivery {

namespace asio = boost::asio;

struct Hooks::Run {
  const config::Template* spec;
  EnvBlock environment;
  std::vector<Secret> masked;
};

void Hooks::start(const config::Template& spec, EnvBlock environment, std::vector<Secret> masked) {
  auto run = std::make_shared<Run>(Run{&spec, std::move(environment), std::move(masked)});
  newest_[&spec] = run;
  ++first_runs_;
  tasks_.spawn(carry_out(std::move(run)));
  changed_.set();
}

asio::awaitable<void> Hooks::carry_out(std::shared_ptr<Run> run) {
  Backoff backoff({std::chrono::seconds(1), std::chrono::minutes(1)});
  for (bool first = true; newest_[run->spec] == run; first = false) {
    const auto result = co_await run_command(run->spec->command.argv, run->environment.clone(),
                                             run->spec->command_timeout);
    const auto failure = failure_of(result);
    if (first) {
      --first_runs_;
      failed_ = failed_ || failure;
      changed_.set();
    }
    const std::string& path = run->spec->destination;
    if (result) {
      for (const std::string& line : masked_lines(result->output, run->masked))
        log::info("hook.output", line, {{"path", path}});
    }
    if (!failure) {
      log::info("hook.done", "command done", {{"path", path}});
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

asio::awaitable<bool> Hooks::idle() {
  while (first_runs_ > 0) co_await changed_.wait(changed_.generation());
  co_return !failed_;
}

}  // namespace keybearer::delivery
