#include "cli/cli.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/command_words.hpp"
#include "cli/commands.hpp"
#include "cli/footers.hpp"
#include "cli/startup.hpp"
#include "cli/terminal.hpp"
#include "config/method.hpp"
#include "config/scalars.hpp"
#include "process/hardening.hpp"
#include "process/signals.hpp"

namespace keybearer::cli {
namespace {

// Below the help of all commands: how it can log in.
std::string footer_with_methods() {
  std::string out = "\nLogs in by (auto_auth.method.type):\n ";
  for (const config::MethodSpec* spec : config::MethodSpec::all())
    out.append(" ").append(spec->type());
  return out + "\n" + kFooter;
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

// What all commands with a configuration take.
void add_input(CLI::App& command, config::Input& input, const Named& named) {
  input.env = environment;
  auto& flags = input.flags;
  const auto add = [&](const char* name, auto& into, const char* help) {
    if (named(name)) command.add_option(name, into, help)->allow_extra_args(false);
  };
  command
      .add_option("-c,--config", input.paths,
                  "agent.toml, or a directory of *.toml; may be repeated")
      ->allow_extra_args(false);
  add("--address", flags.address, "server: http(s)://host:port or unix:///path (VAULT_ADDR)");
  add("--namespace", flags.vault_namespace, "namespace (VAULT_NAMESPACE)");
  for (const config::MethodSpec* method : config::MethodSpec::all()) {
    for (const config::MethodKey& key : method->keys()) {
      if (key.flag.empty()) continue;
      const std::string flag(key.flag);
      if (!named("--" + flag)) continue;
      command.add_option_function<std::string>(
          "--" + flag, [&flags, flag](const std::string& value) { flags.method[flag] = value; },
          std::string(key.flag_help));
    }
  }
  add("--log-level", flags.log_level, "trace, debug, info, warn or error");
  add("--log-format", flags.log_format, "text, json or journal");
  add("--template", flags.templates, "SOURCE:DESTINATION, a file to render; may be repeated");
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

// Which of the running instances is meant.
void add_instance(CLI::App& command, InstanceOptions& options) {
  auto* config =
      command.add_option("-c,--config", options.config, "the one that has read this file");
  refuse_empty(config->allow_extra_args(false));
  refuse_empty(command.add_option("--name", options.name, "the one of this name"));
  refuse_empty(command.add_option("--socket", options.socket, "the one of this control socket"));
}

void add_env(CLI::App& command, config::Input& input, const Named& named) {
  if (!named("--env")) return;  // or --env-from
  command
      .add_option("--env", input.flags.env,
                  "NAME=PATH#KEY, a variable for the program; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option("--env-from", input.flags.env_from,
                  "PATH: every key of this secret as a variable, in capitals, other characters as "
                  "_ (my-key: MY_KEY); may be repeated")
      ->allow_extra_args(false);
}

}  // namespace

int flushed(int code) {
  const bool good = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (good || errno == EPIPE || code != kOk) return code;
  complain(std::string("standard output: ") + strerrordesc_np(errno));
  return kCantWrite;
}

namespace {

// What main() needs of the command line once it is parsed.
struct CommandLine {
  RunOptions run;
  RenderOptions render;
  CheckOptions check;
  GetOptions get;
  EnvOptions env;
  ExplainOptions explain;
  InitOptions init;
  StatusOptions status;
  RotateOptions rotate;
  ControlOptions reload, stop;
  std::string directory;
  bool version_json = false;
  std::string shell;
  CLI::App *run_command = nullptr, *render_command = nullptr, *check_command = nullptr,
           *get_command = nullptr, *env_command = nullptr, *completion_command = nullptr,
           *version_command = nullptr, *help_command = nullptr, *explain_command = nullptr,
           *init_command = nullptr, *copy_command = nullptr, *test_command = nullptr,
           *status_command = nullptr, *rotate_command = nullptr, *reload_command = nullptr,
           *stop_command = nullptr;
  std::string help_topic;
  // The command that is asked for, where it is the first word: the others are not described, which
  // would take longer than all else that a start does with the command line. Empty: all are.
  std::string_view only;
  Named named;  // of its options
  [[nodiscard]] bool wants(std::string_view name) const { return only.empty() || only == name; }
};

// Those that need no other beside them.
constexpr std::array<std::string_view, 14> kAlone{
    "run",    "render", "check", "get",     "env",     "status",    "rotate",
    "reload", "stop",   "init",  "explain", "copy-to", "self-test", "version"};

void add_run(CLI::App& app, CommandLine& line) {
  if (!line.wants("run")) return;
  line.run_command = app.add_subcommand(
      "run", "log in, render, start the program (-- CMD ARG...), keep everything fresh");
  add_input(*line.run_command, line.run.input, line.named);
  add_env(*line.run_command, line.run.input, line.named);
  line.run_command->add_flag(
      "--once", line.run.once,
      "for jobs: no restart on changes; clean up after the job, exit with its code");
  line.run_command->footer(kRunFooter);
}

void add_render(CLI::App& app, CommandLine& line) {
  if (!line.wants("render")) return;
  line.render_command =
      app.add_subcommand("render", "write the files and keep them fresh, or show them; no program");
  add_input(*line.render_command, line.render.input, line.named);
  add_preview(*line.render_command, line.render);
  line.render_command->footer(kRenderFooter);
}

void add_check(CLI::App& app, CommandLine& line) {
  if (!line.wants("check")) return;
  auto* command = line.check_command =
      app.add_subcommand("check", "check configuration and templates; all errors at once");
  add_input(*command, line.check.input, line.named);
  add_env(*command, line.check.input, line.named);
  command->add_flag("--show", line.check.show,
                    "print the effective configuration and where each value came from");
  command->add_flag("--changed", line.check.changed, "of --show: only what is not the default");
  command->add_flag("--strict", line.check.strict, "what is warned of is an error (78)");
  command->add_flag("--online", line.check.online,
                    "log in, and ask which capabilities, secrets and keys are missing");
  command->add_flag("--print-policy", line.check.print_policy,
                    "log in, and print the server policy that this configuration needs");
  command->footer(kCheckFooter);
}

void add_get(CLI::App& app, CommandLine& line) {
  if (!line.wants("get")) return;
  line.get_command = app.add_subcommand("get", "show one secret, with the login as configured");
  add_input(*line.get_command, line.get.input, line.named);
  line.get_command->add_option("PATH", line.get.path, "PATH, or PATH#KEY for one value")
      ->required();
  line.get_command->add_flag("--show-values", line.get.show_values,
                             "show all values, on a terminal only");
  line.get_command->footer(kGetFooter);
}

void add_env_command(CLI::App& app, CommandLine& line) {
  if (!line.wants("env")) return;
  line.env_command = app.add_subcommand("env", "show the variables that the program would get");
  add_input(*line.env_command, line.env.input, line.named);
  add_env(*line.env_command, line.env.input, line.named);
  line.env_command->add_flag("--names", line.env.names, "the names only");
  line.env_command->add_flag("--show-values", line.env.show_values,
                             "show the values on a terminal, too");
  line.env_command->footer(kEnvFooter);
}

void add_status(CLI::App& app, CommandLine& line) {
  if (!line.wants("status")) return;
  line.status_command = app.add_subcommand("status", "show a running instance");
  add_instance(*line.status_command, line.status.instance);
  line.status_command->add_flag("--json", line.status.json, "as JSON (keybearer(1), STATUS)");
  line.status_command->add_flag("--show-ids", line.status.show_ids,
                                "with --json: the ids of leases, as the server names them");
  line.status_command->add_flag("--watch", line.status.watch, "redraw it every second; q quits");
  line.status_command->add_flag("--ready", line.status.ready,
                                "print nothing: exit 0 when it is ready, else 1");
  line.status_command->footer(kStatusFooter);
}

void add_rotate(CLI::App& app, CommandLine& line) {
  if (!line.wants("rotate")) return;
  line.rotate_command =
      app.add_subcommand("rotate", "let a running instance fetch secrets again, now");
  add_instance(*line.rotate_command, line.rotate.instance);
  refuse_empty(line.rotate_command->add_option("SECRET", line.rotate.secret,
                                               "path, or name of a [[secret]]; default: all"));
  refuse_empty(line.rotate_command->add_option(
      "--template", line.rotate.target, "the secrets of this template: its destination or source"));
  line.rotate_command->add_flag("--json", line.rotate.json, "as JSON");
  line.rotate_command->footer(kRotateFooter);
}

void add_reload_and_stop(CLI::App& app, CommandLine& line) {
  if (line.wants("reload")) {
    line.reload_command = app.add_subcommand(
        "reload", "let a running instance read its configuration again; says what changed");
    add_instance(*line.reload_command, line.reload.instance);
  }
  if (line.wants("stop")) {
    line.stop_command = app.add_subcommand("stop", "stop a running instance in order");
    add_instance(*line.stop_command, line.stop.instance);
  }
}

void add_explain(CLI::App& app, CommandLine& line) {
  if (!line.wants("explain")) return;
  line.explain_command = app.add_subcommand(
      "explain", "show what keybearer would do with a path; reads nothing there");
  add_input(*line.explain_command, line.explain.input, line.named);
  line.explain_command->add_option("PATH", line.explain.path, "path of a secret")->required();
}

void add_init(CLI::App& app, CommandLine& line) {
  if (!line.wants("init")) return;
  line.init_command =
      app.add_subcommand("init", "write a commented agent.toml for secrets (-- CMD ARG...)");
  add_input(*line.init_command, line.init.input, line.named);
  line.init_command->add_option("PATH", line.init.paths, "path of a secret; may be repeated");
  line.init_command->add_option("-o,--output", line.init.output,
                                "the file; default: agent.toml; - is standard output");
  line.init_command->add_flag("--force", line.init.force, "replace a file that is there");
  line.init_command->footer(kInitFooter);
}

void add_helpers(CLI::App& app, CommandLine& line) {
  if (line.wants("copy-to")) {
    line.copy_command = app.add_subcommand(
        "copy-to", "copy this program into a directory, for an init container's shared volume");
    refuse_empty(line.copy_command->add_option("DIR", line.directory, "the directory")->required());
  }
  if (line.wants("self-test")) {
    line.test_command =
        app.add_subcommand("self-test", "tell which protections are active on this system");
  }
  if (line.wants("completion")) {
    line.completion_command = app.add_subcommand("completion", "print a script for the shell");
    line.completion_command->add_option("SHELL", line.shell, "bash, zsh or fish")->required();
  }
  if (line.wants("version")) {
    line.version_command =
        app.add_subcommand("version", "print the version and the libraries linked");
    line.version_command->add_flag("--json", line.version_json, "as JSON");
  }
  if (line.wants("help")) {
    line.help_command = app.add_subcommand("help", "print this help, or that of a command");
    line.help_command->add_option("COMMAND", line.help_topic, "the command");
  }
}

void describe(CLI::App& app, CommandLine& line) {
  app.footer(footer_with_methods());  // those without their own take it over
  app.set_version_flag("--version", "keybearer " KEYBEARER_VERSION);
  for (const auto add : {add_run, add_render, add_check, add_get, add_env_command, add_status,
                         add_rotate, add_reload_and_stop, add_explain, add_init, add_helpers})
    add(app, line);
}

// All that the command `words` begin with has, whether they name it or not.
std::vector<std::string> options_of(const std::vector<std::string>& words) {
  CLI::App app;
  CommandLine line;
  describe(app, line);
  for (CommandWords& command : words_of(app))
    if (!words.empty() && command.name == words.front()) return std::move(command.options);
  return {"--help", "--version"};
}

// Said by us instead of CLI11: a word that is no command, and a program without "--".
std::optional<int> refuse(CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty()) {
    std::fputs(app.help().c_str(), stdout);
    return kUsage;
  }
  if (words.front().starts_with('-')) return std::nullopt;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  const std::vector<std::string_view> commands(names.begin(), names.end());
  if (std::ranges::find(commands, words.front()) == commands.end()) {
    complain(unknown_command(words.front(), commands));
    return kUsage;
  }
  if (words.front() != "run") return std::nullopt;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i].starts_with('-')) {
      if (!knows(app, words[i])) return std::nullopt;  // what follows may be its value
      i += !words[i].contains('=') && takes_value(app, words[i]) ? 1 : 0;
      continue;
    }
    complain("run: put the program after --: keybearer run ... -- " + config::escaped(words[i]));
    return kUsage;
  }
  return std::nullopt;
}

