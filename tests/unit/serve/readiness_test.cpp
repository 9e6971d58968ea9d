#include "serve/readiness.hpp"

#include <doctest/doctest.h>

#include "sample.hpp"
#include "serve/health.hpp"

namespace keybearer::serve {
namespace {

using State = Snapshot::Secret::State;

TEST_CASE("ready: all required secrets are in and fresh enough, and the child runs (section 7)") {
  struct Case {
    const char* what;
    void (*change)(Snapshot&);
    std::vector<std::string> reasons;  // "subject: text"
  };
  const Case cases[] = {
      {"as it is", [](Snapshot&) {}, {}},
      {"a required one was never read",
       [](Snapshot& s) {
         s.secrets[1].generation = 0;
         s.secrets[1].state = State::pending;
       },
       {"kv/data/app: not read yet"}},
      {"denied, with the server's reason",
       [](Snapshot& s) {
         s.secrets[1].generation = 0;
         s.secrets[1].state = State::denied;
         s.secrets[1].error = "403";
       },
       {"kv/data/app: permission denied: 403"}},
      {"absent",
       [](Snapshot& s) {
         s.secrets[1].generation = 0;
         s.secrets[1].state = State::absent;
       },
       {"kv/data/app: not there"}},
      {"no answer",
       [](Snapshot& s) {
         s.secrets[1].generation = 0;
         s.secrets[1].state = State::failing;
       },
       {"kv/data/app: it can't be read yet"}},
      {"an optional one may be missing",
       [](Snapshot& s) {
         s.secrets[1].generation = 0;
         s.secrets[1].required = false;
         s.secrets[1].state = State::absent;
       },
       {}},
      {"an outage with values that are still good",
       [](Snapshot& s) {
         for (auto& secret : s.secrets) secret.state = State::failing;
         s.server.reachable_since.reset();
       },
       {}},
      {"a lease that has ended",
       [](Snapshot& s) {
         s.secrets[0].lease_end = s.now;
         s.secrets[0].error = "no route";
       },
       {"database/creds/app: its lease has ended: no route"}},
      {"older than max_stale",
       [](Snapshot& s) {
         s.secrets[1].max_stale = 3min;
         s.secrets[1].state = State::failing;
       },
       {"kv/data/app: older than max_stale (3m)"}},
      {"just as old as max_stale",
       [](Snapshot& s) {
         s.secrets[1].max_stale = 4min;
         s.secrets[1].state = State::failing;
       },
       {}},
      {"a lease that lives is not too old",
       [](Snapshot& s) {
         s.secrets[0].max_stale = 1min;
         s.secrets[0].state = State::failing;
       },
       {}},
      {"the child backs off",
       [](Snapshot& s) {
         s.child->alive = false;
         s.child->state = "backing_off";
       },
       {"child: not running (backing_off)"}},
      {"files only", [](Snapshot& s) { s.child.reset(); }, {}},
      {"stopping", [](Snapshot& s) { s.instance.stopping = true; }, {"keybearer: stopping"}},
      {"logging in",
       [](Snapshot& s) {
         s.instance.ready = false;
         s.secrets.clear();
         s.token.phase = Snapshot::Token::Phase::logging_in;
         s.token.error = "connection refused";
       },
       {"keybearer: logging in: connection refused"}},
      {"logging in, while its secrets wait for that",
       [](Snapshot& s) {
         s.instance.ready = false;
         for (auto& secret : s.secrets) {
           secret.generation = 0;
           secret.lease_end.reset();
           secret.state = State::pending;
         }
         s.token.phase = Snapshot::Token::Phase::logging_in;
       },
       {"keybearer: logging in"}},
      {"a proxy whose token is gone",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.proxies = true, .lends_token = true};
         s.token.phase = Snapshot::Token::Phase::lost;
         s.token.error = "403";
       },
       {"token: gone, and there will be no other: 403"}},
      {"a proxy that logs in again",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.proxies = true, .lends_token = true};
         s.token.phase = Snapshot::Token::Phase::logging_in;
       },
       {"token: logging in"}},
      {"a proxy whose token has ended",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.proxies = true, .lends_token = true};
         s.token.expires = s.now;
       },
       {"token: it has ended"}},
      {"a proxy that lends no token",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.proxies = true};
         s.token.phase = Snapshot::Token::Phase::lost;
       },
       {}},
      {"only metrics",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.lends_token = true};
         s.token.phase = Snapshot::Token::Phase::lost;
       },
       {}},
      {"a proxy whose server has been silent for more than a minute",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.proxies = true, .lends_token = true};
         s.server.reachable_since.reset();
         s.server.answered_at = s.now - 61s;
         s.server.error = "refused";
       },
       {"server: no answer for 1m 1s: refused"}},
      {"... for a minute",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.proxies = true, .lends_token = true};
         s.server.reachable_since.reset();
         s.server.answered_at = s.now - 60s;
         s.server.error = "refused";
       },
       {}},
      {"... whose cache answers for it",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.proxies = true, .lends_token = true, .serves_stale = true};
         s.server.reachable_since.reset();
         s.server.error = "refused";
       },
       {}},
      {"... that nobody has asked for long",
       [](Snapshot& s) {
         s.serving = Snapshot::Serving{.proxies = true, .lends_token = true};
         s.server.answered_at = s.now - 1h;
       },
       {}},
      {"not yet in place",
       [](Snapshot& s) {
         s.instance.ready = false;
         s.child->alive = false;
       },
       {"keybearer: the first complete set is not in place yet"}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    Snapshot s = sample();
    one.change(s);
    const Readiness health = readiness(s);
    std::vector<std::string> reasons;
    for (const auto& reason : health.reasons)
      reasons.push_back(reason.subject + ": " + reason.text);
    CHECK(reasons == one.reasons);
    CHECK(readyz(s, false).status == (one.reasons.empty() ? 200 : 503));
    CHECK(readyz(s, true).status == (one.reasons.empty() ? 200 : 503));
  }
}

TEST_CASE("startupz stays good once it was; livez says nothing of secrets") {
  Snapshot s = sample();
  s.child->alive = false;
  s.secrets[0].lease_end = s.now - 1h;
  CHECK(startupz(s).status == 200);
  CHECK(livez().status == 200);
  s.instance.ready = false;
  CHECK(startupz(s).status == 503);
}

TEST_CASE("parameters of a target") {
  CHECK(path_of("/readyz?verbose") == "/readyz");
  CHECK(has_parameter("/readyz?verbose", "verbose"));
  CHECK(has_parameter("/readyz?a=b&verbose=1", "verbose"));
  CHECK_FALSE(has_parameter("/readyz?verbosely", "verbose"));
  CHECK_FALSE(has_parameter("/verbose", "verbose"));
}

}  // namespace
}  // namespace keybearer::serve
