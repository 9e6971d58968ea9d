// agent.toml.example and the manual page know every key.
#include <doctest/doctest.h>

#include "fixture.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;

// The example as it stands, and with every setting taken out of its comment.
std::string uncommented(const std::string& text) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    const bool setting = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    out += (setting ? line.substr(1) : line) + "\n";
  }
  return out;
}

TEST_CASE("agent.toml.example is good as it stands, and every key in it is known") {
  std::ifstream in(KEYBEARER_SOURCE_DIR "/agent.toml.example");
  std::stringstream text;
  text << in.rdbuf();
  REQUIRE(!text.str().empty());
  Fixture fixture;
  fixture.env = {{"VAULT_ROLE_ID", "r"}, {"VAULT_SECRET_ID", "s"}};
  CHECK(fixture.problems(text.str()) == "");
  // What remains then is files and a user that are not there, and ids given in both ways.
  std::istringstream problems(fixture.problems(uncommented(text.str())));
  for (std::string line; std::getline(problems, line);) {
    CAPTURE(line);
    const bool expected =
        line.contains("No such file or directory") || line.contains("\"app\" in /etc/") ||
        line.contains("_file_path: excludes ") || line.contains("exec.pid_file: ") ||
        line.contains("stop_escalation: ") || line.contains("is for a unix socket") ||
        line.contains("keybearer would ask itself");
    CHECK(expected);
  }
}

TEST_CASE("every key that is read stands in agent.toml.example and in agent.toml(5)") {
  for (const char* name : {"/agent.toml.example", "/packaging/man/agent.toml.5"}) {
    std::ifstream in(std::string(KEYBEARER_SOURCE_DIR) + name);
    std::stringstream stream;
    stream << in.rdbuf();
    const std::string text = stream.str();
    REQUIRE(known_keys().size() > 100);
    for (const std::string& key : known_keys()) {
      const std::string leaf = key.substr(key.rfind('.') + 1);
      // What has many of a kind names them in its text.
      const bool in_text = key.starts_with("exec.rlimits.") || key.starts_with("auto_auth.method.");
      CAPTURE(name);
      CAPTURE(key);
      CHECK((text.contains(leaf + " = ") || text.contains(leaf + "]") ||
             text.contains("." + leaf + ".") || (in_text && text.contains(leaf))));
    }
  }
}

}  // namespace
}  // namespace keybearer::config
