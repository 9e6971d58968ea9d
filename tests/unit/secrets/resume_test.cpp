// A secret as it is saved for a restart, what of it is taken back, and what confirms it.

#include "secrets/resume.hpp"

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

using Of = tmpl::Dependency::Kind;
using Step = lease::Step;

struct Resuming : Fixture {
  static std::shared_ptr<WatchedSecret> made(tmpl::Dependency dependency,
                                             config::SecretRule rule = {}) {
    return std::make_shared<WatchedSecret>(std::move(dependency), std::move(rule), config::Retry{},
                                           0.0);
  }
  static std::shared_ptr<WatchedSecret> served(tmpl::Dependency dependency,
                                               config::SecretRule rule = {}) {
    auto secret = made(std::move(dependency), std::move(rule));
    Current current;
    current.value = std::make_shared<const Value>("v");
    secret->served = current;
    return secret;
  }
  const tmpl::Dependency app{.kind = Of::read, .path = "kv/data/app", .id = "x"};
};

TEST_CASE_FIXTURE(Resuming, "what is saved: a value of the server's that is still in force") {
  CHECK(saved_of(*served(app)));
  CHECK_FALSE(saved_of(*made(app)));
  CHECK_FALSE(saved_of(*served({.kind = Of::file, .path = "/f"})));
  auto secret = served(app);
  secret->dropped = true;
  CHECK_FALSE(saved_of(*secret));
  secret = served(app);
  secret->revoked = true;
  CHECK_FALSE(saved_of(*secret));
  secret = made(app);
  Default fallback;
  fallback.value = std::make_shared<const Value>("d");
  secret->served = fallback;
  CHECK_FALSE(saved_of(*secret));
  Current withheld;
  withheld.value = std::make_shared<const Value>("w");
  secret->withheld = withheld;
  CHECK(saved_of(*secret)->value == withheld.value);
  secret->resumed = std::make_shared<const Value>("r");
  CHECK(saved_of(*secret)->value == secret->resumed);
}

TEST_CASE_FIXTURE(Resuming, "what is saved comes back whole") {
  auto secret = served(app);
  secret->status.kv_version = 7;
  secret->mount = "kv/";
  secret->wrapped = true;
  secret->metadata_denied = true;
  secret->status.lease_id = "l";
  secret->token = std::make_shared<const Secret>("t");
  secret->issued_token = std::make_shared<const Secret>("i");
  secret->orphan = true;
  secret->status.last_success = Clock::now();
  secret->rule.vault_namespace = "team";
  (void)secret->schedule.answered({.kind = Kind::dynamic, .ttl = 60s, .renewable = true},
                                  Clock::now());
  const auto saved = saved_of(*secret);
  REQUIRE(saved);
  CHECK(saved->vault_namespace == "team");
  auto other = made(app);
  resume(*other, *saved);
  CHECK(other->resumed == saved->value);
  CHECK(other->data_path == "kv/data/app");
  CHECK(other->mount == "kv/");
  CHECK(other->wrapped);
  CHECK(other->metadata_denied);
  CHECK(other->token == secret->token);
  CHECK(other->issued_token == secret->issued_token);
  CHECK(other->orphan);
  CHECK(other->status.kind == Kind::dynamic);
  CHECK(other->status.kv_version == 7);
  CHECK(other->status.lease_id == "l");
  CHECK(other->status.lease_end == Clock::now() + 60s);
  CHECK(other->status.last_success == secret->status.last_success);
  CHECK(other->schedule.end() == Clock::now() + 60s);
}

