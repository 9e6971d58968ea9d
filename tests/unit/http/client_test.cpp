#include "http/client.hpp"
#include "base/timer.hpp"

#include <doctest/doctest.h>

#include <boost/asio/bind_cancellation_slot.hpp>

#include "http/server.hpp"
#include "script_server.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using http::ClientOptions;
using http::Request;
using http::Response;
namespace asio = boost::asio;
using test::Loop;
using test::ScriptServer;

namespace {

Request get(std::string target) {
  return {.method = "GET", .target = std::move(target)};
}

// "200 body", or the error's text.
std::string told(const result<Response>& response) {
  if (!response) return response.error().text;
  return std::to_string(response->status) + " " + std::string(response->body.reveal());
}

struct Fixture {
  Loop loop;
  ScriptServer server{loop};
  std::unique_ptr<http::Client> client;

  explicit Fixture(void (*change)(ClientOptions&) = [](ClientOptions&) {}) {
    ClientOptions options;
    options.addresses = {server.url()};
    change(options);
    client = http::make_client(loop.context.get_executor(), std::move(options));
  }
  result<Response> send(Request request) { return loop.run(client->send(std::move(request))); }
  std::string ask(std::string target) { return told(send(get(std::move(target)))); }
};

// A port that nothing listens on.
std::string closed_address(Loop& loop) {
  asio::ip::tcp::acceptor acceptor(loop.context, {asio::ip::address_v4::loopback(), 0});
  return "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
}

}  // namespace

TEST_CASE("a request is written as HTTP/1.1 wants it, the token in its header") {
  Fixture fixture([](ClientOptions& o) { o.headers = {{"X-Vault-Namespace", "team"}}; });
  fixture.server.answer(200, "{}");
  Request request{.method = "POST", .target = "/v1/x", .headers = {{"X-Vault-Wrap-TTL", "60s"}}};
  request.token = std::make_shared<Secret>("t0ken");
  request.body = Secret(R"({"a":1})");
  CHECK(told(fixture.send(std::move(request))) == "200 {}");
  const std::string authority = fixture.server.address().substr(7);
  CHECK(fixture.server.requests.at(0) ==
        "POST /v1/x HTTP/1.1\r\nHost: " + authority +
            "\r\nUser-Agent: keybearer/" KEYBEARER_VERSION
            "\r\nAccept: application/json\r\nX-Vault-Namespace: team\r\nX-Vault-Wrap-TTL: 60s\r\n"
            "X-Vault-Token: t0ken\r\nContent-Type: application/json\r\nContent-Length: "
            "7\r\n\r\n{\"a\":1}");
}

TEST_CASE("a request may bring its own headers, secret ones too, and its content's type") {
  Fixture fixture;
  fixture.server.answer(200, "role");
  Request request{.method = "PUT", .target = "/latest", .headers = {{"Accept", "*/*"}}};
  request.secret_headers = {{"Authorization", std::make_shared<Secret>("canary")}};
  request.body = Secret("a=1");
  request.content_type = "application/x-www-form-urlencoded";
  CHECK(told(fixture.send(std::move(request))) == "200 role");
  const std::string authority = fixture.server.address().substr(7);
  CHECK(fixture.server.requests.at(0) ==
        "PUT /latest HTTP/1.1\r\nHost: " + authority +
            "\r\nUser-Agent: keybearer/" KEYBEARER_VERSION
            "\r\nAccept: */*\r\nAuthorization: canary\r\nContent-Type: "
            "application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=1");
}

TEST_CASE("a secret header with a line break in it is not sent") {
  Fixture fixture;
  Request request = get("/latest");
  request.secret_headers = {{"Authorization", std::make_shared<Secret>("a\r\nX: b")}};
  const auto answer = fixture.send(std::move(request));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::config);
  CHECK(fixture.server.requests.empty());
}

TEST_CASE("where redirects are not followed, they are answers as others") {
  Fixture fixture([](ClientOptions& o) { o.redirects = false; });
  fixture.server.answer(307, "", "Location: /elsewhere\r\n");
  CHECK(fixture.ask("/v1/x") == "307 ");
  CHECK(fixture.server.requests.size() == 1);
}

