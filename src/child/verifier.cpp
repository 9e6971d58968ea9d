#include "child/verifier.hpp"

#include "base/log.hpp"
#include "process/command.hpp"

namespace keybearer::child {

namespace asio = boost::asio;

void Verifier::offer(std::uint64_t set, const EnvBlock& environment, const EnvBlock& rendered) {
  if (!active()) return hooks_.accepted();
  environment_ = environment.clone();
  rendered_ = rendered.clone();
  act(machine_.offered(set));
}

void Verifier::act(Verification::Do what) {
  using Do = Verification::Do;
  const std::string attempt =
      std::to_string(machine_.failures()) + " of " + std::to_string(verify_.attempts) + " attempts";
  switch (what) {
    case Do::rest:
      break;
    case Do::run:
      to_run_ = true;
      break;
    case Do::accept:
      hooks_.accepted();
      break;
    case Do::wait:
      log::warn("verify.failed",
                "exec.verify: " + last_failure_ + "; leased secrets are fetched anew",
                {{"failed", attempt}});
      break;
    case Do::refetch:
      if (!hooks_.refetch()) return act(machine_.nothing_fetched());
      break;
    case Do::refuse:
      hooks_.refused("exec.verify: " + last_failure_ + ", " + attempt);
      break;
  }
  changed_.set();
}

asio::awaitable<void> Verifier::try_it() {
  std::vector<Secret> rendered;  // a value may have been made of several
  for (const auto& [name, value] : rendered_.values()) rendered.push_back(value.clone());
  const auto done =
      co_await run_command(verify_.command.argv, environment_.clone(), verify_.timeout);
  if (done) {
    for (const std::string& line : redacted_lines(*done, rendered))
      log::info("verify.output", line);
  }
  const auto failure = failure_of(done);
  last_failure_ = failure.value_or("");
  act(machine_.answered(!failure, Clock::now()));
}

asio::awaitable<void> Verifier::run() {
  for (;;) {
    const auto seen = changed_.generation();
    if (std::exchange(to_run_, false)) {
      co_await try_it();
    } else if (!co_await changed_.wait(seen, machine_.deadline().value_or(Instant::max()))) {
      act(machine_.due(Clock::now()));
    }
  }
}

}  // namespace keybearer::child
