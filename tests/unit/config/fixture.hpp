#pragma once
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "config/load.hpp"

namespace keybearer::config {

// A file in a directory of its own, and an environment.
struct Fixture {
  std::string directory = "/tmp/keybearer-config-XXXXXX";
  std::map<std::string, std::string> env;
  Input input;
  Fixture() {
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    input.origins = true;
    input.env = [this](const std::string& name) -> std::optional<std::string> {
      const auto at = env.find(name);
      if (at == env.end()) return std::nullopt;
      return at->second;
    };
  }
  ~Fixture() { [[maybe_unused]] const int ignored = std::system(("rm -rf " + directory).c_str()); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory + "/" + name) << text;
    return directory + "/" + name;
  }
  std::expected<Loaded, std::vector<Problem>> load(const std::string& text) {
    input.paths = {write("agent.toml", text)};
    return config::load(input);
  }
  // The problems of a file, as "LINE: TEXT" lines.
  std::string problems(const std::string& text) {
    const auto loaded = load(text);
    std::string out;
    if (loaded) return out;
    for (const Problem& problem : loaded.error()) {
      out += (problem.place.line > 0 ? std::to_string(problem.place.line) + ": " + problem.text
                                     : problem_text(problem)) +
             "\n";
    }
    return out;
  }
};

inline const std::string kToken = "[auto_auth.method]\ntype = \"token\"\ntoken = \"t\"\n";

}  // namespace keybearer::config
