#include "config/load.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "fixture.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a mistake is named with its place, key and what was expected") {
  struct {
    std::string text, problem;
  } rows[] = {
      {"lgo_level = \"info\"", "5: lgo_level: unknown key; did you mean \"log_level\"?"},
      {"[vault]\ntimeout = \"5x\"", "vault.timeout: bad duration \"5x\""},
      {"[vault]\ntimeout = true",
       "vault.timeout: expected a duration such as \"90s\", got a boolean"},
      {"[vault]\nmax_connections = 0",
       "vault.max_connections: expected a whole number from 1 to 1000"},
      {"[exec]\ncommand = []", "exec.command: empty"},
      {"[exec]\nrestart_stop_signal = \"SIGNOPE\"",
       "exec.restart_stop_signal: bad signal \"SIGNOPE\""},
      {"[exec]\nready = {}", "exec.ready: not supported yet"},
      {"[lease]\nrenew_at = 1.5", "lease.renew_at: expected a number above 0 and at most 1"},
      {"[[template]]\ndestination = \"x\"\ncontents = \"\"\nperms = 600",
       "write the mode as a string, such as \"0640\""},
      {"[[template]]\ndestination = \"x\"\ncontents = \"\"\nsource = \"/etc/passwd\"",
       "exclude each other"},
      {"[[template]]\ncontents = \"\"", "template.destination: required"},
      {"[env]\nLD_PRELOAD = \"x\"", "env.LD_PRELOAD: a reserved name"},
      {"[env]\n\"a-b\" = \"x\"", "env.a-b: not a variable name"},
      {"[env.A]\nsecret = \"kv/app\"", "env.A: secret and key go together"},
      {"[vault]\nnamespace = \"${NOT_SET}\"", "the environment variable NOT_SET is not set"},
      {"[[listener]]\naddress = \"x\"", "listener.address: bad address \"x\""},
      {"[[listener]]\naddress = \"0.0.0.0:1\"", "can be reached from elsewhere"},
      {"[[listener]]\naddress = \"0.0.0.0:1\"\ntls_cert_file = \"c\"",
       "tls_cert_file and tls_key_file go together"},
      {"[[listener]]\ntls_require_and_verify_client_cert = true\ntls_cert_file = \"c\"\n"
       "tls_key_file = \"k\"",
       "listener.tls_require_and_verify_client_cert: needs tls_client_ca_file"},
      {"[[listener]]\ntls_client_ca_file = \"c\"", "needs tls_cert_file and tls_key_file"},
      {"[[listener]]\ntype = \"unix\"", "listener.address: required: the path of the socket"},
      {"[[listener]]\ntype = \"unix\"\naddress = \"s\"\ntls_cert_file = \"c\"\ntls_key_file = "
       "\"k\"",
       "there is no TLS on a unix socket"},
      {"[vault]\naddress = \"https://localhost:8200\"\n[[listener]]", "keybearer would ask itself"},
      {"[vault]\naddress = \"unix:///s\"\n[[listener]]\ntype = \"unix\"\naddress = \"/s\"",
       "keybearer would ask itself"},
      {"[[listener]]\nallow_uids = [0]", "listener.allow_uids: is for a unix socket"},
      {"[[listener]]\nallow = [\"kv/x\"]", "expected a method and a path"},
      {"[[listener]]\nallow = [\"GET kv/*/x\"]", "expected a method and a path"},
      {"[[listener]]\nallow = [{ rules = [\"GET kv/x\"] }]", "listener.allow.who: required"},
      {"[[listener]]\n[[listener]]", "another listener has it, too"},
      {"[api_proxy]\nuse_auto_auth_token = \"yes\"", "expected true, false or \"force\""},
      {"agent_api.enable_quit = true", "listener.agent_api"},
      {"[[env_from]]\nsecret = \"kv/a\"\nnames = { k = \"B C\" }",
       "env_from.names.k: B C is no variable name"},
      {"[[env_from]]\nsecret = \"kv/a\"\nnames = { k = \"1X\" }",
       "env_from.names.k: 1X is no variable name"},
      {"[[env_from]]\nsecret = \"kv/a\"\nnames = { k = \"PATH\" }",
       "env_from.names.k: PATH is a reserved name"},
      {"[[env_from]]\nsecret = \"kv/a\"\nnames = { k = \"PRELOAD\" }\nprefix = \"LD_\"",
       "env_from.names.k: LD_PRELOAD is a reserved name"},
      {"[[env_from]]\nsecret = \"kv/a\"\nnames = { k = \"A\", l = \"A\" }",
       "env_from.names.l: A is the name of another key, too"},
      {"[[env_from]]\nsecret = \"kv/a\"\nprefix = \"A=\"",
       "env_from.prefix: begins no variable name"},
      {"[[env_from]]\nsecret = \"kv/a\"\nprefix = \"A\\nB\"",
       "env_from.prefix: begins no variable name"},
      {"[[secret]]\npath = \"\"", "secret.path: required"},
      {"[[secret]]\npath = \"kv/a\"\nversion = -1",
       "secret.version: expected a whole number from 1"},
      {"[[secret]]\npath = \"kv/a\"\nversion = 0",
       "secret.version: expected a whole number from 1"},
      {"[[secret]]\npath = \"kv/a\"\nversion = \"abc\"",
       "secret.version: expected a whole number from 1"},
      {"[[template]]\ndestination = \"x\\u0000y\"\ncontents = \"\"",
       "template.destination: has a NUL byte"},
      {"[exec]\ncommand = [\"a\", \"b\\u0000c\"]", "exec.command: has a NUL byte"},
      {"[exec]\ncommand = \"b\\u0000c\"", "exec.command: has a NUL byte"},
      {"[[template]]\ndestination = \"x\"\ncontents = \"\"\ncommand = [\"a\"]\n"
       "exec = { command = [\"b\"] }",
       "template.exec.command: excludes template.command"},
      {"[[template]]\ndestination = \"x\"\ncontents = \"\"\ncommand_timeout = 1\n"
       "exec = { timeout = 2 }",
       "template.exec.timeout: excludes template.command_timeout"},
      {"[vault]\nheaders = { \"X A\" = \"b\" }", "vault.headers.X A: not a header's name"},
      {"[vault]\nheaders = { \"X\\nA\" = \"b\" }", "not a header's name"},
      {"[vault]\nheaders = { \"X-A\" = \"b\\r\\nHost: evil\" }",
       "vault.headers.X-A: has a line break or another control character"},
      {"[vault]\nheaders = { HOST = \"b\" }", "vault.headers.HOST: a header that we set ourselves"},
      {"[vault]\nheaders = { \"x-vault-token\" = \"b\" }",
       "vault.headers.x-vault-token: a header that we set ourselves"},
      {"[vault]\nnamespace = \"a\\r\\nb\"",
       "vault.namespace: has a line break or another control character"},
      {"[exec]\ndebounce = \"1m\"",
       "exec.debounce: 1m is more than exec.debounce_max, the default of 30s"},
      {"[exec]\ndebounce_max = \"1s\"",
       "exec.debounce: the default of 2s is more than exec.debounce_max, 1s"},
      {"[vault]\ntimeout = 0", "vault.timeout: must be more than zero"},
      {"[[template]]\ndestination = \"x\"\ncontents = \"\"\nuser = \"no-such-user\"",
       "template.user: no user \"no-such-user\" in /etc/passwd"},
      {"[[template]]\ndestination = \"x\"\ncontents = \"\"\ngroup = \"no-such-group\"",
       "template.group: no group \"no-such-group\" in /etc/group"},
  };
  for (const auto& [text, problem] : rows) {
    Fixture fixture;
    CAPTURE(text);
    CAPTURE(fixture.problems(kToken + text));
    const std::string expected = problem.starts_with("5: ") ? problem.substr(3) : problem;
    CHECK(fixture
              .problems((text.starts_with("[") ? kToken : "") + text +
                        (text.starts_with("[") ? "" : "\n" + kToken))
              .find(expected) != std::string::npos);
  }
  Fixture fixture;
  CHECK(fixture.problems("[auto_auth.method]\ntype = \"token\"\ntoken = \"hvs.a\\n\"")
            .contains("auto_auth.method.token: has a line break or another control character"));
}

