// [[listener]], [api_proxy] and [cache]: what is taken and what is refused, to the limit.

#include <doctest/doctest.h>

#include "fixture.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;

const std::string kUnix = "type = \"unix\"\naddress = \"/run/kb/s\"\n";
const std::string kTls = "tls_cert_file = \"c\"\ntls_key_file = \"k\"\n";

struct Listening : Fixture {
  std::string wrong(const std::string& keys) {
    return problems(kToken + "[vault]\naddress = \"http://v:1\"\n[[listener]]\n" + keys);
  }
  Listener read(const std::string& keys) {
    const auto loaded = load(kToken + "[vault]\naddress = \"http://v:1\"\n[[listener]]\n" + keys);
    REQUIRE(loaded);
    REQUIRE(loaded->config.listeners.size() >= 1);
    warnings = loaded->config.warnings;
    return loaded->config.listeners[0];
  }
  [[nodiscard]] bool warned(const std::string& part) const {
    return std::ranges::any_of(warnings, [&](const auto& each) { return each.contains(part); });
  }
  std::vector<std::string> warnings;
};

TEST_CASE_FIXTURE(Listening, "who takes a socket or a URL for an address is told how to write it") {
  const auto told = [this](const char* address) {
    return wrong("address = \"" + std::string(address) + "\"\n");
  };
  CHECK(told("unix:///run/kb/s").contains("type = \"unix\" with its path as address"));
  CHECK(told("/run/kb/s").contains("type = \"unix\" with its path as address"));
  CHECK(told("http://127.0.0.1:8200").contains("it is no URL"));
  CHECK(told("https://localhost:8200").contains("tls_cert_file"));
  CHECK(told("127.0.0.1").contains("expected an IP address and a port"));
}

TEST_CASE_FIXTURE(Listening, "addresses of a listener") {
  for (const char* good : {"127.0.0.1:0", "127.9.9.9:65535", "[::1]:8200", "localhost:1"}) {
    CAPTURE(good);
    CHECK(wrong("address = \"" + std::string(good) + "\"\n").empty());
  }
  for (const char* bad : {"127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:8x", "x:1",
                          "::1:1", "[::1:1", "::1]:1", "[127.0.0.1]:1", ":1", "[]:1"}) {
    CAPTURE(bad);
    CHECK(wrong("address = \"" + std::string(bad) + "\"\n").contains("bad address"));
  }
  for (const char* open : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "128.0.0.1:1"}) {
    CAPTURE(open);
    const std::string address = "address = \"" + std::string(open) + "\"\n";
    CHECK(wrong(address).contains("can be reached from elsewhere"));
    CHECK(wrong(address + kTls).empty());
    CHECK(wrong(address + kTls + "tls_disable = true\n").contains("can be reached from elsewhere"));
    CHECK(read(address + "allow_plain = true\n").allow_plain);
    CHECK(warned("listener.allow_plain: requests to " + std::string(open) + " are not encrypted"));
  }
  (void)read("");
  CHECK_FALSE(warned("allow_plain"));
  CHECK(wrong("address = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n").empty());
  CHECK(wrong("address = \"127.0.0.1:1\"\n[[listener]]\naddress = \"127.0.0.1:1\"\n")
            .contains("another listener has it, too"));
}

TEST_CASE_FIXTURE(Listening, "keys of the one kind of listener are not the other's") {
  const auto path = [](std::size_t size) {
    return "type = \"unix\"\naddress = \"/" + std::string(size - 1, 'x') + "\"\n";
  };
  CHECK(wrong(path(107)).empty());
  CHECK(wrong(path(108)).contains("too long for a socket's path"));
  CHECK(wrong("type = \"unix\"\n").contains("required: the path of the socket"));
  CHECK(wrong(kUnix + "allow_plain = true\n").contains("listener.allow_plain: is for tcp"));
  CHECK(wrong(kUnix + "socket_mode = \"0660\"\nsocket_user = \"root\"\nsocket_group = \"root\"\n"
                      "allow_uids = [0]\n")
            .empty());
  for (const char* key : {"socket_mode = \"0660\"\n", "socket_user = \"root\"\n",
                          "socket_group = \"root\"\n", "allow_uids = [0]\n"})
    CHECK_MESSAGE(wrong(key).contains("is for a unix socket"), key);
  CHECK(wrong(kUnix + kTls).contains("there is no TLS on a unix socket"));
  CHECK(wrong(kUnix + "socket_user = \"no-such\"\n").contains("listener.socket_user: "));
  CHECK(wrong(kUnix + "socket_group = \"no-such\"\n").contains("listener.socket_group: "));
  CHECK(wrong(kUnix + "socket_user = \"root\"\nsocket_group = \"no-such\"\n")
            .contains("listener.socket_group: "));
}

