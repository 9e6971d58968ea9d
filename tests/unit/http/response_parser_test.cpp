#include "http/response_parser.hpp"

#include <doctest/doctest.h>

using namespace keybearer;
using namespace keybearer::http;

namespace {

// The answer, its bytes coming `step` at a time, as a connection would give them.
result<Response> parse(std::string_view bytes, std::size_t step, std::size_t max_body = 100,
                       bool head_only = false) {
  ResponseParser parser(max_body, head_only);
  std::string pending;
  while (!parser.done()) {
    if (bytes.empty()) {
      if (parser.ended()) break;
      return fail(ErrorKind::network, "cut off");
    }
    pending += bytes.substr(0, step);
    bytes.remove_prefix(std::min(step, bytes.size()));
    const auto used = parser.put(pending);
    if (!used) return std::unexpected(used.error());
    pending.erase(0, *used);
  }
  return parser.take();
}

std::string told(std::string_view bytes, std::size_t step = 1, std::size_t max_body = 100,
                 bool head_only = false) {
  const auto response = parse(bytes, step, max_body, head_only);
  if (!response) return response.error().text;
  return std::to_string(response->status) + " " + std::string(response->body.reveal());
}

}  // namespace

TEST_CASE("an answer is the same however its bytes arrive") {
  for (const std::size_t step : {1u, 2u, 7u, 1000u}) {
    CAPTURE(step);
    CHECK(told("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", step) == "200 hello");
    CHECK(told("HTTP/1.1 204 No Content\r\n\r\n", step) == "204 ");
    CHECK(told("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
               "chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
               step) == "200 hello");
    CHECK(told("HTTP/1.1 200 OK\r\n\r\nuntil the end", step) == "200 until the end");
    CHECK(told("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not "
               "Found\r\nContent-Length: 2\r\n\r\n{}",
               step) == "404 {}");
  }
  CHECK(told("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1, 100, true) == "200 ");
}

TEST_CASE("one header more can be kept, whatever the case of its letters") {
  const std::string_view bytes =
      "HTTP/1.1 200 OK\r\nmetadata-FLAVOR: Google\r\nContent-Length: 0\r\n\r\n";
  for (const auto& [wanted, found] :
       {std::pair("Metadata-Flavor", "Google"), {"Other", ""}, {"", ""}}) {
    ResponseParser parser(100, false, wanted);
    REQUIRE(parser.put(bytes));
    CHECK(parser.take().wanted_header == found);
  }
}

TEST_CASE("an upgrade that nobody asked for ends the answer, instead of a wait for the real one") {
  CHECK(told("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n") ==
        "not an HTTP answer: an upgrade that was not asked for");
}

TEST_CASE("an answer that is cut off is not an answer") {
  CHECK(told("") == "cut off");
  CHECK(told("HTTP/1.1 200 OK\r\nContent-Le") == "cut off");
  CHECK(told("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell") == "cut off");
  CHECK(told("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") == "cut off");
}

TEST_CASE("the size limit holds with and without a length") {
  const std::string five(5, 'x');
  CHECK(told("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + five, 3, 5) == "200 xxxxx");
  const std::string_view said = "response larger than 4 bytes (vault.max_response_size)";
  CHECK(told("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + five, 3, 4) == said);
  CHECK(told("HTTP/1.1 200 OK\r\n\r\n" + five, 3, 4) == said);
  CHECK(told("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + five + "\r\n0\r\n\r\n",
             3, 4) == said);
  CHECK(told("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", 3, 4)
            .starts_with("not an HTTP answer"));
}

TEST_CASE("what is no HTTP answer is a bad reply") {
  for (const std::string& bytes :
       {std::string("SSH-2.0-OpenSSH\r\n"), std::string("\0\1\2\3\r\n\r\n", 8),
        std::string("HTTP/1.1 abc\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nA: " + std::string(20000, 'x')}) {
    const auto response = parse(bytes, 100);
    REQUIRE_FALSE(response);
    CHECK(response.error().kind == ErrorKind::bad_reply);
  }
}

TEST_CASE("a status line is what Go's client takes for one") {
  for (const char* line :
       {"HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 200 OK", "HTTP/1.1  200 OK", "HTTP/1.0 200 OK",
        "HTTP/1.0 200", "HTTP/1.2 200 OK", "HTTP/1.1 200 Sch\xf6n \t gut"}) {
    CAPTURE(line);
    for (const std::size_t step : {1u, 3u, 1000u})
      for (const std::string end : {"\r\n", "\n"})
        CHECK(told(line + end + "content-LENGTH: 2\r\n\r\n{}", step) == "200 {}");
  }
  for (const std::string line : {"HTTP/1.1 20",
                                 "HTTP/1.1 2000",
                                 "HTTP/1.1 20x",
                                 "HTTP/1.1200 OK",
                                 "HTTP/1.1\t200 OK",
                                 "HTTP/1.1 200\tOK",
                                 "HTTP/1.1 -20 OK",
                                 "HTTP/1.1 000 OK",
                                 "HTTP/1.1 099",
                                 "HTTP/1.1",
                                 "HTTP/1.1 ",
                                 "HTTP/1. 200",
                                 "HTTP/1.x 200",
                                 "HTTP/1.11 200",
                                 "HTTP/2.0 200 OK",
                                 "HTTP/0.9 200 OK",
                                 "HTTP 200 OK",
                                 "http/1.1 200 OK",
                                 " HTTP/1.1 200 OK",
                                 "",
                                 "HTTP/1.1 200 OK\rX: y",
                                 "HTTP/1.1 200 OK\r",
                                 "HTTP/1.1 200 O\x01K",
                                 "HTTP/1.1 200 O\x7fK",
                                 "ICY 200 OK"}) {
    CAPTURE(line);
    for (const std::size_t step : {1u, 1000u})
      CHECK(told(line + "\r\nContent-Length: 2\r\n\r\n{}", step).starts_with("not an HTTP answer"));
  }
  // What it is not is told before its end, and an endless one has an end.
  CHECK(told("HTTQ", 1).starts_with("not an HTTP answer"));
  CHECK(told("HTTP/1.1 200 " + std::string(20000, 'x'), 1) == "the answer's header is too large");
}

TEST_CASE("lines of a head may end with a line feed alone, in the middle of others, too") {
  for (const std::size_t step : {1u, 2u, 7u, 1000u}) {
    CAPTURE(step);
    CHECK(told("HTTP/1.1 200 OK\nContent-Length: 5\n\nh\nl\r\n", step) == "200 h\nl\r\n");
    CHECK(told("HTTP/1.1 200\n\nuntil\nthe end\n\n", step) == "200 until\nthe end\n\n");
    CHECK(told("HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2\r\nC: d\n\r\n{}", step) == "200 {}");
    CHECK(told("HTTP/1.1 204\nA: b\r\n\n", step) == "204 ");
    CHECK(told("HTTP/1.1 100\n\nHTTP/1.1 404\nTransfer-Encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n",
               step) == "404 {}");
    // Folded lines are one.
    const auto folded = parse(
        "HTTP/1.1 200\nContent-Type: application/json;\n  charset=utf-8\nContent-Length: 0\n\n",
        step);
    REQUIRE(folded);
    CHECK(folded->content_type == "application/json; charset=utf-8");
  }
  // The bounds are the same.
  std::string many = "HTTP/1.1 200 OK\n";
  while (many.size() < 20000) many += "A: b\n";
  for (const std::size_t step : {1u, 100u, 30000u})
    CHECK(told(many + "\n", step) == "the answer's header is too large");
}

TEST_CASE("an answer with two ends is refused") {
  for (const std::string_view fields :
       {"Content-Length: 2\r\nContent-Length: 3", "Content-Length: 2\nContent-Length: 3",
        "Content-Length: 2, 3", "Content-Length: +2",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 2",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Content-Length : 2",
        "A: b\rContent-Length: 2", " Content-Length: 2", ": 2", "no colon"}) {
    CAPTURE(fields);
    for (const std::string end : {"\r\n", "\n"})
      for (const std::size_t step : {1u, 1000u})
        CHECK(
            told("HTTP/1.1 200 OK" + end + std::string(fields) + end + end + "{}\n0\r\n\r\n", step)
                .starts_with("not an HTTP answer"));
  }
  CHECK(told("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\n{}") == "200 {}");
  // The lines of chunks end as they should: what lies between may read them otherwise.
  CHECK(told("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\n{}\n0\n\n") == "cut off");
}

TEST_CASE("the header's fields that matter are kept") {
  const auto response = parse(
      "HTTP/1.1 429 Too Many\r\nRetry-After: 4\r\ncontent-type: "
      "application/json\r\nContent-Length: 0\r\n\r\n",
      9);
  REQUIRE(response);
  CHECK(response->retry_after == std::chrono::seconds(4));
  CHECK(response->content_type == "application/json");
}

TEST_CASE("Retry-After is seconds or a date, and at most a day") {
  const WallTime now =
      std::chrono::system_clock::from_time_t(784'111'777);  // Sun, 06 Nov 1994 08:49:37 GMT
  CHECK(parse_retry_after("120", now) == std::chrono::seconds(120));
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now) == std::chrono::seconds(60));
  CHECK(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now) == std::chrono::seconds(0));
  CHECK(parse_retry_after("4000000000", now) == std::chrono::hours(24));
  CHECK(parse_retry_after(std::string(40, '9'), now) == std::chrono::hours(24));
  for (const char* text :
       {"", "soon", "-1", "1.5", "5 s", "99999999999999999999 s", "Sun, 06 Nov 1994"})
    CHECK_FALSE(parse_retry_after(text, now));
}
