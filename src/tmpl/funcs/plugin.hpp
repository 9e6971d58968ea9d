#pragma once
// Runs a program for the template function `plugin`.

#include <chrono>
#include <expected>
#include <functional>
#include <string>
#include <vector>

namespace keybearer::tmpl {

// What the program wrote to its standard output. It runs without a shell, with our environment but
// for our credentials; it and what it started are killed at the limit, or when `stopped` says so,
// and the calling thread waits for it. The error is without its output, which may hold secrets: "exit status 1",
// "did not finish in 30s".
[[nodiscard]] std::expected<std::string, std::string> run_plugin(
    const std::vector<std::string>& argv, std::chrono::milliseconds limit,
    std::function<bool()> stopped = {});

}  // namespace keybearer::tmpl