TEST_CASE_FIXTURE(Listening, "user ids and rates") {
  CHECK(read(kUnix + "allow_uids = [0, 4294967295]\n").allow_uids ==
        std::vector<unsigned>{0, 4294967295});
  for (const char* bad : {"[-1]", "[4294967296]", "[\"0\"]", "5", "[0, -1]"})
    CHECK_MESSAGE(
        wrong(kUnix + "allow_uids = " + bad + "\n").contains("expected an array of user ids"), bad);
  const struct {
    const char* text;
    int rate;
  } rates[] = {{"0", 0},       {"10", 10},       {"1000000", 1'000'000},
               {"\"0/s\"", 0}, {"\"10/s\"", 10}, {"\"1000000/s\"", 1'000'000}};
  for (const auto& row : rates)
    CHECK(read("rate_limit = " + std::string(row.text) + "\n").rate_limit == row.rate);
  for (const char* bad : {"-1", "1000001", "\"-1/s\"", "\"1000001/s\"", "\"10\"", "\"10/m\"",
                          "\"x/s\"", "\"/s\"", "true"})
    CHECK_MESSAGE(!wrong("rate_limit = " + std::string(bad) + "\n").empty(), bad);
}

TEST_CASE_FIXTURE(Listening, "TLS: which files need which") {
  const std::string certs = "tls_client_ca_file = \"a\"\n";
  const std::string require = "tls_require_and_verify_client_cert = true\n";
  const std::string list = "tls_crl_file = \"l\"\n";
  const struct {
    std::string keys, said;
  } rows[] = {
      {kTls, ""},
      {kTls + certs, ""},
      {kTls + certs + require + list, ""},
      {"tls_cert_file = \"c\"\n",
       "listener.tls_cert_file: tls_cert_file and tls_key_file go together"},
      {"tls_key_file = \"k\"\n",
       "listener.tls_key_file: tls_cert_file and tls_key_file go together"},
      {kTls + require, "listener.tls_require_and_verify_client_cert: needs tls_client_ca_file"},
      {certs, "listener.tls_client_ca_file: needs tls_cert_file and tls_key_file"},
      {certs + require,
       "listener.tls_require_and_verify_client_cert: needs tls_cert_file and tls_key_file"},
      {kTls + list, "listener.tls_crl_file: needs tls_client_ca_file"},
      {"tls_key_file = \"k\"\ntls_disable = true\n", ""},
      {list + "tls_disable = true\n", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.keys);
    const std::string said = wrong(row.keys);
    CHECK(said.empty() == row.said.empty());
    CHECK(said.contains(row.said));
  }
  CHECK_FALSE(read(kTls).tls13_only);
  CHECK_FALSE(read(kTls + "tls_min_version = \"tls12\"\n").tls13_only);
  CHECK(read(kTls + "tls_min_version = \"tls13\"\n").tls13_only);
}

TEST_CASE_FIXTURE(Listening, "rules: who they are for, and what they allow") {
  const auto rule = [](const std::string& who) {
    return "allow = [{ who = " + who + ", rules = [\"GET kv/x\"] }]\n";
  };
  const std::string certs = kTls + "tls_client_ca_file = \"a\"\n";
  const struct {
    std::string keys, said;
  } rows[] = {
      {kUnix + rule("\"uid:1000\""), ""},
      {kUnix + rule("\"gid:0\""), ""},
      {kUnix + rule("[\"uid:1\", \"gid:2\"]"), ""},
      {kUnix + rule("\"uid:\""), "expected a number"},
      {kUnix + rule("\"uid:x\""), "expected a number"},
      {kUnix + rule("\"gid:1x\""), "expected a number"},
      {kUnix + rule("\"CN=x\""), "on a unix socket"},
      {rule("\"uid:1000\""), "is for a unix socket"},
      {rule("\"CN=x\""), "a certificate's name needs tls_client_ca_file"},
      {certs + rule("\"CN=x\""), ""},
      {certs + rule("\"spiffe://x\""), ""},
      {rule("[]"), "listener.allow.who: required"},
      {"allow = [{ who = \"uid:1\", rules = [] }]\n" + kUnix, "listener.allow.rules: required"},
      {"allow = [5]\n", "expected requests, such as"},
      {"allow = \"GET kv/x\"\n", "expected requests, such as"},
      {"allow = [\"GET kv/x\", \"LIST kv/*\"]\n", ""},
      {"allow = [\"kv/x\"]\n", "expected a method and a path"},
      {kUnix + "allow = [{ who = \"uid:1\", rules = [\"kv/x\"] }]\n",
       "expected a method and a path"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.keys);
    const std::string said = wrong(row.keys);
    CHECK(said.empty() == row.said.empty());
    CHECK(said.contains(row.said));
  }
  const Listener mixed =
      read(kUnix +
           "allow = [\"GET kv/a\", { who = [\"uid:1\", \"uid:2\"], rules = [\"GET kv/b\"] }, "
           "\"GET kv/c\"]\n");
  REQUIRE(mixed.allow.size() == 3);
  CHECK(mixed.allow[0].who == "uid:1");
  CHECK(mixed.allow[1].who == "uid:2");
  CHECK(mixed.allow[1].requests == std::vector<std::string>{"GET kv/b"});
  CHECK(mixed.allow[2].who.empty());
  CHECK(mixed.allow[2].requests == std::vector<std::string>{"GET kv/a", "GET kv/c"});
  CHECK(read("allow = []\n").allow.empty());
}

