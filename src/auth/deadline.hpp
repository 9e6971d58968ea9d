#pragma once
// An operation that is cut off at a deadline of its own, shorter than the HTTP client's.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/task_group.hpp"

namespace keybearer::auth {
namespace detail {

inline boost::asio::awaitable<void> cancel_at(TaskGroup& group, Instant at) {
  co_await sleep_until(at);
  group.cancel();
}

template <class T>
boost::asio::awaitable<void> run_into(boost::asio::awaitable<result<T>> operation,
                                      std::optional<result<T>>& out, TaskGroup& group) {
  out = co_await std::move(operation);
  group.cancel();
}

}  // namespace detail

// Error kind timeout, naming `server`, at `at`; the operation has been cancelled and has ended by
// then. Throws system_error(operation_aborted) when the caller is cancelled. Instant::max(): no
// deadline.
template <class T>
boost::asio::awaitable<result<T>> with_deadline(boost::asio::awaitable<result<T>> operation,
                                                Instant at, std::string server) {
  if (at == Instant::max()) co_return co_await std::move(operation);
  std::optional<result<T>> out;
  TaskGroup group(co_await boost::asio::this_coro::executor);
  group.spawn(detail::run_into(std::move(operation), out, group));
  group.spawn(detail::cancel_at(group, at));
  co_await group.join();
  if (out) co_return *std::move(out);
  if (Clock::now() >= at) co_return fail(ErrorKind::timeout, server + ": no answer in time");
  throw boost::system::system_error(boost::asio::error::operation_aborted);
}

}  // namespace keybearer::auth
