// What a one-shot command says while it waits: at once, and every 30 s.

#include "agent/wait_report.hpp"

#include <doctest/doctest.h>

namespace keybearer {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{std::chrono::hours(1)};

StartRules once(std::optional<Duration> start_timeout = {}) {
  StartRules rules;
  rules.start_grace = 15s;
  rules.once = true;
  rules.outage.start_timeout = start_timeout;
  return rules;
}

StartFacts facts(std::vector<SecretFact> secrets = {}, std::vector<Error> errors = {}) {
  return {.now = t0,
          .begun = t0,
          .has_token = true,
          .secrets = std::move(secrets),
          .errors = std::move(errors)};
}

SecretFact secret(const std::string& path, std::optional<ErrorKind> kind, bool has_value = false) {
  SecretFact fact{.id = path, .path = path, .has_value = has_value};
  if (kind) fact.error = Error{*kind, "canary"};
  return fact;
}

std::string said(const StartRules& rules, const StartFacts& facts, Duration after = 0ms) {
  WaitReport report;
  const auto wait = start_wait(rules, facts);
  auto line = report.line(wait, t0);
  if (!line && after > 0ms) line = report.line(wait, t0 + after);
  return line.value_or("");
}

TEST_CASE("the first line says how long and by which key") {
  const auto absent = secret("kv/a", ErrorKind::not_found);
  const auto denied = secret("kv/b", ErrorKind::denied);
  const auto away = secret("kv/c", ErrorKind::network);
  const auto there = secret("kv/d", {}, true);
  StartFacts no_server{
      .now = t0, .begun = t0, .token_failure = Error{ErrorKind::network, "canary"}};
  StartFacts no_answer{.now = t0, .begun = t0};
  StartRules patient = once();
  patient.exit_on_retry_failure = false;
  StartRules daemon = once();
  daemon.once = false;
  const struct {
    StartRules rules;
    StartFacts facts;
    const char* line;
  } rows[] = {
      {once(), facts({absent, there}), "waiting up to 15 s (template_config.start_grace) for kv/a"},
      {once(), facts({absent, denied, away}),
       "waiting up to 15 s (template_config.start_grace) for kv/a, kv/b"},
      {once(), facts({away}), "waiting up to 60 s (outage.start_timeout) for kv/c"},
      {once(5s), facts({away}), "waiting up to 5 s (outage.start_timeout) for kv/c"},
      {once(1500ms), facts({away}), "waiting up to 2 s (outage.start_timeout) for kv/c"},
      {daemon, facts({away}), "waiting without a limit (outage.start_timeout) for kv/c"},
      {patient, facts({absent}), "waiting up to 60 s (outage.start_timeout) for kv/a"},
      {once(), facts({there}, {Error{ErrorKind::not_found, "no key"}}),
       "waiting up to 15 s (template_config.start_grace) for a missing key"},
      {once(), no_server, "waiting up to 60 s (outage.start_timeout) for the server"},
      {once(), no_answer, ""},
      {once(), facts({there}), ""},
      {once(), facts({secret("kv/e", {})}), ""},
      {once(),
       facts({absent, denied, secret("kv/0", ErrorKind::not_found),
              secret("kv/z", ErrorKind::not_found), secret("kv/y", ErrorKind::not_found)}),
       "waiting up to 15 s (template_config.start_grace) for kv/0, kv/a, kv/b and 2 more"},
  };
  for (const auto& row : rows) CHECK(said(row.rules, row.facts) == row.line);
  // An answer that is only slow is worth a line after three seconds.
  CHECK(said(once(), no_answer, 3s) == "waiting up to 57 s (outage.start_timeout) for the login");
  CHECK(said(once(), facts({secret("kv/e", {})}), 3s) ==
        "waiting up to 57 s (outage.start_timeout) for kv/e");
}

TEST_CASE("a line every 30 s goes on saying so, and no line between them") {
  WaitReport report;
  const auto wait = start_wait(once(100s), facts({secret("kv/a", ErrorKind::network)}));
  std::vector<std::string> lines;
  std::vector<Duration> times;
  for (Instant now = t0; now < t0 + 100s; now += 100ms) {
    if (auto line = report.line(wait, now)) {
      lines.push_back(*line);
      times.push_back(now - t0);
    }
    CHECK(report.next() > now);
  }
  CHECK(times == std::vector<Duration>{0s, 30s, 60s, 90s});
  CHECK(lines ==
        std::vector<std::string>{
            "waiting up to 100 s (outage.start_timeout) for kv/a",
            "still waiting for kv/a: 30 s so far, up to 70 s more (outage.start_timeout)",
            "still waiting for kv/a: 60 s so far, up to 40 s more (outage.start_timeout)",
            "still waiting for kv/a: 90 s so far, up to 10 s more (outage.start_timeout)"});
}

TEST_CASE("another wait is said at once; the same one again is not") {
  WaitReport report;
  const auto server = start_wait(once(), facts({secret("kv/a", ErrorKind::network)}));
  const auto grace = start_wait(once(), facts({secret("kv/a", ErrorKind::denied)}));
  CHECK(report.line(server, t0));
  CHECK_FALSE(report.line(server, t0 + 1s));
  CHECK(report.line(grace, t0 + 2s));
  CHECK_FALSE(report.line(grace, t0 + 2s));
  CHECK_FALSE(report.line({}, t0 + 3s));
  CHECK(report.next() == Instant::max());
}

}  // namespace
}  // namespace keybearer
