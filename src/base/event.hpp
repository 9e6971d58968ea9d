#pragma once
// "Something changed", awaitable. A generation number keeps a change that comes before the wait
// from being lost.
//
//     auto seen = event.generation();
//     ... look at the state ...
//     co_await event.wait(seen, deadline);   // at once if set() was called since
//
// Not thread-safe: one io_context, one thread. Must outlive its waiters.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <vector>

#include "base/timer.hpp"

namespace keybearer {

class Event {
 public:
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

  void set();

  // True when generation() is no longer `seen`, false at the deadline. Throws
  // system_error(operation_aborted) when the coroutine is cancelled. With Instant::max() there is
  // no deadline.
  [[nodiscard]] boost::asio::awaitable<bool> wait(std::uint64_t seen,
                                                  Instant deadline = Instant::max());

 private:
  std::uint64_t generation_ = 0;
  std::vector<Timer*> waiters_;
};

}  // namespace keybearer
