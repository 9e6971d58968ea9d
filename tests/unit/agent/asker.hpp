#pragma once
// Asks the agent over one of its unix sockets, while its time stands still between our steps.

#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.hpp"
#include "fixture.hpp"
#include "http/response_parser.hpp"
#include "json/json.hpp"

namespace keybearer {

struct Answer {
  int status = 0;
  std::string body;
  [[nodiscard]] Value json() const {
    auto parsed = json::parse(body);
    REQUIRE(parsed);
    return std::move(*parsed);
  }
};

// One connection to the agent, which runs between our steps.
class Asker {
 public:
  Asker(AgentFixture& agent, const std::string& path, std::string_view request) : agent_(agent) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    fd_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    REQUIRE(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(request.size()));
  }
  // Whatever has come; time passes until it is whole.
  Answer answer(Duration patience = 1s) {
    http::ResponseParser parser(1 << 20);
    std::string pending;
    const Instant end = Clock::now() + patience;
    while (!parser.done()) {
      agent_.io.run();
      char buffer[65536];
      const ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
      if (n > 0) {
        pending.append(buffer, static_cast<std::size_t>(n));
        const auto used = parser.put(pending);
        REQUIRE(used);
        pending.erase(0, *used);
        continue;
      }
      REQUIRE(n != 0);
      REQUIRE(Clock::now() < end);
      agent_.io.advance(20ms, 20ms);
    }
    const int status = parser.status();
    Answer out{status, std::string(parser.take().body.reveal())};
    CHECK((secrets_ || out.body.find("canary") == std::string::npos));
    return out;
  }
  // Of a program that gets secrets.
  int status_of_answer() {
    secrets_ = true;
    return answer().status;
  }

 private:
  AgentFixture& agent_;
  UniqueFd fd_;
  bool secrets_ = false;
};

}  // namespace keybearer
