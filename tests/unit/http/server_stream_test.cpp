// Answers that are written in pieces, bodies that are read in pieces or not at all, and what a handler
// knows of the client.

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>

#include "base/timer.hpp"
#include "server_fixture.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using http::Exchange;
using http::Handler;
using http::ResponseHead;
using test::any_port;

namespace {

struct Fixture : test::ServerFixture {
  explicit Fixture(Handler handler, http::ServerLimits limits = {})
      : ServerFixture({.address = any_port(), .limits = limits}, std::move(handler)) {}
};

struct Written {
  ResponseHead head;
  std::vector<std::string> pieces;
  bool finishes;
};

asio::awaitable<void> write_all(Exchange& exchange, Written what, std::string& trouble) {
  const auto note = [&trouble](const result<>& done) {
    if (!done) trouble = done.error().text;
  };
  note(co_await exchange.begin(what.head));
  for (const std::string& piece : what.pieces) note(co_await exchange.write(piece));
  if (what.finishes) note(co_await exchange.finish());
}

// Begins with `head`, writes the pieces, and finishes.
Handler pieces(ResponseHead head, std::vector<std::string> all, std::string& trouble,
               bool finishes = true) {
  return [what = Written{std::move(head), std::move(all), finishes}, &trouble](Exchange& exchange) {
    return write_all(exchange, what, trouble);
  };
}

// Answers at once.
asio::awaitable<void> say_fine(Exchange& exchange) {
  exchange.answer(http::ServerResponse{});
  co_return;
}

// The body in pieces; answers then.
asio::awaitable<void> read_pieces(Exchange& exchange, std::string& read) {
  for (;;) {
    const auto piece = co_await exchange.read();
    if (!piece || piece->empty()) break;
    read += *piece;
  }
  exchange.answer(http::ServerResponse{});
}

// The whole body, or the status of why not.
asio::awaitable<void> read_whole(Exchange& exchange, std::size_t limit, std::string& read) {
  auto body = co_await exchange.read_all(limit);
  if (!body && body.error().status == 0) co_return;  // it has gone
  read = body ? std::string(body->reveal()) : std::to_string(body.error().status);
  exchange.close_after();
  exchange.answer(http::ServerResponse{});
}

std::string request(const std::string& method, const std::string& minor,
                    const std::string& headers = {}) {
  return method + " / HTTP/1." + minor + "\r\nHost: x\r\n" + headers + "\r\n";
}

// Without the date.
std::string dateless(std::string text) {
  for (auto at = text.find("Date: "); at != std::string::npos; at = text.find("Date: "))
    text.erase(at, text.find("\r\n", at) + 2 - at);
  return text;
}

}  // namespace

TEST_CASE("an answer in pieces: its framing, and whether the connection is kept") {
  const std::string close = "Connection: close\r\n";
  struct Row {
    std::string method, minor, headers;
    int status;
    std::optional<std::uint64_t> length;
    std::string head, body;
    bool kept = true;
  };
  const Row rows[] = {
      {"GET", "1", "", 200, {}, "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"},
      {"GET", "1", "", 200, 3, "Content-Length: 3\r\n", "abc"},
      {"GET", "1", close, 200, 3, close + "Content-Length: 3\r\n", "abc", false},
      {"GET", "0", "", 200, {}, close, "abc", false},
      {"GET", "0", "Connection: keep-alive\r\n", 200, {}, close, "abc", false},
      {"GET", "0", "Connection: keep-alive\r\n", 200, 3,
       "Connection: keep-alive\r\nContent-Length: 3\r\n", "abc"},
      {"HEAD", "1", "", 200, 3, "Content-Length: 3\r\n", ""},
      {"HEAD", "1", "", 200, {}, "Transfer-Encoding: chunked\r\n", ""},
      {"GET", "1", "", 204, {}, "", ""},
      {"GET", "1", "", 304, {}, "", ""},
      {"GET", "1", "", 304, 3, "", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.method + row.minor + row.headers + std::to_string(row.status));
    std::string trouble;
    Fixture fixture(pieces(
        {.status = row.status, .headers = {{"A", "1"}, {"B", "x\r\nC: 2"}}, .length = row.length},
        {"ab", "", "c"}, trouble));
    const std::string one = request(row.method, row.minor, row.headers);
    const std::string got = dateless(fixture.talk(one + request(row.method, row.minor, close)));
    const std::string line = "HTTP/1.1 " + std::to_string(row.status) + " " +
                             std::string(http::reason_phrase(row.status)) + "\r\nA: 1\r\n";
    const std::string answer = line + row.head + "\r\n" + row.body;
    CHECK(got.starts_with(answer));
    CHECK((got.size() > answer.size()) == row.kept);
    CHECK(got.find(line, 1) == (row.kept ? answer.size() : std::string::npos));
    CHECK(trouble.empty());
    CHECK(fixture.server.stats().responses[row.status / 100] == (row.kept ? 2 : 1));
  }
}

