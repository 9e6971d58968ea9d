// Streamed requests that are sent again, and where.

#include "stream_fixture.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using http::ClientOptions;
using http::StreamRequest;
namespace asio = boost::asio;
using test::Frozen;
using test::Pieces;
using test::ScriptServer;
using Fixture = test::StreamFixture;

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
  fixture.options.addresses = {*http::parse_url(test::closed_address(fixture.loop)),
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
