// Where a setting comes from, and which goes before which.
#include <doctest/doctest.h>

#include "fixture.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;

TEST_CASE("the command line beats the environment beats the file; an empty variable is none") {
  Fixture fixture;
  const std::string file = "[vault]\naddress = \"http://127.0.0.1:1\"\n" + kToken;
  CHECK(fixture.load(file)->config.vault.address.front() == "http://127.0.0.1:1");
  fixture.env = {{"VAULT_URL", "http://127.0.0.1:2"}};
  CHECK(fixture.load(file)->config.vault.address.front() == "http://127.0.0.1:2");
  fixture.env["VAULT_ADDR"] = "";
  CHECK(fixture.load(file)->config.vault.address.front() == "http://127.0.0.1:2");
  fixture.env["VAULT_ADDR"] = "http://127.0.0.1:3";
  CHECK(fixture.load(file)->config.vault.address.front() == "http://127.0.0.1:3");
  fixture.input.flags.address = "http://127.0.0.1:4";
  const auto loaded = fixture.load(file);
  CHECK(loaded->config.vault.address.front() == "http://127.0.0.1:4");
  for (const Origin& origin : loaded->origins) {
    if (origin.key == "vault.address") CHECK(origin.from.text() == "command line");
  }
}

TEST_CASE("without a method, the environment chooses one; without any, both ways are named") {
  Fixture fixture;
  const auto nothing = config::load(fixture.input);
  REQUIRE_FALSE(nothing.has_value());
  CHECK(nothing.error().front().text.find("VAULT_TOKEN") != std::string::npos);
  CHECK(nothing.error().front().text.find("VAULT_ROLE_ID") != std::string::npos);
  fixture.env = {{"VAULT_ROLE_ID", "r"}, {"VAULT_SECRET_ID", "s"}};
  CHECK(config::load(fixture.input)->config.auto_auth.method.type == "approle");
  fixture.env["VAULT_TOKEN"] = "t";
  const auto token = config::load(fixture.input);
  CHECK(token->config.auto_auth.method.type == "token");
  for (const Origin& origin : token->origins) CHECK(origin.value != "t");  // masked
}

TEST_CASE("a missing secret_id names the key and the variable") {
  Fixture fixture;
  const std::string text =
      fixture.problems("[auto_auth.method]\ntype = \"approle\"\nrole_id = \"r\"\n");
  CHECK(text.find("auto_auth.method.secret_id: required; set it, secret_id_file_path, or "
                  "VAULT_SECRET_ID") != std::string::npos);
  CHECK(fixture
            .problems("[auto_auth.method]\ntype = \"approle\"\nrole_id = \"r\"\nsecret_id = \"\"\n")
            .empty());
}

TEST_CASE("later files override scalars and append arrays of tables") {
  Fixture fixture;
  fixture.input.paths = {
      fixture.write(
          "1.toml",
          kToken + "[vault]\ntimeout = \"1s\"\nmax_connections = 3\n[[secret]]\npath = \"a\"\n"),
      fixture.write("2.toml", "[vault]\ntimeout = \"2s\"\n[[secret]]\npath = \"b\"\n")};
  const auto loaded = config::load(fixture.input);
  REQUIRE(loaded.has_value());
  CHECK(loaded->config.vault.timeout == 2s);
  CHECK(loaded->config.vault.max_connections == 3);
  CHECK(loaded->config.secrets.size() == 2);
}

TEST_CASE("a secret's own settings are laid over the file's") {
  Fixture fixture;
  const auto loaded = fixture.load(
      kToken +
      "[lease]\nrenew_at = 0.5\n[template_config]\nstatic_secret_render_interval = \"1m\"\n"
      "[[secret]]\npath = \"/kv/app/\"\nlease = { drain = \"5s\" }\n"
      "[[secret]]\npath = \"b\"\nstatic_secret_render_interval = \"never\"\n");
  REQUIRE(loaded.has_value());
  const auto& [first, second] = std::pair(loaded->config.secrets[0], loaded->config.secrets[1]);
  CHECK(first.path == "kv/app");
  CHECK(first.lease.renew_at == 0.5);
  CHECK(first.lease.drain == 5s);
  CHECK(first.interval.every == 1min);
  CHECK(second.interval.never);
}

TEST_CASE("flags of the command line are checked as a file is") {
  Fixture fixture;
  fixture.env = {{"VAULT_TOKEN", "t"}};
  fixture.input.flags.env = {"DB=database/creds/app#password", "BAD", "PATH=kv/a#b"};
  fixture.input.flags.templates = {"nocolon"};
  fixture.input.flags.env_from = {"", "kv/app#key"};
  const auto loaded = config::load(fixture.input);
  REQUIRE_FALSE(loaded.has_value());
  std::string all;
  for (const Problem& problem : loaded.error()) all += problem_text(problem) + "\n";
  CHECK(all.find("command line: --env BAD: expected NAME=PATH#KEY") != std::string::npos);
  CHECK(all.find("command line: --template nocolon: expected SOURCE:DESTINATION") !=
        std::string::npos);
  CHECK(all.find("env.PATH: a reserved name") != std::string::npos);
  CHECK(all.contains("command line: --env-from \"\": expected PATH"));
  CHECK(all.contains("command line: --env-from \"kv/app#key\": expected PATH"));
  fixture.input.flags = {};
  fixture.input.flags.env = {"DB=database/creds/app#password"};
  const auto good = config::load(fixture.input);
  REQUIRE(good.has_value());
  CHECK(good->config.env.front().value.secret == "database/creds/app");
  CHECK(good->config.env.front().value.key == "password");
}

TEST_CASE("what --show shows is what is in force, defaults too, and no default of a secret") {
  Fixture fixture;
  fixture.input.flags.log_level = "debug";
  const auto loaded = fixture.load("log_format = \"json\"\nlog_level = \"warn\"\n" + kToken +
                                   "[env.A]\ncontents = \"x\"\ndefault = \"hush\"\n");
  REQUIRE(loaded.has_value());
  std::map<std::string, std::string> shown;
  for (const Origin& origin : loaded->origins) shown[origin.key] = origin.value;
  CHECK(shown["log_level"] == "debug");
  CHECK(shown["log_format"] == "json");
  CHECK(shown["exec.inherit_env"] == "all");
  CHECK(shown["exec.success_codes"] == "0");
  CHECK(shown["auto_auth.revoke_on_exit"].starts_with("true"));
  CHECK(shown["lease.revoke_on_exit"].starts_with("true"));
  CHECK(shown["env.A.default"] == "********");
  const auto defaults = fixture.load(kToken);
  for (const Origin& origin : defaults->origins) shown[origin.key] = origin.value;
  CHECK(shown["log_format"].starts_with("text"));
}

TEST_CASE("a directory's files are read by name; one without any is a mistake") {
  Fixture fixture;
  fixture.write("2.toml", "[vault]\nmax_connections = 2\n");
  fixture.write("1.toml", kToken + "[vault]\nmax_connections = 1\n");
  fixture.write("notes.txt", "not toml");
  fixture.write(".#2.toml", "nobody@nowhere.1");
  fixture.input.paths = {fixture.directory};
  const auto loaded = config::load(fixture.input);
  REQUIRE(loaded.has_value());
  CHECK(loaded->config.vault.max_connections == 2);
  CHECK(loaded->config.name == "1");
  fixture.input.paths = {"/proc/self/task"};
  CHECK_FALSE(config::load(fixture.input).has_value());
}

}  // namespace
}  // namespace keybearer::config
