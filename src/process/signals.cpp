#include "process/signals.hpp"

#include <signal.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>

namespace keybearer {
namespace {

int blocked(const std::vector<int>& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0)
    throw boost::system::system_error(errno, boost::system::system_category(), "signalfd");
  return fd;
}

}  // namespace

void reset_signal_state() noexcept {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGXFSZ}) signal(number, SIG_IGN);
}

Signals::Signals(const boost::asio::any_io_executor& executor, const std::vector<int>& signals)
    : events_(executor, blocked(signals)) {}

boost::asio::awaitable<int> Signals::next() {
  signalfd_siginfo info{};
  (void)co_await events_.async_read_some(boost::asio::buffer(&info, sizeof info),
                                         boost::asio::use_awaitable);
  co_return static_cast<int>(info.ssi_signo);
}

bool stop_signal_pending() noexcept {
  sigset_t pending;
  sigemptyset(&pending);
  sigpending(&pending);
  return std::ranges::any_of(std::initializer_list<int>{SIGTERM, SIGINT, SIGQUIT},
                             [&](int signal) { return sigismember(&pending, signal) == 1; });
}

}  // namespace keybearer
