#include <unistd.h>

#include <cstdio>

#include "agent/token_sinks.hpp"
#include "cli/advice.hpp"
#include "cli/commands.hpp"
#include "cli/online.hpp"
#include "cli/startup.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"
#include "delivery/files.hpp"
#include "http/client.hpp"
#include "process/pid_file.hpp"

namespace keybearer::cli {
namespace {

void print_origins(const std::vector<config::Origin>& origins, bool changed_only) {
  for (const config::Origin& origin : origins) {
    if (changed_only && !origin.from.is_set()) continue;
    std::printf("%-50s = %-30s # %s\n", origin.key.c_str(), config::escaped(origin.value).c_str(),
                origin.from.text().c_str());
  }
}

// agent.toml here is meant, when nothing is named. False: there is nothing to check.
bool choose_file(config::Input& input) {
  const auto& flags = input.flags;
  if (!input.paths.empty() || !flags.env.empty() || !flags.env_from.empty() ||
      !flags.templates.empty() || !flags.command.empty())
    return true;
  if (access("agent.toml", F_OK) != 0) return false;
  input.paths = {"agent.toml"};
  return true;
}

void tell_credential_variables(const config::Config& config) {
  if (config.credential_variables.empty() || config.exec.pass_credentials) return;
  std::string names;
  for (const std::string& name : config.credential_variables)
    names += (names.empty() ? "" : ", ") + name;
  std::printf(
      "withheld from the program and hooks, because a credential or header is made of them: %s\n",
      names.c_str());
}

std::string counted(std::size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

int check(const CheckOptions& options) {
  config::Input input = options.input;
  input.origins = true;
  if (!choose_file(input)) {
    complain("check: nothing to check: give -c agent.toml (there is none here)");
    return kUsage;
  }
  auto loaded = load_configuration(input, Templates::checked);
  std::vector<config::Problem> problems;
  if (!loaded) problems = loaded.error();
  int code = problems.empty() ? kOk : code_of(problems);
  if (loaded) {
    for (const config::Template& spec : loaded->config.templates) {
      if (!spec.enabled) {
        complain(spec.place.text() + ": template " + config::escaped(spec.destination) +
                 " is not enabled");
        continue;
      }
      const auto possible = delivery::check_destination(delivery::target_of(spec));
      if (possible) continue;
      problems.push_back({spec.place, "template.destination: " + possible.error().text});
      code = kCantWrite;
    }
    for (const config::Sink& sink : loaded->config.auto_auth.sinks) {
      const auto possible = delivery::check_destination(target_of(sink, true));
      if (possible) continue;
      problems.push_back({sink.place, "auto_auth.sink.path: " + possible.error().text});
      code = kCantWrite;
    }
    if (const std::string& path = loaded->config.pid_file; !path.empty()) {
      if (const auto good = PidFile::check(path, program_user(loaded->config)); !good) {
        problems.push_back({{}, "pid_file: " + good.error().text});
        code = kConfig;
      }
    }
  }
  print_problems(problems);
  if (code != kOk) {
    std::fprintf(stderr, "keybearer: %zu error%s\n", problems.size(),
                 problems.size() == 1 ? "" : "s");
    return code;
  }
  config::Config& config = loaded->config;
  const auto warned = warnings(config, loaded->origins);
  for (const std::string& warning : warned) complain((options.strict ? "" : "warning: ") + warning);
  if (options.strict && !warned.empty()) return kConfig;
  if (options.show || options.changed) print_origins(loaded->origins, options.changed);
  if (!options.print_policy) tell_credential_variables(config);
  if (options.print_policy) return print_policy(config);
  if (options.online) return check_online(config);
  if (const auto note = note_on_disks(config, is_in_memory); !note.empty())
    std::printf("%s\n", note.c_str());
  std::printf("configuration OK, %s, %s OK\n", counted(config.env.size(), "variable").c_str(),
              counted(config.templates.size(), "template").c_str());
  return kOk;
}

}  // namespace keybearer::cli
