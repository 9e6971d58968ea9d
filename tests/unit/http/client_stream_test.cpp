// Requests and answers that pass through in pieces: what goes out, what is sent again and where, and
// when a connection is used again.

#include "http/stream_client.hpp"

#include <doctest/doctest.h>

#include "base/timer.hpp"
#include "script_server.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using http::ClientOptions;
using http::StreamRequest;
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
};

// A body in pieces; fails at its end where it is told to.
struct Pieces final : http::BodySource {
  explicit Pieces(std::vector<std::string> all) : pieces(std::move(all)) {}
  std::vector<std::string> pieces;
  std::size_t next = 0;
  bool can_rewind = false, broken = false;

  asio::awaitable<result<std::string_view>> read() override {
    if (next < pieces.size()) co_return pieces[next++];
    if (broken) co_return fail(ErrorKind::io, "the body broke off");
    co_return std::string_view{};
  }
  bool rewind() override {
    if (can_rewind) next = 0;
    return can_rewind || next == 0;
  }
};

using Opened = result<std::unique_ptr<http::Incoming>>;

struct Fixture {
  Loop loop;
  ScriptServer first{loop}, second{loop}, third{loop};
  CountingGate gate;
  ClientOptions options;
  std::unique_ptr<http::Client> client;

  explicit Fixture(int servers = 1, void (*change)(ClientOptions&) = [](ClientOptions&) {}) {
    const http::Url urls[] = {first.url(), second.url(), third.url()};
    options.addresses.assign(urls, urls + servers);
    change(options);
    use();
  }
  void use() { client = http::make_client(loop.context.get_executor(), options); }
  Opened open(StreamRequest request) {
    request.gate = &gate;
    return loop.run(http::open(*client, std::move(request)));
  }
  Opened get() { return open({.method = "GET", .target = "/v1/x"}); }
  result<std::string> read(http::Incoming& answer) {
    return loop.run([](http::Incoming& a) -> asio::awaitable<result<std::string>> {
      auto piece = co_await a.read();
      if (!piece) co_return std::unexpected(piece.error());
      co_return std::string(*piece);
    }(answer));
  }
  // All of it, or the error's text.
  std::string whole(const Opened& opened) {
    if (!opened) return opened.error().text;
    std::string all;
    for (;;) {
      const auto piece = read(**opened);
      if (!piece) return all + "; " + piece.error().text;
      if (piece->empty()) return all;
      all += *piece;
    }
  }
};

std::string closed_address(Loop& loop) {
  asio::ip::tcp::acceptor acceptor(loop.context, {asio::ip::address_v4::loopback(), 0});
  return "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
}

struct Frozen {
  Frozen() { Clock::freeze(Clock::now()); }
  ~Frozen() { Clock::thaw(); }
};

}  // namespace

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

TEST_CASE("a streamed read goes out twice at most, a write once") {
  struct Row {
    std::string method;
    bool body;
    std::size_t times;
  };
  for (const Row& row :
       {Row{"GET", false, 2}, Row{"HEAD", false, 2}, Row{"LIST", false, 2}, Row{"SCAN", false, 2},
        Row{"GET", true, 1}, Row{"POST", false, 1}, Row{"PUT", true, 1}, Row{"DELETE", false, 1}}) {
    for (const int servers : {1, 3}) {
      CAPTURE(row.method);
      CAPTURE(servers);
      Fixture fixture(servers);
      Pieces body({"a"});
      const auto opened =
          fixture.open({.method = row.method,
                        .target = "/v1/x",
                        .body = row.body ? &body : nullptr,
                        .length = row.body ? std::optional<std::uint64_t>(1) : std::nullopt});
      REQUIRE_FALSE(opened);
      CHECK((opened.error().reason == Reason::lost_answer) == (row.times == 1));
      CHECK(fixture.first.requests.size() + fixture.second.requests.size() == row.times);
      CHECK(fixture.third.requests.empty());
      CHECK(static_cast<std::size_t>(fixture.gate.entered) == row.times);
      // The next request begins at an address that did not fail.
      const std::size_t next = servers == 1 ? 0 : row.times;
      CHECK(fixture.client->address() == fixture.options.addresses[next]);
    }
  }
}

TEST_CASE("a request to upgrade is never sent again") {
  Fixture fixture(2);
  CHECK_FALSE(fixture.open({.method = "GET", .target = "/v1/x", .upgrade = "websocket"}));
  CHECK(fixture.first.requests.size() == 1);
  CHECK(fixture.second.requests.empty());
}

TEST_CASE("a streamed read is sent again only within five seconds") {
  for (const Duration later : {5s - 1ms, Duration(5s)}) {
    const Frozen frozen;
    Fixture fixture;
    const Instant begun = Clock::now();
    fixture.first.on_request = [&] { Clock::freeze(begun + later); };
    CHECK_FALSE(fixture.get());
    CHECK(fixture.first.requests.size() == (later < 5s ? 2 : 1));
  }
}

