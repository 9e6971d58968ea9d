#include "agent/server_probe.hpp"

#include <algorithm>

namespace keybearer {

namespace {
constexpr Duration kProbeAfter = std::chrono::seconds(50);
}

void ServerProbe::ask() {
  const auto& last = session_.stats().answered_at;
  if (running_ || Clock::now() < std::max(last.value_or(Instant{}), asked_) + kProbeAfter) return;
  running_ = true;
  asked_ = Clock::now();
  lifecycle_.spawn(run(this));
}

boost::asio::awaitable<void> ServerProbe::run(ServerProbe* probe) {
  (void)co_await probe->client_.health();
  probe->running_ = false;
}

}  // namespace keybearer
