#pragma once
// Runs a job in a thread of its own while the loop goes on: disk syncs, long evaluations, plugins.
//
//     auto size = co_await offload([shared] { return shared->write_all(); });
//
// Nobody ever waits for the thread: when the caller is cancelled, the job goes on by itself, so it
// must own what it uses (shared_ptr, values) and touch nothing of the loop's: no log, no timers, no
// coroutines. An exception of the job is rethrown to the caller. No signal is delivered to the
// thread. While Clock is frozen the job runs at once in the caller, so that tests are repeatable.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace keybearer {

// When the system gives no thread or descriptor, the job runs in the caller.
[[nodiscard]] boost::asio::awaitable<void> run_in_thread(std::move_only_function<void()> job);

// Jobs whose thread has not ended: then the process must not run its destructors.
[[nodiscard]] int offloads_running() noexcept;

template <class Job>
[[nodiscard]] auto offload(Job job) -> boost::asio::awaitable<std::invoke_result_t<Job&>> {
  using Result = std::invoke_result_t<Job&>;
  if constexpr (std::is_void_v<Result>) {
    co_await run_in_thread(std::move(job));
  } else {
    auto slot = std::make_shared<std::optional<Result>>();
    co_await run_in_thread(
        [slot, job = std::move(job)]() mutable { slot->emplace(std::invoke(job)); });
    co_return std::move(**slot);
  }
}

}  // namespace keybearer
