#include "http/server.hpp"
#include "base/timer.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/local/stream_protocol.hpp>

#include "server_fixture.hpp"
#include "support/log_file.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using http::Server;
using http::ServerOptions;
using http::ServerRequest;
using http::ServerResponse;
using test::any_port;
using test::Loop;

namespace {

// Says what came; waits for a minute at /slow, throws at /bug.
asio::awaitable<ServerResponse> echo(ServerRequest request) {
  if (request.target == "/bug") throw std::runtime_error("bug");
  if (request.target == "/slow") co_await sleep_for(50ms);
  const std::string text = request.method + " " + request.target + " " +
                           std::string(request.header("x-a")) + " " +
                           std::string(request.body.reveal());
  co_return ServerResponse{
      .content_type = "text/plain", .headers = {{"X-B", "b"}}, .body = Secret(text)};
}

struct Fixture : test::ServerFixture {
  explicit Fixture(ServerOptions options = {.address = any_port()},
                   http::Handler handler = http::whole_bodies(echo, 1000))
      : ServerFixture(std::move(options), std::move(handler)) {}
};

}  // namespace

TEST_CASE("a request is handed over whole and answered") {
  Fixture fixture;
  const std::string got = fixture.talk(
      "PUT /a?b=c HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nContent-Length: 5\r\nConnection: "
      "close\r\n\r\nhello");
  CHECK(got.starts_with("HTTP/1.1 200 OK\r\nDate: "));
  for (const char* line :
       {"X-B: b", "Connection: close", "Content-Type: text/plain", "Content-Length: 18"}) {
    CAPTURE(got);
    CHECK(got.find("\r\n" + std::string(line) + "\r\n") != std::string::npos);
  }
  CHECK(got.ends_with("PUT /a?b=c 1 hello"));
}

