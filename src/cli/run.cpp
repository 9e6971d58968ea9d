#include "agent/agent.hpp"
#include "agent/token_sinks.hpp"
#include "cli/commands.hpp"
#include "cli/startup.hpp"
#include "delivery/files.hpp"
#include "process/hardening.hpp"
#include "process/pid_file.hpp"

namespace keybearer::cli {
namespace {

int run_job(const config::Input& input, config::Config loaded, Mode mode) {
  auto rendering = make_rendering(std::move(loaded));
  if (!rendering) return rendering.error();
  const config::Config& config = *(*rendering)->config;
  PidFile pid_file;
  if (!config.pid_file.empty()) {
    auto written = PidFile::write(config.pid_file, program_user(config));
    if (!written) {
      print_problem("pid_file", written.error().text);
      return kConfig;
    }
    pid_file = std::move(*written);
  }
  std::vector<delivery::FileTarget> targets;
  for (const config::Template& spec : config.templates)
    targets.push_back(delivery::target_of(spec));
  for (const config::Sink& sink : config.auto_auth.sinks) targets.push_back(target_of(sink, true));
  delivery::sweep_leftovers(targets);
  const bool with_child = mode == Mode::run || mode == Mode::run_once;
  return run_agent(std::move(*rendering), mode, {},
                   [input, with_child] { return load_again(input, with_child); });
}

}  // namespace

int run(const RunOptions& options) {
  auto loaded = start(options.input, Lifetime::daemon);
  if (!loaded) return loaded.error();
  if (const auto problems = child_problems(loaded->config); !problems.empty()) {
    print_problems(problems);
    return kConfig;
  }
  become_subreaper();
  return run_job(options.input, std::move(loaded->config),
                 options.once ? Mode::run_once : Mode::run);
}

int render_files(const RenderOptions& options) {
  config::Input input = options.input;
  input.files_only = true;
  auto loaded = start(input, options.once ? Lifetime::one_shot : Lifetime::daemon);
  if (!loaded) return loaded.error();
  if (const auto problems = file_problems(loaded->config, !options.once); !problems.empty()) {
    print_problems(problems);
    return kConfig;
  }
  const bool once = options.once || loaded->config.exit_after_auth;
  return run_job(input, std::move(loaded->config), once ? Mode::render_once : Mode::render);
}

}  // namespace keybearer::cli
