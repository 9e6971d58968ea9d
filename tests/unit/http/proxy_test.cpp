// Forward proxies: which one, what is said to it, and what it may answer.

#include "http/proxy.hpp"

#include <doctest/doctest.h>

#include "base/timer.hpp"
#include "hostile_tls.hpp"
#include "http/client.hpp"
#include "script_server.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using http::ClientOptions;
using http::parse_proxy;
using http::parse_url;
using http::ProxyOptions;
using test::Loop;
using test::ScriptServer;

namespace {

std::string chosen(const std::string& server, const ProxyOptions& options) {
  const auto proxy = http::proxy_for(*parse_url(server), options);
  if (!proxy) return "error";
  return *proxy ? (*proxy)->url.authority() : "none";
}

struct Fixture {
  Loop loop;
  ScriptServer proxy{loop};
  ClientOptions options;
  std::unique_ptr<http::Client> client;

  explicit Fixture(const std::string& server, const std::string& user_info = {}) {
    options.addresses = {*parse_url(server)};
    options.proxy.address = "http://" + user_info + proxy.address().substr(7);
    options.timeout = 2s;
    options.connect_timeout = 300ms;
  }
  result<http::Response> get() {
    if (client == nullptr) client = http::make_client(loop.context.get_executor(), options);
    return loop.run(client->send({.method = "GET", .target = "/v1/x"}));
  }
  [[nodiscard]] std::string named() const {
    return "the proxy " + proxy.address() + " (vault.proxy_address)";
  }
};

}  // namespace

TEST_CASE("which proxy a server is reached through") {
  const ProxyOptions all{
      .address = {}, .https_proxy = "s:1", .http_proxy = "h:2", .no_proxy = "x.example"};
  CHECK(chosen("https://vault.example", all) == "s:1");
  CHECK(chosen("http://vault.example", all) == "h:2");
  CHECK(chosen("https://a.x.example", all) == "none");
  CHECK(chosen("unix:///run/v.sock", all) == "none");
  for (const char* own :
       {"http://localhost:1", "https://127.0.0.1", "https://127.8.8.8", "http://[::1]:1"})
    CHECK(chosen(own, all) == "none");
  CHECK(chosen("https://127.evil.example", all) == "s:1");
  CHECK(chosen("https://localhost.evil.example", all) == "s:1");
  CHECK(chosen("https://vault.example", {.http_proxy = "h:2"}) == "none");
  CHECK(chosen("http://vault.example", {.https_proxy = "s:1"}) == "none");
  // Our own is for every server, as Vault's own clients have it.
  const ProxyOptions own{
      .address = "p:3", .https_proxy = "s:1", .http_proxy = "h:2", .no_proxy = "*"};
  for (const char* server : {"http://localhost:1", "https://vault.example", "https://127.0.0.1"})
    CHECK(chosen(server, own) == "p:3");
  CHECK(chosen("unix:///run/v.sock", own) == "none");
  CHECK(chosen("https://vault.example", {.https_proxy = "socks5://s:1"}) == "error");
}

