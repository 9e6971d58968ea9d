// What is sent again by itself and what is not, which address gets how much time, and what the
// gate counts. Rules S1, S3, S5.

#include <doctest/doctest.h>

#include "base/timer.hpp"
#include "http/client.hpp"
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

struct CountingGate final : http::Gate {
  int entered = 0, given_back = 0;
  asio::awaitable<result<>> enter(Instant) override {
    ++entered;
    co_return result<>{};
  }
  void give_back() noexcept override { ++given_back; }
  [[nodiscard]] int counted() const { return entered - given_back; }
};

struct Fixture {
  Loop loop;
  ScriptServer first{loop}, second{loop};
  CountingGate gate;
  std::unique_ptr<http::Client> client;

  explicit Fixture(bool both = false, Duration timeout = 30s) {
    ClientOptions options;
    options.addresses = {first.url()};
    if (both) options.addresses.push_back(second.url());
    options.timeout = timeout;
    client = http::make_client(loop.context.get_executor(), std::move(options));
  }
  result<Response> send(Request request) {
    request.gate = &gate;
    return loop.run(client->send(std::move(request)));
  }
  result<Response> get() { return send({.method = "GET", .target = "/"}); }
  result<Response> put(bool repeatable = false) {
    return send({.method = "PUT", .target = "/", .body = Secret("{}"), .repeatable = repeatable});
  }
};

std::string closed_address(Loop& loop) {
  asio::ip::tcp::acceptor acceptor(loop.context, {asio::ip::address_v4::loopback(), 0});
  return "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
}

constexpr auto kNothing = "";
constexpr auto kHalf = "HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabc";
constexpr auto kGarbage = "SSH-2.0-OpenSSH\r\n\r\n";

}  // namespace

TEST_CASE("a write whose answer is lost goes out once, and the error says so") {
  for (const char* answer : {kNothing, kHalf, kGarbage}) {
    for (const bool kept : {false, true}) {
      CAPTURE(answer);
      CAPTURE(kept);
      Fixture fixture(true);
      if (kept) {
        fixture.first.answer(200, "a");
        REQUIRE(fixture.get());
      }
      fixture.first.scripts.push_back({answer, true});
      const auto lost = fixture.put();
      REQUIRE_FALSE(lost);
      CHECK(lost.error().reason == Reason::lost_answer);
      CHECK(is_outage(lost.error().kind));
      CHECK(lost.error().text.ends_with("it may have been carried out all the same"));
      CHECK(fixture.first.requests.size() == (kept ? 2 : 1));
      CHECK(fixture.second.requests.empty());
      CHECK(fixture.client->address() == fixture.second.url());  // the next one begins there
    }
  }
}

TEST_CASE("what can be repeated is: on a new connection, and at the next address") {
  for (const char* answer : {kNothing, kHalf, kGarbage}) {
    for (const bool get : {true, false}) {
      CAPTURE(answer);
      Fixture fixture(true);
      fixture.first.scripts.push_back({answer, true});
      fixture.second.answer(200, "b");
      const auto response = get ? fixture.get() : fixture.put(true);
      REQUIRE(response);
      CHECK(response->body.reveal() == "b");
      CHECK(fixture.gate.counted() == 2);
    }
  }
}

TEST_CASE("a write of which no byte went out is sent to the next address") {
  Fixture fixture;
  ClientOptions options;
  options.addresses = {*http::parse_url(closed_address(fixture.loop)), fixture.second.url()};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), options);
  fixture.second.answer(200, "b");
  CHECK(fixture.put());
  CHECK(fixture.second.requests.size() == 1);
}

TEST_CASE(
    "a write that a standby or sealed server refused goes to the next, a gateway's 503 does not") {
  struct Row {
    int status;
    std::string headers, body;
    bool next;
  };
  const Row rows[] = {{503, "Content-Type: application/json\r\n", R"({"errors":["sealed"]})", true},
                      {503, "", "", true},
                      {473, "", "", true},
                      {429, "", "", true},
                      {503, "Content-Type: text/html\r\n", "<html>", false},
                      {502, "Content-Type: text/html\r\n", "<html>", false}};
  for (const Row& row : rows) {
    CAPTURE(row.status);
    Fixture fixture(true);
    fixture.first.answer(row.status, row.body, row.headers);
    fixture.second.answer(200, "b");
    const auto response = fixture.put();
    REQUIRE(response);
    CHECK((response->status == 200) == row.next);
  }
}

TEST_CASE(
    "a server that is silent gets its share of the time, and the next request begins elsewhere") {
  Fixture fixture(true, 400ms);
  for (int i = 0; i < 3; ++i) fixture.first.scripts.push_back({kNothing});
  for (int i = 0; i < 3; ++i) fixture.second.answer(200, "b");
  const auto began = Clock::now();
  REQUIRE(fixture.get());
  CHECK(Clock::now() - began < 390ms);
  REQUIRE(fixture.get());
  CHECK(fixture.first.requests.size() == 1);
  CHECK(fixture.second.requests.size() == 2);
}

TEST_CASE("an address that is silent for writes is left as well") {
  Fixture fixture(true, 200ms);
  for (int i = 0; i < 3; ++i) fixture.first.scripts.push_back({kNothing});
  fixture.second.answer(200, "b");
  CHECK(fixture.put().error().reason == Reason::lost_answer);
  CHECK(fixture.put());
}

TEST_CASE("the gate counts what goes out, each time it does") {
  Fixture fixture(true);
  fixture.first.answer(307, "", "Location: " + fixture.second.address() + "/x\r\n");
  fixture.second.answer(200, "b");
  REQUIRE(fixture.get());
  CHECK(fixture.gate.counted() == 2);
  CHECK(fixture.client->address() == fixture.second.url());

  Fixture kept;  // closed at the next request, and again
  kept.first.answer(200, "a");
  REQUIRE(kept.get());
  CHECK_FALSE(kept.get());
  CHECK(kept.gate.counted() == 3);

  Fixture nowhere;
  ClientOptions options;
  options.addresses = {*http::parse_url("http://no-such-host.invalid:8200")};
  nowhere.client = http::make_client(nowhere.loop.context.get_executor(), options);
  CHECK(nowhere.get().error().reason == Reason::no_such_host);
  CHECK(nowhere.gate.entered == 1);
  CHECK(nowhere.gate.counted() == 0);
}

TEST_CASE("a write takes a kept connection only when it has just been used") {
  Fixture fixture;
  for (int i = 0; i < 3; ++i) fixture.first.answer(200, "a");
  REQUIRE(fixture.get());
  REQUIRE(fixture.put());
  CHECK(fixture.first.connections == 1);
  Clock::freeze(Clock::now() + 2s);
  REQUIRE(fixture.put());
  Clock::thaw();
  CHECK(fixture.first.connections == 2);
}

TEST_CASE("an answer says when its request went out") {
  Fixture fixture;
  fixture.first.answer(200, "a");
  const auto before = Clock::now();
  const auto response = fixture.get();
  REQUIRE(response);
  CHECK(response->asked >= before);
  CHECK(response->asked <= Clock::now());
}
