#include "agent/notifier.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace keybearer {
namespace {

using namespace std::chrono_literals;

struct Fixture {
  std::string folder = "/tmp/keybearer-notify-XXXXXX";
  boost::asio::io_context context;
  config::Config config;
  EnvBlock environment = EnvBlock::from(environ);

  Fixture() {
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    config.name = "app";
    environment.set("VAULT_TOKEN", "hvs.canary");
  }
  ~Fixture() { std::filesystem::remove_all(folder); }

  void use_command(const std::string& script) {
    config.notify.command.argv = {"/bin/sh", "-c", script};
  }
  // How long it took until all had been told.
  Duration notify_and_drain(Duration limit) {
    Notifier notifier(context.get_executor(), config.notify, config.name, environment);
    TaskGroup tasks(context.get_executor());
    const Instant begun = Clock::now();
    notifier.notify("token.lost", "the token ends");
    tasks.spawn(notifier.finish(limit));
    context.run();
    return Clock::now() - begun;
  }
  [[nodiscard]] std::string said() const {
    std::ifstream file(folder + "/said");
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_CASE(
    "the command hears the event, the reason and the instance, and has none of our credentials") {
  Fixture house;
  house.use_command("echo \"$KEYBEARER_EVENT|$KEYBEARER_REASON|$KEYBEARER_NAME|$VAULT_TOKEN\" >" +
                    house.folder + "/said");
  (void)house.notify_and_drain(10s);
  CHECK(house.said() == "token.lost|the token ends|app|\n");
}

TEST_CASE("a command that hangs is not waited for at the end") {
  Fixture house;
  house.use_command("exec sleep 60");
  CHECK(house.notify_and_drain(100ms) < 5s);
}

TEST_CASE("without a command there is nothing to wait for") {
  Fixture house;
  CHECK(house.notify_and_drain(10s) < 5s);
}

}  // namespace
}  // namespace keybearer