TEST_CASE("the answer of a standby or a sealed server sends a streamed read to the next address") {
  struct Row {
    std::string method;
    int status;
    bool next;
  };
  for (const Row& row :
       {Row{"GET", 503, true}, Row{"GET", 472, true}, Row{"GET", 473, true}, Row{"GET", 500, false},
        Row{"GET", 429, false}, Row{"GET", 404, false}, Row{"PUT", 503, false}}) {
    CAPTURE(row.method);
    CAPTURE(row.status);
    Fixture fixture(2);
    fixture.first.answer(row.status, "a");
    fixture.second.answer(200, "b");
    const auto opened = fixture.open({.method = row.method, .target = "/v1/x"});
    REQUIRE(opened);
    CHECK((*opened)->status == (row.next ? 200 : row.status));
    CHECK(fixture.whole(opened) == (row.next ? "b" : "a"));
    CHECK(fixture.client->address() == fixture.options.addresses[row.next ? 1 : 0]);
  }
}

TEST_CASE("where all addresses are away, one's answer is better than none") {
  Fixture fixture(2);
  fixture.first.answer(503, "a");
  fixture.second.answer(503, "b");
  CHECK(fixture.whole(fixture.get()) == "b");
  fixture.first.answer(503, "a");
  CHECK(fixture.whole(fixture.get()) == "a");  // the second closes
  Fixture one;
  one.first.answer(503, "a");
  CHECK(one.whole(one.get()) == "a");
  CHECK(one.first.requests.size() == 1);
}

TEST_CASE("what was never sent goes to the next address, a write and its body too") {
  Fixture fixture;
  fixture.options.addresses = {*http::parse_url(closed_address(fixture.loop)),
                               fixture.second.url()};
  fixture.use();
  fixture.second.answer(200, "b");
  Pieces body({"a"});
  const auto opened =
      fixture.open({.method = "PUT", .target = "/v1/x", .body = &body, .length = 1});
  CHECK(fixture.whole(opened) == "b");
  CHECK(fixture.second.requests.at(0).ends_with("\r\n\r\na"));
  CHECK(fixture.client->address() == fixture.second.url());

  fixture.options.addresses.pop_back();
  fixture.use();
  const auto none = fixture.open({.method = "PUT", .target = "/v1/x"});
  REQUIRE_FALSE(none);
  CHECK(none.error().reason != Reason::lost_answer);
  CHECK(none.error().text.starts_with(fixture.options.addresses[0].text()));
}

TEST_CASE("a kept connection that the server closed is replaced for a streamed read") {
  Fixture fixture;
  fixture.first.answer(200, "a");
  fixture.first.answer(200, "b");
  CHECK(fixture.whole(fixture.get()) == "a");
  fixture.first.scripts.push_front({"", true});  // closed at the next request
  CHECK(fixture.whole(fixture.get()) == "b");
  CHECK(fixture.first.connections == 2);
  CHECK(fixture.gate.entered == 3);

  // What can't be repeated takes no connection that is older than a second.
  const Frozen frozen;
  for (const Duration age : {Duration(1s), 1s + 1ms}) {
    Clock::freeze(Clock::now());
    fixture.first.answer(200, "c");
    fixture.first.answer(200, "d");
    CHECK(fixture.whole(fixture.get()) == "c");
    const int before = fixture.first.connections;
    Clock::freeze(Clock::now() + age);
    CHECK(fixture.whole(fixture.open({.method = "PUT", .target = "/v1/x"})) == "d");
    CHECK(fixture.first.connections == before + (age > 1s ? 1 : 0));
  }

  // With another address it is asked instead, and the first stays the first choice.
  Fixture two(2);
  two.first.answer(200, "a");
  CHECK(two.whole(two.get()) == "a");
  two.second.scripts.push_back({"", true});
  CHECK_FALSE(two.get());
  CHECK(two.first.connections == 1);
  CHECK(two.second.requests.size() == 1);
}

TEST_CASE("a streamed request is redirected once, to a configured address, where it can be") {
  const auto redirect = [](ScriptServer& from, const std::string& to) {
    from.answer(307, "", "Location: " + to + "\r\n");
  };
  struct Row {
    std::string text;  // of the answer or the refusal
    bool second_too = false, stranger = false, body = false, can_rewind = false;
  };
  for (const Row& row :
       {Row{.text = "b"}, Row{.text = "redirected twice, refused", .second_too = true},
        Row{.text = "is not in vault.address", .stranger = true},
        Row{.text = "redirected with a body that is sent only once: refused", .body = true},
        Row{.text = "b", .body = true, .can_rewind = true}}) {
    CAPTURE(row.text);
    Fixture fixture(2);
    redirect(fixture.first, (row.stranger ? fixture.third : fixture.second).address() + "/y");
    if (row.second_too) redirect(fixture.second, fixture.first.address() + "/z");
    fixture.second.answer(200, "b");
    Pieces body({"abc"});
    body.can_rewind = row.can_rewind;
    const auto opened = fixture.open({.method = "PUT",
                                      .target = "/v1/x",
                                      .token = std::make_shared<Secret>("t0ken"),
                                      .body = row.body ? &body : nullptr,
                                      .length = row.body ? 3 : 0});
    CHECK(fixture.whole(opened).ends_with(row.text));
    CHECK(bool(opened) == (row.text == "b"));
    if (!opened) CHECK(opened.error().kind == ErrorKind::bad_reply);
    CHECK(fixture.third.connections == 0);
    if (row.text != "b") continue;
    CHECK(fixture.second.requests.at(0).starts_with("PUT /y HTTP/1.1\r\n"));
    CHECK(fixture.second.requests[0].find("X-Vault-Token: t0ken\r\n") != std::string::npos);
    if (row.body) CHECK(fixture.second.requests[0].ends_with("\r\n\r\nabc"));
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
  Pieces body({std::string(8u << 20, 'x')});
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
