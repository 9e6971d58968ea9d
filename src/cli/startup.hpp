#pragma once
// What the commands do before their job: configuration, log, templates; every error at once.

#include <expected>
#include <memory>

#include "agent/agent.hpp"
#include "base/directory.hpp"
#include "base/log.hpp"
#include "config/load.hpp"
#include "render/renderer.hpp"

namespace keybearer::cli {

// config::load, and what else can be said of the configuration before anything is contacted; all
// problems at once. `parsed_later`: templates are looked at only when there is something wrong
// anyway, because load_templates follows.
enum class Templates { checked, parsed_later };
[[nodiscard]] std::expected<config::Loaded, std::vector<config::Problem>> load_configuration(
    const config::Input& input, Templates templates);

// Of templates alone: 65; of the command line alone: 64; else 78.
[[nodiscard]] int code_of(const std::vector<config::Problem>& problems);
// "keybearer: agent.toml:3:1: vault.timeout: ..." on stderr, one per line.
void print_problems(const std::vector<config::Problem>& problems);
void print_problem(const std::string& key, const std::string& text);

// `code`, after saying that agent.toml here was not read, where that may be what went wrong.
[[nodiscard]] int with_file_hint(const config::Input& input, int code);

// The templates, or the exit code after having said why.
[[nodiscard]] std::expected<render::Renderer, int> load_templates(const config::Config& config);

// Both, kept together. The error is the exit code, said already.
[[nodiscard]] std::expected<std::shared_ptr<Rendering>, int> make_rendering(config::Config config);
// The configuration and the templates of `input`, read again: for a reload.
[[nodiscard]] Reloaded load_again(const config::Input& input, bool with_child);
// What only a run without a child minds. `serves`: it may have listeners alone.
[[nodiscard]] std::vector<config::Problem> file_problems(const config::Config& config, bool serves);
// What only a run with a child minds.
[[nodiscard]] std::vector<config::Problem> child_problems(const config::Config& config);
// Of `exec`: may own the pid file's directory, too.
[[nodiscard]] Recipient program_user(const config::Config& config);

// A daemon, or a command that ends by itself: its log is text, unless the configuration or
// --log-format says otherwise.
enum class Lifetime { daemon, one_shot };
// kOk, or the exit code after having said why. The configuration's own level wins.
[[nodiscard]] int open_log(const config::Config& config, log::Level default_level,
                           Lifetime lifetime);
void harden(const config::Config& config);

// Loads, opens the log, hardens the process. An error is an exit code, said already.
[[nodiscard]] std::expected<config::Loaded, int> start(const config::Input& input,
                                                       Lifetime lifetime);

}  // namespace keybearer::cli
