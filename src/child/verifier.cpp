#include "child/verifier.hpp"

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "process/command.hpp"

namespace keybearer::child {

namespace asio = boost::asio;

void Verifier::offer(Desired set, const EnvBlock& rendered) {
  const std::uint64_t fingerprint = fingerprint_of(set.items);
  newest_ = std::move(set);
  if (!active()) return accept();
  rendered_ = rendered;
  act(machine_.offered(fingerprint));
}

void Verifier::configure(const config::Exec& exec) {
  if (exec.verify == verify_) return;
  verify_ = exec.verify;
  machine_.configure(verify_);
  pending_ = false;
  ++revision_;
  changed_.set();
}

void Verifier::accept() {
  if (auto set = std::exchange(newest_, std::nullopt)) callbacks_.accepted(std::move(*set));
}

void Verifier::act(VerifyFsm::Do what) {
  using Do = VerifyFsm::Do;
  const std::string attempt =
      std::to_string(machine_.failures()) + " of " + std::to_string(verify_.attempts) + " attempts";
  switch (what) {
    case Do::nothing:
      break;
    case Do::run:
      pending_ = true;
      break;
    case Do::accept:
      accept();
      break;
    case Do::wait:
      log::warn("verify.failed",
                "exec.verify: " + last_failure_ + "; leased secrets are fetched again",
                {{"failed", attempt}});
      break;
    case Do::refetch:
      if (!callbacks_.refetch()) return act(machine_.refetch_unavailable());
      break;
    case Do::refuse:
      callbacks_.refused("exec.verify: " + last_failure_ + ", " + attempt);
      break;
  }
  changed_.set();
}

asio::awaitable<void> Verifier::run_verify_command() {
  const auto revision = revision_;
  std::vector<Secret> rendered;  // a value may have been made of several
  for (const auto& [name, value] : rendered_.values()) rendered.push_back(value->clone());
  const auto done =
      co_await run_command(verify_.command.argv, newest_->environment, verify_.timeout);
  if (done) {
    for (const std::string& line : redacted_lines(*done, rendered))
      log::info("verify.output", line);
  }
  if (revision != revision_) co_return;  // what it says was asked by rules that are no more
  const auto failure = failure_of(done);
  last_failure_ = failure.value_or("");
  act(machine_.answered(!failure, Clock::now()));
}

asio::awaitable<void> Verifier::run() {
  LoopGuard guard(co_await asio::this_coro::executor, "verifier");
  for (;;) {
    guard.round();
    const auto seen = changed_.generation();
    if (std::exchange(pending_, false)) {
      co_await run_verify_command();
    } else if (!co_await changed_.wait(seen, machine_.deadline().value_or(Instant::max()))) {
      act(machine_.due(Clock::now()));
    }
  }
}

}  // namespace keybearer::child
