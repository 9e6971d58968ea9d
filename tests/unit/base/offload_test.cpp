#include "base/offload.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/task_group.hpp"

// Rules: R8 (src/RULES.md).
namespace keybearer {
namespace {

namespace asio = boost::asio;

asio::awaitable<void> take(std::string* out, std::thread::id* where) {
  *out = co_await offload([where] {
    *where = std::this_thread::get_id();
    return std::string("made elsewhere");
  });
}

TEST_CASE("a job runs in another thread and gives its result back on the loop") {
  asio::io_context context;
  std::string out;
  std::thread::id where;
  asio::co_spawn(context, take(&out, &where), [](std::exception_ptr e) { CHECK(!e); });
  context.run();
  CHECK(out == "made elsewhere");
  CHECK(where != std::this_thread::get_id());
}

asio::awaitable<void> fails(bool* caught) {
  try {
    co_await offload([]() -> int { throw std::runtime_error("no"); });
  } catch (const std::runtime_error&) {
    *caught = true;
  }
}

TEST_CASE("an exception of the job reaches the caller") {
  asio::io_context context;
  bool caught = false;
  asio::co_spawn(context, fails(&caught), [](std::exception_ptr e) { CHECK(!e); });
  context.run();
  CHECK(caught);
}

asio::awaitable<void> wait_for(std::shared_ptr<std::atomic<bool>> go,
                               std::shared_ptr<std::atomic<bool>> ended) {
  co_await offload([go, ended] {
    go->wait(false);
    *ended = true;
  });
}

TEST_CASE("a cancelled caller does not wait for its job, which ends by itself") {
  const auto go = std::make_shared<std::atomic<bool>>(false);
  const auto ended = std::make_shared<std::atomic<bool>>(false);
  {
    asio::io_context context;
    asio::cancellation_signal stop;
    bool cancelled = false;
    asio::co_spawn(context, wait_for(go, ended),
                   asio::bind_cancellation_slot(
                       stop.slot(), [&](std::exception_ptr e) { cancelled = e != nullptr; }));
    context.poll();
    stop.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run();
    CHECK(cancelled);
    CHECK(!*ended);
  }
  *go = true;
  go->notify_all();
  while (!*ended) std::this_thread::yield();
}

}  // namespace
}  // namespace keybearer
