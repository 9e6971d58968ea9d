#include "http/message.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace keybearer;
using http::BodyDecoder;
using http::HeadReader;

namespace {

// The status that is answered; 0: accepted; -1: more is wanted.
int judge(std::string_view bytes) {
  HeadReader reader;
  const auto head = reader.read(bytes);
  if (!head) return head.error().status;
  return *head ? 0 : -1;
}
// The same byte by byte: how it was cut on the way changes nothing.
int judge_slowly(std::string_view bytes) {
  HeadReader reader;
  for (std::size_t n = 1; n <= bytes.size(); ++n) {
    const auto head = reader.read(bytes.substr(0, n));
    if (!head) return head.error().status;
    if (*head) return 0;
  }
  return -1;
}

struct Decoded {
  std::string body;
  int status = 0;  // of an error
  bool done = false;
  std::size_t used = 0;
};
Decoded decode(BodyDecoder decoder, std::string_view bytes, std::size_t piece) {
  Decoded out;
  std::string pending;
  std::size_t fed = 0;
  while (!decoder.done()) {
    const auto step = decoder.next(pending);
    if (!step) {
      out.status = step.error().status;
      return out;
    }
    out.body += step->data;
    out.used += step->used;
    pending.erase(0, step->used);
    if (step->used > 0 || decoder.done()) continue;
    if (fed == bytes.size()) return out;
    pending += bytes.substr(fed, piece);
    fed = std::min(fed + piece, bytes.size());
  }
  out.done = true;
  return out;
}

}  // namespace

// Point 16 of the check-list: what two parsers could read differently is refused.
TEST_CASE("the corpus of request smuggling is refused with 400") {
  const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n";
  const std::string rows[] = {
      get + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      get + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
      get + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
      get + "Content-Length: 1\r\ncontent-length: 2\r\n\r\n",
      get + "Content-Length: 1, 1\r\n\r\n",
      get + "Content-Length: +1\r\n\r\n",
      get + "Content-Length: -1\r\n\r\n",
      get + "Content-Length: 0x1\r\n\r\n",
      get + "Content-Length: 1 1\r\n\r\n",
      get + "Content-Length:\r\n\r\n",
      get + "Content-Length: 99999999999999999999\r\n\r\n",
      get + "Transfer-Encoding: xchunked\r\n\r\n",
      get + "Transfer-Encoding: chunked, chunked\r\n\r\n",
      get + "Transfer-Encoding: gzip, chunked\r\n\r\n",
      get + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
      get + "Transfer-Encoding: identity\r\n\r\n",
      get +
          "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n",
      get + "Transfer-Encoding : chunked\r\n\r\n",
      get + "Transfer-Encoding\t: chunked\r\n\r\n",
      get + " Transfer-Encoding: chunked\r\n\r\n",
      get + "X: y\r\n Transfer-Encoding: chunked\r\n\r\n",
      get + "X: y\r\n\tz\r\n\r\n",
      get + "X: y\nTransfer-Encoding: chunked\r\n\r\n",
      get + "X: y\rTransfer-Encoding: chunked\r\n\r\n",
      get + std::string("X: a\0b\r\n\r\n", 10),
      get + "no colon\r\n\r\n",
      get + ": empty\r\n\r\n",
      get + "X[]: y\r\n\r\n",
      get + "Host: y\r\n\r\n",
      "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\n\n",
      "GET / HTTP/1.1\r\r\n\r\n",
      "GET  / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1 \r\n\r\n",
      "GET /\thttp HTTP/1.1\r\n\r\n",
      "GET /a b HTTP/1.1\r\n\r\n",
      "GET /\x80 HTTP/1.1\r\n\r\n",
      "GET /#x HTTP/1.1\r\n\r\n",
      "GET /\\x HTTP/1.1\r\n\r\n",
      "G(T / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.2\r\n\r\n",
      "GET / HTTP/2.0\r\n\r\n",
      "GET / HTTP/0.9\r\n\r\n",
      "GET / http/1.1\r\n\r\n",
      "GET /\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\x16\x03\x01\x02",
      "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
      "A\r\n\r\n",
      "\r\nA\r\n\r\n",
  };
  for (const std::string& row : rows) {
    CAPTURE(row);
    CHECK(judge(row) == 400);
    CHECK(judge_slowly(row) == 400);
  }
}

