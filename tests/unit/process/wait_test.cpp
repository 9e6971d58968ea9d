// How the end of a program is heard of, beside other descriptors, threads and orphans.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>

#include "base/fd.hpp"
#include "process/hardening.hpp"
#include "process/reaper.hpp"
#include "process/spawn.hpp"
#include "support/stale_event.hpp"

// Rules: P2 (src/RULES.md).
namespace keybearer {
namespace {

pid_t number_from(int pipe) {
  char text[32] = {};
  REQUIRE(read(pipe, text, sizeof text - 1) > 0);
  close(pipe);
  return std::stoi(text);
}

TEST_CASE("who is woken by another's descriptor does not wait for the program in the loop") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const EnvBlock environment;
  auto process = spawn({.argv = {"/bin/sh", "-c", "read line; exit 7"},
                        .environment = &environment,
                        .options = {.descriptors = {{ends[0], STDIN_FILENO}}}});
  close(ends[0]);
  REQUIRE(process.has_value());
  boost::asio::io_context context;
  std::optional<ExitStatus> status;
  const auto wait = [](Process& one,
                       std::optional<ExitStatus>& out) -> boost::asio::awaitable<void> {
    out = co_await wait_for_exit(one);
  };
  const test::StaleEvent stale(context, [&] {
    boost::asio::co_spawn(context, wait(*process, status), [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    });
  });
  while (context.poll_one() != 0) CHECK(!status);
  close(ends[1]);  // it ends
  context.restart();
  context.run();
  REQUIRE(status);
  CHECK(status->shell_code() == 7);
}

TEST_CASE("an orphan behind a program of ours in line is reaped with it, in whatever thread") {
  become_subreaper();
  reaper().watch_orphans();
  int in[2], out[2];
  REQUIRE(pipe2(in, O_CLOEXEC) == 0);
  REQUIRE(pipe2(out, O_CLOEXEC) == 0);
  const EnvBlock environment;
  auto process =
      spawn({.argv = {"/bin/sh", "-c", "/bin/sh -c 'read line; exit 3' <&3 >/dev/null & echo $!"},
             .environment = &environment,
             .options = {.descriptors = {{in[0], 3}, {out[1], STDOUT_FILENO}}}});
  close(in[0]);
  close(out[1]);
  REQUIRE(process.has_value());
  const pid_t orphan = number_from(out[0]);
  const UniqueFd ended(static_cast<int>(syscall(SYS_pidfd_open, orphan, 0)));
  const auto wait_for = [](int pidfd) {
    pollfd readable{pidfd, POLLIN, 0};
    REQUIRE(poll(&readable, 1, 10'000) == 1);
  };
  wait_for(process->pidfd.get());
  close(in[1]);  // only now it ends
  wait_for(ended.get());
  reaper().reap_orphans();
  CHECK(!reaper().orphan_status(orphan));
  CHECK(wait_blocking(*process).shell_code() == 0);
  REQUIRE(reaper().orphan_status(orphan));
  CHECK(reaper().orphan_status(orphan)->shell_code() == 3);
}

}  // namespace
}  // namespace keybearer
