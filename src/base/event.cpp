#include "base/event.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/timer.hpp"

namespace keybearer {

void Event::set() {
  ++generation_;
  for (Timer* waiter : waiters_) waiter->cancel();
}

boost::asio::awaitable<bool> Event::wait(std::uint64_t seen, Instant deadline) {
  namespace asio = boost::asio;
  if (generation_ != seen) co_return true;

  Timer timer(co_await asio::this_coro::executor, deadline);
  struct Registration {
    std::vector<Timer*>& waiters;
    Timer* timer;
    ~Registration() { std::erase(waiters, timer); }
  };
  waiters_.push_back(&timer);
  const Registration registration{waiters_, &timer};

  boost::system::error_code error;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  const auto cancelled = (co_await asio::this_coro::cancellation_state).cancelled();
  if (cancelled != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
  co_return generation_ != seen;
}

}  // namespace keybearer
