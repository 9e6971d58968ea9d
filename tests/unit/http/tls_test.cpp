#include <doctest/doctest.h>
#include <sys/stat.h>

#include <boost/asio/ssl.hpp>
#include <fstream>

#include "base/timer.hpp"
#include "certificates.hpp"
#include "script_server.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using test::Certificates;
using test::Loop;

namespace {

// Answers one request of each connection with "200 a"; tells what the client said of itself.
class TlsServer {
 public:
  TlsServer(Loop& loop, const Certificates& certificates, const std::string& name)
      : loop_(loop),
        context_(asio::ssl::context::tls_server),
        acceptor_(loop.context, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        tasks_(loop.context.get_executor()) {
    context_.use_certificate_chain_file(certificates.path(name + ".pem"));
    context_.use_private_key_file(certificates.path(name + ".key"), asio::ssl::context::pem);
    context_.load_verify_file(certificates.path("ca.pem"));
    context_.set_verify_mode(asio::ssl::verify_peer);  // asks for a client certificate, wants none
    tasks_.spawn(accept_all());
  }
  ~TlsServer() {
    loop_.run([](TaskGroup& tasks) -> asio::awaitable<bool> {
      tasks.cancel();
      co_await tasks.join();
      co_return true;
    }(tasks_));
  }

  std::string server_name;  // SNI of the last connection
  std::string client;       // CN of its client certificate
  int connections = 0;
  bool only_tls11 = false;

  [[nodiscard]] std::string port() const {
    return std::to_string(acceptor_.local_endpoint().port());
  }

 private:
  using Socket = asio::ssl::stream<asio::ip::tcp::socket>;

  asio::awaitable<void> accept_all() {
    for (;;) {
      auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
      ++connections;
      tasks_.spawn(serve(std::make_unique<Socket>(std::move(socket), context_)));
    }
  }
  asio::awaitable<void> serve(std::unique_ptr<Socket> socket) {
    boost::system::error_code error;
    SSL* const ssl = socket->native_handle();
    if (only_tls11) SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    co_await socket->async_handshake(asio::ssl::stream_base::server,
                                     asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    server_name = name == nullptr ? "" : name;
    if (const X509* peer = SSL_get0_peer_certificate(ssl)) {
      char text[100] = "";
      X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, text, sizeof text);
      client = text;
    }
    std::string bytes(4096, '\0');
    while (!error) {
      co_await socket->async_read_some(asio::buffer(bytes),
                                       asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
      co_await asio::async_write(
          *socket, asio::buffer(std::string_view("HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\na")),
          asio::redirect_error(asio::use_awaitable, error));
    }
  }

  Loop& loop_;
  asio::ssl::context context_;
  asio::ip::tcp::acceptor acceptor_;
  TaskGroup tasks_;
};

struct Fixture {
  Certificates certificates;
  Loop loop;
  http::ClientOptions options;
  std::unique_ptr<TlsServer> server;
  std::unique_ptr<http::Client> client;

  explicit Fixture(const std::string& names, long seconds = 3600) {
    certificates.make("server", names, seconds);
    server = std::make_unique<TlsServer>(loop, certificates, "server");
    options.ca_cert = certificates.path("ca.pem");
  }
  ~Fixture() { client.reset(); }

  void connect_to(const std::string& host) {
    options.addresses = {*http::parse_url("https://" + host + ":" + server->port())};
    client = http::make_client(loop.context.get_executor(), options);
  }
  result<http::Response> get() { return loop.run(client->send({.method = "GET", .target = "/"})); }
  // "200", or the error without its address.
  std::string told() {
    const auto response = get();
    if (response) return std::to_string(response->status);
    CHECK(response.error().kind == ErrorKind::tls);
    return response.error().text.substr(options.addresses[0].text().size() + 2);
  }
  std::string told(const std::string& host) {
    connect_to(host);
    return told();
  }
};

}  // namespace

TEST_CASE("a certificate of the authority for this name or address is trusted") {
  Fixture fixture("DNS:localhost,IP:127.0.0.1");
  CHECK(fixture.told("localhost") == "200");
  CHECK(fixture.server->server_name == "localhost");
  CHECK(fixture.told("127.0.0.1") == "200");
  CHECK(fixture.server->server_name.empty());  // RFC 6066: no address as SNI
}

TEST_CASE("a certificate for other names is refused, and both names are told") {
  Fixture fixture("DNS:vault.internal,IP:10.0.0.5");
  CHECK(fixture.told("localhost") ==
        "the server's certificate is for vault.internal, 10.0.0.5, not for localhost; set "
        "vault.tls_server_name or use "
        "a name it is for");
  CHECK(fixture.told("127.0.0.1").find("not for 127.0.0.1") != std::string::npos);
  fixture.options.tls_server_name = "vault.internal";
  CHECK(fixture.told("127.0.0.1") == "200");
  CHECK(fixture.server->server_name == "vault.internal");
}

TEST_CASE("a certificate of an unknown authority is refused") {
  Fixture fixture("DNS:localhost");
  const Certificates others;
  fixture.options.ca_cert = others.path("ca.pem");
  const std::string said = fixture.told("localhost");
  CHECK(said.find("not trusted") != std::string::npos);
  CHECK(said.find("vault.ca_cert") != std::string::npos);
  fixture.options.ca_cert.clear();  // the system's
  CHECK(fixture.told("localhost").find("not trusted") != std::string::npos);
}

TEST_CASE("a certificate that has expired is refused") {
  Fixture fixture("DNS:localhost", -60);
  CHECK(fixture.told("localhost") ==
        "the server's certificate has expired: have it renewed on the server");
}

TEST_CASE("verification can be switched off") {
  Fixture fixture("DNS:elsewhere", -60);
  fixture.options.ca_cert.clear();
  fixture.options.tls_skip_verify = true;
  CHECK(fixture.told("localhost") == "200");
}

TEST_CASE("the client's certificate is sent") {
  Fixture fixture("DNS:localhost");
  fixture.certificates.make("client", "DNS:one");
  fixture.options.client_cert = fixture.certificates.path("client.pem");
  fixture.options.client_key = fixture.certificates.path("client.key");
  CHECK(fixture.told("localhost") == "200");
  CHECK(fixture.server->client == "client");
  CHECK(fixture.told() == "200");
  CHECK(fixture.server->connections == 1);
}

TEST_CASE("a changed file is used for the next connection, a broken one is not") {
  Fixture fixture("DNS:localhost");
  const Certificates others;
  fixture.connect_to("localhost");
  CHECK(fixture.told() == "200");
  const auto reconnect = [&fixture] {  // the kept connection is too old by then
    Clock::freeze(Clock::now() + 2min);
    Timer earliest(fixture.loop.context, Instant{});
    earliest.async_wait([](const boost::system::error_code&) {});
    while (fixture.loop.context.poll() != 0) {
    }
    Clock::thaw();
  };
  std::ofstream(fixture.certificates.path("ca.pem")) << "garbage";
  reconnect();
  CHECK(fixture.told() == "200");
  CHECK(fixture.server->connections == 2);
  std::filesystem::copy_file(others.path("ca.pem"), fixture.certificates.path("ca.pem"),
                             std::filesystem::copy_options::overwrite_existing);
  reconnect();
  CHECK(fixture.told().find("not trusted") != std::string::npos);
}

TEST_CASE("what was checked is what is used, unless a file or a setting is another by then") {
  Fixture fixture("DNS:localhost");
  const Certificates others;
  const http::ClientOptions good = fixture.options;
  const auto check = [&fixture](const http::ClientOptions& options) {
    http::ClientOptions whole = options;
    whole.addresses = {*http::parse_url("https://localhost:" + fixture.server->port())};
    CHECK(http::check_tls_files(whole));
  };
  for (int i = 0; i < 2; ++i) {  // the second client makes its own
    if (i == 0) check(good);
    CHECK(fixture.told("localhost") == "200");
  }
  http::ClientOptions other = good;
  other.tls_skip_verify = true;
  check(other);
  fixture.options.ca_cert = others.path("ca.pem");
  CHECK(fixture.told("localhost").find("not trusted") != std::string::npos);
  check(good);
  CHECK(fixture.told("localhost").find("not trusted") != std::string::npos);
  fixture.options = good;
  CHECK(fixture.told("localhost") == "200");
  check(good);
  std::filesystem::copy_file(others.path("ca.pem"), fixture.certificates.path("ca.pem"),
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(fixture.told("localhost").find("not trusted") != std::string::npos);
}

TEST_CASE("files that can't be read are named") {
  Fixture fixture("DNS:localhost");
  fixture.options.ca_cert = "/nonexistent/ca.pem";
  CHECK(fixture.told("localhost").find("vault.ca_cert /nonexistent/ca.pem") != std::string::npos);
  fixture.options.ca_cert = fixture.certificates.path("ca.pem");
  fixture.options.client_cert = fixture.certificates.path("server.pem");
  fixture.options.client_key = fixture.certificates.path("ca.pem");
  CHECK(fixture.told("localhost").find("vault.client_key") != std::string::npos);
}

TEST_CASE("what is no file is not opened: a pipe would hold all of us") {
  const Certificates all;
  const std::string pipe = all.path("pipe"), directory = all.path("directory");
  const std::string hashed = directory + "/5ed36f99.r0";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  REQUIRE(std::filesystem::create_directory(directory));
  REQUIRE(mkfifo((directory + "/README").c_str(), 0600) == 0);  // no name that is opened
  const std::string good = all.path("ca.pem"), key = all.path("ca.key");
  const auto told = [](const std::string& ca_cert, const std::string& ca_path,
                       const std::string& cert = {}, const std::string& cert_key = {}) {
    http::ClientOptions options;
    options.ca_cert = ca_cert;
    options.ca_path = ca_path;
    options.client_cert = cert;
    options.client_key = cert_key;
    const auto ready = http::check_tls_files(options);
    CHECK((ready || ready.error().reason == Reason::tls_files));
    return ready ? "" : ready.error().text;
  };
  CHECK(told(good, "", good, key) == "");
  CHECK(told(pipe, "") == "vault.ca_cert " + pipe + ": not a regular file");
  CHECK(told("/dev/zero", "") == "vault.ca_cert /dev/zero: not a regular file");
  CHECK(told(directory, "") == "vault.ca_cert " + directory + ": is a directory; expected a file");
  CHECK(told(good, "", pipe, key) == "vault.client_cert " + pipe + ": not a regular file");
  CHECK(told(good, "", good, pipe) == "vault.client_key " + pipe + ": not a regular file");
  CHECK(told("", good) == "vault.ca_path " + good + ": not a directory");
  CHECK(told("", directory) == "");
  REQUIRE(mkfifo(hashed.c_str(), 0600) == 0);
  CHECK(told("", directory) == "vault.ca_path " + hashed + ": not a regular file");
}

TEST_CASE("old TLS versions are refused") {
  Fixture fixture("DNS:localhost");
  fixture.server->only_tls11 = true;
  CHECK(fixture.told("localhost").find("no TLS version that is allowed") != std::string::npos);
}

TEST_CASE("a server that speaks plain http is told apart") {
  Loop loop;
  test::ScriptServer plain(loop);
  plain.scripts.push_back({"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"});
  http::ClientOptions options;
  options.addresses = {*http::parse_url("https" + plain.address().substr(4))};
  options.connect_timeout = 200ms;
  const auto client = http::make_client(loop.context.get_executor(), options);
  const auto response = loop.run(client->send({.method = "GET", .target = "/"}));
  REQUIRE_FALSE(response);
  // the test's server waits for the end of a header that never comes
  CHECK(response.error().text.find("no answer within 200 ms (TLS handshake)") != std::string::npos);
}

// vault.tls_pin_sha256 (behaviour section 6: looked at before the first byte).
TEST_CASE("pins: the server's key is one of them, whatever else is wrong or right") {
  Fixture fixture("DNS:localhost");
  const std::string right = fixture.certificates.pin("server"), ca = fixture.certificates.pin("ca");
  fixture.options.tls_pin_sha256 = {right};
  CHECK(fixture.told("localhost") == "200");
  fixture.options.tls_pin_sha256 = {ca, right};
  CHECK(fixture.told("localhost") == "200");
  fixture.options.tls_pin_sha256 = {ca};  // the authority's key is not the server's
  const std::string said = fixture.told("localhost");
  CHECK(said.contains("vault.tls_pin_sha256"));
  CHECK(said.contains("it is \"" + right + "\""));
  CHECK(said.contains("nothing is sent"));
}

TEST_CASE("a pin does not stand for the certificate's own check, but holds without it") {
  Fixture fixture("DNS:elsewhere");
  fixture.options.tls_pin_sha256 = {fixture.certificates.pin("server")};
  CHECK(fixture.told("localhost").contains("is for elsewhere"));
  fixture.options.tls_skip_verify = true;
  CHECK(fixture.told("localhost") == "200");
  fixture.options.tls_pin_sha256 = {fixture.certificates.pin("ca")};
  CHECK(fixture.told("localhost").contains("vault.tls_pin_sha256"));
}

TEST_CASE("a renewed certificate of the same key keeps its pin") {
  Fixture fixture("DNS:localhost");
  fixture.options.tls_pin_sha256 = {fixture.certificates.pin("server")};
  CHECK(fixture.told("localhost") == "200");
  fixture.certificates.renew("server", {.names = "DNS:localhost,DNS:more", .until = 7200});
  TlsServer other(fixture.loop, fixture.certificates, "server");
  fixture.options.addresses = {*http::parse_url("https://localhost:" + other.port())};
  fixture.client = http::make_client(fixture.loop.context.get_executor(), fixture.options);
  CHECK(fixture.told() == "200");
  fixture.client.reset();
}
