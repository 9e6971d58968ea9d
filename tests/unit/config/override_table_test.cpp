// Each variable and each flag: what it sets, which of two goes first, and what of it is wrong.

#include <doctest/doctest.h>
#include <algorithm>

#include "fixture.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;
using Env = std::map<std::string, std::string>;

// Offline: how to reach the server is not checked.
struct Overridden : Fixture {
  Overridden() { input.offline = true; }
  Config with(const Env& variables) {
    env = variables;
    const auto loaded = load(kToken);
    REQUIRE(loaded);
    origins = loaded->origins;
    return loaded->config;
  }
  std::string wrong(const Env& variables) {
    env = variables;
    return problems(kToken);
  }
  [[nodiscard]] std::string origin(const std::string& key) const {
    for (const Origin& each : origins)
      if (each.key == key) return each.value + " " + each.from.text();
    return "";
  }
  std::vector<Origin> origins;
};

TEST_CASE_FIXTURE(Overridden, "each variable of the connection, in the order of its names") {
  struct Row {
    std::vector<std::string> names;
    std::string key;
    std::string (*value)(const Config&);
  };
  const Row rows[] = {
      {{"VAULT_ADDR", "BAO_ADDR", "VAULT_URL"},
       "vault.address",
       [](const Config& c) { return c.vault.address.at(0); }},
      {{"VAULT_NAMESPACE", "BAO_NAMESPACE"},
       "vault.namespace",
       [](const Config& c) { return c.vault.vault_namespace; }},
      {{"VAULT_CACERT", "BAO_CACERT"},
       "vault.ca_cert",
       [](const Config& c) { return c.vault.ca_cert; }},
      {{"VAULT_CAPATH", "BAO_CAPATH"},
       "vault.ca_path",
       [](const Config& c) { return c.vault.ca_path; }},
      {{"VAULT_CLIENT_CERT", "BAO_CLIENT_CERT"},
       "vault.client_cert",
       [](const Config& c) { return c.vault.client_cert; }},
      {{"VAULT_CLIENT_KEY", "BAO_CLIENT_KEY"},
       "vault.client_key",
       [](const Config& c) { return c.vault.client_key; }},
      {{"VAULT_TLS_SERVER_NAME", "BAO_TLS_SERVER_NAME"},
       "vault.tls_server_name",
       [](const Config& c) { return c.vault.tls_server_name; }},
  };
  for (const Row& row : rows) {
    Env all;
    for (std::size_t i = row.names.size(); i-- > 0;) {
      const std::string value = "http://h" + std::to_string(i);
      all[row.names[i]] = value;
      CAPTURE(row.names[i]);
      CHECK(row.value(with(all)) == value);
      CHECK(origin(row.key) == value + " environment " + row.names[i]);
    }
  }
  CHECK(with({{"BAO_ADDR", "http://h:1"}}).vault.address.size() == 1);
}

TEST_CASE_FIXTURE(Overridden, "an authority's PEM stands in where no file of it is given") {
  const Config pem = with({{"VAULT_CACERT_BYTES", "PEM"}});
  CHECK(pem.vault.ca_cert_bytes == "PEM");
  CHECK(origin("vault.ca_cert").starts_with("********"));
  CHECK(with({{"BAO_CACERT_BYTES", "PEM"}}).vault.ca_cert_bytes == "PEM");
  for (const char* file : {"VAULT_CACERT", "BAO_CACERT"}) {
    const Config both = with({{"VAULT_CACERT_BYTES", "PEM"}, {file, "/ca"}});
    CHECK(both.vault.ca_cert_bytes.empty());
    CHECK(both.vault.ca_cert == "/ca");
  }
}

