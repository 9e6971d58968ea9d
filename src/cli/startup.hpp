#pragma once
// What the commands do before their job: configuration, log, templates; every error at once.

#include <expected>

#include "base/log.hpp"
#include "config/load.hpp"
#include "render/renderer.hpp"

namespace keybearer::cli {

// config::load, and what else can be said of it before anything is contacted.
[[nodiscard]] std::expected<config::Loaded, std::vector<config::Problem>> load_configuration(
    const config::Input& input);
[[nodiscard]] std::vector<config::Problem> template_problems(const config::Config& config);

// "keybearer: agent.toml:3:1: vault.timeout: ..." on stderr, one per line.
// Of the command line alone: 64; else 78.
[[nodiscard]] int code_of(const std::vector<config::Problem>& problems);
void print_problems(const std::vector<config::Problem>& problems);

// The templates, or exit code 65 after having said why.
[[nodiscard]] std::expected<render::Renderer, int> load_templates(const config::Config& config);

// kOk, or the exit code after having said why. The configuration's own level wins.
[[nodiscard]] int open_log(const config::Config& config, log::Level default_level);
void harden(const config::Config& config);

// Loads, opens the log, hardens the process. An error is an exit code, said already.
[[nodiscard]] std::expected<config::Loaded, int> start(const config::Input& input);

}  // namespace keybearer::cli
