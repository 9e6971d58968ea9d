// Which answer of a server sends a request to the next, and where the next request begins (S5).

#include <doctest/doctest.h>

#include "base/timer.hpp"
#include "http/client.hpp"
#include "script_server.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using http::ClientOptions;
using http::Request;
using test::Loop;
using test::ScriptServer;

namespace {

struct Fixture {
  Loop loop;
  ScriptServer first{loop}, second{loop}, third{loop};
  ClientOptions options;
  std::unique_ptr<http::Client> client;

  explicit Fixture(int servers) {
    const http::Url urls[] = {first.url(), second.url(), third.url()};
    options.addresses.assign(urls, urls + servers);
    client = http::make_client(loop.context.get_executor(), options);
  }
  result<http::Response> send(const std::string& method) {
    return loop.run(client->send({.method = method, .target = "/"}));
  }
};

}  // namespace

TEST_CASE("each status: asked again elsewhere or not, and where the next request begins") {
  struct Row {
    int status;
    bool next;  // the next is asked
    bool down;  // the next request begins elsewhere
  };
  for (const Row& row : {Row{200, false, false}, Row{400, false, false}, Row{403, false, false},
                         Row{404, false, false}, Row{411, false, false}, Row{412, true, true},
                         Row{413, false, false}, Row{428, false, false}, Row{429, true, false},
                         Row{430, false, false}, Row{471, false, false}, Row{472, true, true},
                         Row{473, true, true},   Row{474, false, false}, Row{500, false, false},
                         Row{501, false, false}, Row{502, false, true},  Row{503, true, true},
                         Row{504, false, true},  Row{505, false, false}}) {
    CAPTURE(row.status);
    Fixture fixture(2);
    fixture.first.answer(row.status, "a");
    fixture.second.answer(204, "");
    const auto response = fixture.send("GET");
    REQUIRE(response);
    CHECK(response->status == (row.next ? 204 : row.status));
    CHECK(fixture.second.requests.size() == (row.next ? 1 : 0));
    const bool elsewhere = row.next || row.down;
    CHECK(fixture.client->address() == (elsewhere ? fixture.second : fixture.first).url());

    Fixture one(1);
    one.first.answer(row.status, "a");
    CHECK(one.send("GET")->status == row.status);
    CHECK(one.first.requests.size() == 1);
    CHECK(one.client->address() == one.first.url());
  }
}

TEST_CASE("a 503 of a gateway is not asked for again where it may have been done") {
  const struct {
    std::string method, headers, body;
    bool next;
  } rows[] = {{"PUT", "Content-Type: application/json\r\n", "{}", true},
              {"PUT", "Content-Type: text/html\r\n", "<p>", false},
              {"PUT", "", "", true},
              {"PUT", "Content-Type: text/html\r\n", "", true},
              {"GET", "Content-Type: text/html\r\n", "<p>", true}};
  for (const auto& row : rows) {
    CAPTURE(row.method + row.headers);
    Fixture fixture(2);
    fixture.first.answer(503, row.body, row.headers);
    fixture.second.answer(204, "");
    CHECK(fixture.send(row.method)->status == (row.next ? 204 : 503));
  }
}

TEST_CASE("a page in the server's place, and a standby that knows of no active node") {
  constexpr std::string_view kPage = "Content-Type: text/html; charset=utf-8\r\n";
  constexpr std::string_view kJson = "Content-Type: application/json\r\n";
  constexpr std::string_view kAlone =
      R"({"errors":["local node not active but active cluster node not found"]})";
  const struct {
    std::string method;
    int status;
    std::string headers, body;
    bool next, down;
  } rows[] = {
      {"GET", 200, std::string(kPage), "<p>", true, true},
      {"GET", 403, std::string(kPage), "<p>", true, true},
      {"GET", 404, std::string(kPage), "<p>", true, true},
      {"PUT", 200, std::string(kPage), "<p>", false, true},
      {"PUT", 403, std::string(kPage), "<p>", false, true},
      {"GET", 500, std::string(kJson), std::string(kAlone), true, true},
      {"PUT", 500, std::string(kJson), std::string(kAlone), true, true},
      {"GET", 500, std::string(kJson), R"({"errors":["internal error"]})", false, false},
      {"GET", 403, std::string(kJson), R"({"errors":["local node not active"]})", false, false}};
  for (const auto& row : rows) {
    CAPTURE(row.method + row.headers + row.body);
    CAPTURE(row.status);
    Fixture fixture(2);
    fixture.first.answer(row.status, row.body, row.headers);
    fixture.second.answer(204, "");
    CHECK(fixture.send(row.method)->status == (row.next ? 204 : row.status));
    CHECK(fixture.client->address() == (row.down ? fixture.second : fixture.first).url());
  }
}

TEST_CASE("after one round over all addresses the best that there was comes back") {
  Fixture fixture(3);
  fixture.first.answer(503, "a");
  fixture.second.scripts.push_back({"", true});
  fixture.third.scripts.push_back({"", true});
  auto response = fixture.send("GET");
  REQUIRE(response);
  CHECK(response->body.reveal() == "a");
  CHECK(fixture.client->address() == fixture.first.url());  // one after the last

  Fixture none(3);
  const auto failed = none.send("GET");
  REQUIRE_FALSE(failed);
  const std::string& text = failed.error().text;
  const auto one = text.find(none.first.url().text() + ": "),
             two = text.find("; " + none.second.url().text() + ": "),
             three = text.find("; " + none.third.url().text() + ": ");
  CHECK(one == 0);
  CHECK(two != std::string::npos);
  CHECK(three != std::string::npos);
  CHECK(two < three);
}