TEST_CASE_FIXTURE(Resuming, "it is taken back for the very same request, while it lives") {
  config::SecretRule rule;
  rule.version = "3";
  rule.vault_namespace = "team";
  const tmpl::Dependency write{.kind = Of::write, .path = "p", .args = {{"a", "bc"}}, .id = "x"};
  const auto saved = saved_of(*served(write, rule));
  REQUIRE(saved);
  CHECK(can_resume(*made(write, rule), *saved));
  const auto differs = [&](auto change) {
    tmpl::Dependency dependency = write;
    config::SecretRule other = rule;
    change(dependency, other);
    return !can_resume(*made(dependency, other), *saved);
  };
  CHECK(differs([](auto& d, auto&) { d.kind = Of::pki; }));
  CHECK(differs([](auto& d, auto&) { d.path = "q"; }));
  CHECK(differs([](auto& d, auto&) { d.version = "4"; }));
  CHECK(differs([](auto& d, auto&) { d.args = {{"a", "b"}}; }));
  CHECK(differs([](auto& d, auto&) { d.args = {{"ab", "c"}}; }));
  CHECK(differs([](auto& d, auto&) { d.args.clear(); }));
  CHECK(differs([](auto&, auto& r) { r.version = "2"; }));
  CHECK(differs([](auto&, auto& r) { r.vault_namespace = "other"; }));
  CHECK(differs([](auto&, auto& r) { r.vault_namespace.reset(); }));
  CHECK(differs([](auto&, auto& r) { r.enabled = false; }));
  CHECK_FALSE(differs([](auto& d, auto&) { d.id = "another spelling"; }));

  auto ends = *saved;
  ends.schedule.end = Clock::now() + 1s;
  CHECK_FALSE(can_resume(*made(write, rule), ends));
  ends.schedule.end = Clock::now() + 1s + 1ms;
  CHECK(can_resume(*made(write, rule), ends));
}

TEST_CASE_FIXTURE(Resuming, "which request confirms each kind") {
  const struct {
    Kind kind;
    bool leased;
    Step::Do what;
  } rows[] = {{Kind::kv2, false, Step::Do::compare},
              {Kind::unleased, false, Step::Do::read},
              {Kind::static_role, false, Step::Do::read},
              {Kind::dynamic, true, Step::Do::lookup},
              {Kind::dynamic, false, Step::Do::read},
              {Kind::non_renewable, true, Step::Do::lookup},
              {Kind::token, true, Step::Do::lookup},
              {Kind::token, false, Step::Do::read},
              {Kind::certificate, false, Step::Do::nothing},
              {Kind::written_once, false, Step::Do::nothing}};
  for (const auto& row : rows) {
    auto secret = made(app);
    secret->status.kind = row.kind;
    if (row.leased) secret->status.lease_id = "l";
    CHECK(confirmation(*secret).what == row.what);
    CHECK(confirmation(*secret).at == Clock::now());
  }
}

TEST_CASE_FIXTURE(Resuming, "what was resumed is served once, or let go with its lease") {
  revocations.emplace(io.context.get_executor(), client, [](const std::string&) {});
  WatchContext context(io.context.get_executor(), client, *revocations, settings_of(config, false),
                       random, Callbacks{});
  auto secret = made(app);
  serve_resumed(context, *secret);
  CHECK_FALSE(secret->status.fetched);
  secret->resumed = std::make_shared<const Value>("v");
  serve_resumed(context, *secret);
  CHECK(secret->status.fetched);
  REQUIRE(secret->held() != nullptr);
  CHECK(secret->held()->value->as_text() == "v");
  CHECK(secret->resumed == nullptr);

  for (const bool leased : {true, false}) {
    for (const bool revoke : {true, false}) {
      auto other = made(app);
      drop_resumed(context, *other);  // nothing to let go
      other->resumed = std::make_shared<const Value>("v");
      other->status.lease_id = leased ? "l" + std::to_string(revoke) : "";
      other->status.kv_version = 3;
      other->rule.lease.revoke_replaced = revoke;
      const auto before = revocations->save().size();
      drop_resumed(context, *other);
      CHECK(revocations->save().size() - before == (leased && revoke ? 1 : 0));
      CHECK(other->resumed == nullptr);
      CHECK(other->status.lease_id.empty());
      CHECK(other->status.kv_version == 0);
    }
  }
}

}  // namespace
}  // namespace keybearer::secrets
