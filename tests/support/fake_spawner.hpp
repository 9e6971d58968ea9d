#pragma once
// A spawner that starts nothing: it records what was asked, and the test says when a program ends.

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "child/spawner.hpp"

namespace keybearer::test {

class FakeSpawner final : public child::Spawner {
 public:
  std::vector<std::string> asked;  // "spawn A=1", "signal 1", "stop 15", "stop rest 15", "kill"
  bool leaves_tree = false;        // the program's own end leaves others of its tree behind
  std::optional<Error> refuse;
  int reaped = 0;

  // The running program ends.
  void exit(ExitStatus status) {
    status_ = status;
    tree_ = leaves_tree;
    changed_.set();
  }
  // And so does what it left behind.
  void end_tree() {
    tree_ = false;
    changed_.set();
  }

  result<Process> spawn(const SpawnSpec& spec) override {
    std::string text = "spawn";
    for (const auto& [name, value] : spec.environment->values()) {
      text += fmt::format(" {}={}", name, value.reveal());
    }
    asked.push_back(text);
    if (refuse) return std::unexpected(*refuse);
    tree_ = true;
    status_.reset();
    return Process{++pid_, UniqueFd()};
  }
  boost::asio::awaitable<ExitStatus> wait(Process&) override {
    while (!status_) co_await changed_.wait(changed_.generation());
    co_return *status_;
  }
  void signal(const Process&, int signal) override {
    asked.push_back(fmt::format("signal {}", signal));
  }
  void signal_group(pid_t, int signal) override {
    if (signal != 18) asked.push_back(fmt::format("stop {}", signal));  // SIGCONT goes with each
  }
  void signal_escaped(pid_t, int signal) override {
    asked.push_back(fmt::format("stop rest {}", signal));
  }
  void kill_tree(pid_t) override { asked.push_back("kill"); }
  bool tree_exited(pid_t) override { return !tree_; }
  boost::asio::awaitable<void> child_changed() override {
    co_await changed_.wait(changed_.generation());
  }
  void reap_orphans() override { ++reaped; }
  bool suspended(const Process&) override { return false; }

 private:
  std::optional<ExitStatus> status_;
  Event changed_;
  pid_t pid_ = 1000;
  bool tree_ = false;
};

}  // namespace keybearer::test
