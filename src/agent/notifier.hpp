#pragma once
// notify.command, run for what an operator must hear of although nobody reads the log: a lost
// token, a refused set, a file that can't be written, an ended lease, a crash loop.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/task_group.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "process/env_block.hpp"

namespace keybearer {

// Which events were told of late: each once in 10 s, the latest 256 of them.
class RecentEvents {
 public:
  // False: it was told less than 10 s ago. Else it counts as told now.
  [[nodiscard]] bool take(std::string_view event, std::string_view reason, Instant now);

 private:
  struct Sent {
    std::uint64_t what;  // fingerprint: a reason may be long
    Instant at;
  };
  std::deque<Sent> sent_;  // in the order of time
};

class Notifier {
 public:
  // `environment`: ours, of which our credentials are left out; must outlive it.
  Notifier(const boost::asio::any_io_executor& executor, config::Notify settings, std::string name,
           const EnvBlock& environment)
      : settings_(std::move(settings)),
        name_(std::move(name)),
        environment_(environment),
        commands_(executor) {}

  // `event`: the log event's own name. Who notifies has logged the error itself; nothing secret in
  // `reason`, of which 1 KiB is told. The same event with the same reason within 10 s is told once,
  // whatever came between; at most 20 commands run at a time, and what is beyond is logged.
  void notify(std::string_view event, std::string_view reason);
  void configure(config::Notify settings) { settings_ = std::move(settings); }
  // Waits for the commands under way, and ends those that take longer. The last to be called.
  [[nodiscard]] boost::asio::awaitable<void> finish(Duration limit);

 private:
  boost::asio::awaitable<void> run_notify_command(config::Notify settings, std::string event,
                                                  std::string reason);

  config::Notify settings_;
  std::string name_;
  const EnvBlock& environment_;
  TaskGroup commands_;
  RecentEvents recent_;
};

}  // namespace keybearer
