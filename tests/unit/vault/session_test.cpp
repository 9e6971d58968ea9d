#include "vault/session.hpp"

#include <doctest/doctest.h>

#include "base/task_group.hpp"
#include "session_fixture.hpp"
#include "support/log_file.hpp"
#include "vault/client.hpp"

namespace keybearer::vault {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr auto kFine = R"({"data":{}})";
constexpr auto kRenewLease = "PUT /v1/sys/leases/renew";

struct Fixture : SessionFixture {
  test::LogFile log;
  std::optional<Client> client;
  TaskGroup group{io.context.get_executor()};
  std::vector<std::optional<Error>> ended;  // in the order in which they did

  explicit Fixture(SessionOptions options = {}) : SessionFixture(std::move(options)) {
    client.emplace(*session);
  }
  ~Fixture() {
    group.cancel();
    io.run();
    REQUIRE(group.live() == 0);
  }

  static asio::awaitable<void> keep(Fixture& fixture, asio::awaitable<result<Reply>> call) {
    auto reply = co_await std::move(call);
    fixture.ended.push_back(reply ? std::nullopt : std::optional(std::move(reply).error()));
  }
  static asio::awaitable<void> keep_lease(Fixture& fixture, asio::awaitable<result<Lease>> call) {
    auto lease = co_await std::move(call);
    fixture.ended.push_back(lease ? std::nullopt : std::optional(std::move(lease).error()));
  }
  static asio::awaitable<void> poll(Fixture& fixture, std::string path) {  // without any pause
    for (;;) (void)co_await fixture.client->read(path);
  }
  void read(const std::string& path) {
    group.spawn(keep(*this, client->read(path)));
    io.run();
  }
  void renew(Instant latest = Instant::max()) {
    group.spawn(keep_lease(*this, client->renew_lease("l/1", 60s, latest)));
    io.run();
  }
};

TEST_CASE("reads that never rest don't starve a renewal, and the promise holds") {
  Fixture fixture({.budget = {.requests_per_minute = 60, .burst = 5}});
  fixture.http->answer(kRenewLease, 200, R"({"lease_id":"l/1","lease_duration":60})");
  for (int i = 0; i < 30; ++i) {
    const std::string path = "kv/s" + std::to_string(i);
    fixture.http->answer("GET /v1/" + path, 200, kFine);
    fixture.group.spawn(Fixture::poll(fixture, path));
  }
  fixture.io.run();
  for (int i = 1; i <= 10; ++i) {
    fixture.renew();
    fixture.io.advance(2s);
    CHECK(fixture.http->count(kRenewLease) == i);  // at the next unit, before all reads
  }
  CHECK(fixture.http->asked.size() <= 5 + 20);
  CHECK(fixture.http->asked.size() >= 20);
  CHECK(fixture.log.lines("budget exhausted") == 1);
  CHECK(fixture.session->stats().sent[0] == 10);
}

TEST_CASE("the proxy and the secrets take turns") {
  Fixture fixture({.budget = {.requests_per_minute = 60, .burst = 1}});
  for (int i = 0; i < 3; ++i) {
    fixture.read("kv/secret");
    fixture.group.spawn([](Fixture& f) -> asio::awaitable<void> {
      (void)co_await f.session->send({.method = "GET", .target = "/v1/kv/proxy"}, Traffic::proxy);
    }(fixture));
  }
  fixture.io.run();
  fixture.io.advance(10s);
  std::string order;
  for (const auto& asked : fixture.http->asked) order += asked.route.ends_with("proxy") ? 'p' : 's';
  CHECK(order == "spspsp");
}

TEST_CASE("a 429 and the server's own 503 close for all; a gateway's answer does not") {
  struct Row {
    int status;
    std::string body;
    bool closes;
  };
  const Row rows[] = {{429, R"({"errors":["rate limit"]})", true},
                      {429, "", true},
                      {503, R"({"errors":["Vault is sealed"]})", true},
                      {503, "", true},
                      {473, R"({"errors":[]})", true},
                      {503, "<html>maintenance</html>", false},
                      {503, R"({"message":"no healthy upstream"})", false},
                      {502, "<html>bad gateway</html>", false},
                      {500, R"({"errors":["internal error"]})", false},
                      {404, R"({"errors":[]})", false}};
  for (const Row& row : rows) {
    CAPTURE(row.status);
    CAPTURE(row.body);
    Fixture fixture;
    fixture.http->answer("GET /v1/kv/a", row.status, row.body, 20s);
    fixture.http->answer("GET /v1/kv/b", 200, kFine);
    fixture.read("kv/a");
    const Duration pause = row.status == 429 ? 21s : 20s;  // a rate limit's is rounded down
    CHECK(fixture.ended[0]->retry_after == pause);
    fixture.read("kv/b");
    CHECK((fixture.http->count("GET /v1/kv/b") == 0) == row.closes);
    CHECK(fixture.log.lines("asked for a pause (Retry-After)") == (row.closes ? 1 : 0));
    CHECK(fixture.log.lines("budget") == 0);
    fixture.io.advance(pause);
    CHECK(fixture.http->count("GET /v1/kv/b") == 1);
  }
}

TEST_CASE("a Retry-After is obeyed up to the largest back-off") {
  Fixture fixture({.max_retry_after = 10s});
  fixture.http->answer("GET /v1/kv/a", 429, "", 24h);
  fixture.read("kv/a");
  CHECK(fixture.ended[0]->retry_after == 10s);
  fixture.read("kv/b");
  fixture.io.advance(9s);
  CHECK(fixture.http->count("GET /v1/kv/b") == 0);
  fixture.io.advance(1s);
  CHECK(fixture.http->count("GET /v1/kv/b") == 1);
}

TEST_CASE("a pause that the server asked for ends for a new token, and when somebody asks") {
  for (const bool token : {true, false}) {
    Fixture fixture;
    fixture.http->answer("GET /v1/kv/a", 429, "", 30s);
    fixture.read("kv/a");
    fixture.read("kv/b");
    CHECK(fixture.http->count("GET /v1/kv/b") == 0);
    if (token) {
      fixture.session->set_token(std::make_shared<const Secret>("hvs.2"));
    } else {
      fixture.session->reopen();
    }
    fixture.io.run();
    CHECK(fixture.http->count("GET /v1/kv/b") == 1);
  }
}

TEST_CASE("no pause goes beyond the last moment of what a request keeps alive") {
  Fixture fixture;
  fixture.http->answer("GET /v1/kv/a", 429, "", 60s);
  fixture.http->answer(kRenewLease, 200, R"({"lease_id":"l/1","lease_duration":60})");
  fixture.read("kv/a");
  fixture.renew();  // that has time
  fixture.renew(Clock::now() + 8s);
  fixture.io.advance(7s);
  CHECK(fixture.http->count(kRenewLease) == 0);
  fixture.io.advance(1s);
  CHECK(fixture.http->count(kRenewLease) == 1);
  fixture.io.advance(53s);
  CHECK(fixture.http->count(kRenewLease) == 2);
}

TEST_CASE("whoever is cancelled while it waits leaves its place to the others") {
  Fixture fixture({.budget = {.requests_per_minute = 60, .burst = 1}});
  fixture.read("kv/a");
  TaskGroup leaving(fixture.io.context.get_executor());
  leaving.spawn(Fixture::keep(fixture, fixture.client->read("kv/gone")));
  fixture.io.run();
  fixture.read("kv/b");
  leaving.cancel();
  fixture.io.run();
  CHECK(leaving.live() == 0);
  fixture.io.advance(1s);
  CHECK(fixture.http->count("GET /v1/kv/b") == 1);
  CHECK(fixture.http->count("GET /v1/kv/gone") == 0);
}

TEST_CASE("a mount that many ask for at the same time costs one unit") {
  Fixture fixture({.budget = {.requests_per_minute = 60, .burst = 5}});
  const auto route = "GET /v1/sys/internal/ui/mounts/kv/a";
  fixture.http->answer(route, 200, R"({"data":{"path":"kv/","type":"kv"}})");
  fixture.http->delay(route, 500ms);
  std::vector<std::string> types;
  for (int i = 0; i < 20; ++i) {
    fixture.group.spawn([](Fixture& f, std::vector<std::string>& out) -> asio::awaitable<void> {
      const auto mount = co_await f.client->mount_of("kv/a");
      out.push_back(mount ? mount->type : mount.error().text);
    }(fixture, types));
  }
  fixture.io.run();
  fixture.io.advance(500ms);
  CHECK(types == std::vector<std::string>(20, "kv"));
  for (int i = 0; i < 4; ++i) fixture.read("kv/x");
  CHECK(fixture.http->count("GET /v1/kv/x") == 4);
}

TEST_CASE("a lifetime counts from when the request went out") {
  Fixture fixture;
  fixture.http->answer(kRenewLease, 200, R"({"lease_id":"l/1","lease_duration":60})");
  fixture.http->delay(kRenewLease, 6s);
  const Instant sent = Clock::now();
  std::optional<result<Lease>> lease;
  fixture.group.spawn([](Fixture& f, std::optional<result<Lease>>& out) -> asio::awaitable<void> {
    out = co_await f.client->renew_lease("l/1", 60s);
  }(fixture, lease));
  fixture.io.run();
  fixture.io.advance(6s);
  REQUIRE(lease);
  CHECK(lease->value().asked == sent);
}

}  // namespace
}  // namespace keybearer::vault
