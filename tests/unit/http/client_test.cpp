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

struct House {
  Loop loop;
  ScriptServer server{loop};
  std::unique_ptr<http::Client> client;

  explicit House(void (*change)(ClientOptions&) = [](ClientOptions&) {}) {
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
  House house([](ClientOptions& o) { o.headers = {{"X-Vault-Namespace", "team"}}; });
  house.server.answer(200, "{}");
  Request request{.method = "POST", .target = "/v1/x", .headers = {{"X-Vault-Wrap-TTL", "60s"}}};
  request.token = std::make_shared<Secret>("t0ken");
  request.body = Secret(R"({"a":1})");
  CHECK(told(house.send(std::move(request))) == "200 {}");
  const std::string authority = house.server.address().substr(7);
  CHECK(house.server.requests.at(0) ==
        "POST /v1/x HTTP/1.1\r\nHost: " + authority +
            "\r\nUser-Agent: keybearer/" KEYBEARER_VERSION
            "\r\nAccept: application/json\r\nX-Vault-Namespace: team\r\nX-Vault-Wrap-TTL: 60s\r\n"
            "X-Vault-Token: t0ken\r\nContent-Type: application/json\r\nContent-Length: "
            "7\r\n\r\n{\"a\":1}");
}

TEST_CASE("a request may bring its own headers, secret ones too, and its content's type") {
  House house;
  house.server.answer(200, "role");
  Request request{.method = "PUT", .target = "/latest", .headers = {{"Accept", "*/*"}}};
  request.secret_headers = {{"Authorization", std::make_shared<Secret>("canary")}};
  request.body = Secret("a=1");
  request.content_type = "application/x-www-form-urlencoded";
  CHECK(told(house.send(std::move(request))) == "200 role");
  const std::string authority = house.server.address().substr(7);
  CHECK(house.server.requests.at(0) ==
        "PUT /latest HTTP/1.1\r\nHost: " + authority +
            "\r\nUser-Agent: keybearer/" KEYBEARER_VERSION
            "\r\nAccept: */*\r\nAuthorization: canary\r\nContent-Type: "
            "application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=1");
}

TEST_CASE("a secret header with a line break in it is not sent") {
  House house;
  Request request = get("/latest");
  request.secret_headers = {{"Authorization", std::make_shared<Secret>("a\r\nX: b")}};
  const auto answer = house.send(std::move(request));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::config);
  CHECK(house.server.requests.empty());
}

TEST_CASE("where redirects are not followed, they are answers as others") {
  House house([](ClientOptions& o) { o.redirects = false; });
  house.server.answer(307, "", "Location: /elsewhere\r\n");
  CHECK(house.ask("/v1/x") == "307 ");
  CHECK(house.server.requests.size() == 1);
}

TEST_CASE("a prefix of the address comes before the path") {
  House house;
  ClientOptions options;
  options.addresses = {*http::parse_url(house.server.address() + "/gateway")};
  house.client = http::make_client(house.loop.context.get_executor(), options);
  house.server.answer(200, "a");
  CHECK(house.ask("/v1/x") == "200 a");
  CHECK(house.server.requests.at(0).starts_with("GET /gateway/v1/x HTTP/1.1\r\n"));
}

TEST_CASE("a connection is used again") {
  House house;
  for (int i = 0; i < 5; ++i) house.server.answer(200, "a");
  for (int i = 0; i < 5; ++i) CHECK(house.ask("/") == "200 a");
  CHECK(house.server.connections == 1);
}

TEST_CASE("a connection that the server wants closed is not used again") {
  House house;
  house.server.answer(200, "a", "Connection: close\r\n");
  house.server.answer(200, "b");
  CHECK(house.ask("/") == "200 a");
  CHECK(house.ask("/") == "200 b");
  CHECK(house.server.connections == 2);
}

TEST_CASE("a kept connection that the server closed is replaced without an error") {
  House house;
  house.server.scripts.push_back({"HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\na", true});
  house.server.answer(200, "b");
  CHECK(house.ask("/") == "200 a");
  CHECK(house.ask("/") == "200 b");
}

TEST_CASE("a kept connection that is closed at the next request is retried once, on a new one") {
  House house;
  house.server.answer(200, "a");
  CHECK(house.ask("/") == "200 a");
  // no script: the request is read and the connection closed, again and again
  CHECK(house.ask("/").find("the server closed the connection") != std::string::npos);
  CHECK(house.server.requests.size() == 3);
  CHECK(house.server.connections == 2);
}

TEST_CASE("a new connection that is closed without an answer is not tried again") {
  House house;
  CHECK(house.ask("/") == house.server.address() + ": the server closed the connection");
  CHECK(house.server.requests.size() == 1);
}

