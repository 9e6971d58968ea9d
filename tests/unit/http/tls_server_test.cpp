// The server's side of TLS: whom it lets in, what it knows of them, and its files.

#include "http/tls_server.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <boost/asio/ssl.hpp>
#include <filesystem>
#include <fstream>

#include "certificates.hpp"
#include "http/server.hpp"
#include "script_server.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using http::TlsServerContext;
using http::TlsServerOptions;
using test::Certificates;
using test::Loop;

namespace {

// "NAME: ALTERNATIVE NAMES" of the client's certificate, or "nobody".
asio::awaitable<void> tell_peer(http::Exchange& exchange) {
  std::string text = "nobody";
  if (const auto& certificate = exchange.peer().certificate) {
    text = certificate->common_name + ":";
    for (const std::string& name : certificate->names) text += " " + name;
  }
  const auto done = co_await exchange.respond({.body = Secret(text)});
  CHECK(done);
}

http::Url any_port() {
  http::Url url = *http::parse_url("http://127.0.0.1:1");
  url.port = "0";
  return url;
}

struct Fixture {
  Loop loop;
  Certificates certificates;
  TlsServerOptions options;
  std::unique_ptr<http::Server> server;
  bool ended = true;

  Fixture() {
    certificates.make("server", "DNS:localhost");
    options.cert_file = certificates.path("server.pem");
    options.key_file = certificates.path("server.key");
  }
  ~Fixture() { stop(); }
  void stop() {
    if (server) server->stop();
    while (!ended && loop.context.run_one_for(5s) != 0) {
    }
  }
  void start(http::ServerLimits limits = {}) {
    stop();
    auto context = std::make_shared<TlsServerContext>(options);
    REQUIRE(context->set_up());
    server = std::make_unique<http::Server>(
        loop.context.get_executor(),
        http::ServerOptions{.address = any_port(), .tls = std::move(context), .limits = limits},
        tell_peer);
    REQUIRE(server->listen());
    ended = false;
    asio::co_spawn(loop.context, server->run(), [this](std::exception_ptr) { ended = true; });
  }
  // What a client with that certificate is told; "refused".
  std::string told(const std::string& name = {}) {
    http::ClientOptions client;
    client.addresses = {*http::parse_url("https://localhost:" + server->address().port)};
    client.ca_cert = certificates.path("ca.pem");
    if (!name.empty()) client.client_cert = certificates.path(name + ".pem");
    if (!name.empty()) client.client_key = certificates.path(name + ".key");
    const auto made = http::make_client(loop.context.get_executor(), client);
    const auto response = loop.run(made->send({.method = "GET", .target = "/"}));
    if (response) return std::string(response->body.reveal());
    CHECK(response.error().kind == ErrorKind::tls);
    return "refused";
  }
  // The version that is agreed on with a client that knows none later; 0: none.
  int version(int latest) {
    return loop.run([](Fixture& f, int most) -> asio::awaitable<int> {
      asio::ssl::context context(asio::ssl::context::tls_client);
      asio::ssl::stream<asio::ip::tcp::socket> stream(f.loop.context, context);
      SSL_set_max_proto_version(stream.native_handle(), most);
      const auto port = static_cast<std::uint16_t>(std::stoi(f.server->address().port));
      co_await stream.next_layer().async_connect({asio::ip::address_v4::loopback(), port},
                                                 asio::use_awaitable);
      boost::system::error_code error;
      co_await stream.async_handshake(asio::ssl::stream_base::client,
                                      asio::redirect_error(asio::use_awaitable, error));
      co_return error ? 0 : SSL_version(stream.native_handle());
    }(*this, latest));
  }
};

}  // namespace

TEST_CASE("without an authority for clients nobody is asked for a certificate") {
  Fixture fixture;
  fixture.certificates.add("client", {.names = ""});
  fixture.start();
  CHECK(fixture.told() == "nobody");
  CHECK(fixture.told("client") == "nobody");
}

TEST_CASE("a client's certificate is verified, and its names are known") {
  for (const bool required : {true, false}) {
    CAPTURE(required);
    Fixture fixture;
    Certificates& all = fixture.certificates;
    const std::string names =
        "DNS:one.example,IP:127.0.0.1,URI:spiffe://mesh/pos,email:pos@one.example";
    all.add("client", {.names = names, .usage = "clientAuth"});
    all.add("plain", {.names = ""});
    all.add("two", {.names = "", .second_common_name = "other"});
    all.add("server-only", {.names = "DNS:one.example", .usage = "serverAuth"});
    all.add("expired", {.names = "DNS:one.example", .until = -60});
    all.add("another-ca", {.names = "", .issuer = "", .is_authority = true});
    all.add("stranger", {.names = "DNS:one.example", .issuer = "another-ca"});
    fixture.options.client_ca_file = all.path("ca.pem");
    fixture.options.require_client_cert = required;
    fixture.start();
    CHECK(fixture.told() == (required ? "refused" : "nobody"));
    CHECK(fixture.told("client") == "client: one.example spiffe://mesh/pos pos@one.example");
    CHECK(fixture.told("plain") == "plain:");
    CHECK(fixture.told("two") == ":");
    for (const char* bad : {"server-only", "expired", "stranger"}) {
      CAPTURE(bad);
      CHECK(fixture.told(bad) == "refused");
    }
  }
}