TEST_CASE("a prefix of the address comes before the path") {
  Fixture fixture;
  ClientOptions options;
  options.addresses = {*http::parse_url(fixture.server.address() + "/gateway")};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  fixture.server.answer(200, "a");
  CHECK(fixture.ask("/v1/x") == "200 a");
  CHECK(fixture.server.requests.at(0).starts_with("GET /gateway/v1/x HTTP/1.1\r\n"));
}

TEST_CASE("a connection is used again") {
  Fixture fixture;
  for (int i = 0; i < 5; ++i) fixture.server.answer(200, "a");
  for (int i = 0; i < 5; ++i) CHECK(fixture.ask("/") == "200 a");
  CHECK(fixture.server.connections == 1);
}

TEST_CASE("a connection that the server wants closed is not used again") {
  Fixture fixture;
  fixture.server.answer(200, "a", "Connection: close\r\n");
  fixture.server.answer(200, "b");
  CHECK(fixture.ask("/") == "200 a");
  CHECK(fixture.ask("/") == "200 b");
  CHECK(fixture.server.connections == 2);
}

TEST_CASE("a kept connection that the server closed is replaced without an error") {
  Fixture fixture;
  fixture.server.scripts.push_back({"HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\na", true});
  fixture.server.answer(200, "b");
  CHECK(fixture.ask("/") == "200 a");
  CHECK(fixture.ask("/") == "200 b");
}

TEST_CASE("a kept connection that is closed at the next request is retried once, on a new one") {
  Fixture fixture;
  fixture.server.answer(200, "a");
  CHECK(fixture.ask("/") == "200 a");
  // no script: the request is read and the connection closed, again and again
  CHECK(fixture.ask("/").find("the server closed the connection") != std::string::npos);
  CHECK(fixture.server.requests.size() == 3);
  CHECK(fixture.server.connections == 2);
}

TEST_CASE("a new connection that is closed without an answer is not tried again") {
  Fixture fixture;
  CHECK(fixture.ask("/") == fixture.server.address() + ": the server closed the connection");
  CHECK(fixture.server.requests.size() == 1);
}

TEST_CASE("an answer that is cut off is not retried and not taken for whole") {
  Fixture fixture;
  fixture.server.scripts.push_back({"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabc", true});
  const auto response = fixture.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::network);
  CHECK(told(response).ends_with("connection lost in the middle of the answer"));
  CHECK(fixture.server.requests.size() == 1);
}

TEST_CASE("more than the allowed size is a bad reply") {
  Fixture fixture([](ClientOptions& o) { o.max_response_size = 4096; });
  fixture.server.answer(200, std::string(4097, 'x'));
  const auto response = fixture.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::bad_reply);
  CHECK(told(response).find("response larger than 4096 bytes") != std::string::npos);
}

TEST_CASE("what is no HTTP is a bad reply") {
  Fixture fixture;
  fixture.server.scripts.push_back({"220 smtp.example ESMTP\r\n", false});
  const auto response = fixture.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::bad_reply);
}

TEST_CASE("a server that does not answer is a timeout that names the phase and the limit") {
  Fixture fixture([](ClientOptions& o) { o.timeout = 30ms; });
  fixture.server.scripts.push_back({""});
  const auto response = fixture.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::timeout);
  CHECK(told(response) ==
        fixture.server.address() + ": no answer within 30 ms (waiting for the answer)");
}

TEST_CASE("a request's own timeout only shortens the client's") {
  Fixture fixture([](ClientOptions& o) { o.timeout = 30ms; });
  fixture.server.scripts.push_back({"HTTP/1.1 200 X\r\nContent-Le"});
  fixture.server.scripts.push_back({""});
  CHECK(told(fixture.send({.method = "GET", .target = "/", .timeout = 1h})).find("30 ms") !=
        std::string::npos);
  CHECK(told(fixture.send({.method = "GET", .target = "/", .timeout = 10ms})).find("10 ms") !=
        std::string::npos);
}