TEST_CASE("an answer that is cut off is not retried and not taken for whole") {
  House house;
  house.server.scripts.push_back({"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabc", true});
  const auto response = house.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::network);
  CHECK(told(response).ends_with("connection lost in the middle of the answer"));
  CHECK(house.server.requests.size() == 1);
}

TEST_CASE("more than the allowed size is a bad reply") {
  House house([](ClientOptions& o) { o.max_response_size = 4096; });
  house.server.answer(200, std::string(4097, 'x'));
  const auto response = house.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::bad_reply);
  CHECK(told(response).find("response larger than 4096 bytes") != std::string::npos);
}

TEST_CASE("what is no HTTP is a bad reply") {
  House house;
  house.server.scripts.push_back({"220 smtp.example ESMTP\r\n", false});
  const auto response = house.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::bad_reply);
}

TEST_CASE("a server that does not answer is a timeout that names the phase and the limit") {
  House house([](ClientOptions& o) { o.timeout = 30ms; });
  house.server.scripts.push_back({""});
  const auto response = house.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::timeout);
  CHECK(told(response) ==
        house.server.address() + ": no answer within 30 ms (waiting for the answer)");
}

TEST_CASE("a request's own timeout only shortens the client's") {
  House house([](ClientOptions& o) { o.timeout = 30ms; });
  house.server.scripts.push_back({"HTTP/1.1 200 X\r\nContent-Le"});
  house.server.scripts.push_back({""});
  CHECK(told(house.send({.method = "GET", .target = "/", .timeout = 1h})).find("30 ms") !=
        std::string::npos);
  CHECK(told(house.send({.method = "GET", .target = "/", .timeout = 10ms})).find("10 ms") !=
        std::string::npos);
}

TEST_CASE("nobody listening is a plain refusal") {
  House house;
  const std::string address = closed_address(house.loop);
  ClientOptions options;
  options.addresses = {*http::parse_url(address)};
  house.client = http::make_client(house.loop.context.get_executor(), options);
  CHECK(house.ask("/") == address + ": connection refused");
}

TEST_CASE("a name that does not exist is said so") {
  House house;
  ClientOptions options;
  options.addresses = {*http::parse_url("http://no-such-host.invalid:8200")};
  house.client = http::make_client(house.loop.context.get_executor(), options);
  const auto response = house.send(get("/"));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::network);
  CHECK(told(response).starts_with("http://no-such-host.invalid:8200: "));
}

TEST_CASE("the next address is asked when one is down, and stays the first choice") {
  House house;
  const std::string dead = closed_address(house.loop);
  ClientOptions options;
  options.addresses = {*http::parse_url(dead), house.server.url()};
  house.client = http::make_client(house.loop.context.get_executor(), options);
  house.server.answer(200, "a");
  CHECK(house.client->address().text() == dead);
  CHECK(house.ask("/") == "200 a");
  CHECK(house.client->address() == house.server.url());
}

TEST_CASE("when all addresses are down, each is named with its reason") {
  House house;
  const std::string one = closed_address(house.loop), other = closed_address(house.loop);
  ClientOptions options;
  options.addresses = {*http::parse_url(one), *http::parse_url(other)};
  house.client = http::make_client(house.loop.context.get_executor(), options);
  CHECK(house.ask("/") == one + ": connection refused; " + other + ": connection refused");
}

TEST_CASE("when no address of a host takes the connection, each is named with its reason") {
  House house;
  const std::string port = closed_address(house.loop).substr(sizeof "http://127.0.0.1:" - 1);
  ClientOptions options;
  options.addresses = {*http::parse_url("http://localhost:" + port)};
  house.client = http::make_client(house.loop.context.get_executor(), options);
  const std::string said = house.ask("/");
  CHECK(said.starts_with("http://localhost:" + port + ": 127.0.0.1: connection refused; ::1: "));
}

TEST_CASE("a sealed server's answer comes back after a round over all addresses") {
  House house;
  ScriptServer second(house.loop);
  ClientOptions options;
  options.addresses = {house.server.url(), second.url()};
  house.client = http::make_client(house.loop.context.get_executor(), options);
  house.server.answer(503, "sealed");
  second.answer(503, "sealed too");
  CHECK(house.ask("/").starts_with("503 sealed"));
  CHECK(second.requests.size() == 1);
  house.server.answer(503, "sealed");
  second.answer(200, "b");
  CHECK(house.ask("/") == "200 b");
  // an answer that is no outage is final
  second.answer(403, "no");
  CHECK(house.ask("/") == "403 no");
  CHECK(house.server.requests.size() == 2);
}

TEST_CASE("the token does not follow a redirect to a stranger") {
  House house;
  ScriptServer thief(house.loop);
  house.server.answer(307, "", "Location: " + thief.address() + "/v1/x\r\n");
  Request request = get("/v1/x");
  request.token = std::make_shared<Secret>("t0ken");
  const auto response = house.send(std::move(request));
  REQUIRE_FALSE(response);
  CHECK(response.error().kind == ErrorKind::bad_reply);
  CHECK(thief.connections == 0);
}

