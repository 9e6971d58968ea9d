// Servers that are not whom they say they are, or do what no server should. Behaviour, section 6.

#include <doctest/doctest.h>

#include "base/timer.hpp"
#include "crypto/library.hpp"
#include "hostile_tls.hpp"
#include "http/peer_name.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using test::Certificates;
using test::HostileTls;
using test::Spec;

namespace {

struct Fixture {
  Certificates certificates;
  test::Loop loop;
  http::ClientOptions options;
  std::unique_ptr<HostileTls> server;
  std::unique_ptr<http::Client> client;

  explicit Fixture(Spec spec = {.names = "DNS:localhost,IP:127.0.0.1"}) {
    options.ca_cert = certificates.path("ca.pem");
    options.timeout = 2s;
    if (spec.issuer.empty() || spec.issuer == "ca") start(std::move(spec));
  }
  ~Fixture() { client.reset(); }

  void start(Spec spec) {
    certificates.add("server", std::move(spec));
    server = std::make_unique<HostileTls>(loop, certificates, "server");
  }
  void connect_to(const std::string& host) {
    options.addresses = {*http::parse_url("https://" + host + ":" + server->port())};
    client = http::make_client(loop.context.get_executor(), options);
  }
  result<http::Response> send(const char* method = "GET") {
    if (client == nullptr) connect_to("localhost");
    return loop.run(client->send({.method = method,
                                  .target = "/",
                                  .token = std::make_shared<const Secret>("t0ken-canary")}));
  }
  // "200", or the error; then nothing of the request was seen.
  std::string told(const std::string& host = "localhost") {
    connect_to(host);
    const auto response = send();
    if (response) return std::to_string(response->status);
    CHECK(response.error().kind == ErrorKind::tls);
    CHECK(server->requests == 0);
    return response.error().text;
  }
};

}  // namespace

TEST_CASE(
    "only a certificate for the host that was asked for is taken, each other one is refused before "
    "a byte") {
  struct Row {
    const char* names;
    const char* common_name;
    const char* host;
    bool good;
  };
  const Row rows[] = {
      {"DNS:localhost", "x", "localhost", true},
      {"DNS:LOCALHOST", "x", "localhost", true},
      {"IP:127.0.0.1", "x", "127.0.0.1", true},
      {"DNS:other.example", "localhost", "localhost", false},
      {"", "localhost", "localhost", false},  // the common name is no host name (RFC 9525)
      {"", "127.0.0.1", "127.0.0.1", false},
      {"IP:10.0.0.1", "localhost", "localhost", false},
      {"DNS:127.0.0.1", "127.0.0.1", "127.0.0.1", false},  // an address as a name
      {"DNS:*", "x", "localhost", false},
      {"DNS:*.localhost", "x", "localhost", false},
      {"DNS:local*", "x", "localhost", false},
      {"DNS:localhost.evil.example", "x", "localhost", false},
      {"DNS:evil-localhost", "x", "localhost", false},
      {"IP:127.0.0.2", "x", "127.0.0.1", false},
      {"email:localhost,URI:https://localhost", "x", "localhost", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.names);
    CAPTURE(row.common_name);
    Fixture fixture({.names = row.names, .common_name = row.common_name});
    const auto told = fixture.told(row.host);
    CHECK((told == "200") == row.good);
    if (row.good) continue;
    CHECK(told.find("not for " + std::string(row.host)) != std::string::npos);
    CHECK(told.find("vault.tls_server_name") != std::string::npos);
  }
}

TEST_CASE("wildcards stand for one whole part of a name") {
  struct Row {
    const char* names;
    const char* server_name;
    bool good;
  };
  const Row rows[] = {
      {"DNS:*.vault.example", "a.vault.example", true},
      {"DNS:*.vault.example", "a.b.vault.example", false},
      {"DNS:*.vault.example", "vault.example", false},
      {"DNS:a*.vault.example", "ab.vault.example", false},
      {"DNS:*.*.example", "a.b.example", false},
      {"DNS:a.*.example", "a.b.example", false},
      {"DNS:*.example", "a.example", false},  // too much for one star, as OpenSSL sees it
  };
  for (const Row& row : rows) {
    CAPTURE(row.names);
    CAPTURE(row.server_name);
    Fixture fixture({.names = row.names});
    fixture.options.tls_server_name = row.server_name;
    CHECK((fixture.told() == "200") == row.good);
  }
}

