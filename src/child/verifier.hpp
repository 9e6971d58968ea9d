#pragma once
// Runs exec.verify's command on each new set and tells what came of it. Without a command every
// set is accepted at once. Must outlive run().

#include <boost/asio/awaitable.hpp>
#include <functional>

#include "base/event.hpp"
#include "child/verification.hpp"
#include "process/env_block.hpp"

namespace keybearer::child {

struct VerifierHooks {
  std::function<void()> accepted;  // the set offered last
  std::function<bool()> refetch;   // leased secrets are taken anew; false: there are none
  std::function<void(const std::string& reason)> refused;
};

class Verifier {
 public:
  Verifier(const config::Exec& exec, VerifierHooks hooks)
      : verify_(exec.verify), hooks_(std::move(hooks)), machine_(exec.verify) {}

  // `environment`: the program's own, were it started with the set. `rendered`: what of it must
  // not be shown when the command prints it.
  void offer(std::uint64_t set, const EnvBlock& environment, const EnvBlock& rendered);
  // The set offered last may reach the program, or has.
  [[nodiscard]] bool accepted() const { return !active() || machine_.accepted(); }
  [[nodiscard]] boost::asio::awaitable<void> run();  // until cancelled

 private:
  [[nodiscard]] bool active() const { return !verify_.command.argv.empty(); }
  void act(Verification::Do what);
  boost::asio::awaitable<void> try_it();

  const config::Exec::Verify& verify_;
  VerifierHooks hooks_;
  Verification machine_;
  EnvBlock environment_;
  EnvBlock rendered_;
  std::string last_failure_;
  bool to_run_ = false;
  Event changed_;
};

}  // namespace keybearer::child