TEST_CASE("a rule over several keys is broken at the key that breaks it") {
  const std::pair<const char*, const char*> rows[] = {
      {"[exec]\nsplay = 0\ndebounce = \"1m\"", "6: exec.debounce: "},
      {"[exec]\nsplay = 0\nworking_directory = \"/nope\"", "6: exec.working_directory: "},
      {"[exec]\nsplay = 0\nrestart_backoff = \"2m\"", "6: exec.restart_backoff: "},
      {"[vault]\nmax_connections = 1\ntimeout = 0", "6: vault.timeout: "},
      {"[vault]\nmax_connections = 1\nca_cert = \"/nope\"", "6: vault.ca_cert: "},
      {"[vault]\nmax_connections = 1\nca_path = \"/nope\"", "6: vault.ca_path: "},
      {"[vault]\nmax_connections = 1\nclient_cert = \"/nope\"", "6: vault.client_cert and "},
      {"[vault.retry]\nnum_retries = 1\nmax_backoff = \"1ms\"", "6: vault.retry.min_backoff: "},
      {"[auto_auth]\nrenew_at = 0.5\nmin_backoff = \"1h\"", "6: auto_auth.min_backoff: "},
  };
  for (const auto& [text, problem] : rows) {
    Fixture fixture;
    CAPTURE(text);
    const std::string said = fixture.problems(kToken + text);
    CAPTURE(said);
    CHECK(said.contains(problem));
    CHECK_FALSE(said.contains("the configuration"));
  }
  Fixture fixture;
  fixture.env = {{"VAULT_CACERT", "/nope"}, {"VAULT_CLIENT_TIMEOUT", "0"}};
  const std::string said = fixture.problems(kToken);
  CHECK(said.contains("environment VAULT_CACERT: vault.ca_cert: /nope: No such file"));
  CHECK(said.contains("environment VAULT_CLIENT_TIMEOUT: vault.timeout: must be"));
  fixture.env = {{"VAULT_CACERT", "/dev/null"},
                 {"VAULT_CLIENT_CERT", "/"},
                 {"VAULT_CLIENT_KEY", "/dev/zero"},
                 {"VAULT_CAPATH", "/etc/passwd"}};
  const std::string kinds = fixture.problems(kToken);
  CHECK(kinds.contains("vault.ca_cert: /dev/null: not a regular file"));
  CHECK(kinds.contains("vault.client_cert: /: is a directory; expected a file"));
  CHECK(kinds.contains("vault.client_key: /dev/zero: not a regular file"));
  CHECK(kinds.contains("vault.ca_path: /etc/passwd: not a directory"));
}

