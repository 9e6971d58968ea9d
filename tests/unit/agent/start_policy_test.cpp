#include "agent/start_policy.hpp"

#include <doctest/doctest.h>

namespace keybearer {
namespace {

using namespace std::chrono_literals;
using OnStart = config::Outage::OnStart;

constexpr Instant kBegun{1000h};

StartRules rules(OnStart on_start = OnStart::wait) {
  StartRules rules;
  rules.outage.on_start = on_start;
  rules.start_grace = 15s;
  return rules;
}
StartFacts at(Duration since_start) {
  return {.now = kBegun + since_start, .begun = kBegun, .has_token = true};
}
Error error(ErrorKind kind) {
  return {kind, "GET kv/data/app: no"};
}

TEST_CASE("defaults stand in only when configured, after a second, and only for a silent server") {
  struct Row {
    OnStart on_start;
    Duration since;
    bool has_token;
    std::optional<ErrorKind> token_failure;
    std::optional<bool> secret_failing;  // of a secret without a value
    bool expected;
  };
  const Row rows[] = {
      {OnStart::use_default, 1s, false, ErrorKind::network, {}, true},
      {OnStart::use_default, 999ms, false, ErrorKind::network, {}, false},
      {OnStart::use_default, 1s, false, ErrorKind::denied, {}, false},
      {OnStart::use_default, 1s, false, {}, {}, false},
      {OnStart::wait, 1h, false, ErrorKind::network, {}, false},
      {OnStart::fail, 1h, false, ErrorKind::network, {}, false},
      {OnStart::use_default, 1s, true, {}, true, true},
      {OnStart::use_default, 999ms, true, {}, true, false},
      {OnStart::use_default, 1h, true, {}, false, false},
      {OnStart::use_default, 1h, true, ErrorKind::network, {}, false},
  };
  for (const Row& row : rows) {
    StartFacts facts = at(row.since);
    facts.has_token = row.has_token;
    if (row.token_failure) facts.token_failure = error(*row.token_failure);
    if (row.secret_failing) facts.secrets = {{.id = "a", .failing = *row.secret_failing}};
    CHECK(should_use_defaults(rules(row.on_start), facts) == row.expected);
  }
  StartFacts facts = at(1h);
  facts.secrets = {{.id = "a", .has_value = true, .failing = true}};
  CHECK(!should_use_defaults(rules(OnStart::use_default), facts));
}

TEST_CASE("a template that is wrong by itself is the end at once, whatever else is missing") {
  StartFacts facts = at(0s);
  facts.errors = {error(ErrorKind::not_found), error(ErrorKind::render)};
  const auto failures = start_failures(rules(), facts);
  REQUIRE(failures.size() == 1);
  CHECK(failures.front().kind == ErrorKind::render);
}

TEST_CASE("what was given up is named with who needs it; what nobody needs is not") {
  StartFacts facts = at(15s);
  facts.secrets = {{.id = "a", .failed_for_good = true, .error = error(ErrorKind::denied)},
                   {.id = "b", .failed_for_good = true, .error = error(ErrorKind::not_found)},
                   {.id = "c", .failed_for_good = true, .error = error(ErrorKind::not_found)},
                   {.id = "d", .error = error(ErrorKind::network)}};
  facts.required_by = {{"a", "env.A"}, {"b", "b.conf"}, {"d", "env.D"}, {"unknown", "x"}};
  const auto failures = start_failures(rules(), facts);
  REQUIRE(failures.size() == 2);
  CHECK(failures[0].kind == ErrorKind::denied);
  CHECK(failures[0].text.contains("needed by env.A"));
  CHECK(failures[1].text.contains("needed by b.conf"));
}

TEST_CASE("on_start = fail: an outage of any secret without a value is the end") {
  StartFacts facts = at(0s);
  facts.secrets = {{.id = "a", .error = error(ErrorKind::not_found)},
                   {.id = "b", .has_value = true, .error = error(ErrorKind::network)}};
  CHECK(start_failures(rules(OnStart::fail), facts).empty());
  facts.secrets.push_back({.id = "c", .error = error(ErrorKind::sealed)});
  CHECK(start_failures(rules(OnStart::wait), facts).empty());
  const auto failures = start_failures(rules(OnStart::fail), facts);
  REQUIRE(failures.size() == 1);
  CHECK(failures.front().kind == ErrorKind::sealed);
}

TEST_CASE("a missing key is waited for during start_grace, where another read may find it") {
  StartFacts facts = at(14999ms);
  facts.errors = {{ErrorKind::not_found, "no key \"x\" in kv/app\n  --> line 1"}};
  facts.secrets = {{.id = "a", .has_value = true, .refetchable = true}};
  facts.lacking_keys = {"a"};
  CHECK(start_failures(rules(), facts).empty());
  facts.now += 1ms;
  const auto late = start_failures(rules(), facts);
  REQUIRE(late.size() == 1);
  CHECK(late.front().text ==
        "no key \"x\" in kv/app; add the key to the secret, or give it a default");
  StartRules patient = rules();
  patient.exit_on_retry_failure = false;
  CHECK(start_failures(patient, facts).empty());
  facts.now = kBegun;
  facts.secrets.front().refetchable = false;  // another read would issue another credential
  CHECK(start_failures(rules(), facts).size() == 1);
}

TEST_CASE(
    "the time limit: none by default, 60 s with --once, and its text says what was waited for") {
  CHECK(!start_timeout(rules()));
  StartRules once = rules();
  once.once = true;
  CHECK(start_timeout(once) == 60s);
  once.outage.start_timeout = 5s;
  CHECK(start_timeout(once) == 5s);

  StartFacts facts = at(5s);
  facts.has_token = false;
  CHECK(start_timeout_error(once, facts).text.ends_with(": no answer to the login yet"));
  facts.has_token = true;
  facts.secrets = {{.id = "a", .path = "kv/data/app"}};
  CHECK(start_timeout_error(once, facts).kind == ErrorKind::network);
  CHECK(start_timeout_error(once, facts).text.ends_with("what asks for kv/data/app"));
  facts.token_failure = error(ErrorKind::tls);
  CHECK(start_timeout_error(once, facts).kind == ErrorKind::tls);
  facts.secrets = {{.id = "a", .has_value = true, .error = error(ErrorKind::sealed)},
                   {.id = "b", .error = error(ErrorKind::throttled)}};
  const Error reason = start_timeout_error(once, facts);
  CHECK(reason.kind == ErrorKind::throttled);
  CHECK(reason.text.starts_with("not ready after 5 s (outage.start_timeout): GET kv/data/app: no"));
}

}  // namespace
}  // namespace keybearer
