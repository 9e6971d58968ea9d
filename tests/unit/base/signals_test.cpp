#include "base/signals.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <vector>

namespace keybearer {
namespace {

TEST_CASE("signals are kept until they are read, also those that are ignored by default") {
  boost::asio::io_context context;
  Signals signals(context.get_executor(), {SIGTERM, SIGWINCH});
  CHECK_FALSE(stop_pending());
  raise(SIGWINCH);
  CHECK_FALSE(stop_pending());
  raise(SIGTERM);
  CHECK(stop_pending());

  std::vector<int> read;
  boost::asio::co_spawn(
      context,
      [&]() -> boost::asio::awaitable<void> {
        read.push_back(co_await signals.next());
        read.push_back(co_await signals.next());
      },
      boost::asio::detached);
  context.run();
  std::ranges::sort(read);
  CHECK(read == std::vector{SIGTERM, SIGWINCH});
  CHECK_FALSE(stop_pending());
}

}  // namespace
}  // namespace keybearer
