#include "config/diff.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "config/load.hpp"

namespace keybearer::config {
namespace {

Config parsed(const std::string& text) {
  std::string directory = "/tmp/keybearer-diff-XXXXXX";
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  std::ofstream(directory + "/agent.toml") << text;
  Input input;
  input.paths = {directory + "/agent.toml"};
  input.env = [](const std::string& name) -> std::optional<std::string> {
    return name == "VAULT_TOKEN" ? std::optional<std::string>("t") : std::nullopt;
  };
  auto loaded = load(input);
  std::filesystem::remove_all(directory);
  CAPTURE(text);
  REQUIRE(loaded.has_value());
  return std::move(loaded->config);
}

const std::string kOld =
    "name = \"a\"\n[vault]\ntimeout = \"10s\"\n[env]\nA = \"x\"\n[exec]\ncommand = [\"a\"]\n";

TEST_CASE("each section tells by itself whether it changed, and what a change asks for") {
  struct Row {
    std::string from, to;
    Section section;
    Change change;
  };
  const Row rows[] = {
      {"name = \"a\"", "name = \"b\"", Section::general, Change::restart},
      {"name = \"a\"", "name = \"a\"\npid_file = \"/tmp/x\"", Section::general, Change::restart},
      {"name = \"a\"", "name = \"a\"\nhardening = false", Section::general, Change::restart},
      {"name = \"a\"", "name = \"a\"\nlog_level = \"debug\"", Section::log, Change::live},
      {"name = \"a\"", "name = \"a\"\nnotify.timeout = 3", Section::notify, Change::live},
      {"\"10s\"", "\"11s\"", Section::vault, Change::live},
      {"name = \"a\"", "name = \"a\"\nauto_auth.renew_at = 0.5", Section::auto_auth, Change::live},
      {"name = \"a\"", "name = \"a\"\ntemplate_config.start_grace = 1", Section::template_config,
       Change::live},
      {"name = \"a\"", "name = \"a\"\nlease.drain = 1", Section::lease, Change::live},
      {"[env]", "[[secret]]\npath = \"kv/a\"\n[env]", Section::secrets, Change::live},
      {"[env]", "[[template]]\ncontents = \"x\"\ndestination = \"/tmp/y\"\n[env]",
       Section::templates, Change::live},
      {"A = \"x\"", "A = \"y\"", Section::env, Change::live},
      {"[env]", "[[env_from]]\nsecret = \"kv/a\"\n[env]", Section::env_from, Change::live},
      {"[\"a\"]", "[\"a\", \"b\"]", Section::exec, Change::live},
      {"name = \"a\"", "name = \"a\"\noutage.on_start = \"fail\"", Section::outage, Change::live},
  };
  const Config before = parsed(kOld);
  for (const Row& row : rows) {
    std::string text = kOld;
    text.replace(text.find(row.from), row.from.size(), row.to);
    const Diff changes = diff(before, parsed(text));
    CAPTURE(text);
    for (std::size_t i = 0; i < kSections; ++i) {
      const auto section = static_cast<Section>(i);
      CAPTURE(section_name(section));
      CHECK(changes.of(section) == (section == row.section ? row.change : Change::same));
    }
    CHECK(changes.needs_restart.empty() == (row.change != Change::restart));
  }
}

TEST_CASE("comments, blank lines and the order of tables change nothing") {
  const Config before = parsed(kOld);
  CHECK_FALSE(diff(before, parsed("# new\n\n" + kOld)).any());
  CHECK_FALSE(diff(before, parsed("name = \"a\"\n[exec]\ncommand = [\"a\"]\n[env]\nA = 'x'\n"
                                  "[vault]\ntimeout = 10\n"))
                  .any());
}

}  // namespace
}  // namespace keybearer::config
