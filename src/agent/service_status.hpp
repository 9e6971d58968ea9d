#pragma once
// sd_notify(3) of a running agent: READY=1 once the first set is where it belongs and the child is
// started, RELOADING=1 and READY=1 around a reload, STOPPING=1, STATUS= when it changes, and
// WATCHDOG=1 from the loop itself, at half of the time that the service manager waits.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "base/event.hpp"
#include "child/supervisor.hpp"
#include "process/service_manager.hpp"
#include "serve/snapshot.hpp"

namespace keybearer {

class ServiceStatus {
 public:
  // `snapshot` is asked only when something may have changed. All must outlive it.
  ServiceStatus(const ServiceManager& manager, std::function<serve::Snapshot()> snapshot)
      : manager_(manager), snapshot_(std::move(snapshot)) {}

  // Until cancelled. `ready`: set once the first set is in place; `supervisor`: null without a child.
  [[nodiscard]] boost::asio::awaitable<void> run(Event& ready, child::Supervisor* supervisor);
  [[nodiscard]] boost::asio::awaitable<void> feed_watchdog();

  void reloading();
  void reloaded();
  void stopping();
  void cleaning_up(Duration most);  // it takes that long

 private:
  void tell(std::string_view state);

  const ServiceManager& manager_;
  std::function<serve::Snapshot()> snapshot_;
  std::string said_status_;
  bool ready_ = false, stopping_ = false;
};

// "3 secrets, child 812"; while it starts what it waits for. Pure.
[[nodiscard]] std::string service_status_text(const serve::Snapshot& snapshot);

}  // namespace keybearer
