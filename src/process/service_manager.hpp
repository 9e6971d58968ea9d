#pragma once
// What keybearer tells the service manager that started it, by sd_notify(3)'s protocol: one
// datagram per message to $NOTIFY_SOCKET, a path or an abstract name ("@..."). Without that
// variable nothing is sent. A message that can't be delivered is lost: nothing waits for it.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "base/time.hpp"
#include "process/env_block.hpp"

namespace keybearer {

class ServiceManager {
 public:
  // Takes its variables out of the block: no program of ours speaks for us. WATCHDOG_PID of another
  // process: no watchdog.
  [[nodiscard]] static ServiceManager take_from(EnvBlock& environment);

  [[nodiscard]] bool listens() const { return static_cast<bool>(socket_); }
  // WATCHDOG_USEC: how long it waits for a sign of life. Only when it listens.
  [[nodiscard]] std::optional<Duration> watchdog() const { return watchdog_; }

  // "READY=1", or several lines. Line ends in a value are the caller's to avoid (single_line).
  void send(std::string_view message) const;
  // With the time that Type=notify-reload asks for.
  void send_reloading() const;

 private:
  UniqueFd socket_;
  std::string address_;  // as sockaddr_un has it
  std::optional<Duration> watchdog_;
};

// As a value of a message: one line, at most 200 bytes.
[[nodiscard]] std::string single_line(std::string_view text);

}  // namespace keybearer