TEST_CASE("a secret has one table for each version and each way to write it") {
  const std::string first = "[[secret]]\npath = \"kv/p\"\nname = \"latest\"\n";
  Fixture fixture;
  const std::string twice = fixture.problems(kToken + first + "[[secret]]\npath = \"kv/data/p\"\n");
  CHECK(twice.contains("7: secret.path: \"kv/data/p\" has a table already, at "));
  CHECK(twice.contains("agent.toml:4:1; make them one"));
  CHECK(fixture.problems(kToken + first + "[[secret]]\npath = \"kv/data/p\"\nversion = 1\n") == "");
  CHECK(fixture.problems(
            kToken + "[[secret]]\npath = \"pki/issue/web\"\ndata = { common_name = \"a\" }\n"
                     "[[secret]]\npath = \"pki/issue/web\"\ndata = { common_name = \"b\" }\n") ==
        "");
}

TEST_CASE("an id is given once; the environment's replaces the file's") {
  Fixture fixture;
  fixture.write("id", "x");
  const std::string both =
      "[auto_auth.method]\ntype = \"approle\"\nrole_id = \"r\"\nrole_id_file_path = \"" +
      fixture.directory + "/id\"\nsecret_id = \"s\"\nsecret_id_file_path = \"" + fixture.directory +
      "/id\"\n";
  const std::string said = fixture.problems(both);
  CHECK(said.contains("4: auto_auth.method.role_id_file_path: excludes role_id"));
  CHECK(said.contains("6: auto_auth.method.secret_id_file_path: excludes secret_id"));
  fixture.env = {{"VAULT_ROLE_ID", "r"}, {"VAULT_SECRET_ID", "s"}};
  CHECK(fixture.problems("[auto_auth.method]\ntype = \"approle\"\nrole_id_file_path = \"" +
                         fixture.directory + "/id\"\n") == "");
}

TEST_CASE("defaults keep their kinds") {
  Fixture fixture;
  fixture.env = {{"WHO", "a\"b\\\n"}};
  const auto loaded = fixture.load(
      kToken +
      "[[secret]]\npath = \"a\"\noptional = true\n"
      "defaults = { flag = false, n = 5, part = 1.5, l = [\"x\", 2], in = { who = \"${WHO}\" } }\n"
      "[[secret]]\npath = \"b\"\noptional = true\ndefaults = {}\n");
  REQUIRE(loaded.has_value());
  CHECK(loaded->config.secrets[0].defaults ==
        R"({"flag":false,"in":{"who":"a\"b\\\u000a"},"l":["x",2],"n":5,"part":1.5})");
  CHECK(loaded->config.secrets[1].defaults.empty());
  CHECK(fixture
            .problems(kToken +
                      "[[secret]]\npath = \"a\"\noptional = true\ndefaults = { d = 2020-01-01 }\n")
            .contains("secret.defaults: expected strings, numbers, booleans, arrays and tables"));
}

