// [[auto_auth.sink]], verify_identity, log rotation, pins and rules of variables: what they mean,
// and what is wrong with them, with its place.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "config/load.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;

struct Fixture {
  std::string directory = "/tmp/keybearer-sinks-XXXXXX";
  Input input;
  Fixture() {
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    input.env = [](const std::string& name) -> std::optional<std::string> {
      return name == "VAULT_TOKEN" ? std::optional<std::string>("t") : std::nullopt;
    };
  }
  ~Fixture() { std::filesystem::remove_all(directory); }
  std::expected<Loaded, std::vector<Problem>> load(std::string text) {
    for (std::size_t at = 0; (at = text.find("%D")) != std::string::npos;)
      text.replace(at, 2, directory);
    input.paths = {directory + "/agent.toml"};
    std::ofstream(input.paths.front()) << text;
    return config::load(input);
  }
  // "LINE:COLUMN: TEXT|..."; "" when all is good.
  std::string problems(const std::string& text) {
    std::string out;
    const auto loaded = load(text);
    if (loaded) return out;
    for (const Problem& problem : loaded.error()) {
      const std::string whole = problem_text(problem), file = directory + "/agent.toml:";
      out +=
          (out.empty() ? "" : "|") + (whole.starts_with(file) ? whole.substr(file.size()) : whole);
    }
    return out;
  }
};

TEST_CASE("a sink's defaults, and all its keys") {
  Fixture f;
  const auto loaded = f.load(R"(
[[auto_auth.sink]]
path = "%D/plain"
[[auto_auth.sink]]
path = "%D/wrapped"
mode = "0640"
user = "root"
group = "0"
wrap_ttl = "5m"
format = "json"
remove_on_exit = false
)");
  REQUIRE(loaded);
  const auto& sinks = loaded->config.auto_auth.sinks;
  REQUIRE(sinks.size() == 2);
  CHECK(sinks[0].mode == 0600);
  CHECK_FALSE(sinks[0].mode_given);
  CHECK_FALSE(sinks[0].format);
  CHECK_FALSE(sinks[0].wrap_ttl);
  CHECK_FALSE(sinks[0].remove_on_exit);
  CHECK(sinks[1].mode == 0640);
  CHECK(sinks[1].mode_given);
  CHECK(sinks[1].user == "root");
  CHECK(sinks[1].wrap_ttl == 5min);
  CHECK(sinks[1].format == Sink::Format::json);
  CHECK(sinks[1].remove_on_exit == false);
}

