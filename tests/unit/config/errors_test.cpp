// How mistakes in agent.toml are told: where, once, in order, in words of what was meant.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "config/load.hpp"
#include "config/scalars.hpp"
#include "config/syntax.hpp"
#include "config/toml.hpp"

namespace keybearer::config {
namespace {

struct Fixture {
  std::string directory = "/tmp/keybearer-errors-XXXXXX";
  std::map<std::string, std::string> env = {{"VAULT_TOKEN", "t"}};
  Input input;
  Fixture() {
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    input.origins = true;
    input.env = [this](const std::string& name) -> std::optional<std::string> {
      const auto at = env.find(name);
      return at == env.end() ? std::nullopt : std::optional(at->second);
    };
  }
  ~Fixture() { std::filesystem::remove_all(directory); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(directory + "/" + name) << text;
    return directory + "/" + name;
  }
  std::expected<Loaded, std::vector<Problem>> load(const std::string& text) {
    input.paths = {write("agent.toml", text)};
    return config::load(input);
  }
  // "LINE:COLUMN: TEXT" lines; "" when all is good.
  std::string problems(const std::string& text) {
    std::string out;
    const auto loaded = load(text);
    if (loaded) return out;
    for (const Problem& problem : loaded.error()) {
      const std::string whole = problem_text(problem);
      const std::string file = directory + "/agent.toml:";
      out += (whole.starts_with(file) ? whole.substr(file.size()) : whole) + "\n";
    }
    return out;
  }
};

TEST_CASE("errors come in the order of files and lines, each once") {
  Fixture f;
  std::string text, expected;
  for (int line = 1; line <= 20; ++line) text += "zz" + std::to_string(line) + " = 1\n";
  text += "[env]\nLD_X = \"a\"\n[vault]\nqq = 1\ntimeout = true\n[exec]\nqq = 1\n";
  const std::string said = f.problems(text);
  std::istringstream lines(said);
  int last = 0, count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    CHECK(std::stoi(line) > last);
    last = std::stoi(line);
  }
  CHECK(count == 24);
  f.input.flags.env = {"BAD"};
  f.env["VAULT_SKIP_VERIFY"] = "maybe";
  f.input.paths = {f.write("2.toml", "a = 1\n"), f.write("1.toml", "b = 1\n")};
  const auto loaded = config::load(f.input);
  REQUIRE_FALSE(loaded.has_value());
  REQUIRE(loaded.error().size() == 4);
  CHECK(loaded.error()[0].place.name.ends_with("2.toml"));
  CHECK(loaded.error()[1].place.name.ends_with("1.toml"));
  CHECK(loaded.error()[2].place.kind == SourceLocation::Kind::variable);
  CHECK(loaded.error()[3].place.kind == SourceLocation::Kind::flag);
}

TEST_CASE("what is not TOML is told in words of what was meant, and shows no value") {
  const std::pair<std::string, std::string> rows[] = {
      {"address = http://hunter2\n", "1:11: not valid TOML: a text needs quotes"},
      {"a = info\n", "a text needs quotes"},
      {"a = /hunter2/x\n", "a text needs quotes"},
      {"a = 5m\n", "a text needs quotes"},
      {"a = 0644\n", "a file mode is a string: \"0644\""},
      {"a = True\n", "expected true or false"},
      {"a = \n", "a value is missing after ="},
      {"a = \u201chunter2\u201d\n", "typographic quotes"},
      {"a = \"{{ with secret \"kv/a\" }}\"\n", "stands between '''"},
      {"a = 'it's'\n", "stands between '''"},
      {"a = \"hunter2\n", "not ended on its line"},
      {"a = 'hunter2\nx'\n", "not ended on its line"},
      {"contents = <<EOT\nhunter2\nEOT\n", "HCL's <<EOT is '''...''' here"},
      {"a = '''\nx\n", "a text that is never ended"},
      {"a = \"C:\\dir\"\n", "a backslash"},
      {"[vault]\na = 1\n[vault]\nb = 1\n",
       "3:1: not valid TOML: cannot redefine existing table "
       "'vault'; first at 1:1"},
      {"[exec]\nb = 1\n[x]\nc = 1\n[[exec]]\n", "first at 1:1"},
      {"exec.a = 1\n[exec]\nb = 1\n", "first at 1:1"},
      {"[a]\nk = 1\n[b]\nk = 1\nl = 2\n k = 3\n", "first at 4:1"},
      {"vault:\n  address: x\n", "this looks like YAML"},
      {"---\nvault: x\n", "this looks like YAML"},
      {"vault {\n  address = \"x\"\n}\n", "this looks like the HCL"},
      {"# c\nexit_after_auth = false\nauto_auth {\n method \"approle\" {\n",
       "this looks like the HCL"},
      {"template {\n}\n", "this looks like the HCL"},
      {"{\"vault\": {}}", "this looks like JSON"},
      {"[exec.verify] command = [\"x\"]\n", "a [table] stands alone on its line"},
      {"key value\n", "expected key = value"},
      {"c = {\nd = 1}\n", "a table in { } stands on one line"},
  };
  for (const auto& [text, expected] : rows) {
    Fixture f;
    CAPTURE(text);
    const std::string said = f.problems(text);
    CAPTURE(said);
    CHECK(said.contains(expected));
    CHECK(said.contains("not valid TOML: "));
    CHECK_FALSE(said.contains("hunter2"));
  }
}

TEST_CASE("an unknown key is led to where it belongs, and a name of other agents to ours") {
  const std::pair<std::string, std::string> rows[] = {
      {"[exec]\nlease.check_interval = \"1s\"\n",
       "2:1: exec.lease: unknown key; a dotted key belongs above the first [table]; here it is "
       "exec.lease.check_interval; did you mean lease.check_interval?"},
      {"[exec]\nauto_auth.on_renew_failure = \"exit\"\n",
       "did you mean auto_auth.on_renew_failure?"},
      {"[vault]\nexec.splay = \"1s\"\n", "here it is vault.exec.splay"},
      {"[exec]\nlog_level = \"info\"\n", "did you mean log_level?"},
      {"[exec]\non_change = \"none\"\n", "did you mean env.NAME.on_change or template.on_change?"},
      {"[exec]\ncheck_interval = 1\n", "lease.check_interval"},
      {"[exec]\ndebounse = 1\n", "did you mean \"debounce\"?"},
      {"env_template = 1\n", "it is a variable in [env]"},
      {"[exec]\nkill_signal = \"HUP\"\n", "it is exec.restart_stop_signal here"},
      {"[exec]\nkill_timeout = \"1s\"\n", "it is exec.stop_timeout here"},
      {"[[template]]\ncontents = ''\ndestination = '/tmp/x'\nleft_delim = '<<'\n",
       "it is template.left_delimiter here"},
      {"pristine = true\n", "exec.inherit_env = \"none\""},
      {"[vault]\nattempts = 3\n", "vault.retry.num_retries"},
      {"[exec]\nenv = { A = 'b' }\n", "unknown key; the program's variables stand in [env] here"},
      {"[exec.env]\nA = 'b'\n", "the program's variables stand in [env] here"},
      {"[exec.lease]\nrenew_at = 0.5\n",
       "exec.lease: unknown key; it is a table of its own: [lease]"},
      {"[exec.template]\nsource = 'x'\n", "it is a table of its own: [[template]]"},
      {"[vault]\nexec = { splay = '1s' }\n", "it is a table of its own: [exec]"},
      {"[auto_auth.method]\ntype = 'token'\n[auto_auth.method.config]\ntoken = 'x'\n",
       "its keys stand in [auto_auth.method] itself here"},
      {"[[auto_auth.sink]]\npath = 'x'\nconfig = { path = 'y' }\n",
       "its keys stand in [[auto_auth.sink]] itself here"},
      {"[[auto_auth.sink]]\npath = 'x'\ntype = 'file'\n", "a sink is always a file here"},
      {"[[template]]\ncontents = ''\ndestination = 'x'\ndest = 'y'\n",
       "did you mean \"destination\"?"},
      {"[[template]]\ncontents = ''\ndestination = 'x'\nsrc = 'y'\n", "it is template.source here"},
      {"[env]\nA = { path = 'kv/a', key = 'k' }\n", "env.A.path: unknown key; it is secret here"},
      {"[env]\nA = { secret = 'kv/a', field = 'k' }\n", "env.A.field: unknown key; it is key here"},
      {"[[env_from]]\npath = 'kv/a'\n", "it is env_from.secret here"},
      {"[[secret]]\nsecret = 'kv/a'\n", "it is secret.path here"},
      {"[notify]\nurl = 'x'\n", "notify.url: unknown key\n"},
      {"[vault]\nurl = 'x'\n", "it is vault.address here"},
      {"[log]\nlevel = 'x'\n", "log_level, log_format and log_file stand at the top here"},
      {"[telemetry]\n", "it is /metrics of a [[listener]] here"},
      {"[consul]\n", "Consul's data is not read here"},
      {"[server]\naddress = 'x'\n", "it is the table [vault] here"},
  };
  for (const auto& [text, expected] : rows) {
    Fixture f;
    CAPTURE(text);
    const std::string said = f.problems(text);
    CAPTURE(said);
    CHECK(said.contains(expected));
    CHECK(said.contains("unknown key"));
  }
}

TEST_CASE("a value of the wrong type is told what was expected, once") {
  const std::pair<std::string, std::string> rows[] = {
      {"vault = 'http://x'\n", "1:9: vault: expected a table: [vault], got a string\n"},
      {"[[exec]]\ncommand = 'x'\n", "1:1: exec: expected a table: [exec], got an array\n"},
      {"[auto_auth]\nmethod = 'approle'\n",
       "2:10: auto_auth.method: expected a table: [auto_auth.method], got a string\n"},
      {"[exec]\nrestart_on_secret_changes = true\n",
       "2:29: exec.restart_on_secret_changes: expected one of \"always\", \"signal\", \"never\", "
       "got "
       "a boolean\n"},
      {"[auto_auth.method]\ntype = 'userpass'\npassword = 'x'\nusername = 5\n",
       "4:12: auto_auth.method.username: expected a string, got an integer\n"},
      {"[[env_from]]\nsecret = 5\n", "2:10: env_from.secret: expected a string, got an integer\n"},
      {"[[env_from]]\nprefix = 'A_'\n", "1:1: env_from.secret: required\n"},
      {"[exec]\ncommand = ['']\n",
       "2:11: exec.command: empty; expected a program and its arguments\n"},
  };
  for (const auto& [text, expected] : rows) {
    Fixture f;
    CAPTURE(text);
    CHECK(f.problems(text) == expected);
  }
}

TEST_CASE("no name and no value of the file forges a line") {
  const std::string evil = "a\\nkeybearer: forged\\u001b[2J\\u202e";
  const std::string rows[] = {
      "\"" + evil + "\" = 1\n",
      "[\"" + evil + "\"]\n",
      "[env]\n\"" + evil + "\" = \"x\"\n",
      "[env.\"" + evil + "\"]\nsecret = \"x\"\n",
      "log_level = \"" + evil + "\"\n",
      "[vault]\ntimeout = \"" + evil + "\"\n",
      "[vault]\nmax_response_size = \"" + evil + "\"\n",
      "[vault.headers]\n\"" + evil + "\" = \"x\"\n",
      "[vault]\nca_cert = \"" + evil + "\"\n",
      "[auto_auth.method]\ntype = \"" + evil + "\"\n",
      "[exec]\nrestart_stop_signal = \"" + evil + "\"\n",
      "[exec]\nworking_directory = \"" + evil + "\"\n",
      "[[template]]\ncontents = ''\ndestination = \"/tmp/x\"\nperms = \"" + evil + "\"\n",
      "[[template]]\nsource = \"" + evil + "\"\ndestination = \"/tmp/x\"\n",
      "[[template]]\nsource = \"" + evil + "\"\n",
      "[[template]]\ncontents = ''\ndestination = \"/tmp/x\"\nuser = \"" + evil + "\"\n",
      "[[template]]\ncontents = ''\ndestination = \"/tmp/x\"\non_change = \"" + evil + "\"\n",
      "[[template]]\nformat = \"ini\"\ndestination = \"/tmp/x\"\n[template.values]\n\"" + evil +
          "\" = 3\n",
      "[[env_from]]\nsecret = \"kv/a\"\nnames = { \"" + evil + "\" = \"" + evil + "\" }\n",
      "[[secret]]\npath = \"" + evil + "\"\n[[secret]]\npath = \"" + evil + "\"\n",
      "[vault]\nnamespace = \"${A" + evil + "}\"\n",
  };
  for (const std::string& row : rows) {
    Fixture f;
    CAPTURE(row);
    const auto loaded = f.load(row);
    REQUIRE_FALSE(loaded.has_value());
    for (const Problem& problem : loaded.error()) {
      const std::string text = problem_text(problem);
      CAPTURE(text);
      CHECK_FALSE(has_control(text));
      CHECK_FALSE(text.contains("\u202e"));
    }
  }
}

TEST_CASE("PATH#KEY in [env] is told the right forms; vault:PATH#KEY is a reference") {
  Fixture f;
  const std::string said = f.problems("[env]\nAPI_KEY = 'kv/data/app#api_key'\n");
  CHECK(
      said.contains("2:11: env.API_KEY: a plain text that looks like PATH#KEY; write { secret = "
                    "\"kv/data/app\", key = \"api_key\" } or \"vault:kv/data/app#api_key\""));
  CHECK(said.contains("{ contents = \"kv/data/app#api_key\" } for the text itself"));
  CHECK(f.problems("[env]\nA = { secret = \"kv/data/app#api_key\" }\n")
            .contains("write { secret = \"kv/data/app\", key = \"api_key\" }"));
  CHECK(f.problems("[env]\nA = \"vault:kv/app\"\n").contains("expected \"vault:PATH#KEY\""));
  for (const char* plain : {"#ff0000", "a#b", "http://x/y#z", "{{ env \"A\" }}/x#y", "a b/c#d",
                            "x/#", "/#x", "no/hash"}) {
    CAPTURE(plain);
    CHECK(f.problems(std::string("[env]\nA = '") + plain + "'\n") == "");
  }
  const auto loaded = f.load("[env]\nA = \"vault:kv/a#2#key\"\nB = { contents = \"kv/a#b\" }\n");
  REQUIRE(loaded.has_value());
  std::map<std::string, ValueSource> values;
  for (const EnvVar& variable : loaded->config.env) values[variable.name] = variable.value;
  CHECK(values["A"].secret == "kv/a#2");
  CHECK(values["A"].key == "key");
  CHECK(values["A"].contents.empty());
  CHECK(values["B"].contents == "kv/a#b");
}

TEST_CASE("the values of a template take the same forms as variables") {
  Fixture f;
  const std::string head = "[[template]]\nformat = 'ini'\ndestination = 'x'\n[template.values.a]\n";
  CHECK(f.problems(head + "b = 'kv/data/app#api_key'\n")
            .contains("5:5: template.values.a.b: a plain text that looks like PATH#KEY; write {"));
  const auto loaded = f.load(head + "b = 'vault:kv/app#k'\nc = { contents = 'a/b#c' }\nd = '#1'\n");
  REQUIRE(loaded.has_value());
  const auto& values = loaded->config.templates[0].values[0].node.children;
  REQUIRE(values.size() == 3);
  CHECK(values[0].node.value.secret == "kv/app");
  CHECK(values[0].node.value.key == "k");
  CHECK(values[1].node.value.contents == "a/b#c");
  CHECK(values[2].node.value.contents == "#1");
}

TEST_CASE("${NAME} is replaced in settings, never in what a shell or a program is given") {
  Fixture f;
  f.env["X"] = "outer";
  const auto loaded = f.load(
      "pid_file = \"${X}\"\n[notify]\ncommand = [\"${X}\", \"$$\"]\n[exec]\ncommand = [\"sh\", "
      "\"${X} ${UNSET}\"]\nverify.command = \"${X}\"\n[[template]]\ncontents = '${X}'\n"
      "destination = \"/tmp/${X}\"\ncommand = [\"${UNSET}\"]\n");
  REQUIRE(loaded.has_value());
  const Config& config = loaded->config;
  CHECK(config.pid_file == "outer");
  CHECK(config.notify.command.argv == std::vector<std::string>{"${X}", "$$"});
  CHECK(config.exec.command.argv == std::vector<std::string>{"sh", "${X} ${UNSET}"});
  CHECK(config.exec.verify.command.argv.back() == "${X}");
  CHECK(config.templates[0].command.argv.front() == "${UNSET}");
  CHECK(config.templates[0].contents == "${X}");
  CHECK(config.templates[0].destination == "/tmp/outer");
}

TEST_CASE("variables that became a credential or a header are remembered, others are not") {
  Fixture f;
  f.env = {{"APP_TOKEN", "t"}, {"TEAM", "x"}, {"HOME", "/root"}};
  const auto loaded = f.load(
      "pid_file = \"${HOME}/x\"\n[auto_auth.method]\ntype = \"token\"\ntoken = \"${APP_TOKEN}\"\n"
      "[vault]\nheaders = { \"X-Team\" = \"${TEAM}\" }\n");
  REQUIRE(loaded.has_value());
  CHECK(loaded->config.credential_variables == std::vector<std::string>{"APP_TOKEN", "TEAM"});
}

// The text map against the parser: each character of the decoded text stands in the file where the
// map says, unless it came from an escape.
TEST_CASE("the place of each character of a TOML string") {
  const std::string bodies[] = {
      "\"plain\"",
      "'literal \\n'",
      "\"t\\tq\\\"u\\u00e9\\U0001F600x\"",
      "\"\u00e9\u00fc x\"",
      "'''\nfirst\n  second \u00e9x\n\nlast'''",
      "'''on the first line\nx'''",
      "\"\"\"\na\\\n   folded \\tx\ny\"\"\"",
      "\"\"\"\r\nwin\r\ndows\r\n\"\"\"",
      "''''quoted' x'''",
      "\"\"\"\"quoted\" \"\"x\"\"\"",
  };
  for (const std::string& body : bodies) {
    const std::string file = "# \u00e9\n  key = " + body + "\nnext = 1\n";
    CAPTURE(file);
    const auto parsed = toml::parse(file, std::string("f.toml"));
    REQUIRE(parsed);
    const toml::node* node = parsed.table().get("key");
    const std::string text = node->as_string()->get();
    const auto& at = node->source().begin;
    const SourceText whole(file);
    const auto from = whole.from(at.line, at.column);
    REQUIRE(from.has_value());
    const TextMap map(SourceLocation::in_file("f.toml", at.line, at.column), *from, text);
    std::size_t line = 1, begin = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const SourceLocation place = map.at(text, line, i - begin);
      CAPTURE(i);
      const auto rest = whole.from(place.line, place.column);
      REQUIRE(rest.has_value());
      const bool continues = (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
      REQUIRE_FALSE(rest->empty());
      if (rest->front() != '\\' && text[i] != '\n' && !continues) CHECK(rest->front() == text[i]);
      if (text[i] == '\n') {
        ++line;
        begin = i + 1;
      }
    }
  }
}

TEST_CASE("a place in a file of thousands of lines is found by its line") {
  std::string text = "\xef\xbb\xbf# first\n";
  constexpr std::uint32_t kLines = 4000;
  for (std::uint32_t line = 2; line <= kLines; ++line)
    text += "\u00e4" + std::to_string(line) + "\n";
  const SourceText source(text);
  CHECK(source.from(1, 1)->starts_with("# first"));
  for (std::uint32_t line = 2; line <= kLines; ++line)
    CHECK(source.from(line, 2)->starts_with(std::to_string(line) + "\n"));
  CHECK(source.from(kLines + 1, 1) == "");
  CHECK_FALSE(source.from(kLines + 1, 2));
  CHECK_FALSE(source.from(kLines + 2, 1));
  CHECK_FALSE(source.from(0, 1));
}

TEST_CASE("a configuration that others can write is refused as root, else warned of") {
  if (geteuid() != 0) return;
  Fixture f;
  const std::string file = f.write("agent.toml", "log_level = \"info\"\n");
  f.input.paths = {file};
  for (const auto& [mode, good] :
       {std::pair(0644u, true), {0600u, true}, {0666u, false}, {0622u, false}, {0664u, true}}) {
    REQUIRE(chmod(file.c_str(), mode) == 0);
    CAPTURE(mode);
    CHECK(config::load(f.input).has_value() == good);
  }
  REQUIRE(chmod(file.c_str(), 0664) == 0);
  REQUIRE(chown(file.c_str(), 0, 65534) == 0);
  CHECK_FALSE(config::load(f.input).has_value());
  REQUIRE(chmod(file.c_str(), 0644) == 0);
  CHECK(config::load(f.input).has_value());
  REQUIRE(chown(file.c_str(), 65534, 0) == 0);
  const auto owned = config::load(f.input);
  REQUIRE(owned.has_value());
  CHECK(owned->config.warnings.size() == 1);
  REQUIRE(chown(file.c_str(), 0, 0) == 0);
  f.input.paths = {f.directory};
  for (const unsigned mode : {0777u, 01777u}) {
    REQUIRE(chmod(f.directory.c_str(), mode) == 0);
    CHECK_FALSE(config::load(f.input).has_value());
  }
}

TEST_CASE("a destination that is standard output is for keybearer render") {
  Fixture f;
  const std::string text =
      "[exec]\ncommand = [\"true\"]\n[[template]]\ncontents = ''\ndestination = \"-\"\n";
  CHECK(f.problems(text).contains("template.destination: \"-\" is standard output"));
  f.input.files_only = true;
  CHECK(f.problems(text) == "");
}

TEST_CASE("--show knows every key of every section, and no value is empty") {
  Fixture f;
  const auto loaded = f.load(
      "[[secret]]\npath = \"kv/a\"\n[[template]]\ncontents = ''\n"
      "destination = \"/tmp/x\"\n");
  REQUIRE(loaded.has_value());
  std::map<std::string, std::string> shown;
  for (const Origin& origin : loaded->origins) {
    shown[origin.key] = origin.value;
    CAPTURE(origin.key);
    CHECK_FALSE(origin.value.empty());
  }
  for (const std::string key :
       {"vault.budget.burst", "vault.budget.requests_per_minute", "outage.start_timeout",
        "lease.increment", "lease.check_interval", "template[1].perms", "template[1].on_change",
        "template[1].user", "secret[1].lease.renew_at", "vault.ca_cert", "pid_file", "exec.command",
        "auto_auth.increment", "log_file", "notify.command"}) {
    CAPTURE(key);
    CHECK((shown.contains(key) || key == "secret[1].lease.renew_at"));
  }
  CHECK(shown["template[1].perms"] == "0600");
}

}  // namespace
}  // namespace keybearer::config
