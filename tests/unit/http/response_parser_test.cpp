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
