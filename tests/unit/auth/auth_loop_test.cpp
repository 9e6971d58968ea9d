#include "auth/auth_loop.hpp"

#include <doctest/doctest.h>

#include "fixture.hpp"

// Rules: T5, T6, T8, T11 (src/RULES.md).
namespace keybearer::auth {
namespace {

using config::OnRenewFailure;
using Phase = TokenState::Phase;

TEST_CASE("one login, then renewals when due: two days of an hour's token") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 3600));
  fixture.http->answer(kRenew, 200, granted("T1", 3600));
  fixture.start();
  CHECK(fixture.token() == "T1");
  CHECK(fixture.in(Phase::valid));
  CHECK(fixture.state().expires == test::Io::start + 1h);
  CHECK(fixture.state().accessor == "acc-T1");
  CHECK(fixture.state().mount == "auth/approle");
  fixture.io.advance(2700s, 1s);
  CHECK(fixture.http->asked.size() == 1);  // nothing is asked before it is due
  fixture.io.advance(48h - 2700s, 1s);
  CHECK(fixture.http->count(kLogin) == 1);
  CHECK(fixture.http->count(kLookup) == 0);
  CHECK(fixture.http->count(kRenew) >= 60);
  CHECK(fixture.http->count(kRenew) <= 65);
  CHECK(fixture.state().renewals == fixture.http->count(kRenew));
  CHECK(fixture.state().token_number == 1);
  CHECK(fixture.http->asked[1].token == "T1");
  CHECK(fixture.lines("logged in") == 1);
  CHECK(fixture.lines("WARN") == 0);
}

TEST_CASE("near its maximum TTL a token is replaced by one login while it still works") {
  Fixture fixture;
  fixture.config.min_remaining = 0s;
  fixture.http->answer(kLogin, 200, granted("T1", 20));
  fixture.http->answer(kLogin, 200, granted("T2", 20));
  fixture.http->answer(kRenew, 200, granted("T1", 20));
  fixture.http->answer(kRenew, 200, granted("T1", 12));
  fixture.http->answer(kRenew, 200, granted("T2", 20));
  fixture.start();
  fixture.io.advance(33s);
  CHECK(fixture.in(Phase::ending));
  CHECK(fixture.token() == "T1");
  fixture.io.advance(9s);
  CHECK(fixture.token() == "T2");
  CHECK(fixture.in(Phase::valid));
  CHECK(fixture.http->count(kLogin) == 2);
  CHECK(fixture.http->count(kRevoke) == 0);  // its leases may still be in use
  CHECK(fixture.state().token_number == 2);
  CHECK(fixture.alarms.empty());
}

TEST_CASE("a batch token is replaced in time, without a renewal") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("B1", 100, false));
  fixture.http->answer(kLogin, 200, granted("B2", 100, false));
  fixture.start();
  fixture.io.advance(81s);
  CHECK(fixture.token() == "B2");
  CHECK(fixture.http->asked.size() == 2);
}

TEST_CASE("a token without end is left alone") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("R", 0, false));
  fixture.start();
  fixture.io.advance(100h, 1min);
  CHECK(fixture.http->asked.size() == 1);
  CHECK_FALSE(fixture.state().expires);
}

TEST_CASE("a hiccup is not a failure: renewal is tried again with growing pauses") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 40));
  fixture.http->answer(kRenew, 503, R"({"errors":["Vault is sealed"]})");
  fixture.http->fail(kRenew, ErrorKind::network, "connection refused");
  fixture.http->answer(kRenew, 429);
  fixture.http->answer(kRenew, 200, granted("T1", 40));
  fixture.start();
  fixture.io.advance(39s, 10ms);
  const auto times = fixture.times(kRenew);
  REQUIRE(times.size() == 4);
  CHECK(times[2] - times[1] > times[1] - times[0]);
  CHECK(fixture.http->count(kLogin) == 1);
  CHECK(fixture.in(Phase::valid));
  CHECK(fixture.lines("the server answers again") == 1);
}

