#include "tmpl/funcs/plugin.hpp"

#include <unistd.h>

#include "process/command.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::size_t kMostOutput = 16u << 20;

}  // namespace

std::expected<std::string, std::string> run_plugin(const std::vector<std::string>& argv,
                                                   std::chrono::milliseconds limit,
                                                   std::function<bool()> stopped) {
  auto done = run_command_blocking({.argv = argv,
                                    .environment = without_credentials(EnvBlock::from(environ)),
                                    .timeout = limit,
                                    .max_output = kMostOutput,
                                    .with_stderr = false,
                                    .stopped = std::move(stopped)});
  if (!done) {
    const Error& error = done.error();
    if (error.kind == ErrorKind::cancelled) return std::unexpected("broken off");
    return std::unexpected(error.text.ends_with(": not found") ? "No such file or directory"
                                                               : error.text);
  }
  if (done->timed_out) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit).count();
    return std::unexpected("did not finish in " + std::to_string(seconds) + "s");
  }
  if (done->status.signaled) return std::unexpected("signal: " + std::to_string(done->status.code));
  if (done->status.code != 0)
    return std::unexpected("exit status " + std::to_string(done->status.code));
  return std::move(done->output);
}

}  // namespace keybearer::tmpl
