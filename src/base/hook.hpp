#pragma once
// Runs a program to its end and captures what it says: hooks after a file changed, alarms.

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/env_block.hpp"
#include "base/error.hpp"
#include "base/exit_status.hpp"

namespace keybearer {

struct HookResult {
  ExitStatus status;
  bool timed_out = false;
  std::string output;  // stdout and stderr together, at most 64 KiB; may hold secrets
};

// Why it is no success: could not be started, timed out, another code than 0. Nothing secret.
[[nodiscard]] std::optional<std::string> failure_of(const result<HookResult>& result);

// The whole process group is killed at the timeout, or when cancelled. Error kind spawn.
[[nodiscard]] boost::asio::awaitable<result<HookResult>> run_hook(std::vector<std::string> argv,
                                                                  EnvBlock environment,
                                                                  Duration timeout);

}  // namespace keybearer
