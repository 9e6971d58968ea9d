#include "config/diff.hpp"
#include "config/method.hpp"
#include "reload_row.hpp"

// Every key of agent.toml has a row in some table of a reload: it is applied, and something shows
// it, or a restart of keybearer is named for it.
namespace keybearer {
namespace {

constexpr std::string_view kMethod = "auto_auth.method.";

// A table, whose keys have rows of their own.
bool is_table(std::string_view key) {
  return std::ranges::any_of(config::known_keys(), [key](const std::string& other) {
    return other.starts_with(std::string(key) + ".");
  });
}
// Those of methods are walked below.
bool is_of_method(std::string_view key) {
  return key.starts_with(kMethod) && key != "auto_auth.method.type" &&
         key != "auto_auth.method.mount_path" && key != "auto_auth.method.namespace";
}

TEST_CASE("every key of agent.toml has a row, and every row a key") {
  const auto& known = config::known_keys();
  REQUIRE(known.size() > 200);
  std::string missing;
  for (const std::string& key : known) {
    if (!is_table(key) && !is_of_method(key) && !keys_with_row().contains(key))
      missing += key + "\n";
  }
  CHECK(missing == "");
  int rows = 0;
  for (const std::string& key : keys_with_row()) rows += std::ranges::count(known, key) > 0 ? 1 : 0;
  CHECK(rows > 150);
  for (const std::string& key : keys_with_row()) {
    CAPTURE(key);
    const bool is_key = !key.contains(' ') && key.find_first_of("._") != key.npos;
    CHECK((!is_key || std::ranges::count(known, key) > 0));
  }
}

// What is another login is what makes AuthLoop take another method, with all of its keys.
TEST_CASE("every key of every method makes another login") {
  int keys = 0;
  for (const config::MethodSpec* spec : config::MethodSpec::all()) {
    for (const config::MethodKey& key : spec->keys()) {
      CAPTURE(spec->type());
      CAPTURE(key.name);
      using Type = config::MethodKey::Type;
      if (key.type == Type::variable) continue;  // it is read into the value itself
      config::Config before, after;
      before.auto_auth.method.type = after.auto_auth.method.type = spec->type();
      config::Method& method = after.auto_auth.method;
      if (key.type == Type::boolean) {
        before.auto_auth.method.set_flag(key.name, false);
        method.set_flag(key.name, true);
      } else if (key.type == Type::secret) {
        before.auto_auth.method.set(key.name, Secret("one"));
        method.set(key.name, Secret("two"));
      } else {
        before.auto_auth.method.set(key.name, std::string("one"));
        method.set(key.name, std::string("two"));
      }
      for (const config::SectionDiff& section : config::diff(before, after))
        CHECK((section.effect == config::Effect::live) == (section.name == "auto_auth"));
      ++keys;
    }
  }
  CHECK(keys > 40);
}

// The login that is in the file from now on.
Seen with_login(const std::string& login, Seen then) {
  return [=](Agent& agent) {
    agent.login = login;
    agent.configure(kDatabase);
    agent.signal(SIGHUP);
    agent.live(10s);
    then(agent);
  };
}

TEST_CASE("another login is made with what the file says now") {
  const std::string method = "\n[auto_auth.method]\nrole_id = \"role\"\nsecret_id = \"canary-s\"\n";
  struct Row {
    std::string key, login, route, body, vault_namespace;
  };
  const Row rows[] = {
      {.key = "auto_auth.method.role_id",
       .login = "\n[auto_auth.method]\ntype = \"approle\"\nrole_id = \"other\"\nsecret_id = "
                "\"canary-s\"\n",
       .route = kLogin,
       .body = "\"other\"",
       .vault_namespace = ""},
      {.key = "auto_auth.method.mount_path",
       .login = method + "type = \"approle\"\nmount_path = \"auth/elsewhere\"\n",
       .route = "POST auth/elsewhere/login",
       .body = "",
       .vault_namespace = ""},
      {.key = "auto_auth.method.namespace",
       .login = method + "type = \"approle\"\nnamespace = \"team\"\n",
       .route = kLogin,
       .body = "",
       .vault_namespace = "team"},
      {.key = "auto_auth.method.type",
       .login =
           "\n[auto_auth.method]\ntype = \"userpass\"\nusername = \"u\"\npassword = \"canary-p\"\n",
       .route = "POST auth/userpass/login/u",
       .body = "",
       .vault_namespace = ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.key);
    Agent agent;
    agent.start(Mode::run, kDatabase);
    agent.live(10s);
    with_login(row.login, [&row](Agent& a) {
      CHECK(std::ranges::any_of(a.server->asked, [&row](const auto& each) {
        return each.route.starts_with(row.route) && each.body.contains(row.body) &&
               each.vault_namespace == row.vault_namespace;
      }));
    })(agent);
  }
}
const bool noted =
    note_keys("auto_auth.method.type, auto_auth.method.mount_path, auto_auth.method.namespace");

}  // namespace
}  // namespace keybearer
