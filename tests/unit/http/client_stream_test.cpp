// Requests and answers that pass through in pieces: what goes out, what comes back, and when a connection
// is used again.

#include "stream_fixture.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using http::ClientOptions;
using http::StreamRequest;
namespace asio = boost::asio;
using test::Loop;
using test::Pieces;
using Fixture = test::StreamFixture;

TEST_CASE("a streamed request's head says who asks for what, and how long its body is") {
  struct Row {
    std::string method;
    std::optional<std::vector<std::string>> body;
    std::optional<std::uint64_t> length;
    std::string framing;  // and the body
  };
  const Row rows[] = {
      {"GET", {}, {}, "\r\n"},
      {"LIST", {}, {}, "\r\n"},
      {"DELETE", {}, {}, "\r\n"},
      {"POST", {}, {}, "Content-Length: 0\r\n\r\n"},
      {"PUT", {}, {}, "Content-Length: 0\r\n\r\n"},
      {"PATCH", {}, {}, "Content-Length: 0\r\n\r\n"},
      {"POST", {{"ab", "c"}}, 3, "Content-Length: 3\r\n\r\nabc"},
      {"GET", {{"ab", "c"}}, 3, "Content-Length: 3\r\n\r\nabc"},
      {"POST",
       {{"ab", "c"}},
       {},
       "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"},
      {"POST", {{}}, {}, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"PUT",
       {{std::string(17000, 'x')}},
       17000,
       "Content-Length: 17000\r\n\r\n" + std::string(17000, 'x')},
  };
  for (const Row& row : rows) {
    CAPTURE(row.method);
    CAPTURE(row.framing.substr(0, 40));
    Fixture fixture(1, [](ClientOptions& o) { o.headers = {{"A", "1"}, {"B", "2"}}; });
    fixture.first.answer(204, "");
    Pieces body(row.body.value_or(std::vector<std::string>{}));
    const auto opened = fixture.open({.method = row.method,
                                      .target = "/v1/x",
                                      .headers = {{"b", "3"}, {"C", "4"}},
                                      .token = std::make_shared<Secret>("t0ken"),
                                      .body = row.body ? &body : nullptr,
                                      .length = row.length});
    REQUIRE(opened);
    CHECK((*opened)->status == 204);
    REQUIRE(fixture.first.requests.size() == 1);
    CHECK(fixture.first.requests[0] ==
          row.method + " /v1/x HTTP/1.1\r\nHost: " + fixture.first.url().authority() +
              "\r\nA: 1\r\nb: 3\r\nC: 4\r\nX-Vault-Token: t0ken\r\n" + row.framing);
  }
}

TEST_CASE("a prefix of the address comes before a streamed request's path") {
  Fixture fixture;
  fixture.options.addresses = {*http::parse_url(fixture.first.address() + "/vault")};
  fixture.use();
  fixture.first.answer(200, "");
  REQUIRE(fixture.get());
  CHECK(fixture.first.requests[0].starts_with("GET /vault/v1/x HTTP/1.1\r\n"));
}

TEST_CASE("a forward proxy gets a streamed request's absolute form and its password") {
  Fixture fixture;
  fixture.options.addresses = {*http::parse_url("http://vault.example:8200")};
  fixture.options.proxy.address = "http://user:pw@" + fixture.first.url().authority();
  fixture.use();
  fixture.first.answer(200, "a");
  CHECK(fixture.whole(fixture.get()) == "a");
  CHECK(fixture.first.requests[0] ==
        "GET http://vault.example:8200/v1/x HTTP/1.1\r\nHost: vault.example:8200\r\n"
        "Proxy-Authorization: Basic dXNlcjpwdw==\r\n\r\n");
}

TEST_CASE("nothing can be smuggled into a streamed request") {
  const StreamRequest wrong[] = {
      {.method = "GET", .target = "/a\r\nX: y"},
      {.method = "GET", .target = "/a b"},
      {.method = "GET", .target = "/a", .headers = {{"A", "1\nB: 2"}}},
      {.method = "GET", .target = "/a", .headers = {{"A: 1\r\nB", "2"}}},
      {.method = "GET", .target = "/a", .token = std::make_shared<Secret>("t\r\nX: y")},
  };
  for (const StreamRequest& request : wrong) {
    Fixture fixture;
    const auto opened = fixture.open(request);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().kind == ErrorKind::config);
    CHECK(opened.error().text.ends_with("has a line break or blank in it: refused"));
    CHECK(fixture.first.requests.empty());
  }
}

