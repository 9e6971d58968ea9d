#include "cli/cli.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "config/method.hpp"
#include "config/scalars.hpp"
#include "process/hardening.hpp"
#include "process/signals.hpp"

namespace keybearer::cli {
namespace {

constexpr const char* kRunFooter = R"(
Examples:
  keybearer run -c agent.toml -- ./app --port 8080
  VAULT_ADDR=... VAULT_TOKEN=... keybearer run --env DB_PASSWORD=database/creds/app#password -- ./app
)";
constexpr const char* kRenderFooter = R"(
Examples:
  keybearer render --once -c agent.toml
  keybearer render --once --template app.env.tmpl:app.env
  keybearer render --diff -c agent.toml
  keybearer render app.env.tmpl > app.env
  keybearer render --values secrets.json - < app.env.tmpl

--values tries templates with made-up secrets, without any server. The file maps paths to what .Data is:
  {"kv/data/app": {"data": {"user": "ann"}}, "database/creds/app": {"username": "u", "password": "p"},
   "kv/metadata": ["app", "team/"], "kv/data/none": null}
With it, -c shows the files (as --dry-run does) unless --once writes them; no command runs.
Values are masked in --dry-run and --diff, but for made-up ones; TEMPLATE writes them.
)";
constexpr const char* kCheckFooter = R"(
Examples:
  keybearer check -c agent.toml
  keybearer check --show -c agent.toml
)";
constexpr const char* kFooter = R"(
Exit codes: the program's own, 128 + n when signal n ended it, 126 or 127 when it can't be started; else
  0 done  64 usage  65 template  69 server not reachable  70 bug  73 can't write  75 not ready or not there
  77 not permitted  78 configuration
)";

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

// What all commands with a configuration take.
void add_input(CLI::App& command, config::Input& input) {
  auto& flags = input.flags;
  command
      .add_option("-c,--config", input.paths, "agent.toml, or a folder of *.toml; may be repeated")
      ->allow_extra_args(false);
  command.add_option("--address", flags.address,
                     "server: http(s)://host:port or unix:///path (VAULT_ADDR)");
  command.add_option("--namespace", flags.vault_namespace, "namespace (VAULT_NAMESPACE)");
  for (const config::MethodSpec* method : config::MethodSpec::all()) {
    for (const config::MethodKey& key : method->keys()) {
      if (key.flag.empty()) continue;
      const std::string flag(key.flag);
      command.add_option_function<std::string>(
          "--" + flag, [&flags, flag](const std::string& value) { flags.method[flag] = value; },
          std::string(key.flag_help));
    }
  }
  command.add_option("--log-level", flags.log_level, "trace, debug, info, warn or error");
  command.add_option("--log-format", flags.log_format, "text, json or journal");
  command
      .add_option("--template", flags.templates,
                  "SOURCE:DESTINATION, a file to render; may be repeated")
      ->allow_extra_args(false);
}

void add_preview(CLI::App& command, RenderOptions& options) {
  command.add_flag("--once", options.once, "write and exit");
  command.add_flag("--dry-run", options.dry_run,
                   "write nothing, run no command: show what would be written, values masked");
  command.add_flag("--diff", options.diff,
                   "the same as a unified diff against what is on the disk, values masked");
  command.add_flag("--show-values", options.show_values,
                   "with --dry-run and --diff: show the values too, on a terminal only");
  command.add_option("--values", options.values,
                     "JSON file with made-up secrets (- for standard input): no server is asked");
  command.add_option("TEMPLATE", options.source,
                     "one template, to standard output (- reads it from standard input)");
}

void add_env(CLI::App& command, config::Input& input) {
  command
      .add_option("--env", input.flags.env,
                  "NAME=PATH#KEY, a variable for the program; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option("--env-from", input.flags.env_from,
                  "PATH: every key of this secret as a variable; may be repeated")
      ->allow_extra_args(false);
}

}  // namespace

int flushed(int code) {
  const bool good = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (good || errno == EPIPE || code != kOk) return code;
  complain(std::string("standard output: ") + strerrordesc_np(errno));
  return kCantWrite;
}

int main(int argc, char** argv) {
  open_standard_descriptors();
  reset_signal_state();
  // What follows "--" is the program's command line and none of our business.
  std::vector<std::string> ours(argv + (argc > 0 ? 1 : 0), argv + argc);
  std::vector<std::string> command;
  bool separated = false;
  if (const auto dashes = std::find(ours.begin(), ours.end(), "--"); dashes != ours.end()) {
    command.assign(dashes + 1, ours.end());
    ours.erase(dashes, ours.end());
    separated = true;
  }

  CLI::App app("keybearer gives secrets of Vault or OpenBao to programs that know nothing of Vault",
               "keybearer");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "keybearer " KEYBEARER_VERSION);

  RunOptions run_options;
  auto* run_command = app.add_subcommand(
      "run", "log in, render, start the program (-- CMD ARG...), keep everything fresh");
  add_input(*run_command, run_options.input);
  add_env(*run_command, run_options.input);
  run_command->add_flag(
      "--once", run_options.once,
      "for jobs: no restart on changes; clean up after the job, exit with its code");
  run_command->footer(kRunFooter);

  RenderOptions render_options;
  auto* render_command =
      app.add_subcommand("render", "write the files and keep them fresh, or show them; no program");
  add_input(*render_command, render_options.input);
  add_preview(*render_command, render_options);
  render_command->footer(kRenderFooter);

  CheckOptions check_options;
  auto* check_command =
      app.add_subcommand("check", "check configuration and templates; all errors at once");
  add_input(*check_command, check_options.input);
  add_env(*check_command, check_options.input);
  check_command->add_flag("--show", check_options.show,
                          "print the effective configuration and where each value came from");
  check_command->add_flag("--online", check_options.online,
                          "log in and ask which rights are missing");
  check_command->footer(kCheckFooter);

  bool version_json = false;
  auto* version_command = app.add_subcommand("version", "print the version");
  version_command->add_flag("--json", version_json, "as JSON");

  if (!ours.empty() && !ours.front().starts_with('-')) {
    constexpr std::string_view kCommands[] = {"run", "render", "check", "version"};
    const std::string& word = ours.front();
    if (std::ranges::find(kCommands, word) == std::end(kCommands)) {
      const std::string_view meant = config::closest_match(word, kCommands);
      complain("no command \"" + word + "\"; " +
               (meant.empty() ? "there are run, render, check and version"
                              : "did you mean \"" + std::string(meant) + "\"?"));
      return kUsage;
    }
  }
  try {
    std::reverse(ours.begin(), ours.end());  // CLI11 takes them from the back
    app.parse(ours);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kOk : kUsage;
  }

  for (config::Input* input : {&run_options.input, &render_options.input, &check_options.input}) {
    input->env = environment;
  }
  if (*run_command) {
    if (separated && command.empty()) {
      std::fputs("keybearer run: no command after --\n", stderr);
      return kUsage;
    }
    run_options.input.flags.command = std::move(command);
    return run(run_options);
  }
  if (separated && !*check_command) {
    std::fputs("keybearer: only `run` and `check` take a command after --\n", stderr);
    return kUsage;
  }
  if (*render_command) return render(render_options);
  if (*check_command) {
    check_options.input.flags.command = std::move(command);
    return check(check_options);
  }
  return version(version_json);
}

}  // namespace keybearer::cli