TEST_CASE("a date of the handler's own stands alone") {
  std::string trouble;
  Fixture fixture(pieces({.headers = {{"Date", "then"}}, .length = 0}, {}, trouble));
  const std::string got = fixture.talk(request("GET", "1", "Connection: close\r\n"));
  CHECK(got == "HTTP/1.1 200 OK\r\nDate: then\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("an answer that is cut or does not keep to its length ends the connection") {
  struct Row {
    std::optional<std::uint64_t> length;
    std::vector<std::string> pieces;
    bool finishes;
    std::string trouble;
  };
  const Row rows[] = {{3, {"ab", "cd"}, false, "more body than its length"},
                      {3, {"ab"}, true, "less body than its length"},
                      {3, {"abc"}, false, ""},
                      {{}, {"abc"}, false, ""}};
  for (const Row& row : rows) {
    CAPTURE(row.trouble);
    std::string trouble;
    Fixture fixture(pieces({.length = row.length}, row.pieces, trouble, row.finishes));
    const std::string got = fixture.talk(request("GET", "1") + request("GET", "1"));
    CHECK(got.find("HTTP/1.1 200", 1) == std::string::npos);
    CHECK_FALSE(got.ends_with("0\r\n\r\n"));
    CHECK(trouble == row.trouble);
    CHECK(fixture.server.stats().requests == 1);
  }
}

TEST_CASE("a body is read in pieces, or what is left of it is passed over, if it is little") {
  struct Row {
    std::size_t size;
    bool chunked, kept;
  };
  for (const Row& row : {Row{10, false, true}, Row{10, true, true}, Row{64 * 1024, false, true},
                         Row{200 * 1024, false, false}}) {
    CAPTURE(row.size);
    Fixture fixture(say_fine);
    const std::string body(row.size, 'x');
    const std::string bytes =
        row.chunked
            ? request("PUT", "1", "Transfer-Encoding: chunked\r\n") + "a\r\n" + body +
                  "\r\n0\r\n\r\n"
            : request("PUT", "1", "Content-Length: " + std::to_string(row.size) + "\r\n") + body;
    const std::string got = fixture.talk(bytes + request("GET", "1", "Connection: close\r\n"));
    CHECK((got.find("HTTP/1.1 200", 1) != std::string::npos) == row.kept);
  }

  std::string read;
  Fixture fixture([&read](Exchange& exchange) { return read_pieces(exchange, read); });
  (void)fixture.talk(request("PUT", "1", "Transfer-Encoding: chunked\r\nConnection: close\r\n") +
                     "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
  CHECK(read == "abc");
}

TEST_CASE("a client that waits for leave gets it when the body is wanted, and only then") {
  const std::string waits = "Content-Length: 3\r\nExpect: 100-continue\r\n";
  const std::string leave = "HTTP/1.1 100 Continue\r\n\r\n";
  std::string read;
  Fixture wants([&read](Exchange& exchange) { return read_whole(exchange, 3, read); });
  CHECK(wants.talk(request("PUT", "1", waits), leave) == leave);
  const std::string at_once = request("PUT", "1", waits + "Connection: close\r\n") + "abc";
  CHECK(wants.talk(at_once).starts_with("HTTP/1.1 200 "));
  CHECK(read == "abc");
  Fixture refuses([](Exchange& exchange) -> asio::awaitable<void> {
    exchange.answer(http::error_response(403, "no"));
    co_return;
  });
  const std::string got = refuses.talk(request("PUT", "1", waits));
  CHECK(got.starts_with("HTTP/1.1 403"));
}

TEST_CASE("a body of exactly the limit is read") {
  for (const bool chunked : {false, true}) {
    for (const std::size_t limit : {2, 3}) {
      std::string read;
      Fixture fixture([&](Exchange& exchange) { return read_whole(exchange, limit, read); });
      (void)fixture.talk(chunked ? request("PUT", "1", "Transfer-Encoding: chunked\r\n") +
                                       "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
                                 : request("PUT", "1", "Content-Length: 3\r\n") + "abc");
      CHECK(read == (limit == 3 ? "abc" : "413"));
    }
  }
}

TEST_CASE("after 101 the connection is the handler's, with what the client has sent already") {
  struct Tunnel {
    static asio::awaitable<void> through(Exchange& exchange, std::string& unread) {
      REQUIRE(co_await exchange.begin({.status = 101, .headers = {{"Upgrade", "x"}}}));
      unread = exchange.take_unread();
      CHECK(exchange.take_unread().empty());
      std::size_t written = 0;
      REQUIRE(co_await exchange.tunnel().write("through", written));
    }
  };
  std::string unread;
  Fixture fixture([&unread](Exchange& exchange) { return Tunnel::through(exchange, unread); });
  const std::string got = fixture.talk(request("GET", "1") + "first");
  CHECK(dateless(got) == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nthrough");
  CHECK(unread == "first");
}

TEST_CASE("what is done for a client that leaves is cancelled") {
  struct Told {
    int cancelled = 0, done = 0;
    static asio::awaitable<void> wait(Exchange& exchange, Told& told) {
      const Duration time = exchange.head().target == "/soon" ? 1ms : 30s;
      const bool stayed = co_await exchange.unless_client_leaves(sleep_for(time));
      ++(stayed ? told.done : told.cancelled);
      if (stayed) exchange.answer(http::ServerResponse{});
    }
  } told;
  Fixture fixture([&told](Exchange& exchange) { return Told::wait(exchange, told); });
  CHECK(
      fixture.talk("GET /soon HTTP/1.1\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 200"));
  CHECK(told.done == 1);
  (void)fixture.talk("GET /long HTTP/1.1\r\n\r\n", "");
  while (told.cancelled == 0) REQUIRE(fixture.loop.context.run_one_for(5s) > 0);
  CHECK(told.done == 1);
}

TEST_CASE("a handler knows who asks") {
  http::Peer peer;
  bool is_private = false;
  const Handler look = [&](Exchange& exchange) {
    peer = exchange.peer();
    is_private = exchange.is_private();
    exchange.answer(http::ServerResponse{});
    return asio::awaitable<void>();
  };
  {
    Fixture fixture(look);
    (void)fixture.talk(request("GET", "1", "Connection: close\r\n"));
    CHECK(peer.address == "127.0.0.1");
    CHECK(peer.reached == "127.0.0.1");
    CHECK_FALSE(peer.credentials);
    CHECK_FALSE(is_private);
  }
  std::string directory = "/tmp/kb-http-XXXXXX";
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  const std::string path = directory + "/s";
  {
    test::ServerFixture fixture(
        {.address = *http::parse_url("unix://" + path), .socket = {.mode = 0600}}, look);
    http::ClientOptions options;
    options.addresses = {fixture.server.address()};
    const auto client = http::make_client(fixture.loop.context.get_executor(), options);
    REQUIRE(fixture.loop.run(client->send({.method = "GET", .target = "/"})));
    REQUIRE(peer.credentials);
    CHECK(peer.credentials->uid == getuid());
    CHECK(peer.credentials->gid == getgid());
    CHECK(peer.credentials->pid == getpid());
    std::vector<gid_t> groups(64);
    const int count = getgroups(static_cast<int>(groups.size()), groups.data());
    groups.resize(static_cast<std::size_t>(std::max(count, 0)));
    CHECK(peer.credentials->groups.size() == groups.size());
    CHECK(peer.address.empty());
    CHECK(is_private);

    struct stat info{};
    REQUIRE(fixture.server.set_socket_owner({.mode = 0660}));
    REQUIRE(stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0660);
    std::filesystem::remove(path);
    CHECK(fixture.server.set_socket_owner({.mode = 0660}));  // nothing to do
    CHECK_FALSE(fixture.server.set_socket_owner({.mode = 0600}));
  }
  std::filesystem::remove_all(directory);
}

TEST_CASE(
    "another configuration holds from the next request on, also on a connection that is kept") {
  Fixture fixture([](Exchange& exchange) -> asio::awaitable<void> {
    exchange.answer(http::error_response(404, "old"));
    co_return;
  });
  REQUIRE(fixture.server.set_socket_owner({.mode = 0600}));  // not of a TCP address
  fixture.loop.run([](Fixture& f) -> asio::awaitable<bool> {
    asio::ip::tcp::socket socket(f.loop.context);
    const auto port = static_cast<std::uint16_t>(std::stoul(f.server.address().port));
    co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
    for (const int status : {404, 200}) {
      const std::string one = request("GET", "1");
      co_await asio::async_write(socket, asio::buffer(one), asio::use_awaitable);
      std::string got(4096, '\0');
      got.resize(co_await socket.async_read_some(asio::buffer(got), asio::use_awaitable));
      CHECK(got.starts_with("HTTP/1.1 " + std::to_string(status)));
      f.server.configure({}, nullptr, [](Exchange& exchange) -> asio::awaitable<void> {
        exchange.answer(http::ServerResponse{});
        co_return;
      });
    }
    co_return true;
  }(fixture));
}

TEST_CASE("of those who wait, the one that has waited longest gives way") {
  int ended[2] = {0, 0};  // these outlive what is done in the end
  char byte[2];
  Fixture fixture(
      [](Exchange& exchange) -> asio::awaitable<void> {
        exchange.answer(http::ServerResponse{});
        co_return;
      },
      {.max_connections = 2});
  std::optional<asio::ip::tcp::socket> sockets[2];
  const auto port = static_cast<std::uint16_t>(std::stoul(fixture.server.address().port));
  for (int i = 0; i < 2; ++i) {
    sockets[i].emplace(fixture.loop.context);
    sockets[i]->connect({asio::ip::address_v4::loopback(), port});
    while (fixture.server.stats().open < static_cast<unsigned>(i) + 1)
      REQUIRE(fixture.loop.context.run_one_for(5s) > 0);
    Clock::freeze(Clock::now() + 5s);  // the next has waited for less
  }
  Clock::thaw();
  for (int i = 0; i < 2; ++i)
    sockets[i]->async_read_some(asio::buffer(&byte[i], 1),
                                [&ended, i](auto, std::size_t) { ++ended[i]; });
  CHECK(fixture.talk(request("GET", "1", "Connection: close\r\n")).starts_with("HTTP/1.1 200"));
  while (ended[0] == 0) REQUIRE(fixture.loop.context.run_one_for(5s) > 0);
  CHECK(ended[1] == 0);
  CHECK(fixture.server.stats().connections == 3);
  CHECK(fixture.server.stats().connections_evicted == 1);
  CHECK(fixture.server.stats().connections_refused == 0);
  sockets[1]->close();
}
