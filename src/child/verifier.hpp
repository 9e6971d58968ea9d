#pragma once
// Runs exec.verify's command on each new set, which it owns meanwhile, and hands over what is good.
// Without a command every set is good at once. Must outlive run().

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/event.hpp"
#include "child/supervisor.hpp"
#include "child/verify_fsm.hpp"
#include "process/env_block.hpp"

namespace keybearer::child {

struct VerifierCallbacks {
  std::function<void(Desired set)> accepted;  // the newest; it may go to the program
  std::function<bool()> refetch;  // leased secrets are fetched again; false: there are none
  std::function<void(const std::string& reason)> refused;
};

class Verifier {
 public:
  Verifier(const config::Exec& exec, VerifierCallbacks callbacks)
      : verify_(exec.verify), callbacks_(std::move(callbacks)), machine_(exec.verify) {}

  // For the sets that are offered from now on: where it is another, also for those that were
  // refused before or are under way.
  void configure(const config::Exec& exec);
  // The newest set wins. `rendered`: what of its environment must not be shown when the command
  // prints it.
  void offer(Desired set, const EnvBlock& rendered);
  [[nodiscard]] boost::asio::awaitable<void> run();  // until cancelled

 private:
  [[nodiscard]] bool active() const { return !verify_.command.argv.empty(); }
  void act(VerifyFsm::Do what);
  void accept();
  boost::asio::awaitable<void> run_verify_command();

  config::Exec::Verify verify_;
  VerifierCallbacks callbacks_;
  VerifyFsm machine_;
  std::optional<Desired> newest_;  // until it is handed over
  EnvBlock rendered_;
  std::string last_failure_;
  bool pending_ = false;        // the command is to run
  std::uint64_t revision_ = 0;  // of exec.verify
  Event changed_;
};

}  // namespace keybearer::child
