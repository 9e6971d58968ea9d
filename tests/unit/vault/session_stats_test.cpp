// What a session counts, and what it says of the server.

#include <doctest/doctest.h>

#include "http/stream_client.hpp"
#include "session_fixture.hpp"
#include "vault/client.hpp"

namespace keybearer::vault {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

struct Fixture : SessionFixture {
  static asio::awaitable<void> send_one(Fixture& f, std::string path) {
    (void)co_await f.session->send({.method = "GET", .target = std::move(path)}, Traffic::secrets,
                                   Instant::max(), Instant::max());
  }
  void send(const std::string& path) {
    io.start_task(send_one(*this, path));
    io.run();
  }
  static asio::awaitable<void> open_one(Fixture& f, http::StreamRequest request) {
    (void)co_await f.session->open(std::move(request), Traffic::proxy, Instant::max());
  }
  void open(http::StreamRequest request) {
    io.start_task(open_one(*this, std::move(request)));
    io.run();
  }
  [[nodiscard]] const SessionStats& stats() const { return session->stats(); }
};

struct OneTime final : http::BodySource {
  explicit OneTime(bool can) : can_rewind(can) {}
  bool can_rewind;
  asio::awaitable<result<std::string_view>> read() override { co_return std::string_view{}; }
  bool rewind() override { return can_rewind; }
};

TEST_CASE_FIXTURE(Fixture, "answers are counted by their kind, to the limit of each") {
  const int statuses[] = {200, 204, 307, 399, 400, 404, 499, 500, 503, 599};
  for (const int status : statuses) {
    const std::string path = "/" + std::to_string(status);
    http->answer("GET " + path, status, "{}");
    send(path);
  }
  CHECK(stats().answered == std::size(statuses));
  CHECK(stats().succeeded == 4);
  CHECK(stats().refused == 3);
  CHECK(stats().erred == 3);
  CHECK(stats().failed == 0);
  CHECK(stats().sent[static_cast<int>(Traffic::secrets)] == std::size(statuses));
}

TEST_CASE_FIXTURE(Fixture, "since when the server is reachable, and what was wrong last") {
  http->answer("GET /a", 200, "{}");
  http->fail("GET /b", ErrorKind::network, "gone");
  CHECK_FALSE(stats().reachable_since);
  CHECK_FALSE(stats().answered_at);
  send("/a");
  const Instant first = Clock::now();
  CHECK(stats().reachable_since == first);
  io.advance(5s);
  send("/a");
  CHECK(stats().reachable_since == first);
  CHECK(stats().answered_at == first + 5s);
  send("/b");
  CHECK(stats().failed == 1);
  CHECK(stats().error == "gone");
  CHECK_FALSE(stats().reachable_since);
  CHECK(stats().answered_at == first + 5s);
  io.advance(5s);
  send("/a");
  CHECK(stats().error.empty());
  CHECK(stats().reachable_since == first + 10s);
}

TEST_CASE_FIXTURE(Fixture, "trouble with a body that comes from a client is not the server's") {
  http->fail("PUT /b", ErrorKind::network, "gone");
  http->answer("PUT /a", 403, "{}");
  OneTime once(false), again(true);
  open({.method = "PUT", .target = "/b", .body = &once});
  CHECK(stats().failed == 1);
  CHECK(stats().error.empty());
  open({.method = "PUT", .target = "/b", .body = &again});
  CHECK(stats().error == "gone");
  open({.method = "PUT", .target = "/a"});
  CHECK(stats().error.empty());
  CHECK(stats().refused == 1);
  open({.method = "PUT", .target = "/b"});
  CHECK(stats().failed == 3);
  CHECK(stats().error == "gone");
}

TEST_CASE("what is named in a configuration counts for its budget") {
  config::Config config;
  config.vault.vault_namespace = "team";
  config.vault.retry.max_backoff = 7s;
  config.env.resize(1);
  config.env_from.resize(2);
  config.templates.resize(3);
  config.secrets.resize(4);
  const SessionOptions options = session_options(config);
  CHECK(options.secrets == 10);
  CHECK(options.vault_namespace == "team");
  CHECK(options.max_retry_after == 7s);
}

}  // namespace
}  // namespace keybearer::vault