TEST_CASE("what is wrong with a sink is told with its place") {
  struct {
    const char* text;
    const char* says;
  } rows[] = {
      {"[[auto_auth.sink]]\nmode = \"0600\"\n", "1:1: auto_auth.sink.path: required"},
      {"[[auto_auth.sink]]\npath = \"a\"\nmode = 600\n", "3:8: auto_auth.sink.mode: an integer"},
      {"[[auto_auth.sink]]\npath = \"a\"\nmode = \"0999\"\n", "3:8: auto_auth.sink.mode: "},
      {"[[auto_auth.sink]]\npath = \"a\"\nwrap_ttl = \"0s\"\n", "auto_auth.sink.wrap_ttl: must be"},
      {"[[auto_auth.sink]]\npath = \"a\"\nwrap_ttl = \"soon\"\n",
       "3:12: auto_auth.sink.wrap_ttl: "},
      {"[[auto_auth.sink]]\npath = \"a\"\nformat = \"yaml\"\n", "\"token\", \"json\""},
      {"[[auto_auth.sink]]\npath = \"a\"\nuser = \"no-such-user\"\n", "3:8: auto_auth.sink.user: "},
      {"[[auto_auth.sink]]\npath = \"-\"\n", "1:1: auto_auth.sink.path: \"-\""},
      {"[[auto_auth.sink]]\npaht = \"a\"\n", "did you mean \"path\"?"},
      {"[auto_auth]\nsink = \"a\"\n", "2:8: auto_auth.sink: "},
      {"[[auto_auth.sink]]\npath = \"%D/a\"\n[[auto_auth.sink]]\npath = \"%D//x/../a\"\n",
       "3:1: auto_auth.sink.path: %D//x/../a has a sink already, at %D/agent.toml:1:1"},
      {"[[auto_auth.sink]]\npath = \"%D/a\"\n[[template]]\ncontents = \"\"\ndestination = "
       "\"%D/./a\"\n",
       "1:1: auto_auth.sink.path: %D/a is a template's destination"},
      {"log_file = \"%D/a\"\n[[auto_auth.sink]]\npath = \"%D/a\"\n", "is the log_file"},
      {"pid_file = \"%D/a\"\n[[auto_auth.sink]]\npath = \"%D/a\"\n", "is the pid_file"},
      {"[[auto_auth.sink]]\npath = \"%D/agent.toml\"\n", "is the configuration"},
      {"[auto_auth.method]\ntype = \"token_file\"\ntoken_file_path = \"%D/t\"\n"
       "[[auto_auth.sink]]\npath = \"%D/t\"\n",
       "is read by the login (auto_auth.method.token_file_path)"},
      {"[auto_auth.verify_identity]\n", "auto_auth.verify_identity: empty"},
      {"[auto_auth.verify_identity]\nentity = \"x\"\n", "entity_id"},
      {"[auto_auth.verify_identity]\npolicies = \"x\"\n", "an array of strings"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    Fixture f;
    std::string says = row.says;
    for (std::size_t at = 0; (at = says.find("%D")) != std::string::npos;)
      says.replace(at, 2, f.directory);
    const std::string said = f.problems(row.text);
    CHECK_MESSAGE(said.contains(says), said);
  }
}

TEST_CASE("a relative path means the same file as an absolute one") {
  Fixture f;
  const std::string here = std::filesystem::current_path().string();
  CHECK(f.problems("[[auto_auth.sink]]\npath = \"a\"\n[[auto_auth.sink]]\npath = \"" + here +
                   "/a\"\n")
            .contains("has a sink already"));
}

TEST_CASE("Vault Agent's key for new credentials is taken, and says that it has no effect") {
  Fixture f;
  for (const char* value : {"true", "false"}) {
    const auto loaded =
        f.load(std::string("[auto_auth]\nenable_reauth_on_new_credentials = ") + value + "\n");
    REQUIRE(loaded);
    REQUIRE(loaded->config.warnings.size() == 1);
    CHECK(loaded->config.warnings[0].contains("agent.toml:2:36: auto_auth.enable_reauth"));
  }
  CHECK(f.problems("[auto_auth]\nenable_reauth_on_new_credentials = 1\n").contains("2:36"));
}

TEST_CASE(
    "a sink that everybody can read, a rotation without a file, a pin without TLS: warned of") {
  Fixture f;
  const auto loaded = f.load(R"(
log_rotate_bytes = "1MiB"
[vault]
address = "http://127.0.0.1:1"
tls_pin_sha256 = ["sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
[[auto_auth.sink]]
path = "%D/a"
mode = "0644"
)");
  REQUIRE(loaded);
  REQUIRE(loaded->config.warnings.size() == 3);
  CHECK(loaded->config.warnings[0].contains("everybody"));
  CHECK(loaded->config.warnings[1].contains("log_file"));
  CHECK(loaded->config.warnings[2].contains("tls_pin_sha256"));
  CHECK(loaded->config.vault.tls_pin_sha256.front() ==
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

TEST_CASE("a pin is the base64 of 32 bytes") {
  Fixture f;
  const auto said = [&f](const std::string& pin) {
    return f.problems("[vault]\ntls_pin_sha256 = [\"" + pin + "\"]\n");
  };
  CHECK(said("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").empty());
  CHECK(said("sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").empty());
  for (const char* bad : {"", "47DEQpj8HBSa", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
                          "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
                          "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
                          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}) {
    CAPTURE(bad);
    CHECK(said(bad).contains("2:18: vault.tls_pin_sha256: bad pin"));
  }
  CHECK(f.problems("[vault]\ntls_pin_sha256 = []\n").contains("empty"));
  CHECK(f.problems("[vault]\ntls_pin_sha256 = \"x\"\n").contains("an array of strings"));
}

TEST_CASE("log rotation") {
  Fixture f;
  const auto loaded = f.load(
      "log_file = \"%D/a\"\nlog_rotate_bytes = 1000\nlog_rotate_duration = "
      "\"24h\"\nlog_rotate_max_files = -1\n");
  REQUIRE(loaded);
  CHECK(loaded->config.log_rotate.bytes == 1000);
  CHECK(loaded->config.log_rotate.duration == 24h);
  CHECK(loaded->config.log_rotate.max_files == -1);
  const auto never = f.load("log_file = \"%D/a\"\nlog_rotate_bytes = 0\n");
  REQUIRE(never);
  CHECK_FALSE(never->config.log_rotate.bytes);
  CHECK_FALSE(never->config.log_rotate.duration);
  CHECK(f.problems("log_rotate_max_files = -2\n").contains("from -1"));
  CHECK(f.problems("log_rotate_duration = \"0s\"\n").contains("at least 1s"));
  CHECK(f.problems("log_rotate_bytes = \"x\"\n").contains("1:20"));
}

TEST_CASE("a variable's rule") {
  Fixture f;
  const auto loaded = f.load(
      "[env.PORT]\ncontents = \"x\"\ntype = \"port\"\npattern = \"^80\"\nrequired = false\n"
      "[env]\nPLAIN = \"x\"\n");
  REQUIRE(loaded);
  for (const EnvVar& variable : loaded->config.env) {
    const bool port = variable.name == "PORT";
    CHECK((variable.rule.type == ValueRule::Type::port) == port);
    CHECK(variable.rule.pattern == (port ? "^80" : ""));
    CHECK(variable.required == !port);
  }
  CHECK(f.problems("[env.A]\ncontents = \"x\"\ntype = \"number\"\n").contains("3:8: env.A.type"));
}

}  // namespace
}  // namespace keybearer::config