TEST_CASE("nobody listening is a plain refusal") {
  Fixture fixture;
  const std::string address = closed_address(fixture.loop);
  ClientOptions options;
  options.addresses = {*http::parse_url(address)};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  CHECK(fixture.ask("/") == address + ": connection refused");
}

TEST_CASE("a name that does not exist is said so") {
  Fixture fixture;
  ClientOptions options;
  options.addresses = {*http::parse_url("http://no-such-host.invalid:8200")};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  const auto response = fixture.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::network);
  CHECK(told(response).starts_with("http://no-such-host.invalid:8200: "));
}

TEST_CASE("the next address is asked when one is down, and stays the first choice") {
  Fixture fixture;
  const std::string dead = closed_address(fixture.loop);
  ClientOptions options;
  options.addresses = {*http::parse_url(dead), fixture.server.url()};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  fixture.server.answer(200, "a");
  CHECK(fixture.client->address().text() == dead);
  CHECK(fixture.ask("/") == "200 a");
  CHECK(fixture.client->address() == fixture.server.url());
}

TEST_CASE("when all addresses are down, each is named with its reason") {
  Fixture fixture;
  const std::string one = closed_address(fixture.loop), other = closed_address(fixture.loop);
  ClientOptions options;
  options.addresses = {*http::parse_url(one), *http::parse_url(other)};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  CHECK(fixture.ask("/") == one + ": connection refused; " + other + ": connection refused");
}

TEST_CASE("when no address of a host takes the connection, each is named with its reason") {
  Fixture fixture;
  const std::string port = closed_address(fixture.loop).substr(sizeof "http://127.0.0.1:" - 1);
  ClientOptions options;
  options.addresses = {*http::parse_url("http://localhost:" + port)};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  const std::string said = fixture.ask("/");
  CHECK(said.starts_with("http://localhost:" + port + ": 127.0.0.1: connection refused; ::1: "));
}

TEST_CASE("a sealed server's answer comes back after a round over all addresses") {
  Fixture fixture;
  ScriptServer second(fixture.loop);
  ClientOptions options;
  options.addresses = {fixture.server.url(), second.url()};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  fixture.server.answer(503, "sealed");
  second.answer(503, "sealed too");
  CHECK(fixture.ask("/").starts_with("503 sealed"));
  CHECK(second.requests.size() == 1);
  fixture.server.answer(503, "sealed");
  second.answer(200, "b");
  CHECK(fixture.ask("/") == "200 b");
  // an answer that is no outage is final
  second.answer(403, "no");
  CHECK(fixture.ask("/") == "403 no");
  CHECK(fixture.server.requests.size() == 2);
}

TEST_CASE("the token does not follow a redirect to a stranger") {
  Fixture fixture;
  ScriptServer thief(fixture.loop);
  fixture.server.answer(307, "", "Location: " + thief.address() + "/v1/x\r\n");
  Request request = get("/v1/x");
  request.token = std::make_shared<Secret>("t0ken");
  const auto response = fixture.send(std::move(request));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::bad_reply);
  CHECK(thief.connections == 0);
}

TEST_CASE("a redirect within the server is followed once, without a second prefix") {
  Fixture fixture;
  ClientOptions options;
  options.addresses = {*http::parse_url(fixture.server.address() + "/gw")};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  fixture.server.answer(307, "", "Location: /gw/v1/y\r\n");
  fixture.server.answer(200, "a");
  CHECK(fixture.ask("/v1/x") == "200 a");
  CHECK(fixture.server.requests.at(1).starts_with("GET /gw/v1/y "));
  fixture.server.answer(307, "", "Location: /gw/v1/y\r\n");
  fixture.server.answer(307, "", "Location: /gw/v1/y\r\n");
  CHECK(fixture.ask("/v1/x").find("redirected twice") != std::string::npos);
}