TEST_CASE_FIXTURE(Overridden, "proxies: ours, and those of all programs, the upper case first") {
  Env all;
  for (const char* name : {"VAULT_HTTP_PROXY", "BAO_PROXY_ADDR", "VAULT_PROXY_ADDR"}) {
    all[name] = name;
    const Config config = with(all);
    CHECK(config.vault.proxy_address == name);
    CHECK(config.vault.proxy_source == name);
    CHECK(origin("vault.proxy_address").starts_with("********"));
  }
  CHECK_FALSE(with({}).vault.proxy_address);
  const Config lower = with({{"https_proxy", "s"}, {"http_proxy", "p"}, {"no_proxy", "n"}});
  CHECK(lower.vault.https_proxy == "s");
  CHECK(lower.vault.http_proxy == "p");
  CHECK(lower.vault.no_proxy == "n");
  const Config upper = with({{"https_proxy", "s"},
                             {"HTTPS_PROXY", "S"},
                             {"HTTP_PROXY", "P"},
                             {"http_proxy", "p"},
                             {"NO_PROXY", "N"},
                             {"no_proxy", "n"}});
  CHECK(upper.vault.https_proxy == "S");
  CHECK(upper.vault.http_proxy == "P");
  CHECK(upper.vault.no_proxy == "N");
}

TEST_CASE_FIXTURE(Overridden, "booleans, numbers and times of variables") {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
    CHECK(with({{"VAULT_SKIP_VERIFY", yes}}).vault.tls_skip_verify);
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
    CHECK_FALSE(with({{"BAO_SKIP_VERIFY", no}}).vault.tls_skip_verify);
  for (const char* bad : {"yes", "tRUE", "2"})
    CHECK(wrong({{"VAULT_SKIP_VERIFY", bad}}).contains("is neither true nor false"));
  CHECK(with({{"VAULT_MAX_RETRIES", "0"}}).vault.retry.num_retries == 0);
  CHECK(with({{"BAO_MAX_RETRIES", "99999"}}).vault.retry.num_retries == 99999);
  for (const char* bad : {"100000", "-1", "x", "1x"})
    CHECK(wrong({{"VAULT_MAX_RETRIES", bad}}).contains("is not a number of retries"));
  CHECK(with({{"VAULT_CLIENT_TIMEOUT", "7"}}).vault.timeout == 7s);
  CHECK(with({{"BAO_CLIENT_TIMEOUT", "7ms"}}).vault.timeout == 7ms);
  CHECK(wrong({{"VAULT_CLIENT_TIMEOUT", "x"}}).contains("bad duration"));
}

TEST_CASE_FIXTURE(Overridden, "blanks and line ends around a variable's value do not count") {
  const std::vector<std::string> one = {"http://a:1"};
  for (const char* value : {"http://a:1\n", " http://a:1 ", "http://a:1\r\n", "\thttp://a:1"})
    CHECK(with({{"VAULT_ADDR", value}}).vault.address == one);
  CHECK(with({{"VAULT_NAMESPACE", "team\n"}}).vault.vault_namespace == "team");
  CHECK(with({{"VAULT_ADDR", " "}}).vault.address == with({}).vault.address);
}

TEST_CASE_FIXTURE(Overridden, "variables that others obey and we do not are told of") {
  for (const char* name : {"VAULT_AGENT_ADDR", "BAO_AGENT_ADDR", "VAULT_SRV_LOOKUP",
                           "VAULT_RATE_LIMIT", "VAULT_DISABLE_REDIRECTS"}) {
    const auto warnings = with({{name, "x"}}).warnings;
    CAPTURE(name);
    CHECK(std::ranges::count_if(warnings, [&](const std::string& warning) {
            return warning.starts_with("environment " + std::string(name) +
                                       " has no effect here: ");
          }) == 1);
  }
  CHECK(with({{"VAULT_WRAP_TTL", "5m"}}).warnings ==
        with({}).warnings);  // of the server's own program only
}

TEST_CASE_FIXTURE(Overridden, "levels of the log by variable and flag, in any case") {
  using log::Level;
  for (const auto& [name, value] : {std::pair("trace", Level::trace),
                                    {"debug", Level::debug},
                                    {"INFO", Level::info},
                                    {"Warn", Level::warn},
                                    {"warning", Level::warn},
                                    {"error", Level::error},
                                    {"ERR", Level::error}}) {
    CHECK(with({{"VAULT_LOG_LEVEL", name}}).log_level == value);
    input.flags.log_level = name;
    CHECK(with({{"BAO_LOG_LEVEL", "nonsense"}, {"VAULT_LOG_LEVEL", "info"}}).log_level == value);
    CHECK(origin("log_level") == std::string(name) + " command line");
    input.flags.log_level.reset();
  }
  CHECK(wrong({{"BAO_LOG_LEVEL", "loud"}}).contains("unknown log level \"loud\""));
  input.flags.log_level = "loud";
  CHECK(wrong({}).contains("--log-level loud: expected trace"));
}

