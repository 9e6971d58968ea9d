// What a run is made of outside of tests.
#include <unistd.h>

#include <cstdlib>

#include "agent/agent.hpp"
#include "agent/settings.hpp"
#include "base/signal_table.hpp"
#include "child/spawner.hpp"
#include "process/signals.hpp"

namespace keybearer {

namespace asio = boost::asio;

namespace {

std::vector<int> handled_signals() {
  std::vector<int> signals = own_signals();
  const std::vector<int> others = forwarded_signals();
  signals.insert(signals.end(), others.begin(), others.end());
  return signals;
}

std::optional<std::string> variable_of_ours(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

Parts make_parts(asio::io_context& context) {
  const auto events = std::make_shared<Signals>(context.get_executor(), handled_signals());
  const auto executor = context.get_executor();
  Parts parts;
  parts.make_http = [executor](const config::Config& config) {
    return http::make_client(executor, client_options(config));
  };
  parts.make_cloud_http = [executor](http::ClientOptions options) {
    return http::make_client(executor, std::move(options));
  };
  parts.spawner = child::make_spawner();
  parts.environment = EnvBlock::from(environ);
  parts.control = config::Surroundings{.env = variable_of_ours, .uid = geteuid()};
  parts.next_signal = [events] { return events->next(); };
  return parts;
}

}  // namespace keybearer
