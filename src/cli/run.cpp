#include "agent/agent.hpp"
#include "cli/commands.hpp"
#include "cli/startup.hpp"
#include "delivery/files.hpp"
#include "process/hardening.hpp"
#include "process/pid_file.hpp"

namespace keybearer::cli {
namespace {

int run_job(const config::Config& config, Mode job) {
  auto renderer = load_templates(config);
  if (!renderer) return renderer.error();
  PidFile pid_file;
  if (!config.pid_file.empty()) {
    auto written = PidFile::write(config.pid_file);
    if (!written) {
      print_problem("pid_file", written.error().text);
      return kConfig;
    }
    pid_file = std::move(*written);
  }
  std::vector<delivery::FileTarget> targets;
  for (const config::Template& spec : config.templates)
    targets.push_back(delivery::target_of(spec));
  delivery::sweep_leftovers(targets);
  return run_agent(config, job, std::move(*renderer));
}

}  // namespace

int run(const RunOptions& options) {
  const auto loaded = start(options.input, Lifetime::daemon);
  if (!loaded) return loaded.error();
  if (loaded->config.exec.command.argv.empty()) {
    print_problem(
        "exec.command",
        "no program: write it after --, or as exec.command (files only: keybearer render)");
    return kConfig;
  }
  for (const config::Template& spec : loaded->config.templates) {
    if (!spec.enabled || spec.destination != delivery::kStandardOutput) continue;
    print_problems({{spec.place.text,
                     "template.destination: \"-\" is standard output, which is the program's; "
                     "name a file"}});
    return kConfig;
  }
  become_subreaper();
  return run_job(loaded->config, options.once ? Mode::run_once : Mode::run);
}

int render_files(const RenderOptions& options) {
  config::Input input = options.input;
  input.files_only = true;
  const auto loaded = start(input, options.once ? Lifetime::one_shot : Lifetime::daemon);
  if (!loaded) return loaded.error();
  if (loaded->config.templates.empty()) {
    print_problem("template",
                  "nothing to render: write a [[template]], or give --template SOURCE:DESTINATION "
                  "(TEMPLATE alone goes to standard output)");
    return kConfig;
  }
  const bool once = options.once || loaded->config.exit_after_auth;
  return run_job(loaded->config, once ? Mode::render_once : Mode::render);
}

}  // namespace keybearer::cli
