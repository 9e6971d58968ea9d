#include "config/method.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "fixture.hpp"

namespace keybearer::config {
namespace {

// A file for each credential in its directory.
struct MethodFixture : Fixture {
  std::string said(const std::vector<Problem>& problems) const {
    std::string out;
    for (const Problem& problem : problems) out += problem_text(problem) + "\n";
    return out;
  }
};

// Where a value may stand, weakest first.
enum Source { nowhere, in_file, in_environment, on_command_line };

std::string value_of(const Method& method, const MethodKey& key, const MethodSpec& spec) {
  if (const auto secret = method.secret(key.name)) return std::string(secret->reveal());
  if (method.has(key.name)) return method.text(key.name);
  const MethodKey* file = spec.file_of(key);
  return file == nullptr ? "" : method.text(file->name);
}

// Every value of every method, in each combination of the places where it may stand: the strongest
// wins, and no other is left beside it. What other methods would use is always set, too.
TEST_CASE("each value of each method, by file, environment, flag and every mixture") {
  int combinations = 0;
  for (const MethodSpec* spec : MethodSpec::all()) {
    for (const MethodKey& key : spec->keys()) {
      if (!key.required) continue;
      const MethodKey* file = spec->file_of(key);
      const MethodKey& flagged = file != nullptr ? *file : key;
      for (int mask = 1; mask < 16; ++mask) {
        const bool as_value = (mask & 1) != 0 && key.type != MethodKey::Type::file;
        const bool as_file = (mask & 2) != 0 && flagged.type == MethodKey::Type::file;
        const bool by_environment = (mask & 4) != 0 && !key.variables.empty();
        const bool by_flag = (mask & 8) != 0 && !flagged.flag.empty();
        if ((as_value && as_file) || !(as_value || as_file || by_environment || by_flag)) continue;
        CAPTURE(spec->type());
        CAPTURE(key.name);
        CAPTURE(mask);
        MethodFixture fixture;
        fixture.env = {{"VAULT_TOKEN", "other-token"},
                       {"VAULT_ROLE_ID", "other-role"},
                       {"VAULT_SECRET_ID", "other-secret"}};
        std::string text = "[auto_auth.method]\ntype = \"" + std::string(spec->type()) + "\"\n";
        for (const MethodKey& other : spec->keys()) {  // what else the method asks for
          if (!other.required || other.name == key.name) continue;
          if (other.type == MethodKey::Type::file)
            text += std::string(other.name) + " = \"" + fixture.write("other", "x") + "\"\n";
          else
            text += std::string(other.name) + " = \"x\"\n";
        }
        for (const MethodKey& other : spec->keys())  // what stands where there is a cluster
          if (!other.fallback.empty() && other.type == MethodKey::Type::file)
            text += std::string(other.name) + " = \"" + fixture.write("fallback", "x") + "\"\n";
        std::string expected;
        if (as_value) text += std::string(key.name) + " = \"" + (expected = "from-toml") + "\"\n";
        if (as_file) {
          expected = fixture.write("from-toml", "x");
          text += std::string(flagged.name) + " = \"" + expected + "\"\n";
        }
        for (const char* variable : key.variables) fixture.env.erase(variable);
        if (by_environment) fixture.env[key.variables.front()] = expected = "from-environment";
        if (by_flag)
          fixture.input.flags.method[std::string(flagged.flag)] = expected =
              fixture.write("from-flag", "x");
        fixture.input.paths = {fixture.write("agent.toml", text)};
        const auto loaded = load(fixture.input);
        REQUIRE_MESSAGE(loaded, fixture.said(loaded ? std::vector<Problem>{} : loaded.error()));
        const Method& method = loaded->config.auto_auth.method;
        CHECK(method.type == spec->type());
        CHECK(value_of(method, key, *spec) == expected);
        CHECK((file == nullptr || method.has(key.name) != method.has(file->name)));
        ++combinations;
      }
    }
  }
  CHECK(combinations >= 20);
}

// The whole way to log in: what is there in files, environment and flags, and what comes of it.
TEST_CASE("how to log in is chosen by flags, then by the file, then by the environment") {
  const struct {
    std::string toml;                          // of [auto_auth.method]; F is a file
    std::map<std::string, std::string> env;    // F likewise
    std::map<std::string, std::string> flags;  // F likewise
    std::string type;                          // "" for an error that ...
    std::string says;                          // ... says this
  } rows[] = {
      {"", {{"VAULT_TOKEN", "t"}}, {}, "token", ""},
      {"", {{"BAO_TOKEN", "t"}}, {}, "token", ""},
      {"", {{"VAULT_ROLE_ID", "r"}, {"VAULT_SECRET_ID", "s"}}, {}, "approle", ""},
      {"",
       {{"VAULT_TOKEN", "t"}, {"VAULT_ROLE_ID", "r"}, {"VAULT_SECRET_ID", "s"}},
       {},
       "token",
       ""},
      {"", {{"VAULT_SECRET_ID", "s"}}, {{"role-id-file", "F"}}, "approle", ""},
      {"",
       {{"VAULT_SECRET_ID", "s"}, {"VAULT_TOKEN", "t"}},
       {{"role-id-file", "F"}},
       "approle",
       ""},
      {"", {{"VAULT_ROLE_ID", "r"}}, {{"secret-id-file", "F"}}, "approle", ""},
      {"",
       {{"VAULT_ROLE_ID", "r"}, {"VAULT_SECRET_ID", "s"}, {"VAULT_TOKEN", "t"}},
       {{"role-id-file", "F"}, {"secret-id-file", "F"}},
       "approle",
       ""},
      {"", {{"VAULT_TOKEN", "t"}}, {{"role-id-file", "F"}}, "", "secret_id: required"},
      {"", {{"VAULT_TOKEN", "t"}}, {{"secret-id-file", "F"}}, "", "role_id: required"},
      {"", {{"VAULT_TOKEN", "t"}}, {{"token-file", "F"}}, "token_file", ""},
      {"",
       {{"VAULT_ROLE_ID", "r"}, {"VAULT_SECRET_ID", "s"}},
       {{"token-file", "F"}},
       "token_file",
       ""},
      {"", {}, {{"token-file", "F"}, {"role-id-file", "F"}}, "", "--token-file excludes"},
      {"", {}, {{"token-file", "F.missing"}}, "", "No such file"},
      {"", {}, {{"token-file", "/dev/null"}}, "", "not a regular file"},
      {"", {}, {{"token-file", "/"}}, "", "is a directory"},
      {"type = 'approle'\nrole_id = 'r'\nsecret_id = 's'",
       {{"VAULT_TOKEN", "t"}},
       {},
       "approle",
       ""},
      {"type = 'approle'\nrole_id = 'r'\nsecret_id = 's'",
       {},
       {{"token-file", "F"}},
       "token_file",
       ""},
      {"type = 'token_file'\ntoken_file_path = 'F'",
       {{"VAULT_TOKEN", "t"}, {"VAULT_ROLE_ID", "r"}},
       {},
       "token_file",
       ""},
      {"type = 'token_file'\ntoken_file_path = 'F'",
       {{"VAULT_SECRET_ID", "s"}},
       {{"role-id-file", "F"}},
       "approle",
       ""},
      {"type = 'token'",
       {{"VAULT_TOKEN", "t"}},
       {{"role-id-file", "F"}, {"secret-id-file", "F"}},
       "approle",
       ""},
      {"mount_path = 'team'", {{"VAULT_SECRET_ID", "s"}}, {{"role-id-file", "F"}}, "approle", ""},
      {"mount_path = 'team'", {{"VAULT_TOKEN", "t"}}, {}, "", "type: required"},
      {"type = 'token'", {}, {}, "", "token: required; set it or VAULT_TOKEN"},
      {"type = 'token'", {{"VAULT_TOKEN", ""}}, {}, "", "token: required"},
      {"type = 'approle'\nrole_id = 'r'",
       {},
       {},
       "",
       "secret_id: required; set it, secret_id_file_path, or VAULT_SECRET_ID"},
      {"type = 'approle'\nrole_id = 'r'\nsecret_id = ''", {}, {}, "approle", ""},
      {"type = 'approle'\nsecret_id = ''", {}, {}, "", "role_id: required"},
      {"type = 'approle'\nrole_id = 'r'\nsecret_id_file_path = 'F.missing'",
       {},
       {},
       "",
       "keybearer removes it after a login unless remove_secret_id_file_after_reading = false"},
      {"type = 'token_file'", {}, {}, "", "token_file_path: required"},
      {"type = 'rope'", {}, {}, "", "unknown; expected \"approle\""},
      {"", {}, {}, "", "--token-file"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.toml);
    MethodFixture fixture;
    const std::string file = fixture.write("credential", "c");
    const auto named = [&](std::string value) {
      if (value.starts_with('F')) value.replace(0, 1, file);
      return value;
    };
    for (const auto& [name, value] : row.env) fixture.env[name] = named(value);
    for (const auto& [name, value] : row.flags) {
      CAPTURE(name);
      fixture.input.flags.method[name] = named(value);
    }
    if (!row.toml.empty()) {
      std::string text = "[auto_auth.method]\n" + row.toml + "\n";
      if (const auto at = text.find("'F"); at != text.npos) text.replace(at + 1, 1, file);
      fixture.input.paths = {fixture.write("agent.toml", text)};
    }
    const auto loaded = load(fixture.input);
    const std::string problems = loaded ? "" : fixture.said(loaded.error());
    CAPTURE(problems);
    CHECK(loaded.has_value() == !row.type.empty());
    if (loaded) CHECK(loaded->config.auto_auth.method.type == row.type);
    if (!loaded) CHECK(problems.contains(row.says));
  }
}

TEST_CASE("no secret of any method is shown") {
  for (const MethodSpec* spec : MethodSpec::all()) {
    for (const MethodKey& key : spec->keys()) {
      if (key.type != MethodKey::Type::secret) continue;
      MethodFixture fixture;
      std::string text = "[auto_auth.method]\ntype = \"" + std::string(spec->type()) + "\"\n" +
                         std::string(key.name) + " = \"canary\"\n";
      for (const MethodKey& other : spec->keys())
        if (other.required && other.name != key.name && other.type != MethodKey::Type::file)
          text += std::string(other.name) + " = \"x\"\n";
      fixture.input.paths = {fixture.write("agent.toml", text)};
      for (const char* variable : key.variables) {
        CAPTURE(variable);
        fixture.env = {{variable, "canary"}};
        const auto loaded = load(fixture.input);
        REQUIRE(loaded);
        for (const Origin& origin : loaded->origins) CHECK_FALSE(origin.value.contains("canary"));
      }
    }
  }
}

TEST_CASE("the tables hold together: names are known, flags and variables are one method's") {
  std::set<std::string_view> flags, types;
  for (const MethodSpec* spec : MethodSpec::all()) {
    CHECK(types.insert(spec->type()).second);
    CHECK(MethodSpec::find(spec->type()) == spec);
    std::set<std::string_view> names;
    for (const MethodKey& key : spec->keys()) {
      CHECK(names.insert(key.name).second);
      if (!key.flag.empty()) CHECK(flags.insert(key.flag).second);
      if (!key.flag.empty()) CHECK_FALSE(key.flag_help.empty());
      if (!key.instead_of.empty()) REQUIRE(spec->key(key.instead_of) != nullptr);
      if (!key.removes.empty()) {
        REQUIRE(spec->key(key.removes) != nullptr);
        CHECK(spec->key(key.removes)->type == MethodKey::Type::file);
        CHECK(key.type == MethodKey::Type::boolean);
      }
    }
  }
  CHECK(types.size() >= 3);
}

TEST_CASE("a method can be copied and compared; its secrets are shared") {
  Method method;
  method.type = "approle";
  method.set("secret_id", Secret("s"));
  Method copy = method;
  CHECK(copy == method);
  CHECK(copy.secret("secret_id") == method.secret("secret_id"));
  copy.set("secret_id", Secret("s"));
  CHECK(copy == method);
  copy.set("secret_id", Secret("t"));
  CHECK_FALSE(copy == method);
  copy = method;
  CHECK(copy.flag("remove_secret_id_file_after_reading"));
  copy.spare_files();
  CHECK_FALSE(copy.flag("remove_secret_id_file_after_reading"));
  CHECK_FALSE(copy.used_up_by_login());
  copy.set("secret_id_response_wrapping_path", std::string("auth/approle/role/app/secret-id"));
  CHECK(copy.used_up_by_login());
}

// What a configuration of `type` with these keys says, as one text; "" when it is good.
std::string problems_of(MethodFixture& fixture, const std::string& type, const std::string& keys) {
  fixture.input.paths = {
      fixture.write("agent.toml", "[auto_auth.method]\ntype = \"" + type + "\"\n" + keys)};
  const auto loaded = load(fixture.input);
  return loaded ? "" : fixture.said(loaded.error());
}

TEST_CASE(
    "a JWT from a variable of any name: taken, kept from the program, and nothing beside it") {
  MethodFixture fixture;
  fixture.env = {{"CI_ID_TOKEN", " a.b.c\n"}, {"EMPTY", " "}};
  fixture.input.paths = {fixture.write(
      "agent.toml", "[auto_auth.method]\ntype = \"jwt\"\njwt_env = \"CI_ID_TOKEN\"\n")};
  const auto loaded = load(fixture.input);
  REQUIRE(loaded);
  const Config& config = loaded->config;
  REQUIRE(config.auto_auth.method.secret("jwt"));
  CHECK(config.auto_auth.method.secret("jwt")->reveal() == "a.b.c");
  CHECK(std::ranges::count(config.credential_variables, "CI_ID_TOKEN") == 1);
  for (const Origin& origin : loaded->origins) CHECK_FALSE(origin.value.contains("a.b.c"));

  const std::string file = fixture.write("jwt", "x");
  const std::pair<std::string, const char*> rows[] = {
      {"jwt_env = \"NOT_SET\"", "jwt_env: the environment variable NOT_SET is not set"},
      {"jwt_env = \"EMPTY\"", "jwt_env: the environment variable EMPTY is not set"},
      {"jwt_env = \"CI_ID_TOKEN\"\njwt = \"x.y.z\"", "jwt_env: excludes jwt"},
      {"jwt_env = \"CI_ID_TOKEN\"\npath = \"" + file + "\"", "jwt_env: excludes path"},
      {"role = \"app\"", "jwt: required; set it, path, jwt_env, or VAULT_JWT"},
  };
  for (const auto& [keys, says] : rows) {
    CAPTURE(keys);
    CHECK(problems_of(fixture, "jwt", keys).contains(says));
  }
}

TEST_CASE("VAULT_JWT comes before the variable that the configuration names") {
  MethodFixture fixture;
  fixture.env = {{"CI_ID_TOKEN", "a.b.c"}, {"VAULT_JWT", "d.e.f"}};
  fixture.input.paths = {fixture.write(
      "agent.toml", "[auto_auth.method]\ntype = \"jwt\"\njwt_env = \"CI_ID_TOKEN\"\n")};
  const auto loaded = load(fixture.input);
  REQUIRE(loaded);
  CHECK(loaded->config.auto_auth.method.secret("jwt")->reveal() == "d.e.f");
  CHECK_FALSE(loaded->config.auto_auth.method.has("jwt_env"));
}

TEST_CASE("methods of clouds and certificates: what must be there, and what can't be") {
  MethodFixture fixture;
  struct {
    const char* type;
    const char* keys;
    const char* says;
  } rows[] = {
      {"gcp", "role = \"r\"", ""},
      {"gcp", "", "auto_auth.method.role: required"},
      {"gcp", "role = \"r\"\nlogin_type = \"iam\"\njwt_exp = \"10m\"", ""},
      {"gcp", "role = \"r\"\nlogin_type = \"vm\"", "\"vm\": expected \"gce\" or \"iam\""},
      {"gcp", "role = \"r\"\njwt_exp = \"soon\"", "auto_auth.method.jwt_exp: "},
      {"gcp", "role = \"r\"\ncredentials = \"/nowhere/key\"", "credentials: /nowhere/key"},
      {"gcp", "role = \"r\"\nrsource = \"x\"", "unknown key"},
      {"azure", "role = \"r\"\nresource = \"x\"", ""},
      {"azure", "role = \"r\"", "auto_auth.method.resource: required"},
      {"azure", "role = \"r\"\nresource = \"x\"\nclient_id = \"a\"\nobject_id = \"b\"",
       "object_id: excludes client_id"},
      {"azure", "role = \"r\"\nresource = \"x\"\nfederated_token_file = \"/nowhere/t\"",
       "federated_token_file: /nowhere/t"},
      {"kerberos", "", "\"kerberos\": not supported\n"},
      {"aws", "credential_poll_interval = 60", ""},
      {"aws", "credential_poll_interval = \"90s\"", ""},
      {"aws", "credential_poll_interval = \"often\"", "credential_poll_interval: bad duration"},
      {"aws", "nonce = \"x\"", "nonce: of login_type = \"ec2\", which is not supported"},
      {"cert", "reload = true", "reload: not needed: a certificate that was replaced"},
      {"cert", "reload_period = \"1m\"", "reload_period: not needed"},
  };
  for (const auto& [type, keys, says] : rows) {
    CAPTURE(type);
    CAPTURE(keys);
    const auto text = problems_of(fixture, type, keys);
    CAPTURE(text);
    CHECK((*says == '\0' ? text.empty() : text.contains(says)));
  }
}

}  // namespace
}  // namespace keybearer::config
