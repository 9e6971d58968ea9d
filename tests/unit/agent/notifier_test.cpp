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
  std::string directory = "/tmp/keybearer-notify-XXXXXX";
  boost::asio::io_context context;
  config::Config config;
  EnvBlock environment = EnvBlock::from(environ);

  Fixture() {
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    config.name = "app";
    environment.set("VAULT_TOKEN", "hvs.canary");
  }
  ~Fixture() { std::filesystem::remove_all(directory); }

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
    std::ifstream file(directory + "/said");
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_CASE(
    "the command hears the event, the reason and the instance, and has none of our credentials") {
  Fixture fixture;
  fixture.use_command("echo \"$KEYBEARER_EVENT|$KEYBEARER_REASON|$KEYBEARER_NAME|$VAULT_TOKEN\" >" +
                      fixture.directory + "/said");
  (void)fixture.notify_and_drain(10s);
  CHECK(fixture.said() == "token.lost|the token ends|app|\n");
}

TEST_CASE("the same event with the same reason is told once in ten seconds, whatever is between") {
  constexpr Instant t0{std::chrono::hours(1)};
  RecentEvents recent;
  CHECK(recent.take("a", "1", t0));
  CHECK(recent.take("b", "1", t0));
  CHECK_FALSE(recent.take("a", "1", t0 + 1s));  // not the last one
  CHECK(recent.take("a", "2", t0 + 1s));
  CHECK(recent.take("a1", "", t0 + 1s));  // the border between the two counts
  CHECK_FALSE(recent.take("b", "1", t0 + 9s));
  CHECK(recent.take("a", "1", t0 + 10s));
  CHECK(recent.take("b", "1", t0 + 10s));
  CHECK_FALSE(recent.take("b", "1", t0 + 19s));
}

TEST_CASE("what two flapping events tell is bounded, and what is remembered, too") {
  constexpr Instant t0{std::chrono::hours(1)};
  RecentEvents recent;
  int told = 0;
  for (int i = 0; i < 6000; ++i)  // a minute, an event each 10 ms
    told += recent.take(i % 2 == 0 ? "secret.lost" : "lease.expired", "kv/app", t0 + i * 10ms);
  CHECK(told == 12);
  for (int i = 0; i < 100'000; ++i) CHECK(recent.take("secret.lost", std::to_string(i), t0 + 2min));
}

TEST_CASE("at most twenty commands run at a time") {
  Fixture f;
  f.use_command("echo x >>" + f.directory + "/said; exec sleep 60");
  Notifier notifier(f.context.get_executor(), f.config.notify, f.config.name, f.environment);
  TaskGroup tasks(f.context.get_executor());
  for (int i = 0; i < 100; ++i) notifier.notify("secret.lost", std::to_string(i));
  tasks.spawn(notifier.finish(1s));
  f.context.run();
  CHECK(f.said().size() <= 2 * 20);
}

TEST_CASE("a command that hangs is not waited for at the end") {
  Fixture fixture;
  fixture.use_command("exec sleep 60");
  CHECK(fixture.notify_and_drain(100ms) < 5s);
}

TEST_CASE("without a command there is nothing to wait for") {
  Fixture fixture;
  CHECK(fixture.notify_and_drain(10s) < 5s);
}

}  // namespace
}  // namespace keybearer
