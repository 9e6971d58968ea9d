#pragma once
// Runs a program to its end and captures what it says: hooks after a file changed, exec.verify,
// notifications, plugins. Its environment is checked first: one that the system refuses is an error
// that names the variable.

#include <boost/asio/awaitable.hpp>
#include <functional>
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

struct BlockingCommand {
  std::vector<std::string> argv;
  EnvBlock environment;
  Duration timeout;
  std::size_t max_output = 64 * 1024;  // more is an error (kind spawn)
  bool with_stderr = true;             // false: stderr is dropped
  std::function<bool()> stopped = {};  // looked at every 20 ms: then it is killed
};
// The same in the calling thread, any but one that runs an event loop. Its group is killed at the
// timeout (timed_out), and when it is stopped (error, kind cancelled). Error kind spawn.
[[nodiscard]] result<CommandResult> run_command_blocking(const BlockingCommand& command);

}  // namespace keybearer
