#include "agent/notifier.hpp"

#include "base/log.hpp"
#include "base/redactor.hpp"
#include "process/command.hpp"

namespace keybearer {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

constexpr std::size_t kMaxReason = 1024;  // an environment must stay small enough to be run with
constexpr Duration kRepeat = 10s;

}  // namespace

void Notifier::notify(std::string_view event, std::string_view reason) {
  const std::string clean =
      redactor().redact_ours(reason);  // before the cut: it may quote a server
  reason = std::string_view(clean).substr(0, kMaxReason);
  const Instant now = Clock::now();
  std::string what = std::string(event) + '\0' + std::string(reason);
  if (what == last_ && now - last_at_ < kRepeat) return;
  last_ = std::move(what);
  last_at_ = now;
  log::debug("notify.event", std::string(reason), {{"notify", std::string(event)}});
  if (!settings_.command.argv.empty())
    commands_.spawn(run_notify_command(settings_, std::string(event), std::string(reason)));
}

awaitable<void> Notifier::run_notify_command(config::Notify settings, std::string event,
                                             std::string reason) {
  EnvBlock environment = without_credentials(environment_);
  environment.set("KEYBEARER_EVENT", event);
  environment.set_cut("KEYBEARER_REASON", reason, kMaxReason);  // it may quote the server
  environment.set("KEYBEARER_NAME", name_);
  const auto ran =
      co_await run_command(settings.command.argv, std::move(environment), settings.timeout);
  if (const auto failure = failure_of(ran))
    log::warn("notify.failed", "notify.command failed", {{"reason", *failure}});
}

awaitable<void> Notifier::finish(Duration limit) {
  co_await within(limit, commands_.join());
}

}  // namespace keybearer
