// [state], how old a value may get, and what a [[secret]] says of its own.

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/load.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;

struct File {
  std::string directory = "/tmp/keybearer-state-config-XXXXXX";
  File() { REQUIRE(mkdtemp(directory.data()) != nullptr); }
  ~File() { std::filesystem::remove_all(directory); }

  [[nodiscard]] std::expected<Loaded, std::vector<Problem>> load(const std::string& text) const {
    const std::string path = directory + "/agent.toml";
    std::ofstream(path) << text << "\n[auto_auth.method]\ntype = \"token\"\ntoken = \"t\"\n";
    Input input;
    input.paths = {path};
    input.env = [](const std::string&) { return std::nullopt; };
    return config::load(input);
  }
  [[nodiscard]] std::string problems(const std::string& text) const {
    const auto loaded = load(text);
    std::string out;
    if (loaded) return out;
    for (const Problem& problem : loaded.error()) out += problem.text + "\n";
    return out;
  }
};

TEST_CASE("[state]: a path and one key") {
  const File file;
  const auto loaded = file.load("[state]\npath = \"/s/state\"\nkey_file = \"/k/key\"\n");
  REQUIRE(loaded);
  CHECK(loaded->config.state.path == "/s/state");
  CHECK(loaded->config.state.key_file == "/k/key");
  const auto systemd = file.load("[state]\npath = \"/s/state\"\nkey_from = \"systemd\"\n");
  REQUIRE(systemd);
  CHECK(systemd->config.state.key_from == State::KeyFrom::systemd);

  const struct {
    const char *text, *problem;
  } rows[] = {
      {"[state]\nkey_file = \"/k/key\"\n", "state.path: required"},
      {"[state]\npath = \"/s/\"\nkey_file = \"/k/key\"\n", "state.path: expected a file"},
      {"[state]\npath = \"/s/state\"\n", "state.key_file: the key is missing"},
      {"[state]\npath = \"/s/state\"\nkey_from = \"file\"\n", "the key is missing"},
      {"[state]\npath = \"/s/state\"\nkey_file = \"/k\"\nkey_from = \"systemd\"\n",
       "state.key_file: excludes key_from"},
      {"[state]\npath = \"/s/state\"\nkey_from = \"tpm\"\n", "state.key_from: bad value"},
      {"[state]\npath = \"/s/state\"\nkey_file = \"/k\"\nkeyfile = \"x\"\n",
       "did you mean \"key_file\""},
      {"[outage]\non_start = \"state\"\n", "outage.on_start: \"state\" needs [state]"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(file.problems(row.text).find(row.problem) != std::string::npos);
  }
}

TEST_CASE("a [[secret]] has what [template_config] says, unless it says otherwise") {
  const File file;
  const auto loaded = file.load(R"(
[template_config]
max_stale = "1h"
on_stale = "stop"
start_grace = "1m"
exit_on_retry_failure = false
[[secret]]
path = "kv/data/plain"
[[secret]]
path = "kv/data/own"
namespace = "team-a"
max_stale = "5m"
on_stale = "default"
on_error = "exit"
start_grace = "2s"
exit_on_retry_failure = true
[[secret]]
path = "kv/data/own"
namespace = "team-b"
name = "second"
)");
  REQUIRE(loaded);
  const auto& secrets = loaded->config.secrets;
  REQUIRE(secrets.size() == 3);
  CHECK(secrets[0].stale == Stale{.max_stale = 1h, .on_stale = OnStale::stop});
  CHECK(secrets[0].on_error == OnError::keep);
  CHECK(secrets[0].start_grace == 1min);
  CHECK(!secrets[0].exit_on_retry_failure);
  CHECK(secrets[1].stale == Stale{.max_stale = 5min, .on_stale = OnStale::use_default});
  CHECK(secrets[1].on_error == OnError::exit);
  CHECK(secrets[1].start_grace == 2s);
  CHECK(secrets[1].exit_on_retry_failure);
  CHECK(secrets[1].vault_namespace == "team-a");
  CHECK(secrets[2].vault_namespace == "team-b");
}

TEST_CASE("the same path twice in one namespace is a mistake; defaults need a use") {
  const File file;
  CHECK(file.problems("[[secret]]\npath = \"kv/a\"\nnamespace = \"x\"\n"
                      "[[secret]]\npath = \"kv/a\"\nnamespace = \"x\"\n")
            .find("has a table already") != std::string::npos);
  const std::string defaults = "[[secret]]\npath = \"kv/a\"\ndefaults = { k = \"v\" }\n";
  CHECK(file.problems(defaults).find("secret.defaults: needs") != std::string::npos);
  for (const std::string use :
       {"optional = true", "on_error = \"default\"", "on_stale = \"default\""})
    CHECK(file.problems(defaults + use + "\n").empty());
}

}  // namespace
}  // namespace keybearer::config