TEST_CASE("all mistakes of all files come together") {
  Fixture fixture;
  const std::string text = fixture.problems("a = 1\n[vault]\nb = 2\ntimeout = \"x\"\n" + kToken);
  CHECK(text.find("1: a: unknown key") != std::string::npos);
  CHECK(text.find("3: vault.b: unknown key") != std::string::npos);
  CHECK(text.find("4: vault.timeout: bad duration") != std::string::npos);
}

TEST_CASE("text that is no TOML, and a file that is not there") {
  Fixture fixture;
  CHECK(fixture.problems("a = = 1").find("not valid TOML") != std::string::npos);
  fixture.input.paths = {fixture.directory + "/nope.toml"};
  const auto loaded = config::load(fixture.input);
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().front().text == "can't be read: No such file or directory");
}

TEST_CASE("durations") {
  struct {
    const char* text;
    Duration value;
  } rows[] = {{"250ms", 250ms}, {"90s", 90s},    {"1h30m", 90min}, {"5", 5s},
              {"0.5", 500ms},   {"1.5h", 90min}, {"0s", 0s}};
  for (const auto& [text, value] : rows) {
    CAPTURE(text);
    REQUIRE(parse_duration(text).has_value());
    CHECK(*parse_duration(text) == value);
  }
  for (const char* bad : {"", "-5s", "5x", "s", "5 s", "1h 30m", "1e300h"})
    CHECK_FALSE(parse_duration(bad).has_value());
}

TEST_CASE("a table's name that begins with what no name can begin with") {
  for (const auto& text : {std::string("[\0exec]\n", 8), std::string("[#x]\n"),
                           std::string("x = 1 \u0417\n"), std::string("\u00e9 = 1\n")}) {
    Fixture fixture;
    CHECK(fixture.problems(text).find("not valid TOML") != std::string::npos);
  }
}

TEST_CASE("what the reference has and this version has not is refused by name, never ignored") {
  const std::string rows[] = {
      "exec.ready = {}",
      "exec.overlap = true",
      "exec.watchdog = true",
  };
  for (const std::string& row : rows) {
    Fixture fixture;
    CAPTURE(row);
    const std::string text =
        fixture.problems(row + "\nauto_auth.method = { type = \"token\", token = \"t\" }\n");
    CAPTURE(text);
    CHECK(text.find(": not supported yet\n") != std::string::npos);
    CHECK(text.find("unknown key") == std::string::npos);
  }
}

TEST_CASE("a login method that is not built is not called unknown") {
  const std::pair<std::string, std::string> rows[] = {
      {"kerberos", "auto_auth.method.type: auth method \"kerberos\": not supported\n"},
      {"magic", "auth method \"magic\": unknown; expected"}};
  for (const auto& [type, problem] : rows) {
    Fixture fixture;
    CHECK(fixture.problems("[auto_auth.method]\ntype = \"" + type + "\"\nrole = \"x\"\n")
              .find(problem) != std::string::npos);
  }
}

TEST_CASE(
    "two writers of one file and two secrets of one name are refused; a disabled one is none") {
  const std::string two =
      "[[template]]\ncontents = \"a\"\ndestination = \"/tmp/x\"\n"
      "[[template]]\ncontents = \"b\"\ndestination = \"/tmp/./x\"\n";
  Fixture fixture;
  CHECK(fixture.problems(kToken + two).find("is a template's destination, at ") !=
        std::string::npos);
  CHECK(fixture.problems(kToken + two + "enabled = false\n").empty());
  CHECK(fixture
            .problems(
                kToken +
                "[[secret]]\npath = \"a\"\nname = \"n\"\n[[secret]]\npath = \"b\"\nname = \"n\"\n")
            .find("\"n\" is used twice") != std::string::npos);
}

TEST_CASE("formats are known by their names") {
  for (const std::string format :
       {"env", "docker-env", "ini", "json", "yaml", "toml", "properties", "shell"}) {
    Fixture fixture;
    CHECK(fixture.problems(kToken + "[[template]]\ndestination = \"x\"\nformat = \"" + format +
                           "\"\nvalues = { a = \"b\" }\n") == "");
  }
  Fixture fixture;
  CHECK(fixture
            .problems(kToken + "[[template]]\ndestination = \"x\"\nformat = \"xml\"\nvalues = {}\n")
            .find("bad value \"xml\"; expected one of") != std::string::npos);
}

