// Where each rule of the HTTP parsers and of addresses begins and ends: the last that is good and the
// first that is not.

#include <doctest/doctest.h>

#include <set>

#include "http/message.hpp"
#include "http/proxy.hpp"
#include "http/response_parser.hpp"

using namespace keybearer;
using namespace keybearer::http;
using namespace std::chrono_literals;

namespace {

// The status that a head is refused with; 0: accepted; -1: more is wanted.
int judge(std::string_view bytes, HeadLimits limits = {}) {
  HeadReader reader(limits);
  const auto head = reader.read(bytes);
  if (!head) return head.error().status;
  return *head ? 0 : -1;
}

std::string repeated(std::size_t count, char c = 'x') {
  return std::string(count, c);
}

// Is a chunked body accepted up to its end?
bool decodes(std::string_view bytes) {
  BodyDecoder decoder({}, true);
  while (!decoder.done()) {
    const auto step = decoder.next(bytes);
    if (!step) return false;
    if (step->used == 0) return false;  // more must come
    bytes.remove_prefix(step->used);
  }
  return true;
}

}  // namespace

TEST_CASE("each byte in a method, a target, a header's name and a header's value") {
  const std::string_view symbols = "!#$%&'*+-.^_`|~";
  for (int i = 0; i < 256; ++i) {
    const char c = static_cast<char>(i);
    const std::string byte(1, c);
    CAPTURE(i);
    const bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || (i != 0 && symbols.contains(c));
    CHECK(judge(byte + " / HTTP/1.1\r\n\r\n") == (letter ? 0 : 400));
    CHECK(judge("GE" + byte + " / HTTP/1.1\r\n\r\n") == (letter ? 0 : 400));
    CHECK(judge("GET / HTTP/1.1\r\nA" + byte + "B: 1\r\n\r\n") == (letter || c == ':' ? 0 : 400));
    const bool odd = i <= 0x20 || i >= 0x7f || (i != 0 && std::string_view("#\"<>\\").contains(c));
    CHECK(judge("GET /" + byte + " HTTP/1.1\r\n\r\n") == (odd ? 400 : 0));
    const bool control = (i < 0x20 && c != '\t') || i == 0x7f;
    CHECK(judge("GET / HTTP/1.1\r\nA: x" + byte + "y\r\n\r\n") == (control ? 400 : 0));
  }
}

TEST_CASE("letters are the same in both cases, and nothing else is") {
  const auto low = [](int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const char x = static_cast<char>(a), y = static_cast<char>(b);
      REQUIRE(same_name({&x, 1}, {&y, 1}) == (low(a) == low(b)));
    }
  }
  CHECK(same_name("", ""));
  CHECK_FALSE(same_name("a", "ab"));
  CHECK_FALSE(same_name("ab", "ac"));
  CHECK_FALSE(same_name("xb", "yb"));
}

TEST_CASE("a head of exactly the limits is read") {
  const std::string head = "GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n";
  for (const std::string before : {"", "\r\n"}) {
    CHECK(judge(before + head, {.bytes = head.size() - 2}) == 0);
    CHECK(judge(before + head, {.bytes = head.size() - 3}) == 431);
  }
  CHECK(judge(head, {.headers = 2}) == 0);
  CHECK(judge(head, {.headers = 1}) == 431);
  CHECK(judge("GET /" + repeated(95), {.bytes = 100}) == -1);
  CHECK(judge("GET /" + repeated(96), {.bytes = 100}) == 431);
}

TEST_CASE("one empty line before a request is passed over, and no more") {
  const std::string head = "GET / HTTP/1.1\r\n\r\n";
  CHECK(judge("\r\n" + head) == 0);
  CHECK(judge("\r\n\r\n" + head) == 400);
  CHECK(judge("\r") == -1);
  CHECK(judge("\r\n") == -1);
  CHECK(judge("\r\n\r") == -1);
  CHECK(judge("") == -1);
  CHECK(judge("\n" + head) == 400);
  CHECK(judge("\r" + head) == 400);
}