TEST_CASE("a name that would switch the check off, or widen it, is refused by us") {
  for (const char* name : {".example", "example.", ".", "..", "a..b", " ", "a b", "*.example", "*",
                           "a:8200", "https://a", "a/b", "[::1]", "ü.example", "a\tb", "a%25"}) {
    CAPTURE(name);
    Fixture fixture({.names = "DNS:attacker.example"});
    fixture.options.tls_server_name = name;
    CHECK(fixture.told().find("vault.tls_server_name \"") != std::string::npos);
    const auto checked = http::check_tls_files(fixture.options);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().text.starts_with("vault.tls_server_name "));
    CHECK(fixture.server->connections <= 1);
  }
  CHECK_FALSE(http::peer_name("h", std::string_view("a\0b", 3)));
  CHECK_FALSE(http::peer_name("h", std::string(64, 'a') + ".example"));
  CHECK_FALSE(http::peer_name("h", std::string(254, 'a')));
  CHECK_FALSE(http::peer_name("", ""));
}

TEST_CASE("an address is checked without its zone, a host without the dot at its end") {
  CHECK(http::peer_name("fe80::1%eth0", "")->text == "fe80::1");
  CHECK(http::peer_name("fe80::1%eth0", "")->is_address);
  CHECK(http::peer_name("h", "fe80::1%1")->text == "fe80::1");
  CHECK(http::peer_name("h", "10.0.0.1")->is_address);
  CHECK(http::peer_name("vault.example.", "")->text == "vault.example");
  CHECK_FALSE(http::peer_name("vault.example.", "")->is_address);
  // A zone did away with the check: now the wrong certificate is one.
  Fixture fixture({.names = "DNS:attacker.example"});
  fixture.options.tls_server_name = "fe80::1%lo";
  CHECK(fixture.told().find("not for fe80::1;") != std::string::npos);
}

TEST_CASE("each fault of a certificate is told by its name, with what to do") {
  struct Row {
    Spec spec;
    const char* says;
  };
  const Row rows[] = {
      {{.names = "DNS:localhost", .until = -60}, "the server's certificate has expired"},
      {{.names = "DNS:localhost", .from = 600}, "is not valid yet: is this machine's clock right?"},
      {{.names = "DNS:localhost", .issuer = ""}, "it is self-signed; set vault.ca_cert"},
      {{.names = "DNS:localhost", .usage = "clientAuth"}, "is not made for servers"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.says);
    Fixture fixture(row.spec);
    CHECK(fixture.told().find(row.says) != std::string::npos);
    fixture.server->requests = 0;
    fixture.options.tls_skip_verify = true;  // switched off is off, whatever it is
    CHECK(fixture.told() == "200");
  }
}

TEST_CASE("a chain is looked at whole") {
  Fixture fixture({.names = "DNS:localhost", .issuer = "later"});
  auto& certificates = fixture.certificates;
  const auto with = [&](Spec middle, std::vector<std::string> chain) {
    certificates.add("middle", std::move(middle));
    fixture.client.reset();
    fixture.start({.names = "DNS:localhost", .issuer = "middle", .chain = std::move(chain)});
    return fixture.told();
  };
  CHECK(with({.names = "", .is_authority = true}, {"middle"}) == "200");
  CHECK(
      with({.names = "", .is_authority = true}, {}).find("have the server send its whole chain") !=
      std::string::npos);
  CHECK(with({.names = "", .until = -60, .is_authority = true}, {"middle"})
            .find("the certificate of middle in the server's chain has expired") !=
        std::string::npos);
  CHECK(with({.names = "DNS:a"}, {"middle"}).find("not trusted") != std::string::npos);  // no CA
  CHECK(with({.names = "", .issuer = "", .is_authority = true}, {"middle"})
            .find("its authority middle is not known here") != std::string::npos);
}

TEST_CASE("a revocation list among the authorities is obeyed, for the server and for its chain") {
  Fixture fixture({.names = "DNS:localhost", .issuer = "later"});
  auto& certificates = fixture.certificates;
  certificates.add("middle", {.names = "", .is_authority = true});
  fixture.start({.names = "DNS:localhost", .issuer = "middle", .chain = {"middle"}});
  CHECK(fixture.told() == "200");
  fixture.server->requests = 0;
  certificates.revoke("middle", "ca", "revoked.pem");
  fixture.options.ca_cert = certificates.path("revoked.pem");
  CHECK(fixture.told().find("the certificate of middle in the server's chain has been revoked") !=
        std::string::npos);
  fixture.client.reset();
  certificates.add("other", {.names = "", .is_authority = true});
  certificates.revoke("other", "ca",
                      "revoked.pem");  // another one: this server is as good as before
  CHECK(fixture.told() == "200");
}

TEST_CASE("what lies on a connection unasked is never taken for an answer") {
  Fixture fixture;
  fixture.server->act = [](SSL* ssl) {
    HostileTls::write(ssl, HostileTls::response("asked"));
    HostileTls::write(ssl, HostileTls::response("stray"));
    return true;
  };
  for (int i = 1; i <= 3; ++i) {
    const auto response = fixture.send();
    REQUIRE(response);
    CHECK(response->body.reveal() == "asked");
    CHECK(fixture.server->connections == i);
  }
  fixture.server->act = HostileTls::answer("a");
  REQUIRE(fixture.send());
  const int before = fixture.server->connections;
  for (int i = 0; i < 3; ++i) REQUIRE(fixture.send());
  CHECK(fixture.server->connections == before);  // a clean one is used again
}

