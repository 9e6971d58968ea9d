#pragma once
// An auth loop in its surroundings: a fake server, a frozen clock, files in a temporary directory, and
// the log.

#include <doctest/doctest.h>

#include <sstream>

#include "auth/auth_loop.hpp"
#include "base/log.hpp"
#include "base/task_group.hpp"
#include "support/fake_cloud.hpp"
#include "support/fake_http.hpp"
#include "support/io.hpp"
#include "support/temp_directory.hpp"

namespace keybearer::auth {

using namespace std::chrono_literals;

constexpr auto kLogin = "POST /v1/auth/approle/login";
constexpr auto kRenew = "POST /v1/auth/token/renew-self";
constexpr auto kLookup = "GET /v1/auth/token/lookup-self";
constexpr auto kRevoke = "POST /v1/auth/token/revoke-self";
constexpr auto kDenied = R"({"errors":["permission denied"]})";

inline std::string granted(const std::string& token, int ttl, bool renewable = true,
                           const std::string& more = {}) {
  return R"({"auth":{"client_token":")" + token + R"(","accessor":"acc-)" + token +
         R"(","policies":["app","default"],"entity_id":"e","token_type":"service","lease_duration":)" +
         std::to_string(ttl) + R"(,"renewable":)" + (renewable ? "true" : "false") + more + "}}";
}

inline std::string looked_up(int ttl, bool renewable = true) {
  return R"({"data":{"accessor":"acc","policies":["default"],"type":"service","ttl":)" +
         std::to_string(ttl) + R"(,"renewable":)" + (renewable ? "true" : "false") + "}}";
}

using test::TempDirectory;

struct Fixture {
  test::Io io;
  TempDirectory directory;
  test::FakeHttp* http = nullptr;
  test::FakeCloud cloud;
  vault::Client client;
  config::AutoAuth config;
  StartRules rules{.outage = {}, .start_grace = 15s};
  Duration stop_margin = 5s;
  Random random{1};
  std::vector<std::string> alarms;
  std::optional<AuthLoop> loop;
  std::optional<Error> ended;
  std::optional<Instant> ended_at;
  TaskGroup group{io.context.get_executor()};

  Fixture()
      : client(
            [this] {
              auto fake = std::make_unique<test::FakeHttp>();
              http = fake.get();
              return fake;
            }(),
            "") {
    REQUIRE(log::open({.level = log::Level::debug, .file = directory / "log", .name = {}}));
    config.method.type = "approle";
    config.method.set("role_id", std::string("role-1"));
    config.method.set("secret_id", Secret("secret-id-canary"));
  }
  ~Fixture() {
    stop();
    REQUIRE(log::open({}));
  }

  static boost::asio::awaitable<void> keep(Fixture& fixture) {
    fixture.ended = co_await fixture.loop->run();
    fixture.ended_at = Clock::now();
  }
  [[nodiscard]] Settings settings() const {
    return {.auto_auth = config, .start = rules, .stop_margin = stop_margin};
  }
  // As a reload does it.
  [[nodiscard]] result<> configure(config::AutoAuth next) {
    config = std::move(next);
    return loop->configure(settings());
  }
  void start() {
    loop.emplace(
        client, settings(), random,
        [this](std::string_view event, std::string_view) { alarms.emplace_back(event); },
        cloud.parts());
    group.spawn(keep(*this));
    io.run();
  }
  void stop() {
    group.cancel();
    io.run();
    REQUIRE(group.live() == 0);
  }

  static boost::asio::awaitable<void> ask(Fixture& fixture, std::vector<bool>& out) {
    const bool good = co_await fixture.loop->token_is_good();
    out.push_back(good);
  }
  bool token_is_good() {
    std::vector<bool> out;
    io.start_task(ask(*this, out));
    io.run();
    REQUIRE(out.size() == 1);
    return out[0];
  }
  static boost::asio::awaitable<void> revoke(Fixture& fixture) { co_await fixture.loop->revoke(); }

  const TokenState& state() const { return loop->state(); }
  bool in(TokenState::Phase phase) const { return loop->state().phase == phase; }
  std::string token() const {
    return client.token() ? std::string(client.token()->reveal()) : "(none)";
  }
  std::vector<Duration> times(const std::string& route) const {
    std::vector<Duration> out;
    for (const auto& each : http->asked) {
      if (each.route == route) out.push_back(each.at - test::Io::start);
    }
    return out;
  }
  std::string log() const { return directory.read("log"); }
  int lines(std::string_view part) const {
    int count = 0;
    std::stringstream text(log());
    for (std::string line; std::getline(text, line);) count += line.contains(part) ? 1 : 0;
    return count;
  }
};

}  // namespace keybearer::auth
