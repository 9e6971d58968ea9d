#include "cli/startup.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "agent/agent.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "http/client.hpp"
#include "process/hardening.hpp"

namespace keybearer::cli {
namespace {

log::Format default_format() {
  if (isatty(STDERR_FILENO) != 0) return log::Format::text;
  return std::getenv("JOURNAL_STREAM") != nullptr ? log::Format::journal : log::Format::json;
}

}  // namespace

namespace {

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
        problems.push_back({"the configuration", proxy.error().text});
      continue;
    }
    const bool shown = address.find('@') == std::string::npos;  // it may hold a password
    problems.push_back({vault.address_place.text,
                        "vault.address: " + (shown ? address + ": " : "") + url.error().text});
  }
  const bool files = !(vault.ca_cert + vault.ca_cert_bytes + vault.ca_path + vault.client_cert +
                       vault.tls_server_name)
                          .empty();
  if (problems.empty() && https && files) {
    if (const auto good = http::check_tls_files(client_options(config)); !good) {
      const std::string& text = good.error().text;  // "vault.ca_cert PATH: ..."
      const auto place = vault.file_places.find(text.substr(0, text.find(' ')));
      problems.push_back(
          {place != vault.file_places.end() ? place->second : "the configuration", text});
    }
  }
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

}  // namespace

std::expected<config::Loaded, std::vector<config::Problem>> load_configuration(
    const config::Input& input) {
  config::Input all = input;
  all.also = [&input](const config::Config& config) {
    auto problems = input.offline ? std::vector<config::Problem>{} : server_problems(config);
    for (config::Problem& problem : template_problems(config))
      problems.push_back(std::move(problem));
    return problems;
  };
  auto loaded = config::load(all);
  if (loaded) warn_of_plain_http(loaded->config);
  if (!loaded || input.offline) return loaded;
  if (server_problems(loaded->config).empty()) return loaded;
  return std::unexpected(all.also(loaded->config));
}

std::vector<config::Problem> template_problems(const config::Config& config) {
  auto renderer = render::Renderer::make(config);
  return renderer ? std::vector<config::Problem>{} : std::move(renderer).error();
}

int code_of(const std::vector<config::Problem>& problems) {
  const bool usage = std::ranges::all_of(
      problems, [](const config::Problem& problem) { return problem.place == "command line"; });
  return usage ? kUsage : kConfig;
}

void print_problems(const std::vector<config::Problem>& problems) {
  for (const config::Problem& problem : problems) complain(problem.place + ": " + problem.text);
}

std::expected<render::Renderer, int> load_templates(const config::Config& config) {
  auto renderer = render::Renderer::make(config);
  if (renderer) return std::move(*renderer);
  print_problems(renderer.error());
  return std::unexpected(kTemplate);
}

int open_log(const config::Config& config, log::Level default_level) {
  log::Options options{.level = config.log_level.value_or(default_level),
                       .format = config.log_format.value_or(default_format()),
                       .file = config.log_file,
                       .name = config.name};
  if (config.log_file.empty() && isatty(STDERR_FILENO) != 0) {
    options.dress = [](std::string_view lines) {
      return colour_on(STDERR_FILENO) ? painted_place(lines) : std::string(lines);
    };
  }
  const auto opened = log::open(options);
  if (opened) return kOk;
  print_problems({{"log_file", opened.error().text}});
  return kConfig;
}

void harden(const config::Config& config) {
  if (config.hardening) harden_process();
}

std::expected<config::Loaded, int> start(const config::Input& input) {
  auto loaded = load_configuration(input);
  if (!loaded) {
    print_problems(loaded.error());
    return std::unexpected(code_of(loaded.error()));
  }
  const config::Config& config = loaded->config;
  if (const int code = open_log(config, log::Level::info); code != kOk)
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
