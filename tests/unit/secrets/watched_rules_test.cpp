// Which table is whose, when a value is too old, and which two spellings are one secret.

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "config/scalars.hpp"
#include "fixture.hpp"
#include "secrets/watched_secret.hpp"

namespace keybearer::secrets {
namespace {

config::SecretRule rule(const std::string& path, const std::string& version = {},
                        std::optional<std::string> space = {}, const std::string& name = {}) {
  config::SecretRule out;
  out.path = path;
  out.version = version;
  out.vault_namespace = std::move(space);
  out.name = name;
  return out;
}

TEST_CASE("the table of just this version, data and namespace, else the first of the path") {
  Settings settings;
  config::SecretRule data = rule("kv/app", "", {}, "data");
  data.data = {{"k", "v"}};
  settings.rules =
      Rules({rule("other", "", {}, "other"), rule("kv/app", "3", {}, "three"),
             rule("kv/data/app", "", {}, "newest"), rule("kv/app", "", "team", "team"), data});
  settings.interval.every = 77s;
  settings.lease.drain = 5s;
  settings.stale.max_stale = 9min;
  settings.start_grace = 3s;
  settings.exit_on_retry_failure = false;
  const auto named = [&](tmpl::Dependency dependency) {
    return rule_for(settings, dependency).name;
  };
  using Of = tmpl::Dependency::Kind;
  CHECK(named({.kind = Of::read, .path = "kv/app"}) == "newest");
  CHECK(named({.kind = Of::read, .path = "kv/data/app"}) == "newest");
  CHECK(named({.kind = Of::read, .path = "kv/app", .version = "3"}) == "three");
  CHECK(named({.kind = Of::read, .path = "kv/app", .version = "4"}) == "three");  // the first
  CHECK(named({.kind = Of::read, .path = "kv/app", .vault_namespace = "team"}) == "team");
  CHECK(named({.kind = Of::read, .path = "kv/app", .vault_namespace = "elsewhere"}).empty());
  CHECK(named({.kind = Of::write, .path = "kv/app", .args = {{"k", "v"}}}) == "data");
  CHECK(named({.kind = Of::file, .path = "kv/app"}).empty());
  CHECK(named({.kind = Of::read, .path = "none"}).empty());

  const config::SecretRule usual =
      rule_for(settings, {.kind = Of::read, .path = "none", .vault_namespace = "x"});
  CHECK(usual.path == "none");
  CHECK(usual.vault_namespace == "x");
  CHECK(usual.interval.every == 77s);
  CHECK(usual.lease.drain == 5s);
  CHECK(usual.stale.max_stale == Duration(9min));
  CHECK(usual.start_grace == 3s);
  CHECK_FALSE(usual.exit_on_retry_failure);

  const auto space = [&](tmpl::Dependency dependency) {
    return settings.rules.namespace_of(dependency);
  };
  CHECK(space({.kind = Of::read, .path = "kv/app", .vault_namespace = "team"}) == "team");
  CHECK(space({.kind = Of::read, .path = "none", .vault_namespace = "team"}) == "team");
  CHECK_FALSE(space({.kind = Of::read, .path = "kv/app"}));
}

// What Rules::find stands for, table by table.
const config::SecretRule* found_one_by_one(const std::vector<config::SecretRule>& tables,
                                           const tmpl::Dependency& dependency) {
  const config::SecretRule* found = nullptr;
  if (dependency.kind == tmpl::Dependency::Kind::file) return nullptr;
  const std::map<std::string, std::string> data(dependency.args.begin(), dependency.args.end());
  for (const config::SecretRule& table : tables) {
    if (config::plain_path(table.path) != config::plain_path(dependency.path)) continue;
    if (dependency.vault_namespace && table.vault_namespace != dependency.vault_namespace) continue;
    const bool exact = table.version == dependency.version && table.data == data &&
                       table.vault_namespace == dependency.vault_namespace;
    if (found == nullptr || exact) found = &table;
    if (exact) break;
  }
  return found;
}

TEST_CASE("the table that is found is the one that a look at each of them finds") {
  std::mt19937 random(20261129);
  const auto one_of = [&](std::initializer_list<const char*> texts) {
    return std::string(texts.begin()[random() % texts.size()]);
  };
  const auto some_data = [&] {
    std::map<std::string, std::string> data;
    for (auto n = random() % 3; n > 0; --n)
      data[one_of({"a", "b", "1:a"})] = one_of({"", "b", "1:"});
    return data;
  };
  const auto some_namespace = [&] {
    return random() % 2 == 0 ? std::nullopt : std::optional(one_of({"", "team", "0:"}));
  };
  const auto some_path = [&] {
    return one_of({"kv/app", "kv/data/app", "kv/data/data/app", "kv/data", "pki/issue/web", ""});
  };
  int exact = 0, none = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<config::SecretRule> tables;
    for (auto n = random() % 12; n > 0; --n) {
      tables.push_back(rule(some_path(), one_of({"", "1", "2"}), some_namespace(),
                            std::to_string(tables.size() + 1)));
      tables.back().data = some_data();
    }
    const Rules rules(tables);
    for (int asked = 0; asked < 20; ++asked) {
      using Of = tmpl::Dependency::Kind;
      const auto data = some_data();
      const tmpl::Dependency dependency{.kind = random() % 10 == 0  ? Of::file
                                                : random() % 2 == 0 ? Of::read
                                                                    : Of::write,
                                        .path = some_path(),
                                        .args = {data.rbegin(), data.rend()},
                                        .version = one_of({"", "1", "2"}),
                                        .vault_namespace = some_namespace()};
      const auto* const expected = found_one_by_one(tables, dependency);
      const auto* const found = rules.find(dependency);
      REQUIRE((found == nullptr) == (expected == nullptr));
      if (found == nullptr) ++none;
      if (found == nullptr) continue;
      REQUIRE(found->name == expected->name);
      if (found->data == data && found->version == dependency.version) ++exact;
    }
  }
  CHECK(exact > 500);
  CHECK(none > 1000);
}

TEST_CASE("settings are those of the configuration") {
  config::Config config;
  config.vault.max_connections = 5;
  config.vault.retry.num_retries = 9;
  config.template_config.start_grace = 7s;
  config.template_config.exit_on_retry_failure = false;
  config.template_config.static_secret_render_interval.every = 3min;
  config.template_config.stale.max_stale = 4min;
  config.lease.drain = 6s;
  config.secrets.resize(2);
  for (const bool once : {false, true}) {
    const Settings settings = settings_of(config, once);
    CHECK(settings.once == once);
    CHECK(settings.concurrent == 10);
    CHECK(settings.retry.num_retries == 9);
    CHECK(settings.start_grace == 7s);
    CHECK_FALSE(settings.exit_on_retry_failure);
    CHECK(settings.interval.every == 3min);
    CHECK(settings.stale.max_stale == Duration(4min));
    CHECK(settings.lease.drain == 6s);
    CHECK(settings.rules.size() == 2);
  }
}

TEST_CASE("somebody asks before a value is too old") {
  config::SecretRule with = rule("kv/app");
  with.interval.every = 100s;
  CHECK(schedule_rules(with, {}).interval.every == 100s);
  with.stale.max_stale = 50s;
  CHECK(schedule_rules(with, {}).interval.every == 45s);
  with.stale.max_stale = 1000s;
  CHECK(schedule_rules(with, {}).interval.every == 100s);
}

TEST_CASE("what a table writes is a write, what a path says is asked or not") {
  const config::Retry retry;
  config::SecretRule writes = rule("kv/app");
  writes.data = {{"k", "v"}};
  using Of = tmpl::Dependency::Kind;
  const WatchedSecret written({.kind = Of::read, .path = "kv/app", .id = "x"}, writes, retry, 0);
  CHECK(written.dependency.kind == Of::write);
  CHECK(written.dependency.args.size() == 1);
  CHECK(written.data_path == "kv/app");
  CHECK(written.status.id == "x");
  const WatchedSecret listed({.kind = Of::list, .path = "kv/app"}, writes, retry, 0);
  CHECK(listed.dependency.kind == Of::list);
  CHECK(listed.data_path.empty());
  const WatchedSecret known({.kind = Of::read, .path = "kv/data/app"}, rule("kv/app"), retry, 0);
  CHECK(known.data_path == "kv/data/app");
  CHECK(known.status.required);
  CHECK(known.held() == nullptr);
  CHECK_FALSE(known.leased());
  config::SecretRule optional = rule("kv/app");
  optional.optional = true;
  optional.stale.max_stale = 5s;
  const WatchedSecret missing({.kind = Of::read, .path = "kv/app"}, optional, retry, 0);
  CHECK_FALSE(missing.status.required);
  CHECK(missing.status.max_stale == Duration(5s));
}

TEST_CASE("when a value becomes too old") {
  config::SecretRule limited = rule("kv/app");
  limited.stale.max_stale = 10s;
  const auto made = [&](const config::SecretRule& r) {
    auto secret = std::make_unique<WatchedSecret>(
        tmpl::Dependency{.kind = tmpl::Dependency::Kind::read, .path = "kv/app"}, r,
        config::Retry{}, 0.0);
    secret->status.fetched = true;
    secret->status.state = State::failing;
    secret->status.last_success = Instant(100s);
    return secret;
  };
  CHECK(stale_at(*made(limited)) == Instant(110s));
  CHECK(stale_at(*made(rule("kv/app"))) == Instant::max());
  auto secret = made(limited);
  secret->status.fetched = false;
  CHECK(stale_at(*secret) == Instant::max());
  secret = made(limited);
  secret->stale = true;
  CHECK(stale_at(*secret) == Instant::max());
  secret = made(limited);
  secret->status.state = State::fresh;
  CHECK(stale_at(*secret) == Instant::max());
  secret = made(limited);
  secret->status.lease_end = Instant(200s);
  CHECK(stale_at(*secret) == Instant(110s));  // of no lease
  secret->status.lease_id = "l";
  CHECK(stale_at(*secret) == Instant(200s));
  secret->status.lease_end = Instant(105s);
  CHECK(stale_at(*secret) == Instant(110s));
  secret->status.lease_end.reset();
  CHECK(stale_at(*secret) == Instant(110s));
}

struct Twins : Fixture {
  std::shared_ptr<WatchedSecret> add(WatchContext& context, tmpl::Dependency dependency,
                                     const config::SecretRule& with = rule("r")) {
    auto secret = std::make_shared<WatchedSecret>(dependency, with, config::Retry{}, 0.0);
    context.secrets.emplace(dependency.id, secret);
    list_by_path(context, secret);
    return secret;
  }
};

TEST_CASE_FIXTURE(Twins, "two spellings are one secret where all of it is the same") {
  revocations.emplace(io.context.get_executor(), client, [](const std::string&) {});
  WatchContext context(io.context.get_executor(), client, *revocations, settings_of(config, false),
                       random, Callbacks{});
  using Of = tmpl::Dependency::Kind;
  const auto first = add(context, {.kind = Of::read, .path = "kv/data/app", .id = "1"});
  const auto twin = [&](tmpl::Dependency dependency, const config::SecretRule& with = rule("r")) {
    const WatchedSecret secret(std::move(dependency), with, config::Retry{}, 0.0);
    return twin_of(context, secret);
  };
  CHECK(twin({.kind = Of::read, .path = "kv/data/app", .id = "2"}) == first);
  CHECK(twin({.kind = Of::read, .path = "kv/data/app", .version = "2", .id = "2"}) == nullptr);
  CHECK(twin({.kind = Of::read, .path = "kv/data/app", .id = "2"}, rule("r", "2")) == nullptr);
  CHECK(twin({.kind = Of::read, .path = "kv/data/app", .id = "2"}, rule("r", "", "team")) ==
        nullptr);
  CHECK(twin({.kind = Of::read, .path = "kv/data/other", .id = "2"}) == nullptr);
  CHECK(twin({.kind = Of::list, .path = "kv/data/app", .id = "2"}) == nullptr);
  CHECK(twin({.kind = Of::read, .path = "kv/app", .id = "2"}) == nullptr);  // not known yet
  CHECK(twin({.kind = Of::write, .path = "kv/data/app", .id = "2"}) == nullptr);
  CHECK(twin_of(context, *first) == nullptr);
  add(context, {.kind = Of::write, .path = "w", .id = "3"});
  CHECK(twin({.kind = Of::write, .path = "w", .id = "4"}) == nullptr);  // each is its own
  const auto listed = add(context, {.kind = Of::list, .path = "kv/metadata", .id = "5"});
  CHECK(twin({.kind = Of::list, .path = "kv/metadata", .id = "6"}) == listed);
}

}  // namespace
}  // namespace keybearer::secrets
