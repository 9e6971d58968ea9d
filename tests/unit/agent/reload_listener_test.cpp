#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "../http/certificates.hpp"
#include "reload_row.hpp"

// What a reload says is applied rules from then on: those who ask us, over a unix socket, TCP and
// TLS, and what is cached for them.
namespace keybearer {
namespace {

const std::string kUnix = "[[listener]]\ntype = \"unix\"\naddress = \"%D/l.sock\"\n";
const std::string kTcp =
    "[[listener]]\naddress = \"127.0.0.1:0\"\nrequire_request_header = false\n";
constexpr const char* kKv = "GET /v1/kv/data/app HTTP/1.1";
constexpr const char* kLive = "GET /livez HTTP/1.1";

// How somebody comes: TLS with these certificates, where there are any.
struct Visitor {
  const test::Certificates* all = nullptr;
  std::string name = {};        // of its own certificate
  int newest = TLS1_2_VERSION;  // one answer for each flight
};

// A connection that is not blocking, while the agent runs between its steps.
class Connection {
 public:
  explicit Connection(Agent& agent) : agent_(agent) {}
  void open_unix(const std::string& path) {
    sockaddr_un to{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(to.sun_path, sizeof to.sun_path - 1);
    open(AF_UNIX, reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  // The listener that was started last.
  void open_tcp(const Visitor& visitor) {
    std::string log = agent_.log_text();
    log.erase(0, log.rfind("listening"));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<std::uint16_t>(
        std::stoi(log.substr(log.find("127.0.0.1:") + sizeof "127.0.0.1:" - 1))));
    open(AF_INET, reinterpret_cast<sockaddr*>(&to), sizeof to);
    if (visitor.all == nullptr) return;
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_load_verify_file(context_.get(), visitor.all->path("ca.pem").c_str());
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_max_proto_version(context_.get(), visitor.newest);
    if (!visitor.name.empty()) {
      const std::string path = visitor.all->path(visitor.name);
      REQUIRE(SSL_CTX_use_certificate_chain_file(context_.get(), (path + ".pem").c_str()) == 1);
      REQUIRE(SSL_CTX_use_PrivateKey_file(context_.get(), (path + ".key").c_str(),
                                          SSL_FILETYPE_PEM) == 1);
    }
    tls_.reset(SSL_new(context_.get()));
    SSL_set_fd(tls_.get(), fd_.get());
    SSL_set_connect_state(tls_.get());
  }
  void send(std::string_view text) {
    for (int turn = 0; turn < kTurns && !closed_; ++turn) {
      const int n =
          tls_ ? SSL_write(tls_.get(), text.data(), static_cast<int>(text.size()))
               : static_cast<int>(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL));
      if (n > 0) break;
      look_at(n);
    }
    agent_.io.run();
  }
  // What has come so far.
  const std::string& received() {
    for (int turn = 0; turn < kTurns && !closed_; ++turn) {
      agent_.io.run();
      char buffer[4096];
      const int n = tls_ ? SSL_read(tls_.get(), buffer, sizeof buffer)
                         : static_cast<int>(recv(fd_.get(), buffer, sizeof buffer, 0));
      if (n > 0)
        received_.append(buffer, static_cast<std::size_t>(n));
      else
        look_at(n);
    }
    return received_;
  }
  bool closed() {
    (void)received();
    return closed_;
  }
  // 0: none has come.
  int status() { return received().size() < 12 ? 0 : std::stoi(received_.substr(9, 3)); }

 private:
  static constexpr int kTurns = 50;
  void open(int family, const sockaddr* to, socklen_t size) {
    fd_.reset(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(fd_.get(), to, size) == 0);
    REQUIRE(fcntl(fd_.get(), F_SETFL, O_NONBLOCK) == 0);
  }
  void look_at(int n) {
    if (tls_) {
      const int why = SSL_get_error(tls_.get(), n);
      closed_ = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
      ERR_clear_error();
    } else {
      closed_ = n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    }
    agent_.io.run();
  }

  Agent& agent_;
  UniqueFd fd_;
  std::unique_ptr<SSL_CTX, test::Freed<SSL_CTX, SSL_CTX_free>> context_;
  std::unique_ptr<SSL, test::Freed<SSL, SSL_free>> tls_;
  std::string received_;
  bool closed_ = false;
};

std::string whole(const std::string& head, const std::string& body = "") {
  return head + "\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" + body;
}
int asked(Agent& agent, const std::string& head) {
  Connection program(agent);
  program.open_unix(agent.path("l.sock"));
  program.send(whole(head, head.starts_with("POST") ? "{\"a\":\"b\"}" : ""));
  return program.status();
}
int asked_over_tcp(Agent& agent, const Visitor& visitor, const std::string& head) {
  Connection program(agent);
  program.open_tcp(visitor);
  program.send(whole(head));
  return program.status();
}

// A request over a unix socket, and what comes of it before and after the reload.
struct ServedRow {
  std::string key, after;
  std::string request = kKv;
  int status_before = 200, status_after = 403;
  std::string before = kUnix;
};
const ServedRow kServedRows[] = {
    {.key = "listener.require_request_header",
     .after = kUnix + "require_request_header = true\n",
     .status_after = 412},
    {.key = "listener.allow", .after = kUnix + "allow = [\"GET kv/data/other\"]\n"},
    {.key = "listener.allow_mode",
     .after = kUnix + "allow = [\"GET kv/data/other\"]\nallow_mode = \"log\"\n",
     .status_before = 403,
     .status_after = 200,
     .before = kUnix + "allow = [\"GET kv/data/other\"]\n"},
    {.key = "listener.allow_origins",
     .after = kUnix + "allow_origins = [\"https://ui.local\"]\n",
     .request = std::string(kKv) + "\r\nOrigin: https://ui.local",
     .status_before = 403,
     .status_after = 200},
    {.key = "listener.allow_uids", .after = kUnix + "allow_uids = [54321]\n"},
    {.key = "listener.role", .after = kUnix + "role = \"metrics_only\"\n", .status_after = 404},
    {.key = "listener.max_request_size",
     .after = kUnix + "max_request_size = 4\n",
     .request = "POST /v1/auth/approle/login HTTP/1.1\r\nContent-Length: 9",
     .status_after = 413},
    {.key = "listener.agent_api.enable_quit",
     .after = kUnix + "agent_api = { enable_quit = true }\n",
     .request = "GET /agent/v1/quit HTTP/1.1",
     .status_before = 404,
     .status_after = 405},
    {.key = "api_proxy.use_auto_auth_token",
     .after = kUnix + section("api_proxy", "use_auto_auth_token = false")},
    {.key = "api_proxy.allow_token_creation",
     .after = kUnix + section("api_proxy", "allow_token_creation = true"),
     .request = "POST /v1/auth/token/create HTTP/1.1\r\nContent-Length: 9",
     .status_before = 403,
     .status_after = 404},
    {.key = "metrics.enabled",
     .after = kUnix + section("metrics", "enabled = false"),
     .request = "GET /metrics HTTP/1.1",
     .status_after = 404},
};

// The same, but what there is to see is something else.
const std::string kPost = "POST /v1/auth/approle/login HTTP/1.1\r\nHost: x\r\n";
// Three seconds after `sent`.
Seen is_closed(bool expected, const std::string& sent) {
  return [=](Agent& agent) {
    Connection program(agent);
    program.open_unix(agent.path("l.sock"));
    program.send(sent);
    (void)program.received();
    agent.live(3s, 100ms);
    CHECK(program.closed() == expected);
  };
}
ReloadRow timeout_row(const std::string& name, const std::string& sent) {
  return {.key = "listener." + name,
          .before = kUnix,
          .after = kUnix + name + " = \"1s\"\n",
          .then = is_closed(true, sent),
          .first =
              [sent](Agent& agent) {
                agent.live(2s);
                is_closed(false, sent)(agent);
              },
          .base = kEnv};
}
std::string owner() {
  return std::to_string(geteuid() == 0 ? 12345 : geteuid());
}

const ReloadRows kListenerRows = {
    timeout_row("header_timeout", "GET /livez HT"),
    timeout_row("idle_timeout", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    timeout_row("progress_timeout", kPost + "Content-Length: 9\r\n\r\n{"),
    {.key = "listener.max_connections",
     .before = kUnix,
     .after = kUnix + "max_connections = 1\n",
     .then =
         [](Agent& agent) {
           Connection first(agent);
           first.open_unix(agent.path("l.sock"));
           first.send("GET /livez HT");
           CHECK_FALSE(first.closed());
           CHECK(asked(agent, kLive) == 200);
           CHECK(first.closed());
         },
     .base = kEnv},
    {.key = "listener.rate_limit",
     .before = kUnix,
     .after = kUnix + "rate_limit = 1\n",
     .then =
         [](Agent& agent) {
           int refused = 0;
           for (int times = 0; times < 5; ++times) refused += asked(agent, kLive) == 503 ? 1 : 0;
           CHECK(refused >= 2);
         },
     .base = kEnv},
    {.key = "listener.socket_mode, listener.socket_user, listener.socket_group",
     .before = kUnix,
     .after = kUnix + "socket_mode = \"0660\"\nsocket_user = \"" + owner() +
              "\"\nsocket_group = \"" + owner() + "\"\n",
     .then =
         [](Agent& agent) {
           CHECK(mode_of(agent.path("l.sock")) == 0660);
           struct stat info{};
           REQUIRE(stat(agent.path("l.sock").c_str(), &info) == 0);
           CHECK(std::to_string(info.st_uid) == owner());
           CHECK(std::to_string(info.st_gid) == owner());
         },
     .base = kEnv},
    {.key = "listener.type, listener.address",
     .before = kUnix,
     .after = kTcp,
     .then =
         [](Agent& agent) {
           agent.live(1s);
           CHECK_FALSE(agent.has_file("l.sock"));
           CHECK(asked_over_tcp(agent, {}, kKv) == 200);
         },
     .base = kEnv},
    {.key = "listener.allow_plain",
     .before = kUnix,
     .after = "[[listener]]\naddress = \"0.0.0.0:0\"\nallow_plain = true\n",
     .then = said("0.0.0.0:0 are not encrypted"),
     .base = kEnv},
    {.key = "listener.allow_hosts",
     .before = kTcp,
     .after = kTcp + "allow_hosts = [\"vault.local\"]\n",
     .then =
         [](Agent& agent) {
           Connection program(agent);
           program.open_tcp({});
           program.send(std::string(kKv) + "\r\nHost: vault.local\r\n\r\n");
           CHECK(program.status() == 200);
         },
     .first =
         [](Agent& agent) {
           agent.live(2s);
           Connection program(agent);
           program.open_tcp({});
           program.send(std::string(kKv) + "\r\nHost: vault.local\r\n\r\n");
           CHECK(program.status() == 403);
         },
     .base = kEnv},
};

// Requests after the reload, and how often the server is asked `route` for them; without the key it
// would be otherwise.
struct CacheRow {
  std::string key, before, after;
  std::vector<std::string> requests;
  std::string route;
  long count, without;
};
const std::string kList = "LIST /v1/kv/metadata HTTP/1.1";
const std::string kLogsIn = "POST /v1/auth/approle/login HTTP/1.1\r\nContent-Length: 9";
const std::string kLast = "kv_ttl = \"1h\"\n";
const CacheRow kCacheRows[] = {
    {"cache.kv_ttl", "", kLast, {kKv, kKv}, "GET kv/data/app", 1, 2},
    {"cache.lists", kLast, kLast + "lists = true\n", {kList, kList}, "LIST kv/metadata", 1, 2},
    {"cache.tokens", "", "tokens = true\n", {kLogsIn, kLogsIn}, kLogin, 1, 2},
    {"cache.max_entries",
     kLast,
     kLast + "max_entries = 1\n",
     {kKv, "GET /v1/kv/data/b HTTP/1.1", kKv},
     "GET kv/data/",
     3,
     2},
    {"cache.max_size", kLast, kLast + "max_size = 1\n", {kKv, kKv}, "GET kv/data/app", 2, 1},
};

const bool noted = [] {
  for (const ServedRow& row : kServedRows) note_keys(row.key);
  for (const CacheRow& row : kCacheRows) note_keys(row.key);
  return note_keys(
      "cache.check_interval, cache.max_stale, listener.tls_cert_file, "
      "listener.tls_key_file, listener.tls_min_version, listener.tls_client_ca_file, "
      "listener.tls_require_and_verify_client_cert, listener.tls_crl_file, "
      "listener.tls_disable");
}();

TEST_CASE("what rules those who ask us") {
  for (const ServedRow& row : kServedRows) {
    CAPTURE(row.key);
    Agent agent;
    agent.start(Mode::run, kEnv + row.before);
    agent.live(1s);
    CHECK(asked(agent, row.request) == row.status_before);
    agent.configure(kEnv + row.after);
    agent.signal(SIGHUP);
    agent.live(1s);
    CHECK(asked(agent, row.request) == row.status_after);
    CHECK(agent.finish() == 0);
  }
  kListenerRows.check();
}

TEST_CASE("what rules those who come by TLS") {
  test::Certificates all;
  all.add("other-ca", {.names = "", .issuer = "", .is_authority = true});
  for (const char* name : {"server", "client", "revoked"}) all.add(name, {.names = "IP:127.0.0.1"});
  all.add("stranger", {.names = "IP:127.0.0.1", .issuer = "other-ca"});
  all.revoke("revoked", "ca", "list.pem");
  const auto file = [&](const std::string& key, const std::string& name) {
    return key + " = \"" + all.path(name) + "\"\n";
  };
  const std::string server =
      file("tls_cert_file", "server.pem") + file("tls_key_file", "server.key");
  const std::string mutual =
      server + file("tls_client_ca_file", "ca.pem") + "tls_require_and_verify_client_cert = true\n";
  const Visitor anybody{.all = &all}, client{.all = &all, .name = "client"},
      revoked{.all = &all, .name = "revoked"};
  struct Row {
    std::string key, before, after;
    Visitor visitor;
    int status_before = 200, status_after = 0;  // 0: no answer
  };
  const Row rows[] = {
      {"tls_cert_file, tls_key_file", server,
       file("tls_cert_file", "stranger.pem") + file("tls_key_file", "stranger.key"), anybody},
      {"tls_min_version", server, server + "tls_min_version = \"tls13\"\n", anybody},
      {"tls_client_ca_file", mutual,
       server + file("tls_client_ca_file", "other-ca.pem") +
           "tls_require_and_verify_client_cert = true\n",
       client},
      {"tls_require_and_verify_client_cert", server + file("tls_client_ca_file", "ca.pem"), mutual,
       anybody},
      {"tls_crl_file", mutual, mutual + file("tls_crl_file", "list.pem"), revoked},
      {"tls_disable", server, server + "tls_disable = true\n", {}, 0, 200},
  };
  for (const Row& row : rows) {
    CAPTURE(row.key);
    Agent agent;
    agent.start(Mode::run, kEnv + kTcp + row.before);
    agent.live(1s);
    const auto status = [&] {
      const int got = asked_over_tcp(agent, row.visitor, kKv);
      return got == 400 ? 0 : got;  // of what is no TLS
    };
    CHECK(status() == row.status_before);
    agent.configure(kEnv + kTcp + row.after);
    agent.signal(SIGHUP);
    agent.live(1s);
    CHECK(status() == row.status_after);
    CHECK(agent.finish() == 0);
  }
}

TEST_CASE("what rules the cache") {
  for (const CacheRow& row : kCacheRows) {
    for (const bool reloaded : {false, true}) {
      CAPTURE(row.key);
      CAPTURE(reloaded);
      Agent agent;
      agent.server->kv["kv/b"] = {1, R"({"key":"canary-b"})"};
      agent.start(Mode::run, kEnv + kUnix + "[cache]\n" + row.before);
      agent.live(1s);
      if (reloaded) agent.configure(kEnv + kUnix + "[cache]\n" + row.after);
      agent.signal(SIGHUP);
      agent.live(2s);
      const long before = agent.server->count(row.route);
      for (const std::string& request : row.requests) CHECK(asked(agent, request) == 200);
      CHECK(agent.server->count(row.route) - before == (reloaded ? row.count : row.without));
      CHECK(agent.finish() == 0);
    }
  }
}

TEST_CASE("cache.check_interval and cache.max_stale follow") {
  for (const bool reloaded : {false, true}) {
    CAPTURE(reloaded);
    Agent agent;
    const std::string text = kEnv + kUnix + "[cache]\nkv_ttl = \"1s\"\n";
    agent.start(Mode::run, text);
    agent.live(1s);
    CHECK(asked(agent, "GET /v1/database/creds/app HTTP/1.1") == 200);
    CHECK(asked(agent, kKv) == 200);
    if (reloaded) agent.configure(text + "check_interval = \"1m\"\nmax_stale = \"1h\"\n");
    agent.signal(SIGHUP);
    agent.live(5min);
    CHECK((agent.server->count("PUT sys/leases/lookup") > 0) == reloaded);
    CHECK(asked(agent, kKv) == 200);
    agent.live(5s);
    away(agent);
    CHECK((asked(agent, kKv) == 200) == reloaded);
    CHECK(agent.finish() == 0);
  }
}

// The socket of the first keeps what it had when the second can't be opened.
TEST_CASE("a listener that can't be opened leaves the others as they were") {
  Agent agent;
  agent.start(Mode::run, kEnv + kUnix);
  agent.live(1s);
  agent.configure(kEnv + kUnix +
                  "socket_mode = \"0666\"\n[[listener]]\ntype = \"unix\"\naddress = "
                  "\"%D/none/l.sock\"\n");
  agent.signal(SIGHUP);
  agent.live(2s);
  CHECK(agent.lines("the running one stays in force") == 1);
  CHECK(mode_of(agent.path("l.sock")) == 0600);
  CHECK(asked(agent, kKv) == 200);
}

}  // namespace
}  // namespace keybearer