TEST_CASE("what is fine is read as it came, however it was cut") {
  const std::string text =
      "\r\nLIST http://h:1/v1/a%20b?x=y HTTP/1.1\r\nHost: h:1\r\nX-Empty:\r\nX-A:  b \t\r\n"
      "Transfer-Encoding: Chunked\r\nConnection: Keep-Alive, X-A\r\nExpect: "
      "100-Continue\r\n\r\nrest";
  for (std::size_t n = 1; n < text.size() - 4; ++n) {  // not all of the head
    HeadReader reader;
    (void)reader.read(std::string_view(text).substr(0, n));
    const auto head = reader.read(text);
    REQUIRE(head);
    REQUIRE(*head);
    CHECK((*head)->method == "LIST");
    CHECK((*head)->target == "http://h:1/v1/a%20b?x=y");
    CHECK((*head)->header("x-a") == "b");
    CHECK((*head)->header("x-empty").empty());
    CHECK((*head)->chunked);
    CHECK((*head)->expects_continue);
    CHECK((*head)->keep_alive);
    CHECK(text.substr(reader.size()) == "rest");
    CHECK(http::named_by_connection((*head)->headers) ==
          std::vector<std::string>{"Keep-Alive", "X-A"});
  }
  CHECK(judge("GET / HTTP/1.0\r\n\r\n") == 0);
}

TEST_CASE("a header beyond the limits is 431, an unknown Expect 417") {
  CHECK(judge("GET / HTTP/1.1\r\nX: " + std::string(65 * 1024, 'x')) == 431);
  CHECK(judge("GET /" + std::string(65 * 1024, 'x')) == 431);
  CHECK(judge("GET / HTTP/1.1\r\nX: " + std::string(60 * 1024, 'x') + "\r\n\r\n") == 0);
  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 300; ++i) many += "X: y\r\n";
  CHECK(judge(many + "\r\n") == 431);
  CHECK(judge("GET / HTTP/1.1\r\nExpect: wonders\r\n\r\n") == 417);
}

TEST_CASE("chunks are decoded whatever the pieces, and broken ones refused") {
  const std::string good = "5\r\nhello\r\n00a;name=\"v\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n";
  for (std::size_t piece = 1; piece <= good.size(); ++piece) {
    const Decoded out = decode(BodyDecoder({}, true), good + "NEXT", piece);
    CHECK(out.body == "hello0123456789");
    CHECK(out.done);
    CHECK(out.used == good.size());
  }
  for (const std::string bad :
       {"5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "g\r\n", "\r\n",
        "-5\r\n", "0x5\r\nhello\r\n", "5 \r\nhello\r\n", " 5\r\nhello\r\n",
        "ffffffffffffffffff\r\n", "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n", "5;a\rb\r\nhello\r\n", "5\r\nhello\n0\r\n\r\n"}) {
    CAPTURE(bad);
    CHECK(decode(BodyDecoder({}, true), bad, 3).status == 400);
  }
  CHECK(decode(BodyDecoder({}, true), std::string(8000, '0'), 100).status == 400);
  std::string extensions;
  for (int i = 0; i < 100; ++i) extensions += "1;" + std::string(2000, 'x') + "\r\nA\r\n";
  CHECK(decode(BodyDecoder({}, true), extensions, 1000).status == 400);
}

TEST_CASE("a body of a length ends where it says") {
  const Decoded out = decode(BodyDecoder(5, false), "helloNEXT", 2);
  CHECK(out.body == "hello");
  CHECK(out.used == 5);
  CHECK(decode(BodyDecoder({}, false), "", 1).done);
  CHECK_FALSE(decode(BodyDecoder(5, false), "hell", 2).done);
}

TEST_CASE("random bytes and mutations never crash, and cutting changes no verdict") {
  std::mt19937 random(7);
  const std::string seed =
      "POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-Vault-Token: t\r\n\r\nabc";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = seed;
    for (int n = static_cast<int>(random() % 4); n >= 0; --n) {
      const std::size_t at = random() % text.size();
      constexpr std::string_view kOdd("\r\n\0 \t:,;aZ09%\x7f\xff", 15);
      if (random() % 3 == 0)
        text.erase(at, 1 + random() % 3);
      else
        text.insert(at, 1, kOdd[random() % kOdd.size()]);
    }
    const int whole = judge(text), slow = judge_slowly(text);
    CAPTURE(text);
    CHECK(whole == slow);
  }
}
