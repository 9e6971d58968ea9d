#pragma once
// The seam between the supervisor and the kernel: one of the two virtual ones. Tests use tests/support/fake_spawner.hpp.

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/spawn.hpp"

namespace keybearer::child {

class Spawner {
 public:
  virtual ~Spawner() = default;
  [[nodiscard]] virtual result<Process> spawn(const SpawnSpec& spec) = 0;
  [[nodiscard]] virtual boost::asio::awaitable<ExitStatus> wait(Process& process) = 0;
  virtual void signal_group(pid_t group, int signal) = 0;
  virtual void kill_tree(pid_t group) = 0;
  [[nodiscard]] virtual bool tree_gone(pid_t group) = 0;
};

[[nodiscard]] std::unique_ptr<Spawner> make_spawner();

}  // namespace keybearer::child