TEST_CASE("a redirect within the server is followed once, without a second prefix") {
  House house;
  ClientOptions options;
  options.addresses = {*http::parse_url(house.server.address() + "/gw")};
  house.client = http::make_client(house.loop.context.get_executor(), options);
  house.server.answer(307, "", "Location: /gw/v1/y\r\n");
  house.server.answer(200, "a");
  CHECK(house.ask("/v1/x") == "200 a");
  CHECK(house.server.requests.at(1).starts_with("GET /gw/v1/y "));
  house.server.answer(307, "", "Location: /gw/v1/y\r\n");
  house.server.answer(307, "", "Location: /gw/v1/y\r\n");
  CHECK(house.ask("/v1/x").find("redirected twice") != std::string::npos);
}

TEST_CASE("a line break can't be smuggled into a request") {
  House house;
  Request header = get("/");
  header.headers = {{"X", "a\r\nY: b"}};
  CHECK(house.send(std::move(header)).error().kind == ErrorKind::config);
  CHECK(house.send(get("/a b")).error().kind == ErrorKind::config);
  Request token = get("/");
  token.token = std::make_shared<Secret>("a\nb");
  CHECK(house.send(std::move(token)).error().kind == ErrorKind::config);
  CHECK(house.server.connections == 0);
}

TEST_CASE("no more connections than allowed, and who waits is served in order") {
  House house([](ClientOptions& o) { o.max_connections = 2; });
  for (int i = 0; i < 6; ++i) house.server.answer(200, "a");
  int done = 0;
  std::vector<int> order;
  for (int i = 0; i < 6; ++i) {
    asio::co_spawn(house.loop.context, house.client->send(get("/" + std::to_string(i))),
                   [&, i](std::exception_ptr, result<Response> response) {
                     CHECK(told(response) == "200 a");
                     order.push_back(i);
                     ++done;
                   });
  }
  while (done < 6 && house.loop.context.run_one_for(5s) != 0) {
  }
  CHECK(done == 6);
  CHECK(house.server.connections == 2);
  REQUIRE(house.server.requests.size() == 6);
  for (std::size_t i = 2; i < 6; ++i) {
    CHECK(house.server.requests[i].starts_with("GET /" + std::to_string(i) + " "));
  }
}

TEST_CASE("waiting for a free connection counts towards the timeout") {
  House house([](ClientOptions& o) {
    o.timeout = 40ms;
    o.max_connections = 1;
  });
  house.server.scripts.push_back({""});  // the first hangs
  std::vector<std::string> said;
  for (int i = 0; i < 2; ++i) {
    asio::co_spawn(
        house.loop.context,
        house.client->send({.method = "GET", .target = "/", .timeout = i == 0 ? 60ms : 20ms}),
        [&](std::exception_ptr, result<Response> response) { said.push_back(told(response)); });
  }
  while (said.size() < 2 && house.loop.context.run_one_for(5s) != 0) {
  }
  std::ranges::sort(said);
  REQUIRE(said.size() == 2);
  CHECK(said[0].find("(all connections are in use)") != std::string::npos);
  CHECK(said[1].find("(waiting for the answer)") != std::string::npos);
}

TEST_CASE("a cancelled request ends as cancelled, not as a failure of the server") {
  House house;
  house.server.scripts.push_back({""});
  asio::cancellation_signal signal;
  std::exception_ptr failure;
  bool done = false;
  asio::co_spawn(
      house.loop.context, house.client->send(get("/")),
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr f, result<Response>) {
        failure = f;
        done = true;
      }));
  while (house.server.requests.empty() && house.loop.context.run_one_for(5s) != 0) {
  }
  signal.emit(asio::cancellation_type::terminal);
  while (!done && house.loop.context.run_one_for(5s) != 0) {
  }
  REQUIRE(failure);
  CHECK_THROWS_AS(std::rethrow_exception(failure), boost::system::system_error);
  // and its place is free again
  house.server.answer(200, "a");
  CHECK(house.ask("/") == "200 a");
}

TEST_CASE("an unused connection is closed after a minute") {
  House house;
  house.server.answer(200, "a");
  house.server.answer(200, "b");
  const Instant now = Clock::now();
  CHECK(house.ask("/") == "200 a");
  Clock::freeze(now + 2min);
  Timer earliest(house.loop.context, Instant{});  // makes the loop look at all timers again
  earliest.async_wait([](const boost::system::error_code&) {});
  while (house.loop.context.poll() != 0) {
  }
  Clock::thaw();
  CHECK(house.ask("/") == "200 b");
  CHECK(house.server.connections == 2);
}