TEST_CASE("a client whose certificate was revoked is refused") {
  Fixture fixture;
  fixture.certificates.add("client", {.names = ""});
  fixture.certificates.add("revoked", {.names = ""});
  fixture.certificates.revoke("revoked", "ca", "list.pem");
  fixture.options.client_ca_file = fixture.certificates.path("ca.pem");
  fixture.options.crl_file = fixture.certificates.path("list.pem");
  fixture.start();
  CHECK(fixture.told("client") == "client:");
  CHECK(fixture.told("revoked") == "refused");
}

TEST_CASE("TLS 1.2 is spoken unless only 1.3 is wanted") {
  for (const bool only : {false, true}) {
    Fixture fixture;
    fixture.options.tls13_only = only;
    fixture.start();
    CHECK(fixture.version(TLS1_3_VERSION) == TLS1_3_VERSION);
    CHECK(fixture.version(TLS1_2_VERSION) == (only ? 0 : TLS1_2_VERSION));
    CHECK(fixture.version(TLS1_1_VERSION) == 0);
  }
}

TEST_CASE("each file that can't be used is named by its key") {
  Certificates all;
  all.make("server", "DNS:localhost");
  all.make("other", "DNS:localhost");
  all.lock("server");
  std::ofstream(all.path("garbage")) << "no PEM";
  REQUIRE(mkfifo(all.path("pipe").c_str(), 0600) == 0);
  const struct {
    std::string cert, key, ca, crl, said;
  } rows[] = {
      {"server.pem", "server.key", "", "", ""},
      {"server.pem", "server.key", "ca.pem", "", ""},
      {"none", "server.key", "", "", "tls_cert_file " + all.path("none")},
      {"garbage", "server.key", "", "", "tls_cert_file " + all.path("garbage")},
      {"server.pem", "none", "", "", "tls_key_file " + all.path("none")},
      {"server.pem", "other.key", "", "", "tls_key_file " + all.path("other.key")},
      {"server.pem", "server.locked.key", "", "", "tls_key_file " + all.path("server.locked.key")},
      {"server.pem", "server.key", "none", "", "tls_client_ca_file " + all.path("none")},
      {"server.pem", "server.key", "garbage", "", "tls_client_ca_file " + all.path("garbage")},
      {"server.pem", "server.key", "ca.pem", "none", "tls_crl_file " + all.path("none")},
      {"server.pem", "server.key", "ca.pem", "garbage", "tls_crl_file " + all.path("garbage")},
      // It has no writer: to open it would be to wait.
      {"pipe", "server.key", "", "", "tls_cert_file " + all.path("pipe") + ": not a regular file"},
      {"server.pem", "pipe", "", "", "tls_key_file " + all.path("pipe") + ": not a regular file"},
      {"server.pem", "server.key", "pipe", "",
       "tls_client_ca_file " + all.path("pipe") + ": not a"},
      {"server.pem", "server.key", "ca.pem", "pipe",
       "tls_crl_file " + all.path("pipe") + ": not a"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.said);
    const auto path = [&](const std::string& name) { return name.empty() ? name : all.path(name); };
    TlsServerContext context({.cert_file = path(row.cert),
                              .key_file = path(row.key),
                              .client_ca_file = path(row.ca),
                              .crl_file = path(row.crl)});
    const auto ready = context.set_up();
    CHECK(bool(ready) == row.said.empty());
    if (ready) continue;
    CHECK(ready.error().kind == ErrorKind::tls);
    CHECK(ready.error().reason == Reason::tls_files);
    CHECK(ready.error().text.starts_with(row.said));
  }
}

TEST_CASE(
    "a changed file of the server's is used from the next connection on, a broken one is not") {
  Fixture fixture;
  Certificates& all = fixture.certificates;
  all.add("client", {.names = ""});
  all.add("second", {.names = "", .issuer = "", .is_authority = true});
  all.add("other", {.names = "", .issuer = "second"});
  std::filesystem::copy_file(all.path("ca.pem"), all.path("clients.pem"));
  fixture.options.client_ca_file = all.path("clients.pem");
  fixture.start();
  CHECK(fixture.told("client") == "client:");
  CHECK(fixture.told("other") == "refused");
  std::ofstream(all.path("clients.pem")) << "garbage";
  CHECK(fixture.told("client") == "client:");
  std::filesystem::copy_file(all.path("second.pem"), all.path("clients.pem"),
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(fixture.told("client") == "refused");
  CHECK(fixture.told("other") == "other:");
}

TEST_CASE("who does not finish the handshake is dropped") {
  Fixture fixture;
  fixture.start({.header_timeout = 20ms});
  const bool closed = fixture.loop.run([](Fixture& f) -> asio::awaitable<bool> {
    asio::ip::tcp::socket socket(f.loop.context);
    const auto port = static_cast<std::uint16_t>(std::stoi(f.server->address().port));
    co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
    char byte = 0;
    boost::system::error_code error;
    co_await socket.async_read_some(asio::buffer(&byte, 1),
                                    asio::redirect_error(asio::use_awaitable, error));
    co_return bool(error);
  }(fixture));
  CHECK(closed);
}

TEST_CASE("a peer is named by what is known of it") {
  http::Peer peer{.address = "10.0.0.7", .reached = {}};
  CHECK(peer.text() == "10.0.0.7");
  CHECK_FALSE(peer.is_local_socket());
  peer.certificate = {.common_name = "pos-1", .names = {}};
  CHECK(peer.text() == "10.0.0.7 CN=pos-1");
  peer = {.address = {}, .reached = {}, .credentials = http::Peer::Credentials{.uid = 5, .pid = 7}};
  CHECK(peer.text() == "uid:5 pid:7");
  CHECK(peer.is_local_socket());
}
