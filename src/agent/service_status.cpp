#include "agent/service_status.hpp"

#include <algorithm>

#include "base/timer.hpp"
#include "serve/readiness.hpp"

namespace keybearer {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

// While it starts: after so long, then ever more rarely.
constexpr Duration kFirstStatus = std::chrono::seconds(1);
constexpr Duration kRareStatus = std::chrono::minutes(1);

}  // namespace

std::string service_status_text(const serve::Snapshot& s) {
  const serve::Readiness health = serve::readiness(s);
  if (!s.instance.ready && !health.ready()) {
    const auto& first = health.reasons.front();
    return "waiting: " + first.subject + ": " + first.text;
  }
  const auto counted = [](std::size_t n, const char* what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  };
  std::string text = counted(s.secrets.size(), "secret");
  if (!s.files.empty()) text += ", " + counted(s.files.size(), "file");
  if (s.child)
    text +=
        s.child->alive ? ", child " + std::to_string(s.child->pid) : ", child " + s.child->state;
  return text;
}

// With `state`, a line of its own, or alone when the text is another than before.
void ServiceStatus::tell(std::string_view state) {
  std::string text = single_line(service_status_text(snapshot_()));
  const bool other = text != said_status_;
  if (!other && state.empty()) return;
  said_status_ = std::move(text);
  std::string message(state);
  if (!message.empty()) message += '\n';
  manager_.send(message + "STATUS=" + said_status_);
}

awaitable<void> ServiceStatus::run(Event& ready, child::Supervisor* supervisor) {
  Duration pause = kFirstStatus;
  while (!co_await ready.wait(0, Clock::now() + pause)) {  // it takes longer: say what for
    tell("");
    pause = std::min(2 * pause, kRareStatus);
  }
  while (supervisor != nullptr && supervisor->applied() == 0)
    (void)co_await supervisor->changed().wait(supervisor->changed().generation());
  ready_ = true;
  if (!stopping_) tell("READY=1");
  while (supervisor != nullptr) {
    const auto seen = supervisor->changed().generation();
    if (!stopping_) tell("");
    (void)co_await supervisor->changed().wait(seen);
  }
}

awaitable<void> ServiceStatus::feed_watchdog() {
  if (!manager_.watchdog()) co_return;
  for (;;) {
    manager_.send("WATCHDOG=1");
    co_await sleep_for(std::max(Duration(1), *manager_.watchdog() / 2));
  }
}

// Before READY=1 a reload is none of the manager's business: the next READY=1 would end its start.
void ServiceStatus::reloading() {
  if (ready_ && !stopping_) manager_.send_reloading();
}
void ServiceStatus::reloaded() {
  if (ready_ && !stopping_) tell("READY=1");
}

void ServiceStatus::stopping() {
  if (std::exchange(stopping_, true)) return;
  manager_.send("STOPPING=1\nSTATUS=stopping");
}

void ServiceStatus::cleaning_up(Duration most) {
  manager_.send("EXTEND_TIMEOUT_USEC=" + std::to_string(most.count() * 1000) + "\nSTATUS=revoking");
}

}  // namespace keybearer