TEST_CASE("a line break can't be smuggled into a request") {
  Fixture fixture;
  Request header = get("/");
  header.headers = {{"X", "a\r\nY: b"}};
  const auto refused = fixture.send(std::move(header)).error();
  CHECK(refused.kind == ErrorKind::config);
  CHECK(refused.text.contains("header X has a line break"));
  CHECK(fixture.send(get("/a b")).error().text.contains("the path has a line break or blank"));
  Request token = get("/");
  token.token = std::make_shared<Secret>("a\nb");
  CHECK(fixture.send(std::move(token)).error().text.contains("the token has a line break"));
  CHECK(fixture.server.connections == 0);
}

TEST_CASE("no more connections than allowed, and who waits is served in order") {
  Fixture fixture([](ClientOptions& o) { o.max_connections = 2; });
  for (int i = 0; i < 6; ++i) fixture.server.answer(200, "a");
  int done = 0;
  std::vector<int> order;
  for (int i = 0; i < 6; ++i) {
    asio::co_spawn(fixture.loop.context, fixture.client->send(get("/" + std::to_string(i))),
                   [&, i](std::exception_ptr, result<Response> response) {
                     CHECK(told(response) == "200 a");
                     order.push_back(i);
                     ++done;
                   });
  }
  while (done < 6 && fixture.loop.context.run_one_for(5s) != 0) {
  }
  CHECK(done == 6);
  CHECK(fixture.server.connections == 2);
  REQUIRE(fixture.server.requests.size() == 6);
  for (std::size_t i = 2; i < 6; ++i) {
    CHECK(fixture.server.requests[i].starts_with("GET /" + std::to_string(i) + " "));
  }
}

TEST_CASE("waiting for a free connection counts towards the timeout") {
  Fixture fixture([](ClientOptions& o) {
    o.timeout = 40ms;
    o.max_connections = 1;
  });
  fixture.server.scripts.push_back({""});  // the first hangs
  std::vector<std::string> said;
  for (int i = 0; i < 2; ++i) {
    asio::co_spawn(
        fixture.loop.context,
        fixture.client->send({.method = "GET", .target = "/", .timeout = i == 0 ? 60ms : 20ms}),
        [&](std::exception_ptr, result<Response> response) { said.push_back(told(response)); });
  }
  while (said.size() < 2 && fixture.loop.context.run_one_for(5s) != 0) {
  }
  std::ranges::sort(said);
  REQUIRE(said.size() == 2);
  CHECK(said[0].find("(all connections are in use)") != std::string::npos);
  CHECK(said[1].find("(waiting for the answer)") != std::string::npos);
}

TEST_CASE("a cancelled request ends as cancelled, not as a failure of the server") {
  Fixture fixture;
  fixture.server.scripts.push_back({""});
  asio::cancellation_signal signal;
  std::exception_ptr failure;
  bool done = false;
  asio::co_spawn(
      fixture.loop.context, fixture.client->send(get("/")),
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr f, result<Response>) {
        failure = f;
        done = true;
      }));
  while (fixture.server.requests.empty() && fixture.loop.context.run_one_for(5s) != 0) {
  }
  signal.emit(asio::cancellation_type::terminal);
  while (!done && fixture.loop.context.run_one_for(5s) != 0) {
  }
  REQUIRE(failure);
  CHECK_THROWS_AS(std::rethrow_exception(failure), boost::system::system_error);
  // and its place is free again
  fixture.server.answer(200, "a");
  CHECK(fixture.ask("/") == "200 a");
}

TEST_CASE("an unused connection is closed after a minute") {
  Fixture fixture;
  fixture.server.answer(200, "a");
  fixture.server.answer(200, "b");
  const Instant now = Clock::now();
  CHECK(fixture.ask("/") == "200 a");
  Clock::freeze(now + 2min);
  Timer earliest(fixture.loop.context, Instant{});  // makes the loop look at all timers again
  earliest.async_wait([](const boost::system::error_code&) {});
  while (fixture.loop.context.poll() != 0) {
  }
  Clock::thaw();
  CHECK(fixture.ask("/") == "200 b");
  CHECK(fixture.server.connections == 2);
}
