// sd_notify of the whole agent: what a service manager hears, in its order.

#include <sys/socket.h>
#include <sys/un.h>

#include "agent/service_status.hpp"
#include "base/fd.hpp"
#include "fixture.hpp"

namespace keybearer {
namespace {

class Manager {
 public:
  explicit Manager(const std::string& address) {
    sockaddr_un bound{.sun_family = AF_UNIX, .sun_path = {}};
    address.copy(bound.sun_path, sizeof bound.sun_path - 1);
    const bool abstract = address.starts_with('@');
    if (abstract) bound.sun_path[0] = '\0';
    fd_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto size = abstract ? offsetof(sockaddr_un, sun_path) + address.size() : sizeof bound;
    REQUIRE(bind(fd_.get(), reinterpret_cast<sockaddr*>(&bound), static_cast<socklen_t>(size)) ==
            0);
  }
  // All messages so far, and none of the watchdog's.
  std::vector<std::string> messages() {
    std::vector<std::string> all;
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd_.get(), buffer, sizeof buffer, 0)) > 0;) {
      all.emplace_back(buffer, static_cast<std::size_t>(n));
      CHECK(all.back().find("canary") == std::string::npos);
      if (all.back() == "WATCHDOG=1") ++fed, all.pop_back();
    }
    return all;
  }
  int fed = 0;

 private:
  UniqueFd fd_;
};

bool any_begins(const std::vector<std::string>& messages, std::string_view text) {
  return std::ranges::any_of(messages, [&](const auto& each) { return each.starts_with(text); });
}

TEST_CASE("READY once the child is started, RELOADING and READY around a reload, STOPPING") {
  for (const bool abstract : {false, true}) {
    AgentFixture agent;
    const std::string address =
        abstract ? "@kb-test-" + std::to_string(getpid()) : agent.path("notify");
    Manager manager(address);
    agent.set_variable("NOTIFY_SOCKET", address);
    agent.start(Mode::run, kEnv);
    agent.live(200ms, 10ms);
    auto messages = manager.messages();
    REQUIRE(messages.size() == 1);
    CHECK(messages[0].starts_with("READY=1\nSTATUS=1 secret, child "));
    CHECK(agent.spawns() == 1);
    CHECK(manager.fed == 0);  // no WATCHDOG_USEC

    agent.signal(SIGHUP);
    messages = manager.messages();
    REQUIRE(messages.size() == 2);
    CHECK(messages[0].starts_with("RELOADING=1\nMONOTONIC_USEC="));
    CHECK(messages[1].starts_with("READY=1\n"));

    agent.signal(SIGTERM);
    messages = manager.messages();
    REQUIRE_FALSE(messages.empty());
    CHECK(messages[0] == "STOPPING=1\nSTATUS=stopping");
    agent.finish();
    CHECK(any_begins(manager.messages(), "EXTEND_TIMEOUT_USEC="));
  }
}

TEST_CASE("no READY while the server is away, whatever is reloaded meanwhile; STATUS says why") {
  AgentFixture agent;
  Manager manager(agent.path("notify"));
  agent.set_variable("NOTIFY_SOCKET", agent.path("notify"));
  agent.server->away = ErrorKind::network;
  agent.start(Mode::run, kEnv);
  agent.live(10s, 100ms);
  agent.signal(SIGHUP);
  agent.live(2s, 100ms);
  const auto messages = manager.messages();
  CHECK(any_begins(messages, "STATUS=waiting: keybearer: logging in: "));
  CHECK_FALSE(any_begins(messages, "READY"));
  CHECK_FALSE(any_begins(messages, "RELOADING"));
  agent.server->away.reset();
  agent.live(1min, 500ms);
  CHECK(any_begins(manager.messages(), "READY=1\n"));
}

TEST_CASE("the watchdog is fed at half of its time, by the loop, also while it stops") {
  AgentFixture agent;
  Manager manager(agent.path("notify"));
  agent.set_variable("NOTIFY_SOCKET", agent.path("notify"));
  agent.set_variable("WATCHDOG_USEC", "2000000");
  agent.start(Mode::run, kEnv);
  agent.live(10s, 100ms);
  (void)manager.messages();
  CHECK(manager.fed >= 10);
  CHECK(manager.fed <= 12);
  agent.signal(SIGTERM);
  manager.fed = 0;
  agent.io.advance(5s, 100ms);
  (void)manager.messages();
  CHECK(manager.fed >= 4);
}

TEST_CASE("another process's watchdog is not ours; the child hears of neither") {
  AgentFixture agent;
  Manager manager(agent.path("notify"));
  agent.set_variable("NOTIFY_SOCKET", agent.path("notify"));
  agent.set_variable("WATCHDOG_USEC", "2000000");
  agent.set_variable("WATCHDOG_PID", "1");
  agent.start(Mode::run, kEnv);
  agent.live(10s, 100ms);
  CHECK(any_begins(manager.messages(), "READY=1"));
  CHECK(manager.fed == 0);
  CHECK(agent.last_spawn().find("NOTIFY_SOCKET") == std::string::npos);
  CHECK(agent.last_spawn().find("WATCHDOG") == std::string::npos);
}

TEST_CASE("a value of a message is one line") {
  CHECK(single_line("a\nREADY=1") == "a READY=1");
  CHECK(single_line(std::string(500, 'x')).size() == 200);
  CHECK(single_line(std::string(199, 'x') + "ä").size() == 199);
}

}  // namespace
}  // namespace keybearer
