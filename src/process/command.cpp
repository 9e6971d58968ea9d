#include "process/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <chrono>

#include "base/redactor.hpp"
#include "base/task_group.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
#include "process/mark.hpp"
#include "process/spawn.hpp"
#include "process/tree.hpp"

namespace keybearer {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMostOutput = 64 * 1024;
constexpr Duration kOutputDrain = std::chrono::milliseconds(100);

struct Running {
  Process process;
  asio::posix::stream_descriptor output;
  TaskGroup tasks;
  CommandResult result = {};
  bool ended = false, output_closed = false;

  Running(const asio::any_io_executor& executor, Process started, int read_end)
      : process(std::move(started)), output(executor, read_end), tasks(executor) {}
  // Ends the program and all of its group when the coroutine goes first.
  ~Running() {
    if (!ended) signal_group(process.pid, SIGKILL);
  }

  // Until all who hold the other end have closed it.
  static asio::awaitable<void> read_output(Running* hook) {
    std::string buffer(4096, '\0');
    std::string& text = hook->result.output;
    boost::system::error_code error;
    while (!error) {
      const std::size_t n = co_await hook->output.async_read_some(
          asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
      const std::size_t room = kMostOutput - std::min(kMostOutput, text.size());
      text.append(buffer, 0, std::min(n, room));
      hook->result.cut = hook->result.cut || n > room;
    }
    hook->output_closed = true;
    if (hook->ended) hook->tasks.cancel();
  }

  // A program that it leaves behind may hold its output forever: nobody waits for that.
  static asio::awaitable<void> wait(Running* hook) {
    hook->result.status = co_await wait_for_exit(hook->process);
    hook->ended = true;
    if (!hook->output_closed) co_await sleep_for(kOutputDrain);
    hook->tasks.cancel();
  }

  static asio::awaitable<void> kill_on_timeout(Running* hook, Duration timeout) {
    co_await sleep_for(timeout);
    if (hook->ended) co_return;
    hook->result.timed_out = true;
    signal_group(hook->process.pid, SIGKILL);
  }
};

std::unexpected<Error> as_spawn_error(Error error) {
  error.kind = ErrorKind::spawn;
  error.status = 126;
  return std::unexpected(std::move(error));
}

}  // namespace

std::optional<std::string> failure_of(const result<CommandResult>& result) {
  if (!result) return result.error().text;
  if (result->timed_out) return "killed after its time-out";
  const int code = result->status.shell_code();
  return code == 0 ? std::nullopt : std::optional("ended with code " + std::to_string(code));
}

std::vector<std::string> redacted_lines(const CommandResult& result,
                                        const std::vector<Secret>& values) {
  std::vector<std::string_view> views;
  for (const Secret& value : values) views.push_back(value.reveal());
  Redactor also;
  also.set("values", views);
  const auto clean = [&result](const Redactor& by, std::string_view text) {
    return result.cut ? by.redact_cut(text) : by.redact(text);
  };
  std::vector<std::string> lines;
  const std::string text = clean(also, clean(redactor(), result.output));
  for (const std::string_view line : split_lines(text))
    if (!line.empty()) lines.emplace_back(line);
  return lines;
}

asio::awaitable<result<CommandResult>> run_command(std::vector<std::string> argv,
                                                   EnvBlock environment, Duration timeout) {
  if (auto checked = environment.check(argv); !checked) co_return as_spawn_error(checked.error());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) co_return fail_errno(ErrorKind::spawn, "pipe", errno);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  auto process = spawn({.argv = std::move(argv),
                        .environment = &environment,
                        .options = {.descriptors = {{write_end.get(), STDOUT_FILENO},
                                                    {write_end.get(), STDERR_FILENO}},
                                    .null_input = true,
                                    .mark = marks().command}});
  write_end.reset();
  if (!process) co_return std::unexpected(process.error());

  Running hook(co_await asio::this_coro::executor, *std::move(process), read_end.release());
  hook.tasks.spawn(Running::read_output(&hook));
  hook.tasks.spawn(Running::wait(&hook));
  hook.tasks.spawn(Running::kill_on_timeout(&hook, timeout));
  co_await hook.tasks.join();
  if (!hook.ended) throw boost::system::system_error(asio::error::operation_aborted);
  co_return std::move(hook.result);
}

namespace {

using Steady = std::chrono::steady_clock;  // not Clock, which tests freeze

// A program that is waited for in this thread; killed with its group when it is left running.
struct BlockingRun {
  const BlockingCommand& command;
  Process process;
  UniqueFd output;
  Steady::time_point end;
  CommandResult result = {};
  bool ended = false, too_large = false;

  ~BlockingRun() {
    if (ended) return;
    signal_group(process.pid, SIGKILL);
    (void)wait_blocking(process);
  }

  // What is there to read; false at its end.
  bool read_some() {
    char buffer[16384];
    const ssize_t n = read(output.get(), buffer, sizeof buffer);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    result.output.append(buffer, static_cast<std::size_t>(n));
    too_large = result.output.size() > command.max_output;
    return n > 0;
  }

  // Until it has ended and its output is closed, or a moment after it has ended: a program that it
  // left behind may hold its output. False: stopped, too late or too much.
  bool finish() {
    constexpr int kLook = 20;  // ms
    bool open = true;
    auto last = end;
    while (open || !ended) {
      pollfd ready[2] = {{open ? output.get() : -1, POLLIN, 0},
                         {ended ? -1 : process.pidfd.get(), POLLIN, 0}};
      const int count = poll(ready, 2, kLook);
      if (count < 0 && errno != EINTR) return false;
      if (count > 0 && ready[0].revents != 0) open = read_some();
      if (count > 0 && ready[1].revents != 0) {
        result.status = wait_blocking(process);
        ended = true;
        last = std::min(end, Steady::now() + kOutputDrain);
      }
      if (too_large || (command.stopped && command.stopped())) return false;
      if (Steady::now() >= last) {
        result.timed_out = !ended;
        return ended;
      }
    }
    return true;
  }
};

}  // namespace

result<CommandResult> run_command_blocking(const BlockingCommand& command) {
  if (auto checked = command.environment.check(command.argv); !checked)
    return as_spawn_error(checked.error());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(ErrorKind::spawn, "pipe", errno);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  UniqueFd null(command.with_stderr ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC));
  const int errors = null ? null.get() : write_end.get();
  auto process =
      spawn({.argv = command.argv,
             .environment = &command.environment,
             .options = {.descriptors = {{write_end.get(), STDOUT_FILENO}, {errors, STDERR_FILENO}},
                         .null_input = true,
                         .mark = marks().command}});
  write_end.reset();
  if (!process) return std::unexpected(process.error());
  BlockingRun run{command, *std::move(process), std::move(read_end),
                  Steady::now() + command.timeout};
  if (run.finish() || run.result.timed_out) return std::move(run.result);
  if (run.too_large) {
    return fail(ErrorKind::spawn,
                "its output is larger than " + std::to_string(command.max_output >> 20) + " MiB");
  }
  return fail(ErrorKind::cancelled, "stopped");
}

}  // namespace keybearer
