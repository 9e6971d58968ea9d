#pragma once
// Carries out LifecycleFsm: runs the tasks of the agent until something ends them, stops the child,
// cleans up, and gives the exit code. An exception in a task is an internal error: an orderly end
// with 70, after which it is rethrown.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <exception>
#include <functional>
#include <optional>

#include "agent/lifecycle_fsm.hpp"
#include "base/error.hpp"
#include "base/event.hpp"
#include "base/task_group.hpp"

namespace keybearer {

class Lifecycle {
 public:
  struct Callbacks {
    std::function<void()> stop_child;                        // called again to hurry it
    std::function<void()> begin_ending;                      // nothing new is begun from now on
    std::function<void()> remove_files;                      // before the tasks end
    std::function<boost::asio::awaitable<void>()> clean_up;  // after them: revocations, alarms
  };

  explicit Lifecycle(boost::asio::any_io_executor executor)
      : tasks_(executor), clean_up_(executor), signals_(executor) {}

  // Before anything is spawned.
  void connect(Callbacks callbacks) { callbacks_ = std::move(callbacks); }
  // Until the end.
  void spawn(boost::asio::awaitable<void> task) { tasks_.spawn(guarded(std::move(task))); }
  // Also while it cleans up.
  void spawn_signals(boost::asio::awaitable<void> task) {
    signals_.spawn(guarded(std::move(task)));
  }

  void on_ready() { on(LifecycleFsm::Event::ready); }
  void on_child_offered() { on(LifecycleFsm::Event::child_offered); }
  void on_child_ended(int code) { on(LifecycleFsm::Event::child_ended, code); }
  void on_stop() { on(LifecycleFsm::Event::stop); }
  // The reason is logged, unless it was the child's own or has been said already.
  void end(int code, const std::optional<Error>& reason = {});
  void on_internal_error(std::exception_ptr error);

  [[nodiscard]] const LifecycleFsm& fsm() const { return fsm_; }

  // The exit code. Rethrows an internal error.
  [[nodiscard]] boost::asio::awaitable<int> run();

 private:
  boost::asio::awaitable<void> guarded(boost::asio::awaitable<void> task);
  void on(LifecycleFsm::Event event, int code = 0);
  boost::asio::awaitable<void> finish();

  LifecycleFsm fsm_;
  Callbacks callbacks_;
  TaskGroup tasks_, clean_up_, signals_;
  bool cleaning_due_ = false;
  Event changed_;
  std::exception_ptr internal_error_;
};

}  // namespace keybearer
