#include "child/spawner.hpp"

namespace keybearer::child {
namespace {

class KernelSpawner final : public Spawner {
 public:
  result<Process> spawn(const SpawnSpec& spec) override { return keybearer::spawn(spec); }
  boost::asio::awaitable<ExitStatus> wait(Process& process) override { return wait_for_exit(process); }
  void signal_group(pid_t group, int signal) override { keybearer::signal_group(group, signal); }
  void kill_tree(pid_t group) override { keybearer::kill_tree(group); }
  bool tree_gone(pid_t group) override { return keybearer::tree_gone(group); }
};

}  // namespace

std::unique_ptr<Spawner> make_spawner() { return std::make_unique<KernelSpawner>(); }

}  // namespace keybearer::child
