#include "delivery/hooks.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace keybearer;
using namespace keybearer::delivery;
namespace asio = boost::asio;

namespace {

struct TempDir {
  std::filesystem::path path;
  TempDir() {
    char name[] = "/tmp/keybearer-hooks-XXXXXX";
    path = mkdtemp(name);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string read(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(path / name).rdbuf();
    return out.str();
  }
};

FileTarget shell(const TempDir& directory, const std::string& command) {
  FileTarget spec;
  spec.command_timeout = std::chrono::seconds(30);
  spec.destination = directory.path / "file";
  spec.command.argv = {"/bin/sh", "-c", "cd \"$DIR\" && " + command};
  return spec;
}

EnvBlock environment(const TempDir& directory) {
  EnvBlock out;
  out.set("DIR", directory.path.string());
  out.set("PATH", "/usr/bin:/bin");
  return out;
}

// Runs until every command has run once, and then until none is tried again.
bool run_all(asio::io_context& context, Hooks& hooks, Duration limit = {}) {
  bool good = false;
  asio::co_spawn(context, hooks.idle(Clock::now() + limit),
                 [&](std::exception_ptr failure, bool all) {
                   if (failure) std::rethrow_exception(failure);
                   good = all;
                   context.stop();
                 });
  context.run();
  context.restart();
  return good;
}

}  // namespace

TEST_CASE("a command runs once for a change, with the given environment only") {
  const TempDir directory;
  asio::io_context context{1};
  Random random(1);
  Hooks hooks(context.get_executor(), random);
  const auto spec = shell(directory, "echo \"run ${VAULT_TOKEN-none}\" >>log");
  setenv("VAULT_TOKEN", "canary", 1);
  hooks.start(spec, environment(directory), {});
  run_all(context, hooks);
  unsetenv("VAULT_TOKEN");
  CHECK(directory.read("log") == "run none\n");
  context.run();  // nothing is left to do
  CHECK(directory.read("log") == "run none\n");
}

TEST_CASE("a command that fails is tried again until it succeeds") {
  const TempDir directory;
  asio::io_context context{1};
  Random random(1);
  std::vector<std::string> succeeded;
  Hooks hooks(context.get_executor(), random,
              [&](const std::string& destination) { succeeded.push_back(destination); });
  const auto spec = shell(directory, "echo x >>log; test $(wc -l <log) -ge 2");
  hooks.start(spec, environment(directory), {});
  CHECK_FALSE(run_all(context, hooks));
  CHECK(directory.read("log") == "x\n");
  CHECK(succeeded.empty());
  context.run();  // its retry, about a second later
  CHECK(directory.read("log") == "x\nx\n");
  CHECK(succeeded == std::vector<std::string>{spec.destination});
}

TEST_CASE("commands of one file run one after the other, and only the newest of those that wait") {
  const TempDir directory;
  asio::io_context context{1};
  Random random(1);
  Hooks hooks(context.get_executor(), random);
  const auto spec = shell(directory,
                          "echo \"$N begins\" >>log; until test -e go; do sleep 0.01; done; "
                          "echo \"$N ends\" >>log");
  for (const char* number : {"1", "2", "3"}) {
    EnvBlock with = environment(directory);
    with.set("N", number);
    hooks.start(spec, std::move(with), {});
    CHECK(hooks.is_under_way(spec.destination));
    context.poll();  // it has its turn, or waits for it
  }
  std::ofstream(directory.path / "go") << "";
  CHECK(run_all(context, hooks));
  CHECK(directory.read("log") == "1 begins\n1 ends\n3 begins\n3 ends\n");
  CHECK_FALSE(hooks.is_under_way(spec.destination));
}

TEST_CASE("who waits for all commands waits for retries within a limit, too") {
  const TempDir directory;
  asio::io_context context{1};
  Random random(1);
  Hooks hooks(context.get_executor(), random);
  hooks.start(shell(directory, "echo x >>log; test $(wc -l <log) -ge 2"), environment(directory),
              {});
  CHECK(run_all(context, hooks, std::chrono::seconds(20)));
  CHECK(directory.read("log") == "x\nx\n");
  hooks.start(shell(directory, "echo x >>log; test $(wc -l <log) -ge 4"), environment(directory),
              {});
  CHECK_FALSE(run_all(context, hooks, std::chrono::milliseconds(100)));
  context.run();  // it is tried again all the same
  CHECK(directory.read("log") == "x\nx\nx\nx\n");
}

TEST_CASE("another command, at a reload, is tried instead of the one that fails; none is not") {
  const TempDir directory;
  asio::io_context context{1};
  Random random(1);
  Hooks hooks(context.get_executor(), random);
  const auto fails = shell(directory, "echo old >>log; exit 1");
  hooks.start(fails, environment(directory), {});
  CHECK_FALSE(run_all(context, hooks));
  hooks.configure({fails}, environment(directory));
  CHECK(directory.read("log") == "old\n");
  SUBCASE("another") {
    hooks.configure({shell(directory, "echo \"new $MORE\" >>log")}, [&] {
      EnvBlock now = environment(directory);
      now.set("MORE", "x");
      return now;
    }());
    CHECK(run_all(context, hooks));
    CHECK(directory.read("log") == "old\nnew x\n");
  }
  SUBCASE("none") {
    FileTarget without = fails;
    without.command = {};
    hooks.configure({without}, environment(directory));
  }
  SUBCASE("the file is no more") {
    hooks.configure({}, environment(directory));
  }
  CHECK(run_all(context, hooks));
  context.run();
  CHECK(directory.read("log").find("old\nold") == std::string::npos);
}

namespace {

// Gone, or a zombie that waits for init.
bool ended(pid_t pid) {
  std::string state;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::getline(stat, state);
  return state.empty() || state.find(") Z ") != std::string::npos;
}

}  // namespace

TEST_CASE("a command that hangs is killed with all that it started") {
  const TempDir directory;
  asio::io_context context{1};
  Random random(1);
  auto hooks = std::make_unique<Hooks>(context.get_executor(), random);
  // A busy machine may not even get to its first line in time: then it is the next try that does.
  auto spec = shell(directory, "test -s pid && exit 0; sleep 1000 & echo $! >pid; wait");
  spec.command_timeout = std::chrono::milliseconds(200);
  hooks->start(spec, environment(directory), {});
  run_all(context, *hooks);
  context.run();  // a retry succeeds
  const pid_t started = std::stoi(directory.read("pid"));
  // A killed process may be seen for a moment yet.
  for (int i = 0; i < 500 && !ended(started); ++i) usleep(10'000);
  CHECK(ended(started));
}
