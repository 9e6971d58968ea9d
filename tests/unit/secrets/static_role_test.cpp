// Static roles: the new password is there when the server has rotated it.

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

// A static role that the server rotates every 10 s, `late` after it is due.
struct Rotating {
  Duration late;
  int forced = 0;
  Duration lost_from = 0s, lost_until = 0s;  // the database is away: no rotation

  static Duration since_start() { return Clock::now() - test::Io::start; }
  [[nodiscard]] int number() const {
    int n = 0;
    for (Duration at = 10s + late; at <= since_start(); at += 10s + late)
      n += at < lost_from || at >= lost_until;
    return n + forced;
  }
  [[nodiscard]] Duration rotated_at() const {
    Duration last{};
    for (Duration at = 10s + late; at <= since_start(); at += 10s + late) {
      if (at < lost_from || at >= lost_until) last = at;
    }
    return last;
  }
  [[nodiscard]] std::string body() const {
    const auto last = rotated_at();
    const auto wall = wall_now() - (since_start() - last);
    const auto second = std::chrono::floor<std::chrono::seconds>(wall);
    const std::time_t time = std::chrono::system_clock::to_time_t(second);
    std::tm parts{};
    gmtime_r(&time, &parts);
    char text[64];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    const auto ms = std::chrono::duration_cast<Duration>(wall - second).count();
    const std::string decimals = std::to_string(1000 + ms).substr(1);
    const auto left = std::max<std::int64_t>(0, (last + 10s - since_start()).count() / 1000);
    return R"({"data":{"last_vault_rotation":")" + std::string(text) + "." + decimals +
           R"(Z","password":"canary-p)" + std::to_string(number()) +
           R"(","rotation_period":10,"ttl":)" + std::to_string(left) + R"(,"username":"u"}})";
  }
};

// The right to ask what the mount is, and its answer.
struct StaticFixture : Fixture {
  StaticFixture() {
    http->answer("GET /v1/sys/internal/ui/mounts/database/static-creds/app", 200,
                 mount("database/", "database"));
  }

  const tmpl::Dependency role = read("database/static-creds/app");
  static constexpr auto kRoute = "GET /v1/database/static-creds/app";
  Rotating server{.late = 0ms};

  void serve() {
    http->answer(kRoute, [this](const auto&) -> result<test::FakeHttp::Reply> {
      return test::FakeHttp::Reply{.body = server.body()};
    });
    start({role});
  }
  // How long at most the value was not the server's, looking every 10 ms.
  Duration worst(Duration time) {
    Duration worst{}, wrong{};
    for (Duration t{}; t < time; t += 10ms) {
      io.advance(10ms, 10ms);
      const bool good = value(role) == "canary-p" + std::to_string(server.number());
      wrong = good ? 0ms : wrong + 10ms;
      worst = std::max(worst, wrong);
    }
    return worst;
  }
};

TEST_CASE_FIXTURE(StaticFixture,
                  "a static role: the new password is there within 0.2 s of each rotation") {
  serve();
  CHECK(status(role).kind == Kind::static_role);
  CHECK(worst(100s) <= 200ms);
  CHECK(http->count(kRoute) <= 22);
  CHECK(status(role).why == "rotated");
}

TEST_CASE_FIXTURE(StaticFixture,
                  "a server that rotates late is asked in short steps until it has rotated") {
  server.late = 700ms;
  serve();
  CHECK(worst(15s) <= 200ms);
  const auto before = http->count(kRoute);
  CHECK(worst(107s) <= 200ms);
  CHECK(http->count(kRoute) - before <= 9 * 11);
}

TEST_CASE_FIXTURE(StaticFixture, "rotations that fail are waited for patiently") {
  server.lost_from = 15s;
  server.lost_until = 10min;
  serve();
  io.advance(20s, 10ms);
  const auto before = http->count(kRoute);
  io.advance(570s, 10ms);
  CHECK(http->count(kRoute) - before < 110);
  io.advance(35s, 10ms);
  CHECK(value(role) == "canary-p" + std::to_string(server.number()));
  CHECK(worst(60s) <= 200ms);
}

}  // namespace
}  // namespace keybearer::secrets
