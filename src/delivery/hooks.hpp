#pragma once
// Commands that run after a file changed: in the order of the changes per file, tried again with
// back-off until they succeed or the file changes again. Their output reaches the log with the
// file's content masked.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/task_group.hpp"
#include "config/config.hpp"
#include "process/env_block.hpp"

namespace keybearer::delivery {

class Hooks {
 public:
  Hooks(boost::asio::any_io_executor executor, Random& random)
      : random_(random), tasks_(std::move(executor)) {}

  // Runs the template's command; a retry of an earlier run for it ends. `masked`: texts that must
  // not reach the log.
  void start(const config::Template& spec, EnvBlock environment, std::vector<Secret> masked);

  [[nodiscard]] boost::asio::awaitable<void> run();  // until cancelled
  // Until every command has run once; false: one of them failed.
  [[nodiscard]] boost::asio::awaitable<bool> idle();

 private:
  struct Run;
  boost::asio::awaitable<void> carry_out(std::shared_ptr<Run> run);

  Random& random_;
  TaskGroup tasks_;
  std::map<const config::Template*, std::shared_ptr<Run>> newest_;
  int first_runs_ = 0;
  bool failed_ = false;  // a first run
  Event changed_;
};

}  // namespace keybearer::delivery