TEST_CASE("a server that is away for long is asked seldom, and the token's end does not end us") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 60));
  fixture.http->fail(kRenew, ErrorKind::network, "connection refused");
  fixture.http->fail(kLogin, ErrorKind::network, "connection refused");
  fixture.start();
  fixture.io.advance(2h, 1s);
  CHECK_FALSE(fixture.ended);
  CHECK(fixture.in(Phase::logging_in));
  CHECK(fixture.token() == "(none)");
  CHECK(fixture.http->asked.size() < 60);
  CHECK(fixture.lines("WARN") <= 3);

  fixture.http->reset(kLogin);
  fixture.http->answer(kLogin, 200, granted("T2", 60));
  fixture.io.advance(5min, 1s);
  CHECK(fixture.token() == "T2");

  // The pauses of the outage are forgotten: a token that is lost now has its successor at once.
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.io.advance(2s);
  CHECK_FALSE(fixture.token_is_good());
  fixture.io.advance(1s);
  CHECK(fixture.token() == "T2");
  CHECK(fixture.in(Phase::valid));
}

TEST_CASE("a renewal that hangs leaves time for others before the end") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 60));
  fixture.http->delay(kRenew, 1h);
  fixture.http->answer(kRenew, 200, granted("T1", 60));
  fixture.start();
  fixture.io.advance(57s);
  CHECK(fixture.http->count(kRenew) >= 3);
  CHECK(fixture.token() == "T1");
}

TEST_CASE("a first login that is refused") {
  Fixture fixture;
  fixture.http->answer(kLogin, 400, R"({"errors":["invalid role or secret ID"]})");
  SUBCASE("is tried three times, because servers lock a role after five") {
    fixture.start();
    fixture.io.advance(15s);
    CHECK(fixture.http->count(kLogin) == 3);
  }
  SUBCASE("ends a job that runs once at the first") {
    fixture.rules.once = true;
    fixture.start();
    CHECK(fixture.http->count(kLogin) == 1);
  }
  SUBCASE("ends at the first with exit_on_err") {
    fixture.config.exit_on_err = true;
    fixture.start();
    CHECK(fixture.http->count(kLogin) == 1);
  }
  SUBCASE("is not tried beyond the grace of the start") {
    fixture.rules.start_grace = 0s;
    fixture.start();
    CHECK(fixture.http->count(kLogin) == 1);
  }
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.ended->text.contains("400 invalid role or secret ID"));
  CHECK(fixture.ended->text.contains("the secret_id may have expired"));
  CHECK_FALSE(fixture.log().contains("canary"));
}

TEST_CASE("a server that is away at the start") {
  Fixture fixture;
  fixture.http->fail(kLogin, ErrorKind::network, "127.0.0.1:8200: connection refused");
  SUBCASE("is waited for, forever, and seldom asked; the log says why at once, and once") {
    fixture.start();
    CHECK(fixture.lines("connection refused") == 1);
    fixture.io.advance(10h, 1s);
    CHECK_FALSE(fixture.ended);
    CHECK(fixture.http->count(kLogin) < 250);
    CHECK(fixture.lines("WARN") == 1);
    fixture.http->answer(kLogin, 200, granted("T1", 3600));
    fixture.io.advance(10min, 1s);
    CHECK(fixture.token() == "T1");
  }
  SUBCASE("ends us after start_timeout, with its cause") {
    fixture.rules.outage.start_timeout = 30s;
    fixture.start();
    fixture.io.advance(29s);
    CHECK_FALSE(fixture.ended);
    fixture.io.advance(1s);
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::network);
    CHECK(fixture.ended->text.contains("connection refused"));
  }
  SUBCASE("ends us at once where that is wished for") {
    fixture.rules.outage.on_start = config::Outage::OnStart::fail;
    fixture.start();
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::network);
  }
  SUBCASE("ends a job that runs once after so many retries") {
    fixture.rules.once = true;
    fixture.rules.num_retries = 3;
    fixture.start();
    fixture.io.advance(60s);
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::network);
    CHECK(fixture.http->count(kLogin) == 4);
  }
}