TEST_CASE("an answer that is cut off without a goodbye is not whole") {
  for (const bool with_length : {true, false}) {
    Fixture fixture;
    fixture.server->act = [with_length](SSL* ssl) {
      HostileTls::write(ssl, with_length ? "HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabc"
                                         : "HTTP/1.1 200 X\r\nConnection: close\r\n\r\nabc");
      return false;
    };
    const auto response = fixture.send();
    REQUIRE_FALSE(response);
    CHECK(response.error().kind == ErrorKind::network);
  }
}

TEST_CASE("a server that wants to negotiate again does not get its way") {
  Fixture fixture;
  SSL_CTX_set_max_proto_version(fixture.server->context(), TLS1_2_VERSION);
  fixture.server->act = [](SSL* ssl) {
    SSL_renegotiate(ssl);
    SSL_do_handshake(ssl);
    HostileTls::write(ssl, HostileTls::response("a"));
    return true;
  };
  const auto response = fixture.send();  // refused by a warning, or the end of the connection
  if (response) CHECK(response->body.reveal() == "a");
  fixture.server->act = HostileTls::answer("b");
  const auto next = fixture.send();
  REQUIRE(next);
  CHECK(next->body.reveal() == "b");
}

TEST_CASE("a client key with a pass phrase is an error, and nobody is asked for it") {
  Fixture fixture;
  fixture.certificates.make("client", "DNS:one");
  fixture.certificates.lock("client");
  fixture.options.client_cert = fixture.certificates.path("client.pem");
  fixture.options.client_key = fixture.certificates.path("client.locked.key");
  const auto checked = http::check_tls_files(fixture.options);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().reason == Reason::tls_files);
  CHECK(checked.error().text.starts_with("vault.client_key "));
  CHECK(checked.error().text.find("pass phrase") != std::string::npos);
  CHECK(fixture.told().find("pass phrase") != std::string::npos);

  fixture.certificates.make("other", "DNS:two");
  fixture.options.client_key = fixture.certificates.path("other.key");
  CHECK(http::check_tls_files(fixture.options).error().text.starts_with("vault.client_key "));
}

TEST_CASE("a server that insists on a client certificate says what is missing, once") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    Fixture fixture;
    SSL_CTX_set_max_proto_version(fixture.server->context(), version);
    SSL_CTX_set_verify(fixture.server->context(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       nullptr);
    const auto response = fixture.send("PUT");
    REQUIRE_FALSE(response);
    CHECK(response.error().kind == ErrorKind::tls);
    CHECK(response.error().reason == Reason::tls_files);
    CHECK(response.error().text.find("set vault.client_cert") != std::string::npos);
  }
}

TEST_CASE("an http address of a server that speaks https is said to be just that") {
  Fixture fixture;
  for (const char* record : {"\x15\x03\x01", "\x16\x03\x03"}) {  // an alert, a handshake
    test::ScriptServer server(fixture.loop);
    server.scripts.push_back({record, true});
    fixture.options.addresses = {server.url()};
    fixture.client = http::make_client(fixture.loop.context.get_executor(), fixture.options);
    const auto alert = fixture.send();
    REQUIRE_FALSE(alert);
    CHECK(alert.error().reason == Reason::tls_mismatch);
    CHECK(alert.error().text.find("the server speaks https") != std::string::npos);
    fixture.client.reset();
  }
  for (const char* page : {"Client sent an HTTP request to an HTTPS server.\n",
                           "<html>The plain HTTP request was sent to HTTPS port</html>"}) {
    test::ScriptServer plain(fixture.loop);
    plain.answer(400, page);
    fixture.options.addresses = {plain.url()};
    fixture.client = http::make_client(fixture.loop.context.get_executor(), fixture.options);
    CHECK(fixture.send().error().text.find("the server speaks https") != std::string::npos);
    fixture.client.reset();
  }
}

TEST_CASE("authorities may come as PEM itself") {
  Fixture fixture;
  std::string pem;
  {
    FILE* const file = fopen(fixture.options.ca_cert.c_str(), "r");
    char bytes[8192];
    pem.assign(bytes, fread(bytes, 1, sizeof bytes, file));
    fclose(file);
  }
  fixture.options.ca_cert.clear();
  fixture.options.ca_cert_pem = pem;
  CHECK(fixture.told() == "200");
  for (const std::string& broken :
       {std::string("garbage"), pem.substr(0, pem.size() / 2),
        pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    fixture.options.ca_cert_pem = broken;
    const auto checked = http::check_tls_files(fixture.options);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().text.starts_with("VAULT_CACERT_BYTES: "));
  }
}

TEST_CASE("OpenSSL's memory is wiped when it is freed, and no configuration of the host is read") {
  REQUIRE(openssl_is_set_up());
}
