#include "base/offload.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <atomic>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include "base/fd.hpp"
#include "base/time.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;

std::atomic<int> running = 0;

// Shared by the thread and the one who waits; the last to let go takes it away.
struct Shared {
  std::move_only_function<void()> job;
  UniqueFd done;  // an eventfd: readable when the job has ended
  std::exception_ptr failure = {};
  std::atomic<bool> finished = false;

  void run() noexcept {
    try {
      job();
    } catch (...) {
      failure = std::current_exception();
    }
    job = nullptr;
    --running;
    finished.store(true, std::memory_order_release);
    eventfd_write(done.get(), 1);
  }
};

// False: the system gives none now.
bool start_thread(std::shared_ptr<Shared> shared) {
  // One heap for all threads: a heap of its own would cost each thread its pages.
  [[maybe_unused]] static const int one_arena = mallopt(M_ARENA_MAX, 1);
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  bool started = true;
  ++running;
  try {
    std::thread([shared = std::move(shared)] { shared->run(); }).detach();
  } catch (const std::system_error&) {
    started = false;
    --running;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace

int offloads_running() noexcept {
  return running;
}

asio::awaitable<void> run_in_thread(std::move_only_function<void()> job) {
  if (Clock::frozen()) {
    job();
    co_return;
  }
  auto shared =
      std::make_shared<Shared>(std::move(job), UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  const int own = shared->done ? fcntl(shared->done.get(), F_DUPFD_CLOEXEC, 0) : -1;
  asio::posix::stream_descriptor done(co_await asio::this_coro::executor);
  if (own >= 0) done.assign(own);
  // Out of descriptors or threads: better on the loop than not at all.
  if (own < 0 || !start_thread(shared)) {
    std::exchange(shared->job, nullptr)();
    co_return;
  }
  // epoll(7) may still tell of a descriptor that was here before: its thread holds the eventfd for a
  // moment longer. Whoever is woken by that waits again.
  while (!shared->finished.load(std::memory_order_acquire)) {
    co_await done.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
  }
  if (shared->failure) std::rethrow_exception(std::exchange(shared->failure, nullptr));
}

}  // namespace keybearer
