#include "auth/cloud.hpp"

#include <doctest/doctest.h>

#include "support/fake_cloud.hpp"
#include "support/io.hpp"

namespace keybearer::auth {
namespace {

using namespace std::chrono_literals;

struct Asking {
  test::Io io;
  test::FakeCloud cloud;
  std::optional<CloudHttp> http;

  static boost::asio::awaitable<void> send(Asking& self, CloudRequest request,
                                           std::optional<result<http::Response>>& out) {
    auto answer = co_await self.http->send(std::move(request));
    out.emplace(std::move(answer));
  }
  result<http::Response> ask(CloudRequest request) {
    if (!http) http.emplace(cloud.parts());
    std::optional<result<http::Response>> out;
    io.start_task(send(*this, std::move(request), out));
    for (int i = 0; i < 40 && !out; ++i) io.advance(1s);
    REQUIRE(out);
    return std::move(*out);
  }
};

TEST_CASE(
    "a metadata service is asked straight, shortly, once, and its redirects are not followed") {
  Asking asking;
  asking.cloud.proxy = {.http_proxy = "http://proxy:3128"};
  asking.cloud.http.answer("GET http://169.254.169.254:80/latest/x?y=1", 200, "role");
  const auto answer =
      asking.ask({.url = "http://169.254.169.254/latest/x?y=1", .headers = {{"Metadata", "true"}}});
  REQUIRE(answer);
  CHECK(answer->body.reveal() == "role");
  const auto& options = asking.cloud.options.at("http://169.254.169.254:80");
  CHECK(options.timeout == 2s);
  CHECK(options.connect_timeout == 2s);
  CHECK(options.max_response_size == 65536);
  CHECK_FALSE(options.redirects);
  CHECK(options.proxy.http_proxy.empty());
  CHECK(options.headers.empty());
  REQUIRE(asking.cloud.http.asked.size() == 1);
  CHECK(asking.cloud.http.asked[0].headers.at(0).second == "true");
}

TEST_CASE("a public service goes through the environment's proxy and has longer") {
  Asking asking;
  asking.cloud.proxy = {.https_proxy = "http://proxy:3128"};
  asking.cloud.http.answer("POST https://sts.amazonaws.com:443/", 403, "<Error/>");
  const auto answer = asking.ask({.method = "POST",
                                  .url = "https://sts.amazonaws.com/",
                                  .body = Secret("Action=A"),
                                  .reach = Reach::internet});
  REQUIRE(answer);
  CHECK(answer->status == 403);
  const auto& options = asking.cloud.options.at("https://sts.amazonaws.com:443");
  CHECK(options.proxy.https_proxy == "http://proxy:3128");
  CHECK(options.timeout == 10s);
  CHECK(asking.cloud.http.asked[0].headers.back() ==
        std::pair<std::string, std::string>("Content-Type", "application/x-www-form-urlencoded"));
}

TEST_CASE("what went wrong names the address without its query, and never the server's keys") {
  struct {
    ErrorKind kind;
    const char* text;
    const char* shown;
  } const rows[] = {
      {ErrorKind::network, "http://h:80: connection refused", "http://h/p: connection refused"},
      {ErrorKind::tls,
       "http://h:80: the certificate is not trusted; set vault.ca_cert (VAULT_CACERT)",
       "http://h/p: the certificate is not trusted"},
      {ErrorKind::bad_reply,
       "http://h:80: response larger than 65536 bytes (vault.max_response_size)",
       "http://h/p: response larger than 65536 bytes"},
  };
  for (const auto& [kind, text, shown] : rows) {
    Asking asking;
    asking.cloud.http.fail("GET http://h:80/p?token=canary", kind, text);
    const auto answer = asking.ask({.url = "http://h/p?token=canary"});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().text == shown);
    CHECK(answer.error().reason == Reason::credentials_away);
  }
}

TEST_CASE("a redirect is an error, whatever it says") {
  for (const int status : {301, 302, 303, 307, 308}) {
    Asking asking;
    asking.cloud.http.answer("GET http://h:80/p", status, "");
    const auto answer = asking.ask({.url = "http://h/p"});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::bad_reply);
    CHECK(answer.error().text.contains("redirect"));
    CHECK(asking.cloud.http.asked.size() == 1);
  }
}

TEST_CASE("a service that hangs is given up after 2 s") {
  Asking asking;
  asking.cloud.http.delay("GET http://h:80/", 30s);
  const auto before = Clock::now();
  const auto answer = asking.ask({.url = "http://h"});
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::timeout);
  CHECK(Clock::now() - before <= 3s);
}

TEST_CASE("addresses that are none") {
  for (const char* url : {"", "h/p", "ftp://h/", "unix:///run/x", "http://", "http://a b/"}) {
    Asking asking;
    const auto answer = asking.ask({.url = url});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::config);
  }
  Asking nowhere;
  nowhere.http.emplace(CloudParts{});
  CHECK(nowhere.ask({.url = "http://h/"}).error().kind == ErrorKind::config);
}

TEST_CASE("form fields are escaped") {
  CHECK(form_escaped("arn:aws:iam::1:role/a b+~김") ==
        "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b%2B~%EA%B9%80");
  CHECK(form_escaped("") == "");
}

}  // namespace
}  // namespace keybearer::auth