TEST_CASE("a secret in a file that others can read is warned of; one from the environment is not") {
  Fixture fixture;
  const std::string approle = "[auto_auth.method]\ntype = \"approle\"\nrole_id = \"r\"\n";
  const auto warnings = [&fixture](const std::string& text) {
    return fixture.load(text)->config.warnings.size();
  };
  CHECK(warnings(approle + "secret_id = \"s\"\n") == 1);
  CHECK(warnings(kToken) == 1);
  REQUIRE(chmod((fixture.directory + "/agent.toml").c_str(), 0600) == 0);
  CHECK(warnings(kToken) == 0);
  REQUIRE(chmod((fixture.directory + "/agent.toml").c_str(), 0644) == 0);
  fixture.env = {{"VAULT_SECRET_ID", "s"}};
  CHECK(warnings(approle) == 0);
  CHECK(warnings(approle + "[vault]\ntls_skip_verify = true\n") == 1);
}

TEST_CASE("a bad variable is named") {
  for (const std::string name :
       {"VAULT_SKIP_VERIFY", "VAULT_CLIENT_TIMEOUT", "VAULT_MAX_RETRIES", "VAULT_LOG_LEVEL"}) {
    Fixture fixture;
    fixture.env = {{"VAULT_TOKEN", "t"}, {name, "maybe"}};
    const auto loaded = config::load(fixture.input);
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().front().place.text() == "environment " + name);
  }
}

TEST_CASE(
    "each of several tables, each variable and the name have an origin, and no text is shown") {
  Fixture fixture;
  fixture.input.flags.env = {"B=kv/app#b"};
  const auto loaded = fixture.load(kToken +
                                   "[[secret]]\npath = \"a\"\n[[secret]]\npath = \"b\"\n"
                                   "[env]\nA = \"hush\"\n[exec]\ncommand = [\"x\", \"y\"]\n");
  REQUIRE(loaded.has_value());
  std::map<std::string, std::string> shown;
  for (const Origin& origin : loaded->origins) {
    shown[origin.key] = origin.value;
    CHECK(origin.value.find("hush") == std::string::npos);
  }
  CHECK(shown["secret[1].path"] == "a");
  CHECK(shown["secret[2].path"] == "b");
  CHECK(shown["env.A"] == "(template text)");
  CHECK(shown["env.B"] == "kv/app#b");
  CHECK(shown["name"] == "agent");
  CHECK(shown["exec.command"] == "x y");
  CHECK(shown["auto_auth.method.token"] == "********");
}

TEST_CASE("[exec]: how the program is started, signalled and stopped") {
  Fixture fixture;
  fixture.env = {{"VAULT_ROLE_ID", "r"}, {"VAULT_SECRET_ID", "s"}};
  const auto problems = [&](const std::string& lines) {
    return fixture.problems(std::string("[exec]\ncommand = [\"true\"]\n") + lines);
  };
  CHECK(problems("stop_escalation = [[\"SIGTERM\", \"10s\"], [\"INT\", \"5s\"]]\n"
                 "forward_signals = [\"USR1\", \"SIGRTMIN+3\"]\nhup = \"forward\"\n"
                 "forking = true\npid_file = \"/run/x.pid\"\numask = \"0027\"\nnice = -5\n"
                 "stdout = \"out\"\nstderr = \"err\"\n"
                 "[exec.rlimits]\nnofile = 100\nstack = \"8MiB\"\ncore = \"unlimited\"\n") == "");
  const struct {
    const char *lines, *problem;
  } rows[] = {
      {"stop_escalation = []", "expected pairs"},
      {"stop_escalation = [[\"TERM\"]]", "expected pairs"},
      {"stop_escalation = [[\"FOO\", \"1s\"]]", "bad signal"},
      {"stop_escalation = [[\"TERM\", \"soon\"]]", "soon"},
      {"stop_timeout = \"1s\"\nstop_escalation = [[\"TERM\", \"1s\"]]", "stands instead"},
      {"forward_signals = [\"TERM\"]", "SIGTERM is keybearer's own"},
      {"forward_signals = [\"HUP\"]", "exec.hup"},
      {"forward_signals = [\"SEGV\"]", "can't be forwarded"},
      {"forward_signals = \"USR1\"", "expected an array"},
      {"hup = \"ignore\"", "expected one of"},
      {"pid_file = \"x\"", "exec.forking = true"},
      {"user = \"nobody-of-this-name\"", "exec.user"},
      {"nice = 20", "nice"},
      {"umask = \"9\"", "umask"},
      {"rlimits = { nofile = -1 }", "expected a number"},
      {"rlimits = { files = 1 }", "files"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.lines);
    CHECK(problems(std::string(row.lines) + "\n").contains(row.problem));
  }
}

}  // namespace
}  // namespace keybearer::config
