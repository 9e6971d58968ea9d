#include "agent/notifier.hpp"

#include <algorithm>

#include "base/fingerprint.hpp"
#include "base/log.hpp"
#include "base/redactor.hpp"
#include "process/command.hpp"

namespace keybearer {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

constexpr std::size_t kMaxReason = 1024;  // an environment must stay small enough to be run with
constexpr Duration kRepeat = 10s;
constexpr std::size_t kMostRemembered = 256;
constexpr std::size_t kMostCommands = 20;  // at a time

}  // namespace

bool RecentEvents::take(std::string_view event, std::string_view reason, Instant now) {
  while (!sent_.empty() && now - sent_.front().at >= kRepeat) sent_.pop_front();
  const std::uint64_t what = fingerprint(std::string(event) + '\0' + std::string(reason));
  if (std::ranges::find(sent_, what, &Sent::what) != sent_.end()) return false;
  if (sent_.size() >= kMostRemembered) sent_.pop_front();
  sent_.push_back({what, now});
  return true;
}

void Notifier::notify(std::string_view event, std::string_view reason) {
  const std::string clean =
      redactor().redact_ours(reason);  // before the cut: it may quote a server
  reason = std::string_view(clean).substr(0, kMaxReason);
  if (!recent_.take(event, reason, Clock::now())) return;
  log::debug("notify.event", std::string(reason), {{"notify", std::string(event)}});
  if (settings_.command.argv.empty()) return;
  if (commands_.live() >= kMostCommands) {
    log::warn("notify.dropped", "notify.command is not run: too many of them still run",
              {{"notify", std::string(event)}});
    return;
  }
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
