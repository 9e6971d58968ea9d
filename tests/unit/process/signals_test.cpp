#include "process/signals.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <vector>

#include "base/task_group.hpp"

namespace keybearer {
namespace {

boost::asio::awaitable<void> read_two(Signals* signals, std::vector<int>* read) {
  for (int i = 0; i < 2; ++i) read->push_back(co_await signals->next());
}

TEST_CASE("signals are kept until they are read, also those that are ignored by default") {
  boost::asio::io_context context;
  Signals signals(context.get_executor(), {SIGTERM, SIGWINCH});
  CHECK_FALSE(stop_signal_pending());
  raise(SIGWINCH);
  CHECK_FALSE(stop_signal_pending());
  raise(SIGTERM);
  CHECK(stop_signal_pending());

  std::vector<int> read;
  TaskGroup tasks(context.get_executor());
  tasks.spawn(read_two(&signals, &read));
  context.run();
  std::ranges::sort(read);
  CHECK(read == std::vector{SIGTERM, SIGWINCH});
  CHECK_FALSE(stop_signal_pending());
}

}  // namespace
}  // namespace keybearer