TEST_CASE("NO_PROXY is read as Go reads it") {
  struct Row {
    const char *list, *server;
    bool excepted;
  };
  const Row rows[] = {
      {"*", "https://a.example", true},
      {"example.com", "https://example.com", true},
      {"example.com", "https://a.b.example.com", true},
      {"example.com", "https://notexample.com", false},
      {".example.com", "https://a.example.com", true},
      {".example.com", "https://example.com", false},
      {"*.example.com", "https://a.example.com", true},
      {"*.example.com", "https://example.com", false},
      {" a , EXAMPLE.com ,", "https://Example.COM", true},
      {"example.com:8200", "https://example.com:8200", true},
      {"example.com:8200", "https://example.com", false},
      {"example.com:443", "https://example.com", true},
      {"10.0.0.0/8", "https://10.1.2.3", true},
      {"10.0.0.0/8", "https://11.1.2.3", false},
      {"10.0.0.0/33", "https://10.1.2.3", false},
      {"10.1.2.3", "https://10.1.2.3", true},
      {"10.1.2.3:443", "https://10.1.2.3", true},
      {"10.1.2.3:444", "https://10.1.2.3", false},
      {"10.1.2", "https://10.1.2.3", false},
      {"2001:db8::/32", "https://[2001:db8::1]", true},
      {"2001:db8::/32", "https://[2001:db9::1]", false},
      {"[2001:db8::1]:443", "https://[2001:db8::1]", true},
      {"2001:db8::1", "https://[2001:db8:0::1]", true},
      {"10.0.0.0/8", "https://ten.example", false},
      {"", "https://a.example", false},
      {",,:443, :", "https://a.example", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.list);
    CAPTURE(row.server);
    CHECK(http::is_excepted(row.list, *parse_url(row.server)) == row.excepted);
  }
}

TEST_CASE("a proxy's address, and what is never repeated of it") {
  const auto proxy = parse_proxy("http://user:p%40ss%3Aword@proxy.example:3128/", "HTTPS_PROXY");
  REQUIRE(proxy);
  CHECK(proxy->url.authority() == "proxy.example:3128");
  CHECK(proxy->text() == "http://proxy.example:3128 (HTTPS_PROXY)");
  CHECK(proxy->authorization->reveal() == "Basic dXNlcjpwQHNzOndvcmQ=");
  CHECK(parse_proxy("proxy.example", "x")->url.port == "80");
  CHECK(parse_proxy("proxy.example:8080", "x")->authorization == nullptr);
  CHECK(parse_proxy("user@proxy.example", "x")->authorization->reveal() == "Basic dXNlcjo=");
  CHECK(parse_proxy("a:b@c:d@[::1]:8080", "x")->url.host == "::1");
  for (const char* wrong : {"https://user:canary@p:1", "socks5://user:canary@p",
                            "http://user:canary@", "http://user:canary@p:x", "user:canary@a b"}) {
    CAPTURE(wrong);
    const auto bad = parse_proxy(wrong, "HTTPS_PROXY");
    REQUIRE_FALSE(bad);
    CHECK(bad.error().kind == ErrorKind::config);
    CHECK(bad.error().text.starts_with("HTTPS_PROXY: "));
    CHECK(bad.error().text.find("canary") == std::string::npos);
  }
}

TEST_CASE("http goes to the proxy in the absolute form, with its credentials and ours") {
  Fixture fixture("http://vault.invalid:8200/gw", "user:pass@");
  fixture.proxy.answer(200, "a");
  const auto response = fixture.get();
  REQUIRE(response);
  CHECK(response->via == fixture.proxy.address() + " (vault.proxy_address)");
  const std::string& request = fixture.proxy.requests.at(0);
  CHECK(request.starts_with(
      "GET http://vault.invalid:8200/gw/v1/x HTTP/1.1\r\nHost: vault.invalid:8200\r\n"));
  CHECK(request.find("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n") != std::string::npos);
}

TEST_CASE("https goes through a tunnel; the proxy sees neither token nor path") {
  test::Certificates certificates;
  Loop loop;
  certificates.make("server", "DNS:vault.invalid");
  test::HostileTls server(loop, certificates, "server");
  ScriptServer proxy(loop);
  proxy.tunnel_to = server.port();
  ClientOptions options;
  options.addresses = {*parse_url("https://vault.invalid:8200")};
  options.ca_cert = certificates.path("ca.pem");
  options.proxy.address = "http://user:pass@" + proxy.address().substr(7);
  const auto client = http::make_client(loop.context.get_executor(), options);
  for (int i = 0; i < 3; ++i) {
    const auto response = loop.run(client->send(
        {.method = "GET", .target = "/v1/x", .token = std::make_shared<const Secret>("t0ken")}));
    REQUIRE_MESSAGE(response, response.error().text);
    CHECK(response->body.reveal() == "a");
  }
  REQUIRE(proxy.requests.size() == 1);
  CHECK(proxy.requests[0] ==
        "CONNECT vault.invalid:8200 HTTP/1.1\r\nHost: vault.invalid:8200\r\n"
        "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n");
  CHECK(server.connections == 1);
}

