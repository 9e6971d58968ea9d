#include "process/command.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/redactor.hpp"
#include "base/task_group.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
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
  bool ended = false, silent = false;

  Running(const asio::any_io_executor& executor, Process started, int read_end)
      : process(std::move(started)), output(executor, read_end), tasks(executor) {}
  // Ends the program and all of its group when the coroutine goes first.
  ~Running() {
    if (!ended) signal_group(process.pid, SIGKILL);
  }

  // Until all who hold the other end have closed it.
  static asio::awaitable<void> listen(Running* hook) {
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
    hook->silent = true;
    if (hook->ended) hook->tasks.cancel();
  }

  // A program that it leaves behind may hold its output for ever: nobody waits for that.
  static asio::awaitable<void> wait(Running* hook) {
    hook->result.status = co_await wait_for_exit(hook->process);
    hook->ended = true;
    if (!hook->silent) co_await sleep_for(kOutputDrain);
    hook->tasks.cancel();
  }

  static asio::awaitable<void> kill_late(Running* hook, Duration timeout) {
    co_await sleep_for(timeout);
    if (hook->ended) co_return;
    hook->result.timed_out = true;
    signal_group(hook->process.pid, SIGKILL);
  }
};

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

  Running hook(co_await asio::this_coro::executor, *std::move(process), read_end.release());
  hook.tasks.spawn(Running::listen(&hook));
  hook.tasks.spawn(Running::wait(&hook));
  hook.tasks.spawn(Running::kill_late(&hook, timeout));
  co_await hook.tasks.join();
  if (!hook.ended) throw boost::system::system_error(asio::error::operation_aborted);
  co_return std::move(hook.result);
}

}  // namespace keybearer
