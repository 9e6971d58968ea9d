#pragma once
// Commands that run after a file changed: per file one after the other, in the order of the changes,
// tried again with back-off until they succeed or the file changes again. Their output reaches the
// log without values.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/task_group.hpp"
#include "delivery/target.hpp"
#include "process/env_block.hpp"

namespace keybearer::delivery {

class Hooks {
 public:
  // `succeeded` is told the destination of a file whose newest change has had its command.
  Hooks(boost::asio::any_io_executor executor, Random& random,
        std::function<void(const std::string& destination)> succeeded = {})
      : random_(random), succeeded_(std::move(succeeded)), tasks_(std::move(executor)) {}

  // Runs the target's command; the retries of an earlier run for it end. `values`: texts that must
  // not reach the log, beside those in force.
  void start(const FileTarget& target, EnvBlock environment, std::vector<Secret> values);

  // Other files, or other commands of theirs, by a reload: what has not succeeded yet is tried by
  // the new command, and no more where there is none.
  void configure(const std::vector<FileTarget>& targets, const EnvBlock& environment);

  // It runs, or waits for another try.
  [[nodiscard]] bool is_under_way(const std::string& destination) const;

  [[nodiscard]] boost::asio::awaitable<void> run();  // until cancelled
  // Until every command has succeeded, or has been tried once and again until `limit`; false: one
  // has not succeeded.
  [[nodiscard]] boost::asio::awaitable<bool> idle(Instant limit);

 private:
  struct Run;
  boost::asio::awaitable<bool> has_turn(const Run& run);
  boost::asio::awaitable<void> carry_out(std::shared_ptr<Run> run);
  void finish(Run& run);

  Random& random_;
  std::function<void(const std::string&)> succeeded_;
  TaskGroup tasks_;
  std::map<std::string, std::shared_ptr<Run>> newest_;  // by destination
  std::set<std::string> executing_;                     // destinations
  int first_runs_ = 0;                                  // that have not ended
  int unfinished_ = 0;  // runs that have neither succeeded nor been replaced
  Event changed_;
};

}  // namespace keybearer::delivery