TEST_CASE_FIXTURE(Overridden, "formats of the log by flag") {
  for (const auto& [name, value] : {std::pair("text", log::Format::text),
                                    {"json", log::Format::json},
                                    {"journal", log::Format::journal}}) {
    input.flags.log_format = name;
    CHECK(with({}).log_format == value);
    CHECK(origin("log_format") == std::string(name) + " command line");
  }
  input.flags.log_format = "xml";
  CHECK(wrong({}).contains("--log-format xml: expected text, json or journal"));
}

TEST_CASE_FIXTURE(Overridden, "flags of the server and the program") {
  input.flags.address = "http://h:1";
  input.flags.vault_namespace = "team";
  input.flags.command = {"prog", "arg"};
  const Config config = with({{"VAULT_NAMESPACE", "other"}});
  CHECK(config.vault.address == std::vector<std::string>{"http://h:1"});
  CHECK(config.vault.vault_namespace == "team");
  CHECK(config.exec.command.argv == std::vector<std::string>{"prog", "arg"});
  CHECK_FALSE(config.exec.command.shell);
  CHECK(origin("vault.namespace") == "team command line");
  CHECK(origin("exec.command") == "prog command line");
  CHECK(origin("vault.address") == "http://h:1 command line");
}

TEST_CASE_FIXTURE(Overridden, "--env, --env-from and --template: each part must be there") {
  for (const char* bad : {"A", "A=p", "A#k", "A=#k", "A=p#", "=#"}) {
    CAPTURE(bad);
    input.flags.env = {bad};
    CHECK(wrong({}).contains("expected NAME=PATH#KEY"));
  }
  input.flags.env = {"A=p#k", "B=q=r#s#t", "A=p2#k2"};
  const Config config = with({});
  REQUIRE(config.env.size() == 2);
  CHECK(config.env[0].name == "B");
  CHECK(config.env[0].value.secret == "q=r#s");
  CHECK(config.env[0].value.key == "t");
  CHECK(config.env[1].value.secret == "p2");
  CHECK(origin("env.A") == "p2#k2 command line");
  input.flags.env.clear();

  for (const char* bad : {"", "a#b"}) {
    input.flags.env_from = {bad};
    CHECK(wrong({}).contains("expected PATH"));
  }
  input.flags.env_from = {"kv/a", "kv/b"};
  CHECK(with({}).env_from.size() == 2);
  CHECK(with({}).env_from[1].secret == "kv/b");
  input.flags.env_from.clear();

  for (const char* bad : {"x", ":x", "x:", ":"}) {
    CAPTURE(bad);
    input.flags.templates = {bad};
    CHECK(wrong({}).contains("expected SOURCE:DESTINATION"));
  }
  const std::string source = write("a", "x");
  input.flags.templates = {source + ":y"};
  const Config files = with({});
  REQUIRE(files.templates.size() == 1);
  CHECK(files.templates[0].source == source);
  CHECK(files.templates[0].destination == "y");
}

TEST_CASE_FIXTURE(Overridden,
                  "a variable's value is trimmed, and stands for the file that may hold it") {
  env = {{"VAULT_ROLE_ID", " r\n"}, {"VAULT_SECRET_ID", "\ts\r\n"}};
  const auto loaded = load(
      "[auto_auth.method]\ntype = \"approle\"\nrole_id_file_path = \"/r\"\n"
      "secret_id_file_path = \"/s\"\n");
  REQUIRE(loaded);
  const Method& method = loaded->config.auto_auth.method;
  CHECK(method.text("role_id") == "r");
  CHECK(method.secret("secret_id")->reveal() == "s");
  CHECK_FALSE(method.has("role_id_file_path"));
  CHECK_FALSE(method.has("secret_id_file_path"));
  input.flags.method = {{"role-id-file", "/r2"}};
  input.paths.clear();
  env = {{"VAULT_SECRET_ID", "s"}};
  const auto flags = config::load(input);
  REQUIRE(flags);
  CHECK(flags->config.auto_auth.method.type == "approle");
  CHECK(flags->config.auto_auth.method.text("role_id_file_path") == "/r2");
}

}  // namespace
}  // namespace keybearer::config
