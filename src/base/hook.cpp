#include "base/hook.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

#include "base/process_tree.hpp"
#include "base/spawn.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMostOutput = 64 * 1024;

// Ends the program and all of its group when the coroutine goes first.
struct KillGroup {
  pid_t group;
  bool armed = true;
  ~KillGroup() {
    if (armed) signal_group(group, SIGKILL);
  }
};

}  // namespace

std::optional<std::string> failure_of(const result<HookResult>& result) {
  if (!result) return result.error().text;
  if (result->timed_out) return "killed after its time-out";
  const int code = result->status.shell_code();
  return code == 0 ? std::nullopt : std::optional("ended with code " + std::to_string(code));
}

asio::awaitable<result<HookResult>> run_hook(std::vector<std::string> argv, EnvBlock environment,
                                             Duration timeout) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) co_return fail_errno(ErrorKind::spawn, "pipe", errno);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  auto process = spawn({.argv = std::move(argv),
                        .environment = &environment,
                        .output = write_end.get(),
                        .null_input = true});
  write_end.reset();
  if (!process) co_return std::unexpected(process.error());
  KillGroup guard{process->pid};

  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor output(executor, read_end.release());
  const auto timed_out = std::make_shared<bool>(false);
  Timer timer(executor, Clock::now() + timeout);
  timer.async_wait([timed_out, group = process->pid](const boost::system::error_code& error) {
    if (error) return;
    *timed_out = true;
    signal_group(group, SIGKILL);
  });

  HookResult result;
  std::string buffer(4096, '\0');
  boost::system::error_code error;
  while (!error) {
    const std::size_t n = co_await output.async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    result.output.append(buffer, 0,
                         std::min(n, kMostOutput - std::min(kMostOutput, result.output.size())));
  }
  result.status = co_await wait_for_exit(*process);
  guard.armed = false;
  timer.cancel();
  result.timed_out = *timed_out;
  co_return result;
}

}  // namespace keybearer
