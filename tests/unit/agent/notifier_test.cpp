#include "agent/alarms.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace keybearer {
namespace {

using namespace std::chrono_literals;

struct House {
  std::string folder = "/tmp/keybearer-alarms-XXXXXX";
  boost::asio::io_context context;
  config::Config config;
  EnvBlock environment = EnvBlock::from(environ);

  House() {
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    config.name = "app";
    environment.set("VAULT_TOKEN", "hvs.canary");
  }
  ~House() { std::filesystem::remove_all(folder); }

  void told_by(const std::string& script) {
    config.notify.command.argv = {"/bin/sh", "-c", script};
  }
  // How long it took until all had been told.
  Duration raise_and_finish(Duration limit) {
    Alarms alarms(context.get_executor(), config, environment);
    TaskGroup tasks(context.get_executor());
    const Instant begun = Clock::now();
    alarms.raise("token.lost", "the token ends");
    tasks.spawn(alarms.finish(limit));
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
  House house;
  house.told_by("echo \"$KEYBEARER_EVENT|$KEYBEARER_REASON|$KEYBEARER_NAME|$VAULT_TOKEN\" >" +
                house.folder + "/said");
  (void)house.raise_and_finish(10s);
  CHECK(house.said() == "token.lost|the token ends|app|\n");
}

TEST_CASE("a command that hangs is not waited for at the end") {
  House house;
  house.told_by("exec sleep 60");
  CHECK(house.raise_and_finish(100ms) < 5s);
}

TEST_CASE("without a command there is nothing to wait for") {
  House house;
  CHECK(house.raise_and_finish(10s) < 5s);
}

}  // namespace
}  // namespace keybearer
