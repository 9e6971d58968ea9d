#include "agent/alarms.hpp"

#include "base/log.hpp"
#include "base/redactor.hpp"
#include "process/command.hpp"

namespace keybearer {

using boost::asio::awaitable;

void Alarms::raise(std::string_view event, std::string_view reason) {
  std::string clean = redactor().redact_ours(reason);  // it may quote a server
  log::debug("alarm", clean, {{"alarm", std::string(event)}});
  if (!config_.notify.command.argv.empty())
    commands_.spawn(tell(std::string(event), std::move(clean)));
}

awaitable<void> Alarms::tell(std::string event, std::string reason) {
  EnvBlock environment = without_credentials(environment_);
  environment.set("KEYBEARER_EVENT", event);
  environment.set("KEYBEARER_REASON", reason);
  environment.set("KEYBEARER_NAME", config_.name);
  const auto told = co_await run_command(config_.notify.command.argv, std::move(environment),
                                         config_.notify.timeout);
  if (const auto failure = failure_of(told))
    log::warn("notify.failed", "notify.command failed", {{"reason", *failure}});
}

awaitable<void> Alarms::finish(Duration limit) {
  co_await within(limit, commands_.join());
}

}  // namespace keybearer
