#include "base/task_group.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/timer.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;

bool is_cancellation(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

// Asio loses the end of a coroutine that never suspended and was cancelled meanwhile, by itself for
// example.
asio::awaitable<void> suspended_once(asio::awaitable<void> task) {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  co_await std::move(task);
}

asio::awaitable<void> cancel_at(Instant at, TaskGroup* group) {
  co_await sleep_until(at);
  group->cancel();
}

asio::awaitable<void> then_cancel(asio::awaitable<void> task, TaskGroup* group) {
  co_await std::move(task);
  group->cancel();
}

}  // namespace

TaskGroup::~TaskGroup() {
  if (!signals_.empty()) std::terminate();
}

void TaskGroup::spawn(asio::awaitable<void> task) {
  if (cancelled_) return;
  const auto signal = signals_.emplace(signals_.end());
  asio::co_spawn(
      executor_, suspended_once(std::move(task)),
      asio::bind_cancellation_slot(signal->slot(), [this, signal](std::exception_ptr failure) {
        ended(signal, std::move(failure));
      }));
}

void TaskGroup::cancel() {
  cancelled_ = true;
  // Emitting may end tasks at once and so shorten the list: step first.
  for (auto it = signals_.begin(); it != signals_.end();)
    (it++)->emit(asio::cancellation_type::terminal);
}

void TaskGroup::ended(Signals::iterator signal, std::exception_ptr failure) {
  signals_.erase(signal);
  if (failure && !is_cancellation(failure)) {
    if (!first_failure_) first_failure_ = std::move(failure);
    cancel();
  }
  changed_.set();
}

asio::awaitable<void> TaskGroup::join() {
  bool interrupted = false;  // we are cancelled ourselves: pass it on, and still wait for the tasks
  while (!signals_.empty()) {
    try {
      co_await changed_.wait(changed_.generation());
    } catch (const boost::system::system_error&) {
      interrupted = true;
    }
    if (interrupted) {
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      cancel();
    }
  }
  if (first_failure_) std::rethrow_exception(std::exchange(first_failure_, nullptr));
}

asio::awaitable<void> within(Duration limit, asio::awaitable<void> task) {
  TaskGroup group(co_await asio::this_coro::executor);
  group.spawn(cancel_at(Clock::now() + limit, &group));
  group.spawn(then_cancel(std::move(task), &group));
  co_await group.join();
}

}  // namespace keybearer