int help(CLI::App& app, const std::string& topic) {
  if (topic.empty()) {  // app.help() would be that of the command `help`
    std::fputs(
        app.get_formatter()->make_help(&app, "keybearer", CLI::AppFormatMode::Normal).c_str(),
        stdout);
    return kOk;
  }
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() != topic) continue;
    std::fputs(command->help().c_str(), stdout);
    return kOk;
  }
  std::vector<std::string> none{topic};
  return refuse(app, none).value_or(kUsage);
}

int complete(CLI::App& app, const std::string& shell) {
  const std::string script = completion_script(shell, words_of(app));
  if (script.empty()) {
    complain("completion: \"" + config::escaped(shell) + "\": expected bash, zsh or fish");
    return kUsage;
  }
  std::fputs(script.c_str(), stdout);
  return kOk;
}

bool chosen(const CLI::App* command) {
  return command != nullptr && command->parsed();
}

int dispatch(CLI::App& app, CommandLine& line, std::vector<std::string> command, bool separated) {
  if (chosen(line.run_command)) {
    if (separated && command.empty()) {
      complain("run: no command after --");
      return kUsage;
    }
    line.run.input.flags.command = std::move(command);
    return with_file_hint(line.run.input, run(line.run));
  }
  if (chosen(line.init_command)) {
    line.init.input.flags.command = std::move(command);
    return with_file_hint(line.init.input, init(line.init));
  }
  if (separated && !chosen(line.check_command)) {
    complain("only `run`, `check` and `init` take a command after --");
    return kUsage;
  }
  if (chosen(line.render_command)) return with_file_hint(line.render.input, render(line.render));
  if (chosen(line.check_command)) {
    line.check.input.flags.command = std::move(command);
    return check(line.check);
  }
  if (chosen(line.get_command)) return with_file_hint(line.get.input, get(line.get));
  if (chosen(line.env_command)) return with_file_hint(line.env.input, env(line.env));
  if (chosen(line.explain_command))
    return with_file_hint(line.explain.input, explain(line.explain));
  if (chosen(line.status_command)) return status(line.status);
  if (chosen(line.rotate_command)) return rotate(line.rotate);
  if (chosen(line.reload_command)) return reload(line.reload);
  if (chosen(line.stop_command)) return stop(line.stop);
  if (chosen(line.copy_command)) return copy_to(line.directory);
  if (chosen(line.test_command)) return self_test();
  if (chosen(line.completion_command)) return complete(app, line.shell);
  if (chosen(line.help_command)) return help(app, line.help_topic);
  return version(line.version_json);
}

}  // namespace

int main(int argc, char** argv) {
  reset_signal_state();
  hide_process();
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
  app.require_subcommand(1);
  CommandLine line;
  if (!ours.empty() && std::ranges::find(kAlone, ours.front()) != kAlone.end())
    line.only = *std::ranges::find(kAlone, ours.front());
  if (!line.only.empty()) line.named = Named(ours);
  describe(app, line);
  ours = command_first(std::move(ours),
                       [&app](std::string_view name) { return takes_value(app, name); });
  if (const auto code = refuse(app, ours)) return *code;
  const std::vector<std::string> given = ours;
  if (const auto why = single_dash(given, [&] { return options_of(given); }); !why.empty()) {
    complain(why);
    return kUsage;
  }
  try {
    std::reverse(ours.begin(), ours.end());  // CLI11 takes them from the back
    app.parse(ours);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e) == 0 ? kOk : kUsage;  // help, the version
    complain(usage_problem(given, e.what(), options_of(given)));
    return kUsage;
  }
  return dispatch(app, line, std::move(command), separated);
}

}  // namespace keybearer::cli