TEST_CASE("a login that hangs ends with start_timeout") {
  Fixture fixture;
  fixture.http->delay(kLogin, 1h);
  fixture.rules.outage.start_timeout = 10s;
  fixture.start();
  fixture.io.advance(10s);
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::timeout);
  CHECK(fixture.ended->text.contains("POST auth/approle/login: no answer in time"));
}

TEST_CASE("Retry-After is obeyed at a login") {
  Fixture fixture;
  fixture.http->answer(kLogin, 429, R"({"errors":["quota"]})", 30s);
  fixture.http->answer(kLogin, 200, granted("T1", 3600));
  fixture.start();
  fixture.io.advance(30s + 999ms);  // a rate limit's is rounded down: a second more
  CHECK(fixture.http->count(kLogin) == 1);
  fixture.io.advance(1ms);
  CHECK(fixture.http->count(kLogin) == 2);
  CHECK(fixture.token() == "T1");
}

TEST_CASE(
    "at the exit the tokens that were made are revoked, the replaced one that still lives too") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 100, false));
  fixture.http->answer(kLogin, 200, granted("T2", 100, false));
  fixture.http->answer(kRevoke, 204);
  fixture.start();
  fixture.io.advance(85s);
  SUBCASE("by default") {
    fixture.stop();
    fixture.io.start_task(Fixture::revoke(fixture));
    fixture.io.run();
    REQUIRE(fixture.http->count(kRevoke) == 2);
    CHECK(fixture.http->asked[2].token == "T2");
    CHECK(fixture.http->asked[3].token == "T1");
  }
  SUBCASE("not where it is not wished for") {
    fixture.config.revoke_on_exit = false;
    REQUIRE(fixture.configure(fixture.config));
    fixture.stop();
    fixture.io.start_task(Fixture::revoke(fixture));
    fixture.io.run();
    CHECK(fixture.http->count(kRevoke) == 0);
  }
  CHECK(fixture.token() == "(none)");
}

TEST_CASE("what can't be revoked or has ended is not revoked at the exit") {
  Fixture fixture;
  SUBCASE("a batch token") {
    fixture.http->answer(
        kLogin, 200,
        R"({"auth":{"client_token":"hvb.B","policies":["default"],"token_type":"batch",)"
        R"("lease_duration":100,"renewable":false}})");
    fixture.start();
    fixture.io.advance(85s);
  }
  SUBCASE("a token that has ended by itself") {
    fixture.http->answer(kLogin, 200, granted("T1", 100));
    fixture.start();
    fixture.stop();
    fixture.io.advance(101s);
  }
  SUBCASE("a token that is known to be gone") {
    fixture.config.on_renew_failure = OnRenewFailure::exit;
    fixture.http->answer(kLogin, 200, granted("T1", 100));
    fixture.http->answer(kLookup, 403, kDenied);
    fixture.start();
    CHECK_FALSE(fixture.token_is_good());
    fixture.io.run();
    CHECK(fixture.ended);
  }
  fixture.stop();
  fixture.io.start_task(Fixture::revoke(fixture));
  fixture.io.run();
  CHECK(fixture.http->count(kRevoke) == 0);
  CHECK(fixture.lines("lives on") == 0);
  CHECK(fixture.token() == "(none)");
}

TEST_CASE("a lifetime counts from the request: a slow answer does not cost the token") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 10));
  fixture.http->answer(kRenew, 200, granted("T1", 10));
  fixture.http->delay(kLogin, 4s);
  fixture.start();
  fixture.io.advance(4s);
  CHECK(fixture.state().expires == test::Io::start + 10s);
  fixture.io.advance(60s);
  const auto times = fixture.times(kRenew);
  REQUIRE(times.size() > 5);
  CHECK(times[0] <= 5s);
  CHECK(fixture.http->count(kLogin) == 1);
}

TEST_CASE("a renewal that leaves less than a second is the last: zero is not without end") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 60));
  fixture.http->answer(kLogin, 200, granted("T2", 60));
  fixture.http->answer(kRenew, 200, granted("T1", 0));
  fixture.start();
  fixture.io.advance(50s);
  CHECK(fixture.token() == "T2");
  CHECK(fixture.state().expires);
}