TEST_CASE("whatever a proxy answers to CONNECT, it is named, and what to do is said") {
  struct Row {
    const char* answer;
    const char* says;
    ErrorKind kind = ErrorKind::network;
  };
  const Row rows[] = {
      {"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
       "wants a user and a password (407)"},
      {"HTTP/1.1 403 X\r\n\r\n<html>", "does not permit connections to vault.invalid:443 (403)"},
      {"HTTP/1.1 502 X\r\n\r\n<html>", "could not reach vault.invalid:443 (502)"},
      {"HTTP/1.1 405 X\r\n\r\n", "makes no tunnels (405)"},
      {"HTTP/1.1 301 X\r\nLocation: http://evil\r\n\r\n",
       "could not reach vault.invalid:443 (301)"},
      {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>hello</html>",
       "answered with a page instead of a tunnel"},
      {"<html>hello</html>\r\n\r\n", "does not answer as an HTTP proxy does"},
      {"SSH-2.0-OpenSSH\r\n\r\n", "does not answer as an HTTP proxy does"},
      {"HTTP/1.1 abc\r\n\r\n", "does not answer as an HTTP proxy does"},
      {"", "no answer within 300 ms (waiting for the proxy", ErrorKind::timeout},
  };
  for (const Row& row : rows) {
    CAPTURE(row.answer);
    Fixture fixture("https://vault.invalid", "");
    fixture.proxy.scripts.push_back({row.answer});
    const auto response = fixture.get();
    REQUIRE_FALSE(response);
    CHECK(response.error().kind == row.kind);
    CHECK(response.error().text.find(row.says) != std::string::npos);
    CHECK(response.error().text.find("proxy " + fixture.proxy.address() +
                                     " (vault.proxy_address)") != std::string::npos);
  }
  Fixture closed("https://vault.invalid");  // no script: closed at once
  CHECK(closed.get().error().text.find(closed.named() + ": the server closed the connection") !=
        std::string::npos);
  Fixture refused("https://vault.invalid", "user:canary@");
  refused.proxy.scripts.push_back({"HTTP/1.1 407 X\r\n\r\n"});
  const auto error = refused.get().error();
  CHECK(error.text.find("refuses the user and password") != std::string::npos);
  CHECK(error.text.find("canary") == std::string::npos);
  CHECK(error.reason == Reason::proxy);
}

TEST_CASE("a proxy that is not there is named, not the server") {
  Fixture fixture("https://vault.invalid");
  fixture.options.proxy.address = "http://no-such-proxy.invalid:3128";
  const auto error = fixture.get().error();
  CHECK(error.text.starts_with(
      "https://vault.invalid:443: the proxy http://no-such-proxy.invalid:3128 "
      "(vault.proxy_address): "));
  CHECK(error.reason == Reason::proxy);
}

TEST_CASE("a proxy that wants a password answers http requests with it, too") {
  Fixture fixture("http://vault.invalid:8200");
  fixture.proxy.answer(407, "<html>");
  const auto error = fixture.get().error();
  CHECK(error.text.find(fixture.named() + " wants a user and a password (407)") !=
        std::string::npos);
  CHECK(error.reason == Reason::proxy);

  Fixture hasty("http://vault.invalid:8200");  // that cuts the connection in the middle of its page
  hasty.proxy.scripts.push_back({"HTTP/1.1 407 X\r\nContent-Length: 100\r\n\r\n<html>", true});
  CHECK(hasty.get().error().reason == Reason::proxy);
}
