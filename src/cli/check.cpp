#include <cstdio>

#include "cli/commands.hpp"
#include "cli/online.hpp"
#include "cli/startup.hpp"
#include "delivery/files.hpp"
#include "http/client.hpp"

namespace keybearer::cli {
namespace {

void print_origins(const std::vector<config::Origin>& origins) {
  for (const config::Origin& origin : origins) {
    std::printf("%-50s = %-30s # %s\n", origin.key.c_str(), origin.value.c_str(),
                origin.from.c_str());
  }
}

}  // namespace

int check(const CheckOptions& options) {
  config::Input input = options.input;
  input.origins = options.show;
  auto loaded = load_configuration(input);
  std::vector<config::Problem> problems;
  if (!loaded) problems = loaded.error();
  int code = problems.empty() ? kOk : code_of(problems);
  if (loaded) {
    for (config::Problem& problem : template_problems(loaded->config))
      problems.push_back(std::move(problem));
    if (!problems.empty()) code = kTemplate;
    for (const config::Template& spec : loaded->config.templates) {
      if (!spec.enabled) {
        std::fprintf(stderr, "keybearer: %s: template %s is not enabled\n", spec.place.text.c_str(),
                     spec.destination.c_str());
        continue;
      }
      const auto possible = delivery::check_destination(delivery::target_of(spec));
      if (possible) continue;
      problems.push_back({spec.place.text, "template.destination: " + possible.error().text});
      if (code == kOk) code = kCantWrite;
    }
  }
  print_problems(problems);
  if (code != kOk) {
    std::fprintf(stderr, "keybearer: %zu error%s\n", problems.size(),
                 problems.size() == 1 ? "" : "s");
    return code;
  }
  for (const std::string& warning : loaded->config.warnings)
    std::fprintf(stderr, "keybearer: warning: %s\n", warning.c_str());
  if (options.show) print_origins(loaded->origins);
  if (options.online) return check_online(loaded->config);
  std::puts("configuration and templates are good");
  return kOk;
}

}  // namespace keybearer::cli
