#include "cli/startup.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "agent/settings.hpp"
#include "agent/state_keeper.hpp"
#include "base/log.hpp"
#include "base/redactor.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "config/own_words.hpp"
#include "config/scalars.hpp"
#include "delivery/files.hpp"
#include "http/client.hpp"
#include "process/env_block.hpp"
#include "process/hardening.hpp"
#include "serve/listener.hpp"

namespace keybearer::cli {
namespace {

// JSON is for daemons, whose log is collected; a command that ends is read by people.
log::Format default_format(Lifetime lifetime) {
  if (lifetime == Lifetime::one_shot || isatty(STDERR_FILENO) != 0) return log::Format::text;
  return std::getenv("JOURNAL_STREAM") != nullptr ? log::Format::journal : log::Format::json;
}

// What only the HTTP layer can tell: addresses, and files of TLS.
std::vector<config::Problem> server_problems(const config::Config& config) {
  std::vector<config::Problem> problems;
  const config::Vault& vault = config.vault;
  const http::ProxyOptions proxies = proxy_options(config);
  bool https = false;
  for (const std::string& address : vault.address) {
    const auto url = http::parse_url(address);
    https = https || (url && url->scheme == http::Url::Scheme::https);
    if (url) {
      if (const auto proxy = http::proxy_for(*url, proxies); !proxy)
        problems.push_back({vault.address_place, proxy.error().text});
      continue;
    }
    const bool shown = address.find('@') == std::string::npos;  // it may hold a password
    problems.push_back(
        {vault.address_place,
         "vault.address: " + (shown ? config::escaped(address) + ": " : "") + url.error().text});
  }
  const auto there = [](const std::string& path) {  // else it is complained of already
    std::error_code none;
    return path.empty() ||
           (access(path.c_str(), R_OK) == 0 && std::filesystem::is_regular_file(path, none));
  };
  std::error_code none;
  const bool files = !(vault.ca_cert + vault.ca_cert_bytes + vault.ca_path + vault.client_cert +
                       vault.tls_server_name)
                          .empty() &&
                     there(vault.ca_cert) && there(vault.client_cert) && there(vault.client_key) &&
                     (vault.ca_path.empty() || std::filesystem::is_directory(vault.ca_path, none));
  if (problems.empty() && https && files) {
    if (const auto good = http::check_tls_files(client_options(config)); !good) {
      const std::string& text = good.error().text;  // "vault.ca_cert PATH: ..."
      const auto place = vault.file_places.find(text.substr(0, text.find(' ')));
      problems.push_back(
          {place != vault.file_places.end() ? place->second : config::DeclaredAt{}, text});
    }
  }
  return problems;
}

std::vector<config::Problem> listener_problems(const config::Config& config) {
  std::vector<config::Problem> problems;
  for (const config::Listener& listener : config.listeners)
    if (const auto good = serve::check_tls(listener); !good)
      problems.push_back({listener.place, "listener." + good.error().text});
  return problems;
}

void warn_of_plain_http(config::Config& config) {
  for (const std::string& address : config.vault.address) {
    const auto url = http::parse_url(address);
    if (!url || url->scheme != http::Url::Scheme::http || url->is_loopback()) continue;
    config.warnings.push_back("vault.address " + url->text() +
                              " is plain http: tokens and secrets travel readable; use https");
  }
}

// They are in no line, not in the first one either.
void know_credentials(const config::Config& config) {
  for (const std::string& value : config::credentials_of(config)) redactor().add_credential(value);
  const EnvBlock ours = EnvBlock::from(environ);
  const EnvBlock passed_on = without_credentials(ours);
  for (const auto& [name, value] : ours.values())
    if (passed_on.find(name) == nullptr) redactor().add_credential(value->reveal());
}

std::vector<config::Problem> template_problems(const config::Config& config) {
  auto renderer = render::Renderer::make(config);
  return renderer ? std::vector<config::Problem>{} : std::move(renderer).error();
}

}  // namespace

std::expected<config::Loaded, std::vector<config::Problem>> load_configuration(
    const config::Input& input, Templates templates) {
  config::Input all = input;
  all.extra_checks = [&](const config::Config& config, bool wrong) {
    auto problems = input.offline ? std::vector<config::Problem>{} : server_problems(config);
    if (!input.offline)
      for (config::Problem& problem : listener_problems(config))
        problems.push_back(std::move(problem));
    if (auto state = input.offline || wrong ? result<>{} : check_state(config); !state)
      problems.push_back({config.state.place, state.error().text});
    if (!wrong && problems.empty() && templates == Templates::parsed_later) return problems;
    for (config::Problem& problem : template_problems(config)) {
      const bool said = wrong && problem.kind == ErrorKind::io;  // of a file that is not there
      if (!said) problems.push_back(std::move(problem));
    }
    return problems;
  };
  auto loaded = config::load(all);
  if (loaded) {
    know_credentials(loaded->config);
    warn_of_plain_http(loaded->config);
  }
  return loaded;
}

int code_of(const std::vector<config::Problem>& problems) {
  using Kind = config::SourceLocation::Kind;
  const bool templates = std::ranges::all_of(
      problems, [](const config::Problem& p) { return p.kind == ErrorKind::render; });
  const bool usage = std::ranges::all_of(
      problems, [](const config::Problem& p) { return p.place.kind == Kind::flag; });
  return templates ? kTemplate : usage ? kUsage : kConfig;
}

void print_problems(const std::vector<config::Problem>& problems) {
  for (const config::Problem& problem : problems) complain(config::problem_text(problem));
}

void print_problem(const std::string& key, const std::string& text) {
  complain(key + ": " + text);
}

int with_file_hint(const config::Input& input, int code) {
  if (code == kConfig && input.paths.empty() && access("agent.toml", R_OK) == 0)
    complain("agent.toml here was not read: give -c agent.toml");
  return code;
}

std::expected<render::Renderer, int> load_templates(const config::Config& config) {
  auto renderer = render::Renderer::make(config);
  if (renderer) return std::move(*renderer);
  print_problems(renderer.error());
  return std::unexpected(code_of(renderer.error()));
}

std::expected<std::shared_ptr<Rendering>, int> make_rendering(config::Config config) {
  auto shared = std::make_shared<const config::Config>(std::move(config));
  auto renderer = load_templates(*shared);
  if (!renderer) return std::unexpected(renderer.error());
  return std::make_shared<Rendering>(std::move(shared), std::move(*renderer));
}

Reloaded load_again(const config::Input& input, bool with_child) {
  auto loaded = load_configuration(input, Templates::parsed_later);
  if (!loaded) return std::unexpected(std::move(loaded).error());
  auto problems = with_child ? child_problems(loaded->config) : file_problems(loaded->config, true);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  auto shared = std::make_shared<const config::Config>(std::move(loaded->config));
  auto renderer = render::Renderer::make(*shared);
  if (!renderer) return std::unexpected(std::move(renderer).error());
  return std::make_shared<Rendering>(std::move(shared), std::move(*renderer));
}

std::vector<config::Problem> child_problems(const config::Config& config) {
  std::vector<config::Problem> problems;
  if (config.exec.command.argv.empty()) {
    problems.push_back(
        {{},
         "exec.command: no program: write it after --, or as exec.command (files only: keybearer "
         "render)"});
  }
  for (const config::Template& spec : config.templates) {
    if (!spec.enabled || spec.destination != delivery::kStandardOutput) continue;
    problems.push_back({spec.place,
                        "template.destination: \"-\" is standard output, which is the program's; "
                        "name a file"});
  }
  return problems;
}

Recipient program_user(const config::Config& config) {
  return owner_of(config.exec.user, config.exec.group).value_or(Recipient{});
}

std::vector<config::Problem> file_problems(const config::Config& config, bool serves) {
  if (!config.templates.empty() || !config.auto_auth.sinks.empty()) return {};
  if (serves && !config.listeners.empty()) return {};
  return {{{},
           "template: nothing to render: write a [[template]], an [[auto_auth.sink]] or a "
           "[[listener]], or give --template SOURCE:DESTINATION (TEMPLATE alone goes to standard "
           "output)"}};
}

int open_log(const config::Config& config, log::Level default_level, Lifetime lifetime) {
  log::Options options{.level = config.log_level.value_or(default_level),
                       .format = config.log_format.value_or(default_format(lifetime)),
                       .file = config.log_file,
                       .rotation = log_rotation(config),
                       .name = config.name};
  if (config.log_file.empty() && isatty(STDERR_FILENO) != 0) {
    options.dress = [](std::string_view lines) {
      return colour_on(STDERR_FILENO) ? painted_place(lines) : std::string(lines);
    };
  }
  const auto opened = log::open(options);
  if (opened) return kOk;
  print_problem("log_file", opened.error().text);
  return kConfig;
}

void harden(const config::Config& config) {
  if (config.hardening)
    harden_process();
  else
    show_process();
}

std::expected<config::Loaded, int> start(const config::Input& input, Lifetime lifetime) {
  auto loaded = load_configuration(input, Templates::parsed_later);
  if (!loaded) {
    print_problems(loaded.error());
    return std::unexpected(code_of(loaded.error()));
  }
  const config::Config& config = loaded->config;
  if (const int code = open_log(config, log::Level::info, lifetime); code != kOk)
    return std::unexpected(code);
  harden(config);
  for (const std::string& warning : config.warnings) log::warn("config.warning", warning);
  std::string files;
  for (const std::string& file : config.files) files += (files.empty() ? "" : ", ") + file;
  log::info("start", "keybearer " KEYBEARER_VERSION,
            {{"instance", config.name},
             {"config", files.empty() ? "command line" : files},
             {"server", config.vault.address.front()}});
  return std::move(*loaded);
}

}  // namespace keybearer::cli
