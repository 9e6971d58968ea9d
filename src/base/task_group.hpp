#pragma once
// A nursery: the tasks spawned in it end before join() returns. The first failure cancels the
// siblings and is rethrown by join(); a cancelled task is not a failure. asio::detached is banned
// because it drops exceptions.
//
// Must be joined (or hold no live task) before it is destroyed; destroying it earlier ends the
// program.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstddef>
#include <exception>
#include <list>

#include "base/event.hpp"

namespace keybearer {

class TaskGroup {
 public:
  explicit TaskGroup(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  // The coroutine must own what it uses: parameters by value, no capturing lambda.
  // Spawning into a cancelled group does nothing.
  void spawn(boost::asio::awaitable<void> task);
  void cancel();
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }
  [[nodiscard]] std::size_t live() const noexcept { return signals_.size(); }

  // Returns when no task is left. When the caller is cancelled while it waits, the tasks are
  // cancelled and still awaited.
  [[nodiscard]] boost::asio::awaitable<void> join();

 private:
  using Signals = std::list<boost::asio::cancellation_signal>;
  void ended(Signals::iterator signal, std::exception_ptr failure);

  boost::asio::any_io_executor executor_;
  Signals signals_;
  std::exception_ptr first_failure_;
  Event changed_;
  bool cancelled_ = false;
};

// The task, cancelled when it takes longer.
[[nodiscard]] boost::asio::awaitable<void> within(Duration limit,
                                                  boost::asio::awaitable<void> task);

}  // namespace keybearer