TEST_CASE("a token that may not be renewed: the policy that is missing is named") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 60));
  fixture.http->answer(kLogin, 200, granted("T2", 600));
  fixture.http->answer(kRenew, 403, kDenied);
  fixture.http->answer(kLookup, 200, looked_up(12));
  fixture.start();
  fixture.io.advance(50s);
  CHECK(fixture.token() == "T2");
  CHECK(fixture.lines("renewal refused: the policy lacks update on auth/token/renew-self") == 1);
}

TEST_CASE("a server that hangs holds up the exit for five seconds") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 100));
  fixture.http->delay(kRevoke, 1h);
  fixture.start();
  fixture.stop();
  bool done = false;
  const auto revoke = [](Fixture& h, bool& out) -> boost::asio::awaitable<void> {
    co_await h.loop->revoke();
    out = true;
  };
  fixture.io.start_task(revoke(fixture, done));
  fixture.io.advance(4900ms);
  CHECK_FALSE(done);
  fixture.io.advance(200ms);
  CHECK(done);
  CHECK(fixture.lines("lives on until its TTL ends") == 1);
}

TEST_CASE("a stop is obeyed in every state") {
  Fixture fixture;
  SUBCASE("while a login hangs") {
    fixture.http->delay(kLogin, 1h);
    fixture.start();
  }
  SUBCASE("while a login with a deadline hangs") {
    fixture.http->delay(kLogin, 1h);
    fixture.rules.outage.start_timeout = 1h;
    fixture.start();
  }
  SUBCASE("between two logins") {
    fixture.http->fail(kLogin, ErrorKind::network);
    fixture.start();
  }
  SUBCASE("between two renewals") {
    fixture.http->answer(kLogin, 200, granted("T1", 3600));
    fixture.start();
  }
  SUBCASE("while a renewal hangs") {
    fixture.http->answer(kLogin, 200, granted("T1", 60));
    fixture.http->delay(kRenew, 1h);
    fixture.start();
    fixture.io.advance(48500ms);
    CHECK(fixture.http->count(kRenew) == 1);
  }
  SUBCASE("when the token is lost") {
    fixture.config.on_renew_failure = OnRenewFailure::keep;
    fixture.http->answer(kLogin, 200, granted("T1", 10, false));
    fixture.start();
    fixture.io.advance(20s);
    CHECK(fixture.in(Phase::lost));
  }
  const auto asked = fixture.http->asked.size();
  fixture.stop();  // checks that nothing is left running
  fixture.io.advance(1h, 1s);
  CHECK(fixture.http->asked.size() == asked);
  CHECK_FALSE(fixture.ended);
}

TEST_CASE("changes of the state can be waited for") {
  Fixture fixture;
  fixture.http->answer(kLogin, 200, granted("T1", 60));
  fixture.http->answer(kRenew, 200, granted("T1", 60));
  fixture.start();
  const auto seen = fixture.loop->changed().generation();
  fixture.io.advance(49s);
  CHECK(fixture.loop->changed().generation() > seen);
}

TEST_CASE("no token and no secret_id is in the log, whatever happens") {
  Fixture fixture;
  fixture.http->answer(kLogin, 500, R"({"errors":["broken: secret-id-canary"]})");
  fixture.http->answer(kLogin, 200, granted("token-canary", 60));
  fixture.http->answer(kRenew, 500, R"({"errors":["broken: token-canary"]})");
  fixture.http->answer(kLookup, 403, R"({"errors":["token-canary"]})");
  fixture.http->answer(kRevoke, 500, R"({"errors":["token-canary"]})");
  fixture.start();
  fixture.io.advance(59s);
  (void)fixture.token_is_good();
  fixture.stop();
  fixture.io.start_task(Fixture::revoke(fixture));
  fixture.io.run();
  auto text = fixture.log();
  for (auto at = text.find("acc-token-canary"); at != text.npos;
       at = text.find("acc-token-canary")) {
    text.replace(at, 16, "accessor");
  }
  CHECK_FALSE(text.contains("canary"));
  CHECK(text.contains("[masked]"));
}

}  // namespace
}  // namespace keybearer::auth