TEST_CASE_FIXTURE(Listening, "hosts, origins, times and sizes") {
  for (const char* good : {"vault.local", "h:1"})
    CHECK(wrong("allow_hosts = [\"" + std::string(good) + "\"]\n").empty());
  for (const char* bad : {"", "a/b", "a@b", "a,b", "a b"})
    CHECK(wrong("allow_hosts = [\"" + std::string(bad) + "\"]\n").contains("expected a name"));
  for (const char* good : {"https://ui.local", "http://h:1", "x://y"})
    CHECK(wrong("allow_origins = [\"" + std::string(good) + "\"]\n").empty());
  for (const char* bad : {"", "ui.local", "://h", "https://", "https://h/", "https://h/x"})
    CHECK(wrong("allow_origins = [\"" + std::string(bad) + "\"]\n")
              .contains("expected scheme, name and port"));
  for (const char* key : {"header_timeout", "idle_timeout", "progress_timeout"}) {
    CHECK(wrong(std::string(key) + " = \"1ms\"\n").empty());
    CHECK(wrong(std::string(key) + " = 0\n").contains("expected more than zero"));
  }
  CHECK(read("max_connections = 1\n").max_connections == 1);
  CHECK(read("max_connections = 100000\n").max_connections == 100'000);
  CHECK(wrong("max_connections = 0\n").contains("from 1 to 100000"));
  CHECK(wrong("max_connections = 100001\n").contains("from 1 to 100000"));
  CHECK(read("agent_api = { enable_quit = true }\n").enable_quit);
  CHECK(read("role = \"metrics_only\"\n").role == Listener::Role::metrics_only);
  CHECK(read("allow_mode = \"log\"\n").allow_mode == Listener::AllowMode::log);
}

TEST_CASE_FIXTURE(Fixture, "[api_proxy] and [cache]") {
  const auto proxy = [&](const std::string& value) {
    const auto loaded = load(kToken + "[api_proxy]\nuse_auto_auth_token = " + value + "\n");
    REQUIRE(loaded);
    return loaded->config.api_proxy.use_auto_auth_token;
  };
  CHECK(proxy("true") == ApiProxy::UseToken::yes);
  CHECK(proxy("false") == ApiProxy::UseToken::no);
  CHECK(proxy("\"force\"") == ApiProxy::UseToken::force);
  CHECK(problems(kToken + "[api_proxy]\nuse_auto_auth_token = 1\n").contains("\"force\""));
  CHECK(load(kToken)->config.api_proxy.use_auto_auth_token == ApiProxy::UseToken::yes);

  const auto cache = [&](const std::string& keys) {
    const auto loaded = load(kToken + "[cache]\n" + keys);
    REQUIRE(loaded);
    return loaded->config.cache;
  };
  CHECK_FALSE(load(kToken)->config.cache.enabled);
  const Cache empty = cache("");
  CHECK(empty.enabled);
  CHECK(empty.max_entries == 10'000);
  CHECK_FALSE(empty.check_interval);
  const Cache full = cache(
      "kv_ttl = \"1m\"\nlists = true\ntokens = true\nmax_entries = 1\nmax_size = \"1MiB\"\n"
      "check_interval = \"1ms\"\nmax_stale = \"2m\"\n");
  CHECK(full.kv_ttl == 1min);
  CHECK(full.lists);
  CHECK(full.tokens);
  CHECK(full.max_entries == 1);
  CHECK(full.max_size == 1u << 20);
  CHECK(full.check_interval == Duration(1));
  CHECK(full.max_stale == Duration(2min));
  CHECK(cache("max_entries = 1000000\n").max_entries == 1'000'000);
  CHECK(problems(kToken + "[cache]\nmax_entries = 1000001\n").contains("from 1 to 1000000"));
  CHECK(problems(kToken + "[cache]\nmax_entries = 0\n").contains("from 1 to 1000000"));
  CHECK(problems(kToken + "[cache]\ncheck_interval = 0\n").contains("expected more than zero"));
}

}  // namespace
}  // namespace keybearer::config
