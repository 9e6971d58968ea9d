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
    std::string from, to, section;
    Effect effect = Effect::live;
  };
  const std::string kName = "name = \"a\"";
  const auto top = [&kName](const std::string& line) { return kName + "\n" + line; };
  const Row rows[] = {
      {kName, "name = \"b\"", "name", Effect::restart},
      {kName, top("pid_file = \"/tmp/x\""), "pid_file", Effect::restart},
      {kName, top("hardening = false"), "hardening", Effect::restart},
      {kName, top("log_file = \"/tmp/x\""), "log_file", Effect::restart},
      {kName, top("log_format = \"json\""), "log_format", Effect::restart},
      {kName, top("log_level = \"debug\""), "log_level"},
      {kName, top("notify.timeout = 3"), "notify"},
      {"\"10s\"", "\"11s\"", "vault"},
      {"\"10s\"", "\"10s\"\nnamespace = \"team\"", "vault.namespace", Effect::restart},
      {"[env]", "[state]\npath = \"/tmp/s/x\"\nkey_file = \"/tmp/k\"\n[env]", "state",
       Effect::restart},
      {"[env]", "[[listener]]\ntype = \"unix\"\naddress = \"/tmp/l\"\n[env]", "listener"},
      {"[env]", "[api_proxy]\nuse_auto_auth_token = false\n[env]", "api_proxy"},
      {"[env]", "[cache]\n[env]", "cache"},
      {kName, top("log_rotate_max_files = 3"), "log_rotate"},
      {kName, top("auto_auth.renew_at = 0.5"), "auto_auth"},
      {kName, top("template_config.start_grace = 1"), "template_config"},
      {kName, top("lease.drain = 1"), "lease"},
      {"[env]", "[[secret]]\npath = \"kv/a\"\n[env]", "secret"},
      {"[env]", "[[template]]\ncontents = \"x\"\ndestination = \"/tmp/y\"\n[env]", "template"},
      {"A = \"x\"", "A = \"y\"", "env"},
      {"[env]", "[[env_from]]\nsecret = \"kv/a\"\n[env]", "env_from"},
      {"[\"a\"]", "[\"a\", \"b\"]", "exec"},
      {kName, top("outage.on_start = \"fail\""), "outage"},
      {kName, top("metrics.enabled = false"), "metrics"},
      {kName, top("control.enabled = false"), "control", Effect::restart},
  };
  const Config before = parsed(kOld);
  for (const Row& row : rows) {
    std::string text = kOld;
    text.replace(text.find(row.from), row.from.size(), row.to);
    CAPTURE(text);
    bool found = false;
    for (const SectionDiff& section : diff(before, parsed(text))) {
      CAPTURE(section.name);
      const bool here = section.name == row.section;
      found = found || here;
      CHECK(section.effect == (here ? row.effect : Effect::same));
    }
    CHECK(found);
    // What only a restart takes over stays as it was; all else is as it was read.
    const Config after = parsed(text), now = in_force(before, after);
    for (const SectionDiff& section : diff(before, now)) CHECK(section.effect != Effect::restart);
    for (const SectionDiff& section : diff(now, after)) CHECK(section.effect != Effect::live);
  }
}

TEST_CASE("each table of a list is told of as changed, added or removed") {
  const auto text = [](const std::string& format, const char* one, const char* other) {
    std::string out = kOld;
    for (const char* name : {one, other}) {
      std::string table = format;
      for (std::size_t at = 0; (at = table.find('%')) != std::string::npos;)
        table.replace(at, 1, name);
      out.insert(out.find("[env]"), table);
    }
    return out;
  };
  const std::pair<const char*, std::string> rows[] = {
      {"template", "[[template]]\ncontents = \"x\"\ndestination = \"/%\"\n"},
      {"env_from", "[[env_from]]\nsecret = \"%\"\n"},
      {"secret", "[[secret]]\npath = \"%\"\n"},
      {"listener", "[[listener]]\ntype = \"unix\"\naddress = \"/%\"\n"},
      {"auto_auth", "[[auto_auth.sink]]\npath = \"/%\"\n"},
  };
  const auto entries = [](const Config& before, const Config& after, std::string_view name) {
    std::string all;
    for (const SectionDiff& section : diff(before, after)) {
      if (section.name != name) continue;
      for (const std::string& entry : section.entries) all += entry + "; ";
    }
    return all;
  };
  for (const auto& [name, table] : rows) {
    CAPTURE(name);
    const std::string root = table.contains("/%") ? "/" : "";
    const Config before = parsed(text(table, "t/gone", "t/same"));
    CHECK(entries(before, parsed(text(table, "t/same", "t/new")), name) ==
          root + "t/gone removed; " + root + "t/new added; ");
    CHECK(entries(before, before, name).empty());
  }
  const auto env = [](const std::string& lines) {
    return parsed("[vault]\n[env]\n" + lines + "[exec]\ncommand = [\"a\"]\n");
  };
  CHECK(entries(env("A = \"x\"\nB = \"x\"\nC = \"x\"\n"), env("A = \"y\"\nC = \"x\"\nD = \"x\"\n"),
                "env") == "A changed; B removed; D added; ");
}

TEST_CASE("comments, blank lines and the order of tables change nothing") {
  const Config before = parsed(kOld);
  for (const std::string& text :
       {"# new\n\n" + kOld, std::string("name = \"a\"\n[exec]\ncommand = [\"a\"]\n[env]\nA = 'x'\n"
                                        "[vault]\ntimeout = 10\n")}) {
    for (const SectionDiff& section : diff(before, parsed(text)))
      CHECK(section.effect == Effect::same);
  }
}

}  // namespace
}  // namespace keybearer::config
