#pragma once
// A spawner that starts nothing: it records what was asked, and the test says when a program ends.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
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
  std::vector<std::string> argv;    // of the last start
  StartOptions options;             // the same
  int reaped = 0, looked = 0;       // at the tree, whether it is there
  std::vector<TreeMember> members;  // of the tree, while it is there
  std::optional<ExitStatus> daemon_status;
  std::vector<pid_t> ended;                     // orphans that were reaped
  std::map<pid_t, ExitStatus> orphan_statuses;  // of these; of others daemon_status
  bool dies_when_killed = false;
  bool guarded = false;
  std::string broken;  // the function that throws: "spawn", "wait", "tree_exited", "child_changed"

  // The running program ends.
  void exit(ExitStatus status) {
    status_ = status;
    tree_ = leaves_tree;
    changed_.set();
  }
  // Something of its tree has ended.
  void change() { changed_.set(); }
  // And so does what it left behind.
  void end_tree() {
    tree_ = false;
    changed_.set();
  }

  result<Process> spawn(const SpawnSpec& spec) override {
    if (broken == "spawn") throw std::runtime_error("spawn is broken");
    std::string text = "spawn";
    for (const auto& [name, value] : spec.environment->values()) {
      text += fmt::format(" {}={}", name, value->reveal());
    }
    asked.push_back(text);
    argv = spec.argv;
    options = spec.options;
    if (refuse) return std::unexpected(*refuse);
    tree_ = true;
    status_.reset();
    return Process{++pid_, UniqueFd()};
  }
  boost::asio::awaitable<ExitStatus> wait(Process&) override {
    if (broken == "wait") throw std::runtime_error("wait is broken");
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
  void signal_member(const TreeMember& member, int signal) override {
    asked.push_back(fmt::format("signal {} to {}", signal, member.pid));
  }
  void kill_tree(pid_t) override {
    asked.push_back("kill");
    if (dies_when_killed) tree_ = false;
  }
  bool tree_exited(pid_t) override {
    ++looked;
    if (broken == "tree_exited") throw std::runtime_error("tree_exited is broken");
    return !tree_;
  }
  std::vector<TreeMember> tree_members(pid_t) override {
    return tree_ ? members : std::vector<TreeMember>{};
  }
  boost::asio::awaitable<void> child_changed() override {
    if (broken == "child_changed") throw std::runtime_error("child_changed is broken");
    co_await changed_.wait(changed_.generation());
  }
  void reap_orphans() override { ++reaped; }
  void watch_orphans() override {}
  void guard() override { guarded = true; }
  void dismiss_guard() override { guarded = false; }
  std::optional<ExitStatus> orphan_status(pid_t pid) override {
    const auto known = orphan_statuses.find(pid);
    return known == orphan_statuses.end() ? daemon_status : std::optional(known->second);
  }
  bool orphan_ended(pid_t pid) override { return std::ranges::find(ended, pid) != ended.end(); }
  bool suspended(const Process&) override { return false; }

 private:
  std::optional<ExitStatus> status_;
  Event changed_;
  pid_t pid_ = 1000;
  bool tree_ = false;
};

}  // namespace keybearer::test
