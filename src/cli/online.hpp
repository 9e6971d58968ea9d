#pragma once
// `check --online`: logs in, and asks which of the paths that the templates name can't be read, and
// why.

#include "config/config.hpp"

namespace keybearer::cli {

// Says what it found; returns the exit code. Uses no credential up: a secret_id file stays, a
// wrapped one is not tried.
[[nodiscard]] int check_online(config::Config& config);

// `check --print-policy`: the server policy that this configuration needs beside the server's
// "default", on standard output. Asks the server for its mounts.
[[nodiscard]] int print_policy(config::Config& config);

}  // namespace keybearer::cli
