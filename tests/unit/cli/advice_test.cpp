#include "cli/advice.hpp"

#include <doctest/doctest.h>

namespace keybearer::cli {
namespace {

config::Config with_template(std::string contents) {
  config::Config config;
  config::Template spec;
  spec.contents = std::move(contents);
  spec.destination = "out/app.ini";
  config.templates.push_back(std::move(spec));
  return config;
}

TEST_CASE("a token in a template's text is warned of, what only looks like one is not") {
  const struct {
    const char* text;
    bool token;
  } rows[] = {
      {"token = hvs.CAESIJ0123456789abcdefghij", true},
      {"hvb.AAAAAQJ0123456789abcdefghij", true},
      {"\"s.iyNUhq8Ov4hIAx6snw5mB2nL\"", true},
      {"{{ .Data.s.iyNUhq8Ov4hIAx6snw5mB2nL }}", false},
      {"{{ with secret \"kv/data/app\" }}{{ .Data.data.token }}{{ end }}", false},
      {"hvs.short", false},
      {"class.method_of_a_very_long_name_indeed", false},
      {"", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto said = warnings(with_template(row.text), {});
    CHECK(said.size() == (row.token ? 1 : 0));
    if (row.token) {
      CHECK(said[0].find("out/app.ini") != std::string::npos);
      CHECK(said[0].find("0123456789") == std::string::npos);
    }
    config::Config config;
    config::EnvVar variable;
    variable.name = "X";
    variable.value.contents = row.text;
    config.env.push_back(std::move(variable));
    CHECK(warnings(config, {}).size() == (row.token ? 1 : 0));
  }
}

TEST_CASE(
    "a credential as text of the file is warned of; of a variable, a flag or a file it is not") {
  config::Config config;
  config.auto_auth.method.type = "approle";
  const auto origin = [](const char* key, config::SourceLocation from) {
    return config::Origin{.key = key, .value = "***", .from = std::move(from)};
  };
  config::SourceLocation file;
  file.kind = config::SourceLocation::Kind::file;
  file.name = "agent.toml";
  file.line = 7;
  CHECK(warnings(config, {origin("auto_auth.method.role_id", file)}).empty());
  const auto said = warnings(config, {origin("auto_auth.method.secret_id", file)});
  REQUIRE(said.size() == 1);
  CHECK(said[0].starts_with("agent.toml:7"));
  CHECK(said[0].find("secret_id_file_path") != std::string::npos);
  CHECK(warnings(config, {origin("auto_auth.method.secret_id", config::SourceLocation::of_flag())})
            .empty());
  config.credential_variables = {"APP_SECRET_ID"};
  CHECK(warnings(config, {origin("auto_auth.method.secret_id", file)}).empty());
}

TEST_CASE("files that leave memory are named in one line") {
  config::Config config = with_template("x");
  config.templates.push_back(config.templates[0]);
  config.templates[1].destination = "/run/app/token";
  config.templates.push_back(config.templates[0]);
  config.templates[2].enabled = false;
  const auto in_run = [](const std::string& directory) { return directory.starts_with("/run"); };
  const std::string note = note_on_disks(config, in_run);
  CHECK(note.find("out/app.ini;") != std::string::npos);
  CHECK(note.find("/run/app") == std::string::npos);
  config.templates.erase(config.templates.begin());
  CHECK(note_on_disks(config, in_run).empty());
  CHECK(is_in_memory("/dev/shm/not/made/yet"));
  CHECK_FALSE(is_in_memory("/proc"));
}

}  // namespace
}  // namespace keybearer::cli
