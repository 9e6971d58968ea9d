#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/exit_code.hpp"
#include "cli/commands.hpp"
#include "cli/fetch.hpp"
#include "cli/session.hpp"
#include "cli/startup.hpp"
#include "cli/terminal.hpp"
#include "config/scalars.hpp"
#include "render/format.hpp"

namespace keybearer::cli {
namespace {

using boost::asio::awaitable;

// As env(1) prints them; what has a line break, as a shell reads it.
void print_variable(const std::string& name, std::string_view value, bool masked) {
  if (masked) {
    std::printf("%s=%s\n", name.c_str(), "********");
  } else if (config::has_control(value)) {
    const Secret secret(value);
    const auto line = render::write_format(config::Format::env, {{{name}, &secret}});
    if (line) std::fwrite(line->reveal().data(), 1, line->size(), stdout);
  } else {
    std::printf("%s=%.*s\n", name.c_str(), static_cast<int>(value.size()), value.data());
  }
}

awaitable<int> show_variables(vault::Client& client, const config::Config& config,
                              render::Renderer& renderer, bool names, bool masked) {
  FetchedSource source(config);
  std::vector<std::pair<tmpl::Dependency, Error>> failed;
  const auto evaluation = co_await evaluate_all(
      client, renderer, source, [](const tmpl::Dependency&) { return true; }, failed);
  int code = kOk;
  for (const auto& [dependency, error] : failed) {
    const bool stands_in = std::ranges::none_of(
        evaluation.missing, [&](const tmpl::Dependency& d) { return d == dependency; });
    if (stands_in) continue;  // a default
    complain_of(error);
    if (code == kOk) code = exit_code_of(error);
  }
  for (const Error& error : evaluation.errors) {
    complain(error.text);
    if (code == kOk) code = error.kind == ErrorKind::not_found ? kNotReady : kTemplate;
  }
  for (const render::RenderedVariable& variable : renderer.variables()) {
    if (variable.value == nullptr) continue;
    if (names)
      std::printf("%s\n", variable.name.c_str());
    else
      print_variable(variable.name, variable.value->reveal(), masked);
  }
  co_return code;
}

}  // namespace

int env(const EnvOptions& options) {
  auto loaded = load_configuration(options.input, Templates::parsed_later);
  if (!loaded) {
    print_problems(loaded.error());
    return code_of(loaded.error());
  }
  config::Config& config = loaded->config;
  config.templates.clear();
  if (config.env.empty() && config.env_from.empty()) {
    complain("env: no variables: write [env] or [[env_from]], or give --env NAME=PATH#KEY");
    return kConfig;
  }
  if (options.names && config.env_from.empty()) {  // no secret is needed for these
    for (const config::EnvVar& variable : config.env)
      if (variable.enabled) std::printf("%s\n", variable.name.c_str());
    return kOk;
  }
  auto renderer = load_templates(config);
  if (!renderer) return renderer.error();
  const bool masked = isatty(STDOUT_FILENO) != 0 && !options.show_values;
  return with_login(config, [&](vault::Client& client, const vault::Auth&) {
    return show_variables(client, config, *renderer, options.names, masked);
  });
}

}  // namespace keybearer::cli