TEST_CASE("the second address that answers is the first choice from then on") {
  Fixture fixture(3);
  fixture.first.scripts.push_back({"", true});
  fixture.second.answer(200, "b");
  fixture.second.answer(200, "c");
  REQUIRE(fixture.send("GET"));
  CHECK(fixture.client->address() == fixture.second.url());
  CHECK(fixture.send("GET")->body.reveal() == "c");
  CHECK(fixture.first.requests.size() == 1);
  // And from the last it goes on with the first.
  fixture.second.answer(472, "");
  fixture.third.answer(472, "");
  fixture.first.answer(200, "a");
  CHECK(fixture.send("GET")->body.reveal() == "a");
  CHECK(fixture.client->address() == fixture.first.url());
}

TEST_CASE("which headers a request has besides its own") {
  const struct {
    Request request;
    std::string head;
  } rows[] = {
      {{.method = "GET", .target = "/"}, "Accept: application/json\r\n\r\n"},
      {{.method = "GET", .target = "/", .headers = {{"Accept", "text/plain"}}},
       "Accept: text/plain\r\n\r\n"},
      {{.method = "POST", .target = "/"}, "Accept: application/json\r\nContent-Length: 0\r\n\r\n"},
      {{.method = "PUT", .target = "/"}, "Accept: application/json\r\nContent-Length: 0\r\n\r\n"},
      {{.method = "DELETE", .target = "/"}, "Accept: application/json\r\n\r\n"},
      {{.method = "GET", .target = "/", .body = Secret("ab"), .content_type = "x/y"},
       "Accept: application/json\r\nContent-Type: x/y\r\nContent-Length: 2\r\n\r\nab"},
  };
  for (const auto& row : rows) {
    Fixture fixture(1);
    fixture.first.answer(200, "");
    Request request{.method = row.request.method,
                    .target = row.request.target,
                    .headers = row.request.headers,
                    .body = row.request.body.clone(),
                    .content_type = row.request.content_type};
    REQUIRE(fixture.loop.run(fixture.client->send(std::move(request))));
    CHECK(fixture.first.requests.at(0).ends_with("\r\n" + row.head));
  }
}

TEST_CASE("what plain http says for TLS is said of the address") {
  for (const char* text : {"Client sent an HTTP request to an HTTPS server.",
                           "400 The plain HTTP request was sent to HTTPS port"}) {
    Fixture fixture(1);
    fixture.first.answer(400, text);
    const auto response = fixture.send("GET");
    REQUIRE_FALSE(response);
    CHECK(response.error().reason == Reason::tls_mismatch);
    fixture.first.answer(401, text);
    CHECK(fixture.send("GET")->status == 401);
  }
  Fixture fixture(1);
  fixture.first.answer(400, "other");
  CHECK(fixture.send("GET")->status == 400);
  for (const char* record : {"\x15\x03\x01", "\x16\x03\x01"}) {
    fixture.first.scripts.push_back({record, true});
    const auto response = fixture.send("GET");
    REQUIRE_FALSE(response);
    CHECK(response.error().reason == Reason::tls_mismatch);
  }
  fixture.first.answer(407, "");
  CHECK(fixture.send("GET")->status == 407);  // there is no proxy
}

TEST_CASE("redirects: how far they are followed") {
  Fixture fixture(2);
  const auto redirect = [](ScriptServer& from, int status, const std::string& to) {
    from.answer(status, "", "Location: " + to + "\r\n");
  };
  for (const int status : {301, 302, 307, 308}) {
    redirect(fixture.first, status, fixture.second.address() + "/y");
    fixture.second.answer(200, "b");
    CHECK(fixture.send("GET")->body.reveal() == "b");
    CHECK(fixture.client->address() == fixture.second.url());
    fixture.client = http::make_client(fixture.loop.context.get_executor(), fixture.options);
  }
  for (const int status : {300, 304, 305}) {
    redirect(fixture.first, status, fixture.second.address() + "/y");
    CHECK(fixture.send("GET")->status == status);
  }
  redirect(fixture.first, 307, "/z");
  redirect(fixture.first, 307, "/z");
  const auto twice = fixture.send("GET");
  REQUIRE_FALSE(twice);
  CHECK(twice.error().text.contains("redirected twice, refused"));
}

TEST_CASE("a head that comes in pieces is held to its size, and read where it fits") {
  for (const std::size_t more : {5'000, 30'000}) {
    Fixture fixture(1);
    fixture.first.scripts.push_back({"HTTP/1.1 200 OK\r\nX: " + std::string(10'000, 'x')});
    Timer later(fixture.loop.context, 20ms);
    later.async_wait([&](const auto&) {
      fixture.first.send(std::string(more, 'y') + "\r\nContent-Length: 1\r\n\r\na");
    });
    const auto response = fixture.send("POST");
    CHECK(bool(response) == (more == 5'000));
    if (response) CHECK(response->body.reveal() == "a");
    if (!response) CHECK(response.error().text.contains("header is too large"));
  }
}
