#pragma once
// Runs a program to its end and captures what it says: hooks after a file changed, alarms.

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "process/env_block.hpp"
#include "process/exit_status.hpp"

namespace keybearer {

struct CommandResult {
  ExitStatus status;
  bool timed_out = false;
  std::string output;  // stdout and stderr together, at most 64 KiB; may hold secrets
  bool cut = false;    // there was more of it
};

// Why it is no success: could not be started, timed out, another code than 0. Nothing secret.
[[nodiscard]] std::optional<std::string> failure_of(const result<CommandResult>& result);

// What it said, fit for the log: line by line, without empty ones, values in force and `values`.
[[nodiscard]] std::vector<std::string> redacted_lines(const CommandResult& result,
                                                      const std::vector<Secret>& values = {});

// The whole process group is killed at the timeout, or when cancelled. Error kind spawn.
[[nodiscard]] boost::asio::awaitable<result<CommandResult>> run_command(
    std::vector<std::string> argv, EnvBlock environment, Duration timeout);

}  // namespace keybearer
