#pragma once
// notify.command, run for each alarm: what an operator must hear of although nobody reads the log.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "base/task_group.hpp"
#include "config/config.hpp"
#include "process/env_block.hpp"

namespace keybearer {

class Alarms {
 public:
  // Both must outlive it.
  Alarms(const boost::asio::any_io_executor& executor, const config::Config& config,
         const EnvBlock& environment)
      : config_(config), environment_(environment), commands_(executor) {}

  // Who raises one has logged the error itself; nothing secret in `reason`.
  void raise(std::string_view event, std::string_view reason);
  // Waits for the commands under way, and ends those that take longer. The last to be called.
  [[nodiscard]] boost::asio::awaitable<void> finish(Duration limit);

 private:
  boost::asio::awaitable<void> tell(std::string event, std::string reason);

  const config::Config& config_;
  const EnvBlock& environment_;
  TaskGroup commands_;
};

}  // namespace keybearer