TEST_CASE("several requests go over one connection, also sent all at once") {
  Fixture fixture;
  const std::string one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string got =
      fixture.talk(one + "GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(got.find("GET /1") < got.find("GET /2"));
  CHECK(got.find("GET /2") != std::string::npos);
}

// Without a coroutine; `parts` of a body that lie ready.
http::Handler ready(std::string part, std::size_t count) {
  return [part = std::move(part), count](http::Exchange& exchange) {
    const std::vector<std::string_view> parts(count, part);
    const std::string_view line = "X-B: b\r\n";
    exchange.answer(200, {&line, 1}, parts);
    return asio::awaitable<void>();
  };
}

TEST_CASE("an answer that lies ready goes out at once, also to pipelined requests") {
  Fixture fixture({.address = any_port()}, ready("abc", 2));
  const std::string one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string got =
      fixture.talk(one + one + "HEAD /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  std::size_t answers = 0;
  for (auto at = got.find("HTTP/1.1 200 OK\r\nDate: "); at != got.npos;
       at = got.find("HTTP/1.1 200 OK\r\nDate: ", at + 1))
    ++answers;
  CHECK(answers == 3);
  CHECK(got.find("\r\nX-B: b\r\nContent-Length: 6\r\n\r\nabcabcHTTP/1.1 200") != std::string::npos);
  CHECK(got.ends_with("Connection: close\r\nContent-Length: 6\r\n\r\n"));
  CHECK(fixture.server.stats().responses[2] == 3);
}

TEST_CASE("what a slow client does not take at once goes out later") {
  const std::string part(4u << 20, 'x');
  Fixture fixture({.address = any_port()}, ready(part, 2));
  const std::string one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string got =
      fixture.talk(one + "GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(got.size() > 4 * part.size());
  CHECK(static_cast<std::size_t>(std::ranges::count(got, 'x')) == 4 * part.size());
}

TEST_CASE("a handler that throws before it waits is a bug, too") {
  Fixture fixture({.address = any_port()}, [](http::Exchange&) -> asio::awaitable<void> {
    throw std::runtime_error("bug");
  });
  CHECK(fixture.talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 500 "));
}

// By what its query names, before or after it has waited.
asio::awaitable<void> fail_later(std::string how) {
  co_await sleep_for(1ms);
  if (how == "/system") throw boost::system::system_error(asio::error::connection_reset);
  throw std::runtime_error("bug " + how);
}

TEST_CASE("each bug of a handler is answered 500 and logged with its reason") {
  const test::LogFile log;
  Fixture fixture({.address = any_port()}, [](http::Exchange& exchange) -> asio::awaitable<void> {
    if (exchange.head().target == "/now") throw std::runtime_error("bug /now");
    return fail_later(exchange.head().target);
  });
  for (const std::string how : {"/now", "/later", "/system"}) {
    CHECK(fixture.talk("GET " + how + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
              .starts_with("HTTP/1.1 500 "));
  }
  CHECK(log.lines("a request could not be answered") == 3);
  CHECK(log.lines("bug /now") == 1);
  CHECK(log.lines("bug /later") == 1);
}

TEST_CASE("a HEAD is answered without a body") {
  Fixture fixture;
  CHECK(fixture.talk("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .ends_with("\r\n\r\n"));
}

TEST_CASE("what is over a limit or no HTTP is refused and the connection closed") {
  Fixture fixture({.address = any_port(), .limits = {.head = {.bytes = 1000}}});
  CHECK(fixture.talk("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(fixture.talk("GET / HTTP/1.1\r\nX: " + std::string(2000, 'x') + "\r\n\r\n")
            .starts_with("HTTP/1.1 431 "));
  CHECK(fixture.talk("PUT / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x'))
            .starts_with("HTTP/1.1 413 "));
  CHECK(fixture
            .talk("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
                  std::string(1001, 'x') + "\r\n0\r\n\r\n")
            .starts_with("HTTP/1.1 413 "));
}

TEST_CASE("a client that stays silent is dropped, one that is slow is told so") {
  Fixture fixture(
      {.address = any_port(),
       .limits = {.header_timeout = 20ms, .idle_timeout = 20ms, .progress_timeout = 20ms}});
  CHECK(fixture.talk("").empty());
  CHECK(fixture.talk("GET / HT").starts_with("HTTP/1.1 408 "));
  CHECK(fixture.talk("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
            .starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a bug in a handler is a 500 and the server goes on") {
  Fixture fixture;
  CHECK(fixture.talk("GET /bug HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 500 "));
  CHECK(fixture.talk("GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 200 "));
}

TEST_CASE("stop answers what is in progress and closes what is idle") {
  Fixture fixture;
  std::string slow, idle = "open";
  const auto keep = [](std::string& where) {
    return [&where](std::exception_ptr, std::string got) { where = std::move(got); };
  };
  asio::co_spawn(fixture.loop.context,
                 fixture.exchange("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", "never"), keep(slow));
  asio::co_spawn(fixture.loop.context, fixture.exchange("", "never"), keep(idle));
  fixture.talk(
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");  // both are accepted by now
  fixture.server.stop();
  while ((slow.empty() || !fixture.ended) && fixture.loop.context.run_one_for(5s) != 0) {
  }
  CHECK(slow.starts_with("HTTP/1.1 200 "));
  CHECK(slow.find("Connection: close") != std::string::npos);
  CHECK(idle.empty());
}

TEST_CASE("over the limit the idle give way, and where all are busy the new one is told so") {
  Fixture fixture({.address = any_port(), .limits = {.max_connections = 1}});
  std::string idle = "open", slow;
  const auto keep = [](std::string& where) {
    return [&where](std::exception_ptr, std::string got) { where = std::move(got); };
  };
  asio::co_spawn(fixture.loop.context, fixture.exchange("GET / HTT", "never"), keep(idle));
  while (fixture.server.stats().open == 0) fixture.loop.context.run_one_for(5s);
  CHECK(fixture.talk("GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 200 "));
  CHECK(fixture.server.stats().connections_evicted == 1);
  asio::co_spawn(
      fixture.loop.context,
      fixture.exchange("GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "never"),
      keep(slow));
  while (fixture.server.stats().requests < 2) fixture.loop.context.run_one_for(5s);
  const std::string refused = fixture.talk("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(refused.starts_with("HTTP/1.1 503 "));
  CHECK(refused.find("X-Keybearer-Error: limit") != std::string::npos);
  while (slow.empty()) fixture.loop.context.run_one_for(5s);
  CHECK(slow.starts_with("HTTP/1.1 200 "));
}

TEST_CASE("only loopback is listened on, and a port in use is said so") {
  Loop loop;
  for (const char* text :
       {"http://0.0.0.0:1", "http://10.0.0.1:1", "http://[::]:1", "https://127.0.0.1:1"}) {
    Server server(loop.context.get_executor(), {.address = *http::parse_url(text)},
                  http::whole_bodies(echo));
    const auto listening = server.listen();
    REQUIRE_FALSE(listening);
    CHECK(listening.error().kind == ErrorKind::config);
  }
  Fixture fixture;
  Server second(loop.context.get_executor(), {.address = fixture.server.address()},
                http::whole_bodies(echo));
  const auto listening = second.listen();
  REQUIRE_FALSE(listening);
  CHECK(listening.error().text.find("in use") != std::string::npos);
}

TEST_CASE("a unix socket is ours alone, replaces a stale one and goes with the server") {
  std::string directory = "/tmp/kb-http-XXXXXX";
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  const std::string path = directory + "/s";
  {
    asio::io_context context;
    asio::local::stream_protocol::acceptor stale(context,
                                                 asio::local::stream_protocol::endpoint(path));
  }
  {
    Fixture fixture({.address = *http::parse_url("unix://" + path)});
    struct stat info{};
    REQUIRE(stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    http::ClientOptions options;
    options.addresses = {fixture.server.address()};
    const auto client = http::make_client(fixture.loop.context.get_executor(), options);
    const auto response = fixture.loop.run(client->send({.method = "GET", .target = "/x"}));
    REQUIRE(response);
    CHECK(response->body.reveal() == "GET /x  ");
    Loop other;
    Server second(other.context.get_executor(), {.address = *http::parse_url("unix://" + path)},
                  http::whole_bodies(echo));
    CHECK_FALSE(second.listen());
  }
  struct stat info{};
  CHECK(stat(path.c_str(), &info) != 0);
  rmdir(directory.c_str());
}