TEST_CASE("a streamed answer is read to its end, and its connection used again") {
  Fixture fixture;
  fixture.first.answer(201, "abc", "X-A: 1\r\nContent-Type: text/plain\r\n");
  fixture.first.scripts.push_back(
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"});
  fixture.first.scripts.push_back({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"});
  fixture.first.answer(200, "last", "Connection: close\r\n");
  fixture.first.answer(200, "new");
  const auto before = Clock::now();
  const auto one = fixture.get();
  REQUIRE(one);
  CHECK((*one)->status == 201);
  CHECK((*one)->length == 3);
  CHECK((*one)->asked >= before);
  CHECK((*one)->asked <= Clock::now());
  CHECK((*one)->tunnel() == nullptr);
  CHECK(*http::find_header((*one)->headers, "x-a") == "1");
  CHECK(fixture.whole(one) == "abc");
  CHECK(fixture.read(**one)->empty());
  const auto two = fixture.get();
  REQUIRE(two);
  CHECK_FALSE((*two)->length);
  CHECK(fixture.whole(two) == "abc");
  const auto head = fixture.open({.method = "HEAD", .target = "/v1/x"});
  REQUIRE(head);
  CHECK((*head)->length == 5);
  CHECK(fixture.whole(head).empty());
  CHECK(fixture.whole(fixture.get()) == "last");
  CHECK(fixture.first.connections == 1);
  CHECK(fixture.whole(fixture.get()) == "new");
  CHECK(fixture.first.connections == 2);
  CHECK(fixture.gate.entered == 5);
  CHECK(fixture.gate.given_back == 0);
}

TEST_CASE("a connection whose answer was not read to its end is not used again") {
  Fixture fixture;
  fixture.first.answer(200, "abc");
  fixture.first.scripts.push_back({"HTTP/1.1 200 OK\r\n\r\nto the end", true});
  fixture.first.answer(200, "d");
  (void)fixture.get();
  CHECK(fixture.whole(fixture.get()) == "to the end");
  CHECK(fixture.whole(fixture.get()) == "d");
  CHECK(fixture.first.connections == 3);
}

TEST_CASE("a streamed answer that breaks off says where") {
  Fixture fixture;
  fixture.first.scripts.push_back({"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true});
  CHECK(fixture.whole(fixture.get()) == "abc; connection lost in the middle of the answer");
  fixture.first.scripts.push_back({"HTTP/1.1 200 OK\r\nContent-", true});
  fixture.first.scripts.push_back({"HTTP/1.1 200 OK\r\nContent-", true});
  auto opened = fixture.get();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::network);
  CHECK(opened.error().text ==
        fixture.first.url().text() + ": connection lost in the middle of the answer");
  opened = fixture.get();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().text == fixture.first.url().text() + ": the server closed the connection");
}

TEST_CASE("what is no HTTP, and a head without an end, are bad replies") {
  for (const std::string& bytes : {std::string("SSH-2.0-OpenSSH\r\n\r\n"),
                                   "HTTP/1.1 200 OK\r\nX: " + std::string(40000, 'x')}) {
    Fixture fixture;
    for (int i = 0; i < 2; ++i) fixture.first.scripts.push_back({bytes, true});
    const auto opened = fixture.get();
    REQUIRE_FALSE(opened);
    CHECK(opened.error().kind == ErrorKind::bad_reply);
    CHECK(fixture.first.requests.size() == 2);
  }
}

TEST_CASE("a streamed answer's head has its time; the rest may be silent where it has no end") {
  Fixture fixture(1, [](ClientOptions& o) { o.timeout = 40ms; });
  fixture.first.scripts.push_back({""});
  auto opened = fixture.open({.method = "POST", .target = "/v1/x"});
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::timeout);
  CHECK(opened.error().text.find("no answer within 40 ms (waiting for the answer)") !=
        std::string::npos);
  CHECK(opened.error().reason == Reason::lost_answer);

  for (const char* head : {"Content-Length: 9\r\n", "Content-Type: application/json\r\n"}) {
    fixture.first.scripts.push_back({"HTTP/1.1 200 OK\r\n" + std::string(head) + "\r\nabc"});
    CHECK(fixture.whole(fixture.get()) ==
          "abc; no answer within 40 ms (in the middle of the answer)");
  }

  for (const char* head : {"", "Content-Type: text/event-stream\r\n"}) {
    fixture.first.scripts.push_back({"HTTP/1.1 200 OK\r\n" + std::string(head) + "\r\nabc"});
    opened = fixture.get();
    REQUIRE(opened);
    CHECK(*fixture.read(**opened) == "abc");
    Timer later(fixture.loop.context, 80ms);  // twice the time
    later.async_wait([&](const auto&) { fixture.first.send("def"); });
    CHECK(*fixture.read(**opened) == "def");
  }
}

TEST_CASE("a streamed request's own timeout only shortens the client's") {
  for (const bool shorter : {true, false}) {
    Fixture fixture(1, [](ClientOptions& o) { o.timeout = 60ms; });
    fixture.first.scripts.push_back({""});
    const auto opened = fixture.open(
        {.method = "POST", .target = "/v1/x", .timeout = shorter ? Duration(20ms) : 30s});
    REQUIRE_FALSE(opened);
    CHECK(opened.error().text.find(shorter ? "within 20 ms" : "within 60 ms") != std::string::npos);
  }
}

TEST_CASE("an upgraded connection is a tunnel, on a connection of its own, and no longer counted") {
  Fixture fixture(1, [](ClientOptions& o) { o.max_connections = 1; });
  fixture.first.answer(200, "a");
  CHECK(fixture.whole(fixture.get()) == "a");
  fixture.first.scripts.push_back(
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
       "Upgrade\r\n\r\nhello"});
  fixture.first.answer(200, "c");
  const auto opened = fixture.open({.method = "GET", .target = "/v1/x", .upgrade = "websocket"});
  REQUIRE(opened);
  CHECK(fixture.first.requests[1].find("Connection: Upgrade\r\nUpgrade: websocket\r\n") !=
        std::string::npos);
  CHECK(fixture.first.connections == 2);
  CHECK((*opened)->tunnel() != nullptr);
  CHECK((*opened)->take_unread() == "hello");
  CHECK((*opened)->take_unread().empty());
  CHECK(fixture.whole(fixture.get()) == "c");
}

TEST_CASE("streamed answers have connections of their own, so many and no more") {
  Fixture fixture(1, [](ClientOptions& o) { o.max_connections = 1, o.timeout = 40ms; });
  fixture.first.answer(200, "a");
  auto held = fixture.get();
  REQUIRE(held);
  const auto second = fixture.get();
  REQUIRE_FALSE(second);
  CHECK(second.error().text.find("all connections are in use") != std::string::npos);
  fixture.first.answer(200, "b");
  const auto whole = fixture.loop.run(fixture.client->send({.method = "GET", .target = "/"}));
  REQUIRE(whole);
  CHECK(whole->body.reveal() == "b");
  fixture.first.answer(200, "c");
  held->reset();
  CHECK(fixture.whole(fixture.get()) == "c");
}

TEST_CASE("a small body that breaks off is not sent at all, a large one is lost with its head") {
  for (const std::uint64_t length : {16 * 1024, 16 * 1024 + 1}) {
    CAPTURE(length);
    Fixture fixture;
    Pieces body({});
    body.broken = true;
    const auto opened =
        fixture.open({.method = "PUT", .target = "/v1/x", .body = &body, .length = length});
    REQUIRE_FALSE(opened);
    CHECK(opened.error().text.find("the body broke off") != std::string::npos);
    CHECK((opened.error().reason == Reason::lost_answer) == (length > 16 * 1024));
  }
}

TEST_CASE("an answer that comes before the body's end counts") {
  Fixture fixture;
  fixture.first.scripts.push_back({"HTTP/1.1 413 X\r\nContent-Length: 1\r\n\r\nx", true});
  Pieces body({std::string(512u << 10, 'x')});
  const auto opened = fixture.open(
      {.method = "PUT", .target = "/v1/x", .body = &body, .length = body.pieces[0].size()});
  CHECK(fixture.whole(opened) == "x");
}

TEST_CASE("a client that knows whole bodies only serves streamed requests as well") {
  struct Whole final : http::Client {
    http::Url url = *http::parse_url("http://127.0.0.1:1");
    http::Request got;
    asio::awaitable<result<http::Response>> send(http::Request request) override {
      got = std::move(request);
      http::Response response;
      response.status = 201;
      response.content_type = type;
      response.body = Secret("abc");
      co_return response;
    }
    [[nodiscard]] const http::Url& address() const override { return url; }
    std::string type = "text/plain";
  };
  Loop loop;
  Whole whole;
  Pieces body({"a", "b"});
  auto opened = loop.run(http::open(
      whole,
      {.method = "PUT", .target = "/y", .headers = {{"A", "1"}}, .body = &body, .timeout = 3s}));
  REQUIRE(opened);
  CHECK(whole.got.method == "PUT");
  CHECK(whole.got.target == "/y");
  CHECK(whole.got.body.reveal() == "ab");
  CHECK(whole.got.timeout == Duration(3s));
  CHECK((*opened)->status == 201);
  CHECK((*opened)->length == 3);
  CHECK(*http::find_header((*opened)->headers, "Content-Type") == "text/plain");
  CHECK(*loop.run((*opened)->read()) == "abc");
  CHECK(loop.run((*opened)->read())->empty());
  whole.type.clear();
  opened = loop.run(http::open(whole, {.method = "GET", .target = "/y"}));
  REQUIRE(opened);
  CHECK((*opened)->headers.empty());
  CHECK(whole.got.body.empty());
  body.broken = true;
  CHECK_FALSE(loop.run(http::open(whole, {.method = "PUT", .target = "/y", .body = &body})));
}