TEST_CASE("the parts of a request line") {
  const struct {
    const char* line;
    int judged;
  } rows[] = {{"GET / HTTP/1.1", 0},   {"GET / HTTP/1.0", 0},     {"GET / HTTP/1.2", 400},
              {"GET / HTTP/2.0", 400}, {"GET / http/1.1", 400},   {"GET /", 400},
              {"GET  HTTP/1.1", 400},  {"GET / / HTTP/1.1", 400}, {"/ HTTP/1.1", 400},
              {" / HTTP/1.1", 400}};
  for (const auto& row : rows) {
    CAPTURE(row.line);
    CHECK(judge(std::string(row.line) + "\r\n\r\n") == row.judged);
  }
}

TEST_CASE("what the headers say of length and connection") {
  const struct {
    const char *minor, *headers;
    int judged;
    bool keep = false, chunked = false, waits = false;
    std::optional<std::uint64_t> length = {};
  } rows[] = {
      {"1", "", 0, true},
      {"0", "", 0, false},
      {"1", "Connection: close\r\n", 0, false},
      {"1", "Connection: keep-alive\r\n", 0, true},
      {"1", "Connection: x\r\nConnection: y, Close\r\n", 0, false},
      {"1", "Connection: close\r\nConnection: x\r\n", 0, false},
      {"0", "Connection: Keep-Alive\r\n", 0, true},
      {"0", "Connection: keep-alive\r\nConnection: x\r\n", 0, true},
      {"0", "Connection: x\r\n", 0, false},
      {"1", "Content-Length: 999999999999999999\r\n", 0, true, false, false, 999999999999999999},
      {"1", "Content-Length: 1000000000000000000\r\n", 400},
      {"1", "Content-Length: 0\r\n", 0, true, false, false, 0},
      {"1", "Content-Length:\r\n", 400},
      {"1", "Content-Length: 1x\r\n", 400},
      {"1", "Content-Length: -1\r\n", 400},
      {"1", "Content-Length: /\r\n", 400},
      {"1", "Content-Length: :\r\n", 400},
      {"1", "Transfer-Encoding: chunked\r\n", 0, true, true},
      {"0", "Transfer-Encoding: chunked\r\n", 400},
      {"1", "Transfer-Encoding: gzip\r\n", 400},
      {"1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"1", "Host: a\r\nHost: a\r\n", 400},
      {"1", "Host: a\r\n", 0, true},
      {"1", "Expect: 100-Continue\r\n", 0, true, false, true},
      {"1", "Expect: x\r\n", 417},
      {"0", "Expect: x\r\n", 0},
      {"0", "Expect: 100-continue\r\n", 0},
      {"1", " A: b\r\n", 400},
      {"1", "\tA: b\r\n", 400},
      {"1", "A b\r\n", 400},
      {"1", ": b\r\n", 400},
  };
  for (const auto& row : rows) {
    CAPTURE(row.minor);
    CAPTURE(row.headers);
    HeadReader reader;
    const auto head =
        reader.read("GET / HTTP/1." + std::string(row.minor) + "\r\n" + row.headers + "\r\n");
    CHECK((head ? 0 : head.error().status) == row.judged);
    if (!head) continue;
    REQUIRE(*head);
    CHECK((*head)->keep_alive == row.keep);
    CHECK((*head)->chunked == row.chunked);
    CHECK((*head)->expects_continue == row.waits);
    CHECK((*head)->length == row.length);
  }
}

TEST_CASE("values of headers are trimmed, the first of a name counts") {
  HeadReader reader;
  const auto head = reader.read("GET / HTTP/1.1\r\nA: \t x y \t\r\nB:\r\na: 2\r\n\r\nmore");
  REQUIRE(head);
  REQUIRE(*head);
  CHECK((*head)->header("a") == "x y");
  CHECK((*head)->header("B").empty());
  CHECK((*head)->header("none").empty());
}

TEST_CASE("a chunk's size, its extensions and the trailer have their limits") {
  const std::string end = "0\r\n\r\n";
  const std::string one = "\r\nx\r\n";
  CHECK(decodes("1" + one + end));
  CHECK(decodes("000000000000001" + one + end));
  CHECK_FALSE(decodes("0000000000000001" + one + end));
  CHECK(decodes("A\r\n0123456789\r\n" + end));
  for (const char* good : {"1;", "1;a=b", "1 ;a", "1\t;a"}) CHECK(decodes(good + one + end));
  for (const char* bad : {"", ";", "1 ", "1 x", "1x", "-1", "g", "1;\x01", "1;\x7f"}) {
    CAPTURE(bad);
    CHECK_FALSE(decodes(bad + one + end));
  }
  CHECK_FALSE(decodes("1\r\nxy\r\n" + end));
  CHECK_FALSE(decodes("1\r\nx\r" + end));
  CHECK_FALSE(decodes("1\r\nx\n" + end));

  CHECK(decodes("1;" + repeated(4094) + one + end));
  CHECK_FALSE(decodes("1;" + repeated(4095) + one + end));
  for (const std::size_t size : {4096, 4097}) {  // whose end has not come
    BodyDecoder decoder({}, true);
    CHECK(bool(decoder.next(repeated(size, '1'))) == (size == 4096));
  }

  std::string chunks;
  for (int i = 0; i < 16; ++i) chunks += "1;" + repeated(4094) + one;  // 65,520 bytes beside
  CHECK(decodes(chunks + "1;" + repeated(15) + one + end));
  CHECK_FALSE(decodes(chunks + "1;" + repeated(16) + one + end));

  CHECK(decodes("0\r\nA: b\r\nC:\r\n\r\n"));
  CHECK_FALSE(decodes("0\r\nA\r\n\r\n"));
  CHECK_FALSE(decodes("0\r\nA B: c\r\n\r\n"));
  CHECK_FALSE(decodes("0\r\n: c\r\n\r\n"));
  std::string trailer = "0\r\n";
  for (int i = 0; i < 15; ++i) trailer += "A:" + repeated(4094) + "\r\n";  // 61,470 bytes
  CHECK(decodes(trailer + "A:" + repeated(4062) + "\r\n\r\n"));
  CHECK_FALSE(decodes(trailer + "A:" + repeated(4063) + "\r\n\r\n"));
}

TEST_CASE("a chunk that comes in pieces") {
  BodyDecoder decoder({}, true);
  CHECK(decoder.next("5\r\n")->used == 3);
  const auto part = decoder.next("abc");
  REQUIRE(part);
  CHECK(part->data == "abc");
  CHECK(decoder.next("de\r\n")->data == "de");
  CHECK(decoder.next("\r")->used == 0);
  CHECK(decoder.next("\r\n0")->used == 2);
  CHECK_FALSE(decoder.done());
  CHECK(decoder.next("0\r\n")->used == 3);
  CHECK(decoder.next("\r")->used == 0);
  CHECK_FALSE(decoder.done());
  CHECK(decoder.next("\r\n")->used == 2);
  CHECK(decoder.done());
  CHECK(decoder.next("more")->used == 0);
}

TEST_CASE("headers that go no further than one connection") {
  for (const char* name : {"Connection", "keep-alive", "TE", "Trailer", "transfer-encoding",
                           "Upgrade", "Proxy", "Proxy-Authorization", "proxy-x"})
    CHECK_MESSAGE(is_hop_by_hop(name), name);
  for (const char* name : {"Proxy-", "Proxies", "Proxyx", "T", "Content-Length", ""})
    CHECK_MESSAGE(!is_hop_by_hop(name), name);
  CHECK(named_by_connection({{"connection", "a, b,, c"}, {"X", "d"}, {"Connection", " e"}}) ==
        std::vector<std::string>{"a", "b", "c", "e"});
  for (const char* list : {"close", "a, close", "Close ,b", "a,close,b"})
    CHECK_MESSAGE(lists_token(list, "close"), list);
  for (const char* list : {"", ",", "closed", "a close", "a;close"})
    CHECK_MESSAGE(!lists_token(list, "close"), list);
}

TEST_CASE("phrases and dates") {
  CHECK(reason_phrase(100) == "Continue");
  CHECK(reason_phrase(505) == "HTTP Version Not Supported");
  CHECK(reason_phrase(99) == "Status");
  CHECK(reason_phrase(418) == "Status");
  CHECK(http_date(WallTime(784'111'777s)) == "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_CASE("an address's host, port and path of a socket have their limits") {
  const struct {
    std::string url;
    bool good;
  } rows[] = {
      {"http://" + repeated(253), true},
      {"http://" + repeated(254), false},
      {"http://h:65535", true},
      {"http://h:65536", false},
      {"http://h:1", true},
      {"http://h:0", false},
      {"unix:///" + repeated(106), true},
      {"unix:///" + repeated(107), false},
      {"http://a.b-c_d0", true},
      {"http://a%b", false},
      {"http://[fe80::1%eth0]", true},
      {"http://[]", false},
      {"http://a:b:c", false},
      {"http://h/v1", false},
      {"http://h/v1/", false},
      {"http://h/v11", true},
      {"http://h?x", false},
      {"http://h#x", false},
      {"http://h/a\tb", false},
      {"http://h/a\nb", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.url);
    CHECK(bool(parse_url(row.url)) == row.good);
  }
  CHECK(parse_url("http://h")->port == "80");
  CHECK(parse_url("https://h")->port == "443");
  CHECK(parse_url("unix:///s")->authority() == "localhost");
  CHECK_FALSE(parse_url("http://vault.example")->is_loopback());
}

TEST_CASE("what a proxy answers to CONNECT") {
  const Url server = *parse_url("https://vault.example:8200");
  const Proxy proxy = *parse_proxy("http://proxy.example:3128", "HTTPS_PROXY");
  const auto said = [&](const std::string& head) {
    const auto open = tunnel_is_open(head, proxy, server);
    return open ? std::string("open") : open.error().text;
  };
  const struct {
    std::string status, part;
  } rows[] = {{"200", "open"},
              {"299", "open"},
              {"199", "could not reach vault.example:8200 (199)"},
              {"300", "could not reach"},
              {"100", "could not reach"},
              {"599", "could not reach vault.example:8200 (599)"},
              {"401", "could not reach"},
              {"402", "could not reach"},
              {"406", "could not reach"},
              {"500", "could not reach"},
              {"502", "could not reach"},
              {"403", "does not permit connections to vault.example:8200 (403)"},
              {"407", "wants a user and a password"},
              {"400", "makes no tunnels (400)"},
              {"404", "makes no tunnels (404)"},
              {"405", "makes no tunnels (405)"},
              {"501", "makes no tunnels (501)"},
              {"099", "does not answer as an HTTP proxy"},
              {"600", "does not answer as an HTTP proxy"},
              {"abc", "does not answer as an HTTP proxy"}};
  for (const auto& row : rows) {
    CAPTURE(row.status);
    CHECK(said("HTTP/1.1 " + row.status + " X\r\nA: b\r\n\r\n").contains(row.part));
  }
  CHECK(said("HTTP/1.0 200\r\n\r\n") == "open");
  CHECK(said("HTTP/1.1 200 X\r\n\r\nx").contains("a page instead of a tunnel"));
  for (const char* wrong :
       {"", "HTTP/1.1 200 X\r\n", "HTTP/2 200 X\r\n\r\n", "SSH-2.0-X 200\r\n\r\n"})
    CHECK_MESSAGE(said(wrong).contains("does not answer as an HTTP proxy"), wrong);
  const Proxy known = *parse_proxy("http://u:p@proxy.example:3128", "x");
  CHECK(wants_credentials(known).text.contains("refuses the user and password"));
  CHECK(wants_credentials(proxy).kind == ErrorKind::network);
  CHECK(wants_credentials(proxy).reason == Reason::proxy);
}

TEST_CASE("networks in NO_PROXY, to the bit") {
  const struct {
    std::string list, server;
    bool excepted;
  } rows[] = {
      {"10.0.0.0/9", "10.127.255.255", true},
      {"10.0.0.0/9", "10.128.0.0", false},
      {"10.1.2.0/31", "10.1.2.1", true},
      {"10.1.2.0/31", "10.1.2.2", false},
      {"10.1.2.3/32", "10.1.2.3", true},
      {"10.1.2.3/32", "10.1.2.2", false},
      {"10.1.2.3/33", "10.1.2.3", false},
      {"0.0.0.0/0", "10.1.2.3", true},
      {"0.0.0.0/0", "[2001:db8::1]", false},
      {"::/0", "[2001:db8::1]", true},
      {"::/0", "10.1.2.3", false},
      {"2001:db8::/33", "[2001:db8:7fff::1]", true},
      {"2001:db8::/33", "[2001:db8:8000::1]", false},
      {"2001:db8::1/128", "[2001:db8::1]", true},
      {"2001:db8::1/128", "[2001:db8::2]", false},
      {"2001:db8::1/129", "[2001:db8::1]", false},
      {"10.0.0.0/8x", "10.1.2.3", false},
      {"10.0.0.0/", "10.1.2.3", false},
      {"x/8", "10.1.2.3", false},
      {"0.0.0.0/0", "vault.example", false},
      {"\tvault.example\t,x", "vault.example", true},
      {"x,\tvault.example", "vault.example", true},
      {"vault.example:8200", "vault.example:8200", true},
      {"vault.example:8201", "vault.example:8200", false},
      {"[2001:db8::1]", "[2001:db8::1]:8200", true},
      {"[2001:db8::1]:8200", "[2001:db8::1]:8200", true},
      {"[2001:db8::1]:8201", "[2001:db8::1]:8200", false},
      {"[2001:db8::1", "[2001:db8::1]:8200", false},
      {":443", "vault.example:443", false},
      {"10.1.2.3", "10.1.2.4", false},
      {"10.1.2.3", "vault.example", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.list);
    CAPTURE(row.server);
    CHECK(is_excepted(row.list, *parse_url("http://" + row.server)) == row.excepted);
  }
}

TEST_CASE("a proxy's user and password as HTTP wants them") {
  const struct {
    std::string user_info, sent;
  } rows[] = {{"a", "YTo="},        {"ab", "YWI6"},        {"abc", "YWJjOg=="},
              {"a:b", "YTpi"},      {"a:b:c", "YTpiOmM="}, {"a:%41", "YTpB"},
              {"a:%4", "YTolNA=="}, {"a:%zz", "YToleno="}, {":b", "OmI="}};
  for (const auto& row : rows) {
    CAPTURE(row.user_info);
    const auto proxy = parse_proxy("http://" + row.user_info + "@proxy:1", "x");
    REQUIRE(proxy);
    REQUIRE(proxy->authorization);
    CHECK(proxy->authorization->reveal() == "Basic " + row.sent);
  }
  CHECK(parse_proxy("@proxy:1", "x")->authorization == nullptr);
  const struct {
    const char *text, *shown;
  } texts[] = {{"http://u:p@h:1", "http://***@h:1"},
               {"u:p@h", "***@h"},
               {"http://h/a@b", "http://h/a@b"},
               {"http://h", "http://h"},
               {"@h", "***@h"},
               {"http://@h", "http://***@h"},
               {"http://u@h?x@y", "http://***@h?x@y"},
               {"a@b://h", "a@b://h"}};
  for (const auto& each : texts) CHECK(without_user_info(each.text) == each.shown);
}

TEST_CASE("which proxy stands before a server") {
  const auto used = [](const char* server, const ProxyOptions& options) {
    const auto proxy = proxy_for(*parse_url(server), options);
    if (!proxy) return proxy.error().text;
    return *proxy ? (*proxy)->text() : std::string("none");
  };
  const ProxyOptions both{.https_proxy = "s:1", .http_proxy = "p:1", .no_proxy = "except"};
  CHECK(used("https://h", both) == "http://s:1 (HTTPS_PROXY)");
  CHECK(used("http://h", both) == "http://p:1 (HTTP_PROXY)");
  CHECK(used("http://except", both) == "none");
  CHECK(used("http://127.0.0.1", both) == "none");
  CHECK(used("unix:///s", {.address = "a:1"}) == "none");
  CHECK(used("http://h", {}) == "none");
  CHECK(used("http://127.0.0.1", {.address = "a:1"}) == "http://a:1 (vault.proxy_address)");
}

TEST_CASE("Retry-After beyond its limits") {
  const WallTime now(784'111'777s);
  CHECK(parse_retry_after("86399", now) == 86399s);
  CHECK(parse_retry_after("86401", now) == 86400s);
  CHECK(parse_retry_after("Tue, 08 Nov 1994 08:49:37 GMT", now) == 24h);
  CHECK_FALSE(parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT.", now));
}
